"""Parts of a report that can't be made: each is named in its place, and the others are there."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from bptt.analysis.report.document import Element, Missing, Report, Section, Table
from bptt.analysis.report.latex import render_table
from bptt.analysis.report.rendering import write_rows

T = TypeVar("T")


def attempt(what: str, make: Callable[[], T]) -> T | Missing:
    """What `make` returns, or, where it raises, what says so; what: its name, as a sentence begins with it."""
    try:
        return make()
    except Exception as error:  # what was trained is told of, whatever a part of it leads to
        return name_missing(what, error)


def name_missing(what: str, error: Exception) -> Missing:
    """What stands in the place of a part that raised."""
    return Missing(what, " ".join(f"{type(error).__name__}: {error}".split()))


def attempt_section(id: str, title: str, write: Callable[[], Section], rest: Sequence[Element] = ()) -> Section:
    """The section that `write` returns, or one with this title that says why there is none, and has the rest."""
    made = attempt(f"The section “{title}”", write)
    return Section(id, title, [made, *rest]) if isinstance(made, Missing) else made


def replace_tables(report: Report) -> Report:
    """The report with what says so in the place of each table that can't be rendered."""
    sections = [replace(section, elements=_replace(section.elements)) for section in report.sections]
    return replace(report, sections=sections)


def _replace(elements: Sequence[Element]) -> list[Element]:
    return [_try_table(element) if isinstance(element, Table) else element for element in elements]


def _try_table(table: Table) -> Table | Missing:
    made = attempt(f"The table “{table.title}”", lambda: (write_rows(table), render_table(table)))
    return made if isinstance(made, Missing) else table
