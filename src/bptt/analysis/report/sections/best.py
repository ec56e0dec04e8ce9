"""The section with the best runs, and what trains them again."""

import shlex
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.report.document import Column, Element, Listing, Mono, Paragraph, Section, ShownTable, Span
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.sections.repeating import find_run_command
from bptt.analysis.tables import ACCURACY, KEPT_LOSS, LOSS, list_leading_fits, name_ranked_loss, take_kept_loss

if TYPE_CHECKING:
    import pandas as pd

_MOST: Final = 5


def write_best(findings: Findings) -> Section:
    """The best run of each of the best settings; the best runs where there is one setting."""
    frame = _select_best(findings)
    if frame.empty:
        return Section("best", "Best configurations", [Paragraph(("No run ended with a finite loss.",))])
    columns = [
        Column("rank", "rank", "exact"),
        Column("name", "run"),
        *(
            Column(name, heading, "number")
            for name, heading in (
                *((name, name) for name in list_leading_fits(frame)),
                *((KEPT_LOSS, "loss of the kept network"), (LOSS, "last loss"), (ACCURACY, "last accuracy")),
            )
            if name in frame
        ),
        *(
            [Column("solved_update", "solved at update", "count", after="solved_after")]
            if findings.sweep.solved.is_possible
            else []
        ),
        Column("updates", "updates", "count"),
        Column("digest", "digest", mono=True),
    ]
    last, kept = ("last ", "") if KEPT_LOSS not in frame else ("", " of a kept network,")
    caption: tuple[Span, ...] = (
        (
            f"The run with the smallest {last}",
            Mono(LOSS),
            kept,
            " of the best setting of each condition."
            if findings.conditions
            else " of each of the best settings, best first.",
        )
        if findings.keys
        else (f"The runs with the smallest {last}", Mono(LOSS), f"{kept.rstrip(',')}.")
    )
    elements: list[Element] = [ShownTable("best", "The best configurations", caption, frame, columns)]
    return Section("best", "Best configurations", [*elements, *_list_commands(findings, frame)])


def _select_best(findings: Findings) -> "pd.DataFrame":
    import numpy as np

    ranked = name_ranked_loss(findings.runs)
    runs = findings.runs.assign(**{ranked: take_kept_loss(findings.runs)})
    runs = runs[runs["outcome"].notna() & np.isfinite(runs[ranked])].sort_values([ranked, "run"], kind="stable")
    if findings.keys:
        labels = findings.labels
        place = {texts: rank for rank, texts in enumerate(findings.ranked[labels].itertuples(index=False, name=None))}
        runs = runs.drop_duplicates(labels)
        runs = runs.assign(place=[place[texts] for texts in runs[labels].itertuples(index=False, name=None)])
        runs = runs.sort_values("place", kind="stable")
        if findings.conditions:  # the best of each
            runs = runs.drop_duplicates("condition")
    kept = [
        "name",
        *list_leading_fits(runs),
        *dict.fromkeys((ranked, LOSS)),
        *([ACCURACY] if ACCURACY in runs else []),
        "solved_after",
        "solved_update",
        "updates",
        "digest",
        "run",
    ]
    return (
        runs[kept]
        .head(_MOST)
        .reset_index(drop=True)
        .rename_axis("rank")
        .reset_index()
        .assign(rank=lambda t: t["rank"] + 1)
    )


def _list_commands(findings: Findings, frame: "pd.DataFrame") -> list[Element]:
    found: list[Element] = []
    for row in frame.to_dict("records"):
        command = find_run_command(findings.sweep, row["run"])
        if command is not None:
            found.append(Listing(shlex.join(command), _describe_row(row)))
    if not found:
        return [Paragraph(("Their commands are not known: the store holds none.",))]
    return found


def _describe_row(row: dict[str, Any]) -> tuple[Span, ...]:
    return (f"{row['rank']}. ", Mono(row["name"]), ":")
