"""The pages of results that were published before: their tables, from the reports of sweeps trained again here.

A page is written by hand, but for what stands between two marks, which is the table of the sweep's report.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from docs.make_results.tables import UnsupportedError
from docs.make_results.wording import write_plain_table

PREFIX: Final = "published/"
_MARKED: Final = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end -->)", re.DOTALL)
_TITLE: Final = re.compile(r"\A# (.+)\n")
_SHOWN: Final = re.compile(r"\]\(\.\./results/published/(?P<name>\w+)/figures/(?P<figure>\w+)\.png\)")
_INDEX: Final = "index"


def list_figures(name: str, pages: Path) -> tuple[str, ...]:
    """The figures of a sweep's report that its page shows. Raises UnsupportedError where there is no page."""
    own = name.removeprefix(PREFIX)
    return tuple(dict.fromkeys(found["figure"] for found in _SHOWN.finditer(_read(pages, own)) if found["name"] == own))


def write_page(name: str, results: Path, pages: Path) -> Path:
    """Put the table of a sweep's report into its page; returns the page. Raises UnsupportedError."""
    own = name.removeprefix(PREFIX)
    table = _read_table(own, results)
    rows = [
        [_write(row[key]) for key in ("what", "at", "theirs", "ours_text", "runs", "verdict_text")]
        for row in table.to_dict("records")
    ]
    head = ["published", "where", "theirs", "ours, with its 95 % interval", "runs", "here it is"]
    return _fill(pages, own, write_plain_table(head, rows))


def write_index(names: Sequence[str], results: Path, pages: Path) -> Path:
    """Put a row for each page into the index of these pages; returns that. Raises UnsupportedError."""
    rows = []
    for own in (name.removeprefix(PREFIX) for name in names):
        verdicts = _read_table(own, results)["verdict"].tolist()
        title = _TITLE.match(_read(pages, own))
        counts = [verdicts.count(verdict) for verdict in ("same", "different", "unsettled")]
        rows.append([f"[{title[1] if title else own}]({own}.md)", f"`{PREFIX}{own}`", *map(str, counts)])
    head = ["source", "`bptt train sweep=`", "the same here", "different", "not settled"]
    return _fill(pages, _INDEX, write_plain_table(head, rows))


def _read(pages: Path, own: str) -> str:
    try:
        return (pages / f"{own}.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UnsupportedError(f"{pages / own}.md: is not there; a published sweep has a page") from None


def _read_table(own: str, results: Path) -> pd.DataFrame:
    path = results / PREFIX / own / "tables" / "published.csv"
    try:
        return pd.read_csv(path, keep_default_na=False)
    except FileNotFoundError:
        raise UnsupportedError(f"{path}: is not there; python -m docs.make_results {PREFIX}{own} makes it") from None


def _fill(pages: Path, own: str, text: str) -> Path:
    page = _read(pages, own)
    if len(_MARKED.findall(page)) != 1:
        raise UnsupportedError(
            f"{pages / own}.md: must have <!-- table --> and <!-- end --> once, each on its own line"
        )
    path = pages / f"{own}.md"
    path.write_text(_MARKED.sub(lambda _found: f"\n{text.rstrip()}\n\n", page), encoding="utf-8")
    return path


def _write(value: object) -> str:
    return " ".join(str(value).split()).replace("<", "&lt;").replace("|", "\\|")
