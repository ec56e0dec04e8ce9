"""The section on the best configurations, each with the command that trains it."""

from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.report.commands import run_command, shell
from bptt.analysis.report.document import Column, Element, Listing, Mono, Paragraph, Section, Span, Table
from bptt.analysis.report.findings import Findings
from bptt.analysis.tables import ACCURACY, LOSS

if TYPE_CHECKING:
    import pandas as pd

_MOST: Final = 5


def best(findings: Findings) -> Section:
    """The best run of each of the best settings; the best runs where there is one setting."""
    frame = _best(findings)
    if frame.empty:
        return Section("best", "Best configurations", [Paragraph(("No run ended with a finite loss.",))])
    columns = [
        Column("rank", "rank", "exact"),
        Column("name", "run"),
        *(
            Column(name, heading, "number")
            for name, heading in ((LOSS, "last loss"), (ACCURACY, "last accuracy"))
            if name in frame
        ),
        Column("solved_update", "solved at update", "count"),
        Column("updates", "updates", "count"),
        Column("digest", "digest", mono=True),
    ]
    caption: tuple[Span, ...] = (
        (
            "The run with the smallest last ",
            Mono(LOSS),
            " of each of the best settings, best first.",
        )
        if findings.keys
        else ("The runs with the smallest last ", Mono(LOSS), ".")
    )
    elements: list[Element] = [Table("best", "The best configurations", caption, frame, columns)]
    return Section("best", "Best configurations", [*elements, *_commands(findings, frame)])


def _best(findings: Findings) -> "pd.DataFrame":
    import numpy as np

    runs = findings.runs[findings.runs["outcome"].notna() & np.isfinite(findings.runs[LOSS])]
    runs = runs.sort_values([LOSS, "run"], kind="stable")
    if findings.keys:
        place = {setting: rank for rank, setting in enumerate(findings.ranked["setting"])}
        runs = runs.drop_duplicates("setting").sort_values(
            "setting", key=lambda column: column.map(place), kind="stable"
        )
    kept = ["name", LOSS, *([ACCURACY] if ACCURACY in runs else []), "solved_update", "updates", "digest", "run"]
    return (
        runs[kept]
        .head(_MOST)
        .reset_index(drop=True)
        .rename_axis("rank")
        .reset_index()
        .assign(rank=lambda t: t["rank"] + 1)
    )


def _commands(findings: Findings, frame: "pd.DataFrame") -> list[Element]:
    found: list[Element] = []
    for row in frame.to_dict("records"):
        command = run_command(findings.sweep, row["run"])
        if command is not None:
            found.append(Listing(shell(command), _told(row)))
    if not found:
        return [Paragraph(("Their commands are not known: the store holds none.",))]
    return found


def _told(row: dict[str, Any]) -> tuple[Span, ...]:
    return (f"{row['rank']}. ", Mono(row["name"]), ":")
