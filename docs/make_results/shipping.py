"""What of a sweep's report lies in docs/results: its Markdown, with the first of its runs, its tables as CSV, and the
figures that answer it.

The whole report, with its page, every figure and the tables as LaTeX, is in the sweep's own folder.
"""

import csv
import itertools
import re
from collections.abc import Mapping
from io import StringIO
from typing import Final

from docs.make_results.tables import UnsupportedError

#: Of each sweep's report, the figures that answer its question.
FIGURES: Final[Mapping[str, tuple[str, ...]]] = {
    "alpha_epsilon": ("success_map", "success_alpha", "survival"),
    "clip_threshold": ("success_map", "success_alpha", "clipped_share"),
    "edge_of_stability": ("dynamics_sharpness_along", "dynamics_sharpness", "convergence"),
    "eta": ("success_map", "success_eta_plus", "survival"),
    "hidden_size": ("success_hidden_size", "survival", "convergence"),
    "init_scale_spectral_radius": ("success_map", "gradient_profiles_first", "radius_against_decay"),
    "leftbit_hidden_size": ("success_hidden_size", "survival", "final_loss_hidden_size"),
    "leftbit_momentum": ("success_epsilon", "success_alpha", "survival"),
    "length_adding": ("success_map", "success_length", "gradient_profiles_last"),
    "length_copying": ("success_map", "success_length", "gradient_profiles_last"),
    "length_temporal_order": ("success_map", "success_length", "gradient_profiles_last"),
    "optuna_adder": ("halving",),
    "predict_from_start": ("start", "dynamics_solved_map", "gradient_profiles_first"),
    "remedies": ("success_length", "survival"),
    "sentiment_clip": ("success_map", "gradient_norm", "clipped_share"),
    "sentiment_init": ("success_init", "survival", "gradient_profiles"),
    "single_changes": ("success_optimizer", "success_schedule", "success_regularizer"),
}
MOST_FIGURES: Final = 3

_PAGE: Final = "report.md"
_TABLE: Final = "tables/runs.csv"
_TITLE: Final = "## Figures\n\n"
_NOTE: Final = (
    "Those that answer the question; all of them, the tables as LaTeX, and everything as one page are in the report "
    "with which the sweep ends, below `multirun/`.\n\n"
)
_FIGURE: Final = re.compile(
    r"!\[(?:[^\]\\]|\\.)*\]\(figures/(?P<name>\w+)\.png\)\n\n\*\*Figure (?P<number>\d+)\. [^\n]+\n\n"
)
_ROWS: Final = 10  # of all runs, that a reader sees
_RUNS: Final = re.compile(
    r"(?P<caption>\*\*Table \d+\. [^\n]*?)(?: The first \d+ of (?P<of>\d+) rows\.)?"
    r"(?P<files> Files: `tables/runs\.csv`\n\n\|[^\n]+\n\|[^\n]+\n)(?P<rows>(?:\|[^\n]*\n)+)"
)
#: In a table a cell with more digits than are shipped.
_NUMBER: Final = re.compile(rb"(?:(?<=,)|^)-?\d+\.\d+(?:e[-+]\d+)?(?=,|\r?$)", re.MULTILINE)
_DIGITS: Final = 6
#: Of a run: its name, which says again what was swept, and its digest, which the same command gives again.
_DROPPED: Final = frozenset(("name", "digest"))
_STATUS: Final = "status"  # dropped too where all runs have the same
_LATEX: Final = re.compile(r"(Files: `tables/\w+\.csv`), `tables/\w+\.tex`$", re.MULTILINE)


def shipped_files(name: str, files: Mapping[str, bytes], shown: tuple[str, ...] | None = None) -> dict[str, bytes]:
    """The files of a report that are shipped; its Markdown names no others. Raises UnsupportedError.

    name   of the sweep
    files  of the report, or of one that is shipped: path → content
    shown  its figures; None: those of `FIGURES`
    """
    shown = FIGURES[name] if shown is None else shown
    figures = [f"figures/{figure}.png" for figure in shown]
    if missing := [figure for figure in figures if figure not in files]:
        raise UnsupportedError(
            f"{name}: the report has no {missing[0]}, which docs/make_results/shipping.py has shipped"
        )
    kept = {
        path: _shorten_numbers(_drop_columns(content) if path == _TABLE else content)
        if path.endswith(".csv")
        else content
        for path, content in files.items()
        if path in figures or path.endswith((".csv", ".patch"))  # the patch of a program that differs from its commit
    }
    return {_PAGE: _page(files[_PAGE].decode(), shown).encode(), **kept}


def _page(text: str, figures: tuple[str, ...]) -> str:
    """A report's Markdown with these figures alone, numbered anew."""
    numbers = itertools.count(1)

    def keep(found: re.Match[str]) -> str:
        if found["name"] not in figures:
            return ""
        return found[0].replace(f"**Figure {found['number']}.", f"**Figure {next(numbers)}.")

    kept = _FIGURE.sub(keep, text.replace(_NOTE, ""))
    return _LATEX.sub(r"\1", _RUNS.sub(_shorten, kept.replace(_TITLE, _TITLE + _NOTE)))


def _shorten(found: re.Match[str]) -> str:
    """The table of all runs with its first rows; its file has all of them."""
    rows = found["rows"].splitlines(keepends=True)
    if len(rows) <= _ROWS:
        return found[0]
    of = found["of"] or len(rows)
    return f"{found['caption']} The first {_ROWS} of {of} rows.{found['files']}{''.join(rows[:_ROWS])}"


def _shorten_numbers(content: bytes) -> bytes:
    """A table whose numbers have six digits, of seventeen, and no point where they are whole."""
    return _NUMBER.sub(lambda found: _write_short(float(found[0])), content)


def _write_short(number: float) -> bytes:
    text = f"{number:.{_DIGITS}g}"
    # Six digits of a larger number would be no longer it: an update, of which there may be millions.
    return (text if "e+" not in text else f"{number:.0f}").encode()


def _drop_columns(content: bytes) -> bytes:
    """The table of runs without what the rest of it says."""
    rows = list(csv.reader(StringIO(content.decode(), newline="")))
    head = rows[0]
    dropped = {place for place, name in enumerate(head) if name in _DROPPED}
    if _STATUS in head and len({row[head.index(_STATUS)] for row in rows[1:]}) == 1:
        dropped.add(head.index(_STATUS))
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(
        [cell for place, cell in enumerate(row) if place not in dropped] for row in rows
    )
    return text.getvalue().encode()
