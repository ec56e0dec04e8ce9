"""The report of one sweep."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bptt.analysis.report.attempting import attempt, attempt_section
from bptt.analysis.report.document import Element, Figures, Missing, Report, Section
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.sections.choices import write_choices
from bptt.analysis.report.sections.provenance import write_origin
from bptt.analysis.report.sections.repeating import find_inputs, write_repeating
from bptt.analysis.report.sections.results import (
    write_best,
    write_figures,
    write_results,
    write_settings_table,
    write_troubles,
)
from bptt.analysis.report.sections.setup import name_choice, write_in_short, write_setup, write_swept
from bptt.analysis.tables import shorten_keys, write_duration, write_moment

if TYPE_CHECKING:
    from bptt.analysis.figures import SweepFigure
    from bptt.analysis.sweep import Sweep


def report_single(
    sweep: "Sweep", drawn: "Sequence[SweepFigure]", options: Sequence[str], failed: Sequence[Missing] = ()
) -> Report:
    """All that is to be told of a sweep. What can't be told is named in its place.

    drawn    its figures
    options  of `bptt report`, as they were given
    failed   the figures that can't be drawn
    """
    findings = Findings(sweep)
    asked, rest = split_question(sweep.question)
    title = attempt("The title", lambda: write_title(findings))
    title = sweep.name if isinstance(title, Missing) else title
    proof: list[Element] = [Figures(drawn[:1])] if drawn else []
    table = attempt("The table of settings", lambda: _list_settings(findings))
    proof += [table] if isinstance(table, Missing) else table
    origin = attempt_section("provenance", "Provenance", lambda: write_origin(findings))
    again = attempt_section(
        "repeat", "How to repeat it", lambda: write_repeating([sweep], [find_inputs(sweep)], options)
    )
    return Report(
        asked or title,
        [*([title] if asked else []), *_list_facts(sweep)],
        [
            attempt_section("question", "Answer", lambda: write_in_short(findings, rest, proof), proof),
            *write_sections(findings, drawn[1:], True, failed),
            origin,
            again,
        ],
    )


def _list_settings(findings: Findings) -> list[Element]:
    return [] if findings.statistics.empty else [write_settings_table(findings)]


def write_sections(
    findings: Findings, drawn: "Sequence[SweepFigure]", shown: bool = False, failed: Sequence[Missing] = ()
) -> list[Section]:
    """What is told of a sweep between the answer in short and where it comes from.

    shown   whether the table of settings stands with the answer
    failed  the figures that can't be drawn
    """
    choices = attempt("The section “What was chosen”", lambda: write_choices(findings))
    return [
        attempt_section("results", "Results", lambda: write_results(findings, shown)),
        *([Section("choices", "What was chosen", [choices])] if isinstance(choices, Missing) else choices),
        *([write_figures(drawn, failed)] if drawn or failed or not shown else []),
        attempt_section("troubles", "Failures and divergences", lambda: write_troubles(findings)),
        attempt_section("best", "Best configurations", lambda: write_best(findings)),
        attempt_section("swept", "What was swept", lambda: write_swept(findings)),
        attempt_section("setup", "Setup", lambda: write_setup(findings)),
    ]


def split_question(question: str | None) -> tuple[str, str]:
    """The sentence that asks, and what is said beside it; both empty where nothing was asked."""
    first, mark, rest = (question or "").strip().partition("?")
    return " ".join((first + mark).split()), rest.strip()


def write_title(findings: Findings) -> str:
    """The sweep's name where it came with one, else what it trains; and what it varies."""
    named = [word.partition("=")[2] for word in findings.sweep.command if word.startswith("sweep=")]
    parts = (name_choice(findings.common.get(f"{part}._target_")) for part in ("task", "model"))
    about = named[0] if named else ", ".join(part for part in parts if part) or findings.sweep.name
    keys = ", ".join(shorten_keys(findings.keys).values())
    return f"{about}: {keys}" if keys and not named else about


def _list_facts(sweep: "Sweep") -> Iterator[str]:
    yield sweep.name
    runs = len(sweep.runs)
    yield f"{runs:,} run{'s' * (runs != 1)}"
    if sweep.began is not None:
        yield write_moment(sweep.began)
    if sweep.seconds is not None:
        yield write_duration(sweep.seconds)
    if sweep.status != "FINISHED":
        yield sweep.status
