"""The section with the results: settings with their intervals, what explains the loss, and the figures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from bptt.analysis.keys import short_keys
from bptt.analysis.report.document import Column, Element, Figures, Heading, Mono, Paragraph, Section, Span, Table
from bptt.analysis.report.findings import Findings
from bptt.analysis.statistics import probability_of_improvement, variance_shares
from bptt.analysis.tables import LOSS

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.figures import Drawn

_MOST_SETTINGS: Final = 40
_MOST_COMPARED: Final = 12


def results(findings: Findings) -> Section:
    """Settings with their intervals, the best one against the others, and what explains the variance."""
    elements: list[Element] = [_how(findings), settings_table(findings)]
    elements += _improvement(findings)
    elements += _variance(findings)
    return Section("results", "Results", elements)


def figures(drawn: "Sequence[Drawn]") -> Section:
    """The figures."""
    return Section("figures", "Figures", [Figures(drawn)] if drawn else [Paragraph(("There is nothing to draw.",))])


def settings_table(findings: Findings) -> Table:
    """A row per setting, in the sweep's order; the best ones where there are many."""
    many = len(findings.statistics) > _MOST_SETTINGS
    frame = findings.ranked if many else findings.statistics
    caption: tuple[Span, ...] = ("With each estimate its 95 % interval.",)
    if many:
        caption += (" Best first: by the share that solved the task, then by the median of the last loss.",)
    return Table(
        name="results",
        title="Results by setting",
        caption=caption,
        frame=frame,
        columns=setting_columns(frame, findings.keys),
        most=_MOST_SETTINGS,
    )


def setting_columns(frame: "pd.DataFrame", keys: Sequence[str]) -> list[Column]:
    """What a reader sees of `setting_statistics`."""
    short = short_keys(keys)
    columns = [Column(key, short[key], _form(frame[key])) for key in keys] or [Column("setting", "setting")]
    if "success" not in frame or (frame["ended"] < frame["runs"]).any():
        columns.append(Column("runs", "runs", "count"))
    if "success" in frame:
        columns += [
            Column("solved", "solved", "count", of="ended"),
            Column("success", "share solved", "share", "success_low", "success_high"),
            Column("held_share", "solved at the end", "share", "held_share_low", "held_share_high"),
        ]
    columns += [
        Column(name, heading, form, f"{name}_low", f"{name}_high")  # type: ignore[arg-type]
        for name, heading, form in (
            ("loss_median", "last loss, median", "number"),
            ("loss_iqm", "last loss, IQM", "number"),
            ("updates_to_solve_median", "updates to solve, median", "count"),
        )
        if name in frame and frame[name].notna().any()
    ]
    columns += [Column(name, name, "count") for name in ("diverged", "failed", "unfinished") if frame[name].any()]
    return columns


def _form(values: "pd.Series") -> Literal["text", "exact"]:
    return "text" if values.dtype.kind not in "iuf" else "exact"


def _how(findings: Findings) -> Paragraph:
    spans: list[Span] = [
        "A run has solved its task at the first recorded update with ",
        Mono(str(findings.sweep.solved)),
        "; at the end it may have lost that again. ",
        "Shares have Wilson's score interval. Medians and interquartile means (IQM, the mean of the middle half) are of"
        " the last evaluation's loss, ",
        Mono(LOSS),
        ", with BCa bootstrap intervals over the runs; a run that diverged counts as infinitely bad. Updates to solve"
        " are the median of Kaplan and Meier's estimate, in which a run that never solved its task is censored at its"
        " end; – means that fewer than half did. Runs that failed or did not end enter no statistic.",
    ]
    return Paragraph(tuple(spans))


def _improvement(findings: Findings) -> list[Element]:
    """The best setting against those that come next."""
    import pandas as pd

    settings = findings.ranked[findings.ranked["ended"] > 0]
    if len(settings) < 2:
        return []
    runs = findings.runs[findings.runs["outcome"].notna()]
    losses = {setting: group[LOSS].to_numpy() for setting, group in runs.groupby("setting", sort=False)}
    best, *others = settings["setting"].head(_MOST_COMPARED + 1)
    rows = []
    for other in others:
        found = probability_of_improvement(losses[best], losses[other])
        rows.append({"setting": other, "probability": found.value, "low": found.low, "high": found.high})
    caption: tuple[Span, ...] = (
        "How likely a run of ",
        Mono(best),
        ", the best setting, ends with a smaller ",
        Mono(LOSS),
        " than a run of another one: the probability of improvement, ties counted half, with its bootstrap interval."
        " Half is no difference.",
    )
    frame = pd.DataFrame(rows)
    columns = [
        Column("setting", "against"),
        Column("probability", "probability that the best is better", "share", "low", "high"),
    ]
    return [
        Heading("How sure the best setting is the best"),
        Table("improvement", "The best setting against others", caption, frame, columns),
    ]


def _variance(findings: Findings) -> list[Element]:
    shares = variance_shares(findings.sweep.runs, findings.sweep.swept)
    if shares.empty:
        return []
    caption: tuple[Span, ...] = (
        "The share η² of the variance of log₁₀ ",
        Mono(LOSS),
        " that each swept key explains, what their interactions explain beyond that, and what is left to the seed. The"
        " corrected share ε² takes off what chance alone would give to as many values; it may be a little below 0.",
    )
    columns = [Column("source", "source"), Column("share", "share", "share"), Column("adjusted", "corrected", "share")]
    return [
        Heading("What the last loss depends on"),
        Table("variance", "What explains the last loss", caption, shares, columns),
    ]
