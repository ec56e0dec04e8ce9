"""The sections with results: settings with their intervals, figures, what went wrong, the best, and what was chosen."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from bptt.analysis.chosen import count_settings, name_picked_loss, tabulate_confirmation, tabulate_tuning
from bptt.analysis.comparison import name_outcome
from bptt.analysis.ranking import RULE
from bptt.analysis.report.document import (
    Column,
    Element,
    Figures,
    Heading,
    Listing,
    Missing,
    Mono,
    Paragraph,
    Section,
    ShownTable,
    Span,
)
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.sections.repeating import name_source
from bptt.analysis.statistics.conclusions import MARGIN
from bptt.analysis.statistics.settings import variance_shares
from bptt.analysis.statistics.words import write_conclusion
from bptt.analysis.tables import (
    FITS,
    KEPT_LOSS,
    LEADING_FITS,
    LOSS,
    SEED,
    name_ranked_loss,
    shorten_keys,
)

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.figures import SweepFigure
    from bptt.analysis.sweep import Sweep

_MOST_SETTINGS: Final = 40


def write_results(findings: Findings, shown: bool) -> Section:
    """Settings with their intervals, unless they were shown before; which does better; what explains the variance."""
    elements: list[Element] = [] if shown else [write_settings_table(findings)]
    elements += [_write_how(findings), *_write_conclusions(findings)]
    elements += _write_variance(findings)
    return Section("results", "Results", elements)


def write_figures(drawn: "Sequence[SweepFigure]", failed: Sequence[Missing] = ()) -> Section:
    """The figures, and in the place of those that can't be drawn what says so."""
    shown: list[Element] = [*([Figures(drawn)] if drawn else []), *failed]
    return Section("figures", "Figures", shown or [Paragraph(("There is nothing to draw.",))])


def write_settings_table(findings: Findings) -> ShownTable:
    """A row per setting, in the sweep's order; the best ones where there are many."""
    many = len(findings.statistics) > _MOST_SETTINGS
    frame = findings.ranked if many else findings.statistics
    caption: tuple[Span, ...] = ("With each estimate its 95 % interval.",)
    if many:
        within = " in each condition" if findings.conditions else ""
        caption += (f" Best first{within}: {RULE}.",)
    return ShownTable(
        name="results",
        title="Results by setting",
        caption=caption,
        frame=frame,
        columns=choose_columns(
            frame, [*findings.conditions, *(k for k in findings.keys if k not in findings.conditions)]
        ),
        most=_MOST_SETTINGS,
    )


def choose_columns(frame: "pd.DataFrame", keys: Sequence[str]) -> list[Column]:
    """What a reader sees of `setting_statistics`."""
    short = shorten_keys(keys)
    columns = [Column(key, short[key], _choose_form(frame[key])) for key in keys] or [Column("setting", "setting")]
    if "success" not in frame or (frame["ended"] < frame["runs"]).any():
        columns.append(Column("runs", "runs", "count"))
    columns += _show_fits(frame)
    if "success" in frame and frame["solved"].any():
        columns += [
            Column("solved", "solved", "count", of="ended"),
            Column("success", "share solved", "share", "success_low", "success_high"),
        ]
        if (frame["held"] != frame["solved"]).any():
            columns.append(_show_share("held", "solved at the end"))
        if "confirmed" in frame:
            columns.append(_show_share("confirmed", "solved on the test set too"))
    elif "accuracy_median" in frame:
        ends = ("accuracy_median_low", "accuracy_median_high")
        columns.append(Column("accuracy_median", "last accuracy, median", "share", *ends))
    columns += [
        Column(name, heading, form, f"{name}_low", f"{name}_high", after)  # type: ignore[arg-type]
        for name, heading, form, after in (
            ("kept_loss_median", "loss of the kept network, median", "number", None),
            ("loss_median", "last loss, median", "number", None),
            ("loss_iqm", "last loss, IQM", "number", None),
            ("updates_to_solve_median", "updates to solve, median", "count", "updates_to_solve_median_after"),
        )
        if name in frame and frame[name].notna().any()
    ]
    names = {"diverged": "diverged", "failed": "failed", "unfinished": "unfinished", "given_up": "of them given up"}
    columns += [Column(name, text, "count") for name, text in names.items() if name in frame and frame[name].any()]
    return columns


def _show_fits(frame: "pd.DataFrame") -> list[Column]:
    """How well the networks that are kept fit, of the evaluation set, and of the test set where there is one."""
    keys = [(name, part, f"{name}_{part}_median") for name in LEADING_FITS for part in ("eval", "test")]
    return [
        Column(
            key,
            f"{FITS[name]}, {'evaluation' if part == 'eval' else 'test'}, median",
            "share" if name == "balanced_accuracy" else "number",
            f"{key}_low",
            f"{key}_high",
        )
        for name, part, key in keys
        if key in frame and frame[key].notna().any()
    ]


def _show_share(name: str, heading: str) -> Column:
    return Column(f"{name}_share", heading, "share", f"{name}_share_low", f"{name}_share_high")


def _choose_form(values: "pd.Series") -> Literal["text", "exact"]:
    return "text" if values.dtype.kind not in "iuf" else "exact"


def _write_how(findings: Findings) -> Paragraph:
    solved: list[Span] = [
        "A run has solved its task at the first recorded update with ",
        Mono(str(findings.sweep.solved)),
        "; at the end it may have lost that again. ",
    ]
    spans: list[Span] = [
        *(solved if findings.sweep.solved.is_possible else ["Nothing is to be solved, as targets are numbers. "]),
        "Shares have Clopper and Pearson's exact interval. Medians and interquartile means (IQM, the mean of the middle"
        " half) are of"
        " the last evaluation's loss, ",
        Mono(LOSS),
        ", with BCa bootstrap intervals over the runs; a run that diverged counts as infinitely bad. Updates to solve"
        " are the median of Kaplan and Meier's estimate, in which a run that never solved its task is censored at its"
        " end; – means that fewer than half did. Runs that failed, did not end or were given up enter no statistic.",
    ]
    if KEPT_LOSS in findings.runs:
        spans += [
            " Runs keep their best network, by ",
            Mono(str(findings.common.get("train.keep_by", LOSS))),
            " at recorded updates; what is said of test sets is of that one.",
        ]
    if any(key.startswith(("rmse_", "r2_")) for key in findings.statistics):
        spans += [
            " RMSE is the root of the mean squared error of the network that a run keeps, in the data's own units where"
            " its targets were scaled; R² is 1 less its squared error over that of the naive forecast.",
        ]
    return Paragraph(tuple(spans))


def _write_conclusions(findings: Findings) -> list[Element]:
    """Every comparison, with what follows from it."""
    import pandas as pd

    if not findings.conclusions:
        return []
    rows = [
        {
            "first": one.question.a,
            "second": one.question.b,
            "measure": one.question.measure,
            "conditions": ", ".join(one.conditions),
            "paired": one.paired,
            "runs": one.runs[0],
            "difference": one.difference.value,
            "low": one.difference.low,
            "high": one.difference.high,
            "p": one.p,
            "corrected": one.corrected,
            "outcome": name_outcome(one),
            "sentence": write_conclusion(one),
        }
        for one in findings.conclusions
    ]
    (measure,) = {one.question.measure for one in findings.conclusions}
    solved = measure == "solved"
    what = "share of solved runs, first less second" if solved else "probability that the first is better"
    several = (
        f"The p-values are corrected for {len(rows)} comparisons by Holm's method, the intervals by Bonferroni's: all"
        " of them together have 95 %."
    )
    caption: tuple[Span, ...] = (
        "Two values of one key at a time, on runs that have all else in common: pairs of equal seeds, where there are"
        f" any. {several if len(rows) > 1 else 'The interval has 95 %.'}",
        f" About as often means that the whole interval lies within ±{100 * MARGIN:.0f} points of no difference.",
    )
    columns = [
        Column("first", "first", mono=True),
        Column("second", "second", mono=True),
        Column("outcome", "the first"),
        Column("difference", what, "share", "low", "high"),
        Column("runs", "pairs" if all(one.paired for one in findings.conclusions) else "runs", "count"),
        Column("corrected", "corrected p", "number"),
    ]
    return [
        Heading("Which does better"),
        ShownTable("comparisons", "Which does better", caption, pd.DataFrame(rows), columns),
    ]


def _write_variance(findings: Findings) -> list[Element]:
    shares = variance_shares(findings.sweep.runs, findings.sweep.swept, conditions=findings.conditions)
    if shares.empty:
        return []
    caption: tuple[Span, ...] = (
        "The share η² of the variance of log₁₀ ",
        Mono(LOSS),
        " that each swept key explains",
        " within a condition" if findings.conditions else "",
        ", what their interactions explain beyond that, and what is left to the seed. The"
        " corrected share ε² takes off what chance alone would give to as many values; it may be a little below 0.",
    )
    columns = [Column("source", "source"), Column("share", "share", "share"), Column("adjusted", "corrected", "share")]
    return [
        Heading("What the last loss depends on"),
        ShownTable("variance", "What explains the last loss", caption, shares, columns),
    ]


_MOST_TRACEBACKS: Final = 3


def write_troubles(findings: Findings) -> Section:
    """What went wrong, counted; which runs; and why."""
    runs = findings.runs
    status = runs["status"].fillna("")
    diverged = runs[runs["outcome"].eq("diverged")]
    failed = runs[status.eq("FAILED")]
    given_up = runs["given_up"].notna() if "given_up" in runs else status.eq("given up")
    unfinished = runs[~status.isin(["FINISHED", "FAILED"]) & ~given_up]
    if not (len(diverged) or len(failed) or len(unfinished)):
        left = f"; {given_up.sum():,} were given up by halving" if given_up.any() else ""
        none = Paragraph((f"None: all {len(runs) - given_up.sum():,} runs ended well{left}.",))
        return Section("troubles", "Failures and divergences", [none])
    counts = f"{len(diverged):,} diverged, {len(failed):,} failed, and {len(unfinished):,} did not end."
    elements: list[Element] = [Paragraph((f"Of {len(runs):,} runs {counts}",))]
    if len(findings.statistics) > 1:
        elements.append(_count_by_setting(findings.statistics))
    if len(diverged):
        elements.append(_tabulate_diverged(diverged))
    if len(failed):
        elements += _write_failed(failed)
    if len(unfinished):
        names = [element for name in unfinished["name"].head(20) for element in (Mono(name), ", ")][:-1]
        more = [f" and {len(unfinished) - 20:,} more"] if len(unfinished) > 20 else []
        elements.append(Paragraph(("Did not end: ", *names, *more, ".")))
    return Section("troubles", "Failures and divergences", elements)


def _count_by_setting(statistics: "pd.DataFrame") -> ShownTable:
    counts = [name for name in ("diverged", "failed", "unfinished") if statistics[name].any()]
    labels = [name for name in ("condition", "setting") if name in statistics]
    frame = statistics.loc[statistics[counts].any(axis=1), [*labels, "runs", *counts]].reset_index(drop=True)
    columns = [*(Column(name, name) for name in labels), *(Column(name, name, "count") for name in ["runs", *counts])]
    caption = ("Settings without one are left out.",)
    return ShownTable("troubles", "Runs that diverged, failed or did not end", caption, frame, columns, most=40)


def _tabulate_diverged(runs: "pd.DataFrame") -> ShownTable:
    frame = runs[["run", "name", "updates", "digest"]].reset_index(drop=True)
    columns = [
        Column("run", "run", "exact"),
        Column("name", "what was swept"),
        Column("updates", "update", "count"),
        Column("digest", "digest", mono=True),
    ]
    caption = ("A run is stopped at the update at which its loss is no longer finite.",)
    return ShownTable(
        "diverged", f"The {len(frame):,} runs that diverged", caption, frame, columns, folded=True, latex=False
    )


def _write_failed(runs: "pd.DataFrame") -> list[Element]:
    errors = runs["error"].fillna("").astype(str)
    frame = (
        runs[["run", "name"]]
        .assign(error=[text.rstrip().rpartition("\n")[2] for text in errors])
        .reset_index(drop=True)
    )
    columns = [Column("run", "run", "exact"), Column("name", "what was swept"), Column("error", "error", mono=True)]
    table = ShownTable(
        "failed", "Runs that failed", ("Each with the last line of its traceback.",), frame, columns, most=40
    )
    first = runs.assign(last=frame["error"].tolist()).drop_duplicates("last").head(_MOST_TRACEBACKS)
    tracebacks = [
        Listing(str(row["error"]), ("Traceback of run ", Mono(str(row["name"]))), folded=True)
        for row in first.to_dict("records")
        if row["error"]
    ]
    return [Heading("Failures"), table, *tracebacks]


_MOST_COMBINATIONS: Final = 40


def write_choices(findings: Findings) -> list[Section]:
    """What was tuned and confirmed; without either, of which settings the best is the best; none of one setting."""
    sweep = findings.sweep
    elements = [*_write_tuning(sweep), *_write_confirmation(sweep)]
    return [Section("choices", "What was chosen", elements)] if elements else []


def _write_tuning(sweep: "Sweep") -> list[Element]:
    table = tabulate_tuning(sweep)
    if table.empty:
        return []
    tuning = sweep.stages["tuning"].runs
    short = shorten_keys(sweep.tuned)
    seeds = tuning[SEED].nunique() if SEED in tuning else 1
    counts = table.groupby([name for name in ("condition", "setting") if name in table]).size()
    tried = f"{'' if counts.min() == counts.max() else 'up to '}{counts.max()}"
    caption = (
        f"Each setting was trained with {tried} {'values' if len(sweep.tuned) == 1 else 'combinations of values'} on"
        f" {seeds} seeds that no other run has, and took the best one, {RULE}. The results are of other seeds. The CSV"
        " file has all that were tried.",
    )
    chosen = table[table["chosen"]].reset_index(drop=True)
    keeps = name_ranked_loss(tuning) == KEPT_LOSS
    columns = [
        *([Column("condition", "condition")] if "condition" in table else []),
        Column("setting", "setting"),
        *(Column(key, short[key], "exact" if table[key].dtype.kind in "iuf" else "text") for key in sweep.tuned),
        Column("success", "solved while tuned", "share"),
        Column("loss", f"{'loss of the kept network' if keeps else 'last loss'}, median", "number"),
        *([Column("edge", "edge of what was tried")] if (chosen["edge"] != "").any() else []),
    ]
    # The rows that were chosen come first, which are those that a reader sees.
    frame = table.sort_values("chosen", ascending=False, kind="stable", ignore_index=True)
    shown = ShownTable("tuning", "Tuned values", caption, frame, columns, most=len(chosen))
    return [Heading("Tuned values"), shown]


def _write_confirmation(sweep: "Sweep") -> list[Element]:
    table = tabulate_confirmation(sweep)
    if table.empty:
        return _write_unconfirmed(sweep)
    solves = bool(table["solved"].any() or table["fresh_solved"].any())
    name, heading, form = ("success", "share solved", "share") if solves else (*name_picked_loss(table), "number")
    columns = [
        *([Column("condition", "condition")] if "condition" in table else []),
        Column("setting", "best setting"),
        Column("of", "of", "count"),
        Column(name, f"{heading}, where picked", form, f"{name}_low", f"{name}_high"),  # type: ignore[arg-type]
        Column(f"fresh_{name}", f"{heading}, fresh seeds", form, f"fresh_{name}_low", f"fresh_{name}_high"),  # type: ignore[arg-type]
        Column("fresh_ended", "fresh runs", "count"),
    ]
    caption = (
        f"The best setting of each condition, {RULE}, trained again on seeds that nothing else has. What was picked as"
        " the best of several owes some of that to its seeds; the fresh ones tell how it does.",
    )
    return [
        Heading("The best one, confirmed"),
        ShownTable("confirmation", "The best one, confirmed", caption, table, columns),
    ]


def _write_unconfirmed(sweep: "Sweep") -> list[Element]:
    settings = count_settings(sweep)
    if settings < 2 or sweep.folder is None:
        return []
    told = (
        f"The best setting is the best of {settings}{' of its condition' if sweep.conditions else ''}, on the same"
        " runs: it owes some of that to its seeds. This trains it on fresh ones:",
    )
    return [Listing(shlex.join(["bptt", "confirm", name_source(sweep)]), told)]
