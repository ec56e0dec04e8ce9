"""What all figures of a sweep are made from: runs, factors, metrics and their names; and a figure with its caption and
its text for those who can't see it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from bptt.analysis.factors import Factor, Split, combine_factors, find_factors, split_runs
from bptt.analysis.tables import ACCURACY, GRADIENT, LOSS
from bptt.analysis.work import GRADIENTS, SECONDS, UPDATES, Axis, costs_differ

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bptt.analysis.sweep import Sweep

CLIPPED: Final = "grad/clipped"


DECAY: Final = "grad/decay"


RADIUS: Final = "weights/spectral_radius"


RATIO: Final = "update/ratio"


SOLVED: Final = "solved"


#: What is that much smaller than the largest has vanished, however small it is.
SPAN: Final = 1e16


@dataclass(frozen=True)
class Display:
    """How a metric is shown.

    label  in the middle of a sentence, and at an axis
    scale  of an axis
    worst  what a run has of it once it has diverged; None: the run doesn't count from there on
    start  how many times the usual first value a logarithmic axis reaches at most; None: all values are shown
    span   how many times its least value that axis reaches at most: what is below has vanished
    """

    label: str
    scale: Literal["log", "linear", "percent"] = "linear"
    worst: float | None = None
    start: float | None = None
    span: float = SPAN


_SHOWN: Final = {
    LOSS: Display("evaluation loss", "log", np.inf, 10),
    "loss/train": Display("training loss", "log", np.inf, 10),
    ACCURACY: Display("accuracy", "percent", 0.0),
    SOLVED: Display("solved runs", "percent"),
    GRADIENT: Display("gradient norm", "log", np.inf, 1000),
    CLIPPED: Display("clipped updates", "percent"),
    DECAY: Display("gradient decay per timestep"),
    RADIUS: Display("spectral radius"),
    RATIO: Display("relative update size ‖Δθ‖/‖θ‖", "log", None, 1000, 1e8),
    "dynamics/sharpness_ratio": Display("sharpness / largest stable one", "log", None, None, 1e6),
    "activations/saturation": Display("saturated activations", "percent"),
    "parameters": Display("parameters"),
    "update": Display("updates"),
    GRADIENTS: Display("gradient evaluations"),
    SECONDS: Display("processor time (s)"),
}


def find_display(metric: str) -> Display:
    """How a metric is shown; one that is not known, or the best of a run, by its name."""
    if metric.startswith("best/"):
        best = find_display(metric.removeprefix("best/"))
        return Display(f"best {best.label}", best.scale, best.worst, best.start, best.span)
    return _SHOWN.get(metric, Display(metric))


def label_axis(metric: str) -> str:
    """With the unit, where there is one."""
    found = find_display(metric)
    return f"{found.label} (%)" if found.scale == "percent" else found.label


@dataclass(frozen=True)
class MetricTable:
    """A metric of runs through training.

    updates  (U,) at which any run recorded it
    values   (U, runs) what each run recorded last until there; nan before its first. A loss or an accuracy stays as it
             was when a run has ended early, or is the worst there is when it has diverged; any other metric is nan then
    there    (U, runs) whether the run recorded it at this update
    """

    updates: "NDArray[np.int64]"
    values: "NDArray[np.float64]"
    there: "NDArray[np.bool_]"

    def of(self, runs: "NDArray[np.intp]") -> "MetricTable":
        """Of some runs, at the updates that any of them recorded."""
        rows = self.there[:, runs].any(axis=1)
        return MetricTable(self.updates[rows], self.values[np.ix_(rows, runs)], self.there[np.ix_(rows, runs)])


def tabulate_metric(history: "pd.DataFrame", runs: "pd.DataFrame", metric: str) -> MetricTable:
    """A metric of some runs, in their order.

    history  run, update, metrics
    runs     as of `bptt.analysis.tables.tabulate_runs`
    """
    worst, percent = find_display(metric).worst, find_display(metric).scale == "percent"
    places = {run: place for place, run in enumerate(runs["run"])}
    rows = history[history["run"].isin(places)]
    updates, row = np.unique(rows["update"].to_numpy(), return_inverse=True)
    column = rows["run"].map(places).to_numpy()
    table = np.full((len(updates), len(runs)), np.nan)
    table[row, column] = rows[metric].to_numpy(dtype=float) * (100 if percent else 1)
    there = np.zeros(table.shape, bool)
    there[row, column] = True
    last = len(updates) - 1 - np.argmax(there[::-1], axis=0) if len(updates) else np.zeros(len(runs), int)
    diverged = runs["outcome"].eq("diverged").to_numpy() & there.any(axis=0)
    if worst is not None:
        table[there & diverged & np.isnan(table)] = worst
    values = _carry(table, there)
    if worst is None:
        values[np.arange(len(updates))[:, None] > last - diverged] = np.nan
    # At its last point a run that diverged has nothing but the training loss.
    there[last[diverged], np.flatnonzero(diverged)] = False
    kept = there.any(axis=1)
    return MetricTable(updates[kept], values[kept], there[kept])


def select_measured(measures: "pd.DataFrame", ended: "pd.DataFrame", column: str) -> "pd.DataFrame":
    """The rows in which a column was measured, of these runs, with `place`, that of the run among them."""
    places = {run: place for place, run in enumerate(ended["run"])}
    rows = measures[measures["run"].isin(places)] if column in measures else measures.iloc[:0]
    rows = rows.assign(**{column: np.nan}) if column not in rows else rows[rows[column].notna()]
    return rows.assign(place=rows["run"].map(places).astype("int64"))


def find_measured_ends(rows: "pd.DataFrame", ended: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
    """Of `select_measured`, what is of the start and of each run's last update, as far as there is any."""
    last = rows["run"].map(dict(zip(ended["run"], ended["updates"], strict=True)))
    parts = {"start": rows[rows["update"].eq(0)], "last update": rows[rows["update"].eq(last)]}
    return {name: part for name, part in parts.items() if len(part)}


def find_usual_start(table: MetricTable) -> float:
    """The largest value that runs begin with, but for the worst tenth."""
    known = table.values[:, ~np.isnan(table.values).all(axis=0)]
    if not known.size:
        return np.inf
    first = known[np.argmax(~np.isnan(known), axis=0), np.arange(known.shape[1])]
    return float(np.quantile(first, 0.9, method="inverted_cdf"))


def find_common_baseline(runs: "pd.DataFrame") -> float | None:
    """What the best answer costs that does not depend on the sequence, where that is the same for all of these runs."""
    costs = runs["baseline"].unique() if "baseline" in runs else []
    return float(costs[0]) if len(costs) == 1 and costs[0] > 0 else None


def tell_apart(runs: "pd.DataFrame", swept: Sequence[str]) -> "tuple[pd.DataFrame, Split]":
    """The runs that have ended, and how figures tell them apart."""
    ended = runs[runs["outcome"].notna()].reset_index(drop=True)
    return ended, split_runs(find_factors(ended, swept), len(ended))


def pool_runs(told: Split, runs: int) -> Split:
    """The same, but all of so many runs as one where they are not told apart."""
    return Split(combine_factors([], runs), None) if told.hue is None else told


def group_runs(told: Split, runs: int) -> "dict[tuple[int, int], NDArray[np.intp]]":
    """The runs of each panel and line that has any."""
    found: dict[tuple[int, int], list[int]] = {}
    for run in range(runs):
        found.setdefault(told.of(run), []).append(run)
    return {place: np.array(found[place]) for place in sorted(found)}


def _carry(table: "NDArray[np.float64]", there: "NDArray[np.bool_]") -> "NDArray[np.float64]":
    """Each column with what it had last where there was something; nan before the first."""
    rows = np.maximum.accumulate(np.where(there, np.arange(len(table))[:, None], 0), axis=0)
    return np.take_along_axis(table, rows, axis=0)


_MOST_VALUES = 12  # that an alternative text lists


def count_runs(runs: "pd.DataFrame", found: Sequence[Factor]) -> str:
    """How many runs there are, how many for each setting, and how many of them did not go well."""
    status = runs["status"].fillna("")
    ended = runs["outcome"].notna()
    diverged = int(runs["outcome"].eq("diverged").sum())
    given_up = int(runs["given_up"].notna().sum()) if "given_up" in runs else 0
    left_out = [
        f"{count:,} {what}"
        for count, what in (
            (int(status.eq("FAILED").sum()), "failed"),
            (given_up, "given up by halving"),
            (int((~ended & status.ne("FAILED")).sum()) - given_up, "did not end"),
        )
        if count
    ]
    sizes = np.unique(np.bincount(combine_factors(found, int(ended.sum())).codes))
    each = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    many = len(combine_factors(found, int(ended.sum())).levels)
    text = f"{int(ended.sum()):,} run{'s' if ended.sum() != 1 else ''}"
    text += f", {each} for each of {many:,} settings" if many > 1 else ""
    text += f"; {diverged:,} diverged" if diverged else ""
    return text + (f"; not counted: {' and '.join(left_out)}." if left_out else ".")


def name_pooled(found: Sequence[Factor], *used: Factor | None) -> str:
    """What a figure does not tell apart; empty where that is nothing."""
    keys = {factor.key for factor in used if factor}
    left = [factor.name for factor in found if factor.key not in keys]
    return f"Runs that differ in {join_texts(left)} are taken together. " if left else ""


def describe_lines(told: Split) -> str:
    """What the lines of a figure are, and its panels: `one line for each hidden_size (2, 3, 4)`."""
    assert told.hue is not None
    if len(told.hue.levels) < 2:
        return "one line"
    text = f"one line for each {name_level(told.hue)} ({_write_levels(told.hue)})"
    return text + (f", a panel for each value of {told.facet.name} ({_write_levels(told.facet)})" if told.facet else "")


def name_level(factor: Factor) -> str:
    """`value of hidden units`; `setting` where it is a combination of keys."""
    return f"value of {factor.name}" if factor.name else "setting"


def describe_levels(factor: Factor, values: "NDArray[np.float64]", unit: str = "") -> str:
    """A value at each level, or where they are many the least and the largest: `39 % at hidden_size 2, …`."""
    known = [(text, value) for text, value in zip(factor.texts, values, strict=True) if not np.isnan(value)]
    if not known:
        return "nowhere a value"
    told = [
        f"{write_digits(value)}{unit}{f' at {level}' if (level := _write_level(factor, text)) else ''}"
        for text, value in known
    ]
    if len(known) <= _MOST_VALUES:
        return join_texts(told)
    order = np.argsort([value for _, value in known])
    return f"from {told[order[0]]} to {told[order[-1]]}"


def describe_extremes(factor: Factor, values: "NDArray[np.float64]", metric: str) -> str:
    """Which levels have the least and the largest value."""
    unit = " %" if find_display(metric).scale == "percent" else ""
    if np.isnan(values).all():
        return "none"
    if np.nanmin(values) == np.nanmax(values):
        return f"{write_digits(float(np.nanmin(values)))}{unit}"
    least, most = int(np.nanargmin(values)), int(np.nanargmax(values))
    texts = [f"{write_digits(values[at])}{unit} ({_write_level(factor, factor.texts[at])})" for at in (least, most)]
    return f"from {texts[0]} to {texts[1]}"


def write_digits(value: float) -> str:
    """Three digits; `infinity` where a run diverged."""
    return "infinity" if np.isinf(value) else f"{value:.3g}"


def join_texts(texts: Sequence[str]) -> str:
    """As in a sentence: `a, b and c`."""
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))


def _write_level(factor: Factor, text: str) -> str:
    return f"{factor.name} {text}".strip()


def _write_levels(factor: Factor) -> str:
    shown = factor.texts if len(factor.texts) <= _MOST_VALUES else [factor.texts[0], "…", factor.texts[-1]]
    return ", ".join(shown)


@dataclass(frozen=True)
class SweepFigure:
    """A figure of a sweep.

    name     of its file, without an ending
    title    a few words
    caption  full sentences: what is shown, what lines, bands and bars are, and of how many runs
    alt      what one sees, for those who don't
    """

    name: str
    figure: "Figure"
    title: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Material:
    """A sweep as its figures see it.

    along  what figures of convergence and of solved runs have across
    """

    sweep: "Sweep"
    along: Axis = UPDATES

    @cached_property
    def axes(self) -> list[Axis]:
        """What those figures are drawn along: as is asked, and along the work too where updates do not tell it."""
        return [self.along, *([GRADIENTS] if self.along == UPDATES and costs_differ(self.ended) else [])]

    @property
    def runs(self) -> "pd.DataFrame":
        """All of them."""
        return self.sweep.runs

    @cached_property
    def ended(self) -> "pd.DataFrame":
        """Those that count."""
        return self._split[0]

    @cached_property
    def split(self) -> Split:
        """How lines tell them apart; hue is None where they are too many."""
        return self._split[1]

    @cached_property
    def hue(self) -> Factor:
        """What lines are for; one level where runs are not told apart."""
        hue = pool_runs(self.split, len(self.ended)).hue
        assert hue is not None
        return hue

    @cached_property
    def factors(self) -> list[Factor]:
        """What was swept."""
        return find_factors(self.ended, self.sweep.swept)

    @cached_property
    def note(self) -> str:
        """How many runs there are."""
        return count_runs(self.runs, self.factors)

    @cached_property
    def ceiling(self) -> float:
        """The loss above which all runs are alike: ten times what they usually begin with."""
        if LOSS not in self.sweep.history:
            return np.inf
        return (find_display(LOSS).start or np.inf) * find_usual_start(
            tabulate_metric(self.sweep.history, self.ended, LOSS)
        )

    @property
    def single(self) -> bool:
        """Whether each line is a single run, of which there is no median."""
        return len(group_runs(pool_runs(self.split, len(self.ended)), len(self.ended))) == len(self.ended)

    def has(self, metric: str) -> bool:
        """Whether a metric was recorded, and not always zero."""
        history = self.sweep.history
        return metric in history and bool((history[metric].notna() & history[metric].ne(0)).any())

    def over_lines(self, values: "NDArray[np.float64]", mean: bool = False) -> "NDArray[np.float64]":
        """The median, or the mean, of the ended runs' values over each level of `hue`; nan where there are none."""
        result = np.full(len(self.hue.levels), np.nan)
        for level in range(len(result)):
            here = values[(self.hue.codes == level) & ~np.isnan(values)]
            if len(here):
                result[level] = np.mean(here) if mean else np.median(here)
        return result

    def list_keys(self, facets: bool = True) -> list[Factor]:
        """What lines, and panels for each level of another key, tell apart."""
        if self.split.hue is None:
            return []
        if not self.split.hue.key:  # each setting has a line
            return self.factors
        return [factor for factor in (self.split.hue, self.split.facet if facets else None) if factor]

    @cached_property
    def _split(self) -> "tuple[pd.DataFrame, Split]":
        return tell_apart(self.runs, self.sweep.swept)
