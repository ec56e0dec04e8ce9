"""Metrics as figures have them: a name and a scale for each, and what runs recorded as a table of updates and runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from bptt.analysis.factors import Split, combine_factors, find_factors, split_runs
from bptt.analysis.tables import ACCURACY, GRADIENT, LOSS

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

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
    "activations/saturation": Display("saturated activations", "percent"),
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
