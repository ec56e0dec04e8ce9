"""The sections on a search and on halving: what was found, what it depends on, what was given up where."""

from typing import TYPE_CHECKING, Final

from bptt.analysis.factors import name_key
from bptt.analysis.figures.material import find_display, join_texts
from bptt.analysis.report.document import Column, Element, Heading, Listing, Mono, Paragraph, Section, ShownTable, Span
from bptt.analysis.report.findings import Findings
from bptt.analysis.search import LEAST, REPEATS, Trials
from bptt.analysis.tables import drop_seed, shorten_keys, write_parts
from bptt.tracking.folder.files import STUDY

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.sweep import Sweep

_MOST_TRIALS: Final = 20


def has_found(sweep: "Sweep") -> bool:
    """Whether a sweep is a search that has come to something."""
    return sweep.trials.is_search and not sweep.trials.ended.empty


def write_found(sweep: "Sweep") -> ShownTable:
    """The table of the best trials; of several objectives that of the front."""
    return _write_front(sweep.trials) if len(sweep.trials.objectives) > 1 else _write_best(sweep.trials)


def write_search(findings: Findings, shown: bool = False) -> list[Section]:
    """What a search found; none of a sweep that is no search.

    shown  whether the table of the best stands elsewhere
    """
    trials = findings.sweep.trials
    if not trials.is_search or trials.table.empty:
        return []
    table = trials.table
    counts = [
        (int(table["ended"].sum()), "were trained to their end"),
        (int(table["given_up"].notna().sum()), "were given up by halving, and have no value at the end"),
        (int((~table["ended"] & table["given_up"].isna()).sum()), "failed, diverged or have not ended"),
    ]
    told = join_texts([f"{count:,} {what}" for count, what in counts if count])
    goals = join_texts([f"{direction} {name}" for name, direction in trials.objectives.items()])
    assert findings.sweep.searched is not None
    elements: list[Element] = [
        Paragraph((f"The sampler {findings.sweep.searched.sampler} chose {len(table):,} trials to {goals}: {told}.",))
    ]
    if has_found(findings.sweep):
        elements += [] if shown else [write_found(findings.sweep)]
        elements += _write_importances(trials)
    if findings.sweep.folder is not None and (findings.sweep.folder / STUDY).is_file():
        elements.append(_write_dashboard())
    return [Section("search", "What the search found", elements)]


def _write_front(trials: Trials) -> ShownTable:
    caption: tuple[Span, ...] = (
        f"The {len(trials.front):,} of {len(trials.ended):,} trials that no other one is as good as in every objective"
        " and better in one. They are picked as the best of these, on seeds of their own, and owe some of it to them.",
    )
    return ShownTable("pareto", "The Pareto front", caption, trials.front, _choose_columns(trials, trials.front))


def _write_best(trials: Trials) -> ShownTable:
    (name, direction), *_ = trials.objectives.items()
    frame = trials.ended.sort_values(name, ascending=direction == "minimize", kind="stable", ignore_index=True)
    caption: tuple[Span, ...] = (
        f"Those that were trained to their end, by their last {find_display(name).label}. The first is the best of"
        f" {len(frame):,}, on the runs that it was picked by.",
    )
    return ShownTable("trials", "The best trials", caption, frame, _choose_columns(trials, frame), most=_MOST_TRIALS)


def _choose_columns(trials: Trials, frame: "pd.DataFrame") -> list[Column]:
    short = shorten_keys(trials.keys)
    numbers = [key for key in trials.keys if frame[key].dtype.kind in "iuf"]
    return [
        Column("run", "run", "exact"),
        *(Column(name, find_display(name).label, "number") for name in trials.objectives),
        *(Column(key, short[key], "exact" if key in numbers else "text") for key in trials.keys),
    ]


def _write_importances(trials: Trials) -> list[Element]:
    frame = trials.importances
    heading = Heading("What the best trials have in common")
    if frame.empty:
        few = len(trials.ended) < LEAST
        why = (
            f"Importances are told of {LEAST} trials or more that were trained to their end; here are"
            f" {len(trials.ended)}."
            if few
            else "Importances need Optuna: pip install 'bptt[optuna]', and write the report again."
        )
        return [heading, Paragraph((why,))]
    short = shorten_keys(trials.keys)
    shown = frame.assign(key=[name_key(key, short[key]) for key in frame["key"]])
    first = next(iter(trials.objectives))
    leading = shown[shown["objective"] == first].iloc[0]
    sentence = (
        f"Among these {len(trials.ended):,} trials the best tenth by {find_display(first).label} differ from the others"
        f" most in {leading['key']}: {100 * leading['importance']:.0f} % of the importance"
        f" ({100 * leading['low']:.0f} to {100 * leading['high']:.0f} % in resamples of the trials). That describes"
        " them; it is no test, and the values were not drawn evenly, but where the sampler looked."
    )
    caption: tuple[Span, ...] = (
        "PED-ANOVA (Watanabe, Bansal and Hutter 2023), as Optuna computes it: how much a key's values among the best"
        f" tenth of the trials differ from those among all. In brackets the middle 95 % of {REPEATS} resamples of the"
        " trials.",
    )
    columns = [
        *([Column("objective", "objective", mono=True)] if len(trials.objectives) > 1 else []),
        Column("key", "key"),
        Column("importance", "importance", "share", "low", "high"),
    ]
    return [heading, Paragraph((sentence,)), ShownTable("importances", "Importances", caption, shown, columns)]


def _write_dashboard() -> Listing:
    return Listing(
        f"optuna-dashboard sqlite:///{STUDY}",
        (
            "Optuna's study of it stands in the sweep's folder. There its own pages show it (pip install"
            " optuna-dashboard):",
        ),
    )


def write_given_up(findings: Findings) -> list[Section]:
    """What halving gave up, where and why; none where it gave up nothing."""
    sweep = findings.sweep
    if sweep.searched is None or "given_up" not in sweep.runs:
        return []
    runs = sweep.runs[sweep.runs["given_up"].notna()]
    frame = tabulate_given_up(findings)
    metric = next(iter(sweep.searched.objectives))
    grid = sweep.searched.sampler is None
    what = "settings" if grid else "trials"
    told: tuple[Span, ...] = (
        f"Halving gave up {len(runs):,} of {len(sweep.runs):,} runs before their end: {what} that were worse by ",
        Mono(metric),
        f"{', the median over their seeds,' if grid else ''} than others that had come as far. They are compared there"
        " alone: nothing follows for how they would have ended, and they enter no statistic of this report. What slow"
        " starters lose by it is not seen here. The others were chosen by the same runs, and owe some of what they came"
        " to to their seeds.",
    )
    columns = [
        *([Column("condition", "condition")] if "condition" in frame else []),
        Column("setting", "setting"),
        Column("updates", "given up at update", "count"),
        Column("runs", "runs", "count"),
        Column("why", "why"),
    ]
    table = ShownTable("given_up", "What was given up", (), frame, columns, most=40, latex=False)
    return [Section("given_up", "What was given up", [Paragraph(told), table])]


def tabulate_given_up(findings: Findings) -> "pd.DataFrame":
    """A row for each setting in each condition that was given up, those that came furthest first: condition (where
    there is one), setting, updates, runs, why.
    """
    sweep = findings.sweep
    runs = sweep.runs[sweep.runs["given_up"].notna()]
    condition, setting = write_parts(runs, drop_seed(sweep.swept), findings.conditions)
    rows = runs[["updates", "given_up"]].assign(condition=condition, setting=setting)
    rows["updates"] = rows["updates"].astype("int64")
    rows["why"] = rows["given_up"].str.partition(": ")[2]
    frame = (
        rows.groupby(["condition", "setting", "updates", "why"], sort=False).size().reset_index(name="runs")
    ).sort_values("updates", ascending=False, kind="stable", ignore_index=True)
    return frame if findings.conditions else frame.drop(columns="condition")
