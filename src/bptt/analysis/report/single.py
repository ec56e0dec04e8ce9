"""The report of one sweep."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bptt.analysis.report.document import Report, Section
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.sections.provenance import write_origin
from bptt.analysis.report.sections.repeating import find_inputs, write_repeating
from bptt.analysis.report.sections.results import write_best, write_figures, write_results, write_troubles
from bptt.analysis.report.sections.setup import name_choice, write_in_short, write_setup, write_swept
from bptt.analysis.tables import shorten_keys, write_duration, write_moment

if TYPE_CHECKING:
    from bptt.analysis.figures import SweepFigure
    from bptt.analysis.sweep import Sweep


def report_single(sweep: "Sweep", drawn: "Sequence[SweepFigure]", options: Sequence[str]) -> Report:
    """All that is to be told of a sweep.

    drawn    its figures
    options  of `bptt report`, as they were given
    """
    findings = Findings(sweep)
    end = [write_origin(findings), write_repeating([sweep], [find_inputs(sweep)], options)]
    return Report(
        write_title(findings),
        list(_list_facts(sweep)),
        [write_in_short(findings), *write_sections(findings, drawn), *end],
    )


def write_sections(findings: Findings, drawn: "Sequence[SweepFigure]") -> list[Section]:
    """What is told of a sweep between the answer in short and where it comes from."""
    return [
        write_setup(findings),
        write_swept(findings),
        write_results(findings),
        write_figures(drawn),
        write_troubles(findings),
        write_best(findings),
    ]


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
    if sweep.began is not None and sweep.ended is not None:
        yield write_duration(sweep.ended - sweep.began)
    if sweep.status != "FINISHED":
        yield sweep.status
