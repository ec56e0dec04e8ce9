"""The report of one sweep."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bptt.analysis.report.document import Report, Section
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.sections.provenance import origin
from bptt.analysis.report.sections.repeating import inputs_of, repeating
from bptt.analysis.report.sections.results import best, figures, results, troubles
from bptt.analysis.report.sections.setup import choice, in_short, setup, swept
from bptt.analysis.tables import duration, moment, short_keys

if TYPE_CHECKING:
    from bptt.analysis.figures import Drawn
    from bptt.analysis.sweep import Sweep


def single(sweep: "Sweep", drawn: "Sequence[Drawn]", options: Sequence[str]) -> Report:
    """All that is to be told of a sweep.

    drawn    its figures
    options  of `bptt report`, as they were given
    """
    findings = Findings(sweep)
    end = [origin(findings), repeating([sweep], [inputs_of(sweep)], options)]
    return Report(title_of(findings), list(_facts(sweep)), [in_short(findings), *sections_of(findings, drawn), *end])


def sections_of(findings: Findings, drawn: "Sequence[Drawn]") -> list[Section]:
    """What is told of a sweep between the answer in short and where it comes from."""
    return [
        setup(findings),
        swept(findings),
        results(findings),
        figures(drawn),
        troubles(findings),
        best(findings),
    ]


def title_of(findings: Findings) -> str:
    """The sweep's name where it came with one, else what it trains; and what it varies."""
    named = [word.partition("=")[2] for word in findings.sweep.command if word.startswith("sweep=")]
    parts = (choice(findings.common.get(f"{part}._target_")) for part in ("task", "model"))
    about = named[0] if named else ", ".join(part for part in parts if part) or findings.sweep.name
    keys = ", ".join(short_keys(findings.keys).values())
    return f"{about}: {keys}" if keys and not named else about


def _facts(sweep: "Sweep") -> Iterator[str]:
    yield sweep.name
    runs = len(sweep.runs)
    yield f"{runs:,} run{'s' * (runs != 1)}"
    if sweep.began is not None:
        yield moment(sweep.began)
    if sweep.began is not None and sweep.ended is not None:
        yield duration(sweep.ended - sweep.began)
    if sweep.status != "FINISHED":
        yield sweep.status
