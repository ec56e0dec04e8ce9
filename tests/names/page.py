"""docs/trust/names.md, whose table is made from docs/trust/names.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.names.table import NAMES
from tests.names.trial import COMMANDS, Outcome

FOLDER: Final = Path(__file__).parents[2] / "docs" / "trust"
PAGE: Final = FOLDER / "names.md"
MEASURED: Final = FOLDER / "names.json"

_BEGIN: Final = "<!-- made by `python -m tests.names --write` from here -->\n"
_END: Final = "<!-- to here -->\n"


def write(found: Mapping[str, Mapping[str, Outcome]], about: Mapping[str, Any]) -> None:
    """Put what was found into both files."""
    names = {what: {command: vars(outcome) for command, outcome in row.items()} for what, row in found.items()}
    MEASURED.write_text(json.dumps({**about, "names": names}, indent=1) + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    PAGE.write_text(f"{before}{_BEGIN}\n{as_markdown(found, about)}\n{_END}{after}", encoding="utf-8")


def read() -> tuple[dict[str, dict[str, Outcome]], dict[str, Any]]:
    """What `write` was given."""
    about = json.loads(MEASURED.read_text(encoding="utf-8"))
    names = about.pop("names")
    return {what: {one: Outcome(**kept) for one, kept in row.items()} for what, row in names.items()}, about


def table_of(page: str) -> str:
    """The table between the page's marks."""
    return page.partition(_BEGIN)[2].partition(_END)[0].strip("\n") + "\n"


def as_markdown(found: Mapping[str, Mapping[str, Outcome]], about: Mapping[str, Any]) -> str:
    """The table, and below it where and when it was measured."""
    rows = [
        ["special", "name", *COMMANDS],
        ["---"] * (2 + len(COMMANDS)),
        *([what, _show(NAMES[what]), *(row[one].says for one in COMMANDS)] for what, row in found.items()),
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    refused = sum(all(one.says == "refused" for one in row.values()) for row in found.values())
    seconds = [one.seconds for row in found.values() for one in row.values() if one.says == "refused"]
    works = sum(all(one.says == "works" for one in row.values()) for row in found.values())
    after = f"in the median after {median(seconds or [0.0]):.1f} s"
    told = f"{len(found)} names: {works} work, {refused} are refused, {after}."
    return f"{table}\n\n{told} {about['date']}, {about['machine']}; `python -m tests.names --write`.\n"


def _show(name: bytes) -> str:
    """A name in HTML, in a table's cell; as it would be typed where it does not show."""
    if len(name) > 40:
        return f"{name[:1].decode()}, {len(name)} times"
    text = name.decode(errors="backslashreplace")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"<code>{''.join(c if c.isalnum() or c in '-.%/+=,:;@! ' else f'&#{ord(c)};' for c in shown)}</code>"
