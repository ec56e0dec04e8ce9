"""The section on runs that diverged, failed, or did not end."""

from typing import TYPE_CHECKING, Final

from bptt.analysis.report.document import Column, Element, Heading, Listing, Mono, Paragraph, Section, Table
from bptt.analysis.report.findings import Findings

if TYPE_CHECKING:
    import pandas as pd

_MOST_TRACEBACKS: Final = 3


def troubles(findings: Findings) -> Section:
    """What went wrong, counted; which runs; and why."""
    runs = findings.runs
    status = runs["status"].fillna("")
    diverged = runs[runs["outcome"].eq("diverged")]
    failed = runs[status.eq("FAILED")]
    unfinished = runs[~status.isin(["FINISHED", "FAILED"])]
    if not (len(diverged) or len(failed) or len(unfinished)):
        none = Paragraph((f"None: all {len(runs):,} runs ended well.",))
        return Section("troubles", "Failures and divergences", [none])
    counts = f"{len(diverged):,} diverged, {len(failed):,} failed, and {len(unfinished):,} did not end."
    elements: list[Element] = [Paragraph((f"Of {len(runs):,} runs {counts}",))]
    if len(findings.statistics) > 1:
        elements.append(_by_setting(findings.statistics))
    if len(diverged):
        elements.append(_diverged(diverged))
    if len(failed):
        elements += _failed(failed)
    if len(unfinished):
        names = [element for name in unfinished["name"].head(20) for element in (Mono(name), ", ")][:-1]
        more = [f" and {len(unfinished) - 20:,} more"] if len(unfinished) > 20 else []
        elements.append(Paragraph(("Did not end: ", *names, *more, ".")))
    return Section("troubles", "Failures and divergences", elements)


def _by_setting(statistics: "pd.DataFrame") -> Table:
    counts = ["diverged", "failed", "unfinished"]
    frame = statistics.loc[statistics[counts].any(axis=1), ["setting", "runs", *counts]].reset_index(drop=True)
    columns = [Column("setting", "setting"), *(Column(name, name, "count") for name in ["runs", *counts])]
    caption = ("Settings without one are left out.",)
    return Table("troubles", "Runs that diverged, failed or did not end", caption, frame, columns, most=40)


def _diverged(runs: "pd.DataFrame") -> Table:
    frame = runs[["run", "name", "updates", "digest"]].reset_index(drop=True)
    columns = [
        Column("run", "run", "exact"),
        Column("name", "what was swept"),
        Column("updates", "update", "count"),
        Column("digest", "digest", mono=True),
    ]
    caption = ("A run is stopped at the update at which its loss is no longer finite.",)
    return Table(
        "diverged", f"The {len(frame):,} runs that diverged", caption, frame, columns, folded=True, latex=False
    )


def _failed(runs: "pd.DataFrame") -> list[Element]:
    errors = runs["error"].fillna("").astype(str)
    frame = (
        runs[["run", "name"]]
        .assign(error=[text.rstrip().rpartition("\n")[2] for text in errors])
        .reset_index(drop=True)
    )
    columns = [Column("run", "run", "exact"), Column("name", "what was swept"), Column("error", "error", mono=True)]
    table = Table("failed", "Runs that failed", ("Each with the last line of its traceback.",), frame, columns, most=40)
    first = runs.assign(last=frame["error"].tolist()).drop_duplicates("last").head(_MOST_TRACEBACKS)
    tracebacks = [
        Listing(str(row["error"]), ("Traceback of run ", Mono(str(row["name"]))), folded=True)
        for row in first.to_dict("records")
        if row["error"]
    ]
    return [Heading("Failures"), table, *tracebacks]
