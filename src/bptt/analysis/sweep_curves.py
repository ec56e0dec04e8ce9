"""What runs recorded through training: for each setting the median over its runs, and the band of their middle half."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.axes import Window
from bptt.analysis.bands import Band, draw_bands, quartiles
from bptt.analysis.factors import Split
from bptt.analysis.panels import Look, caption, legend, looks, panels
from bptt.analysis.style import BLUE, GREY, STYLE, message, update_axis

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_MOST_RUNS: Final = 200  # drawn one by one


@dataclass(frozen=True)
class Curve:
    """One run's metric where it was recorded; once the run has diverged it counts as infinite."""

    updates: "NDArray[np.int64]"
    values: "NDArray[np.float64]"
    diverged: bool

    def at(self, updates: "NDArray[np.int64]") -> "NDArray[np.float64]":
        """The last values that were recorded until these updates, or at the end; nan before the first."""
        if not len(self.updates):
            return np.full(len(updates), np.inf)
        places = np.searchsorted(self.updates, updates, side="right") - 1
        values = np.where(places < 0, np.nan, self.values[places])
        return np.where(self.diverged & (updates > self.updates[-1]), np.inf, values)


def curves(history: "pd.DataFrame", runs: "pd.DataFrame", metric: str) -> dict[int, Curve]:
    """A metric of each run that has ended, by the run's place in `runs`."""
    places = {run: place for place, run in enumerate(runs["run"])}
    outcomes = runs["outcome"].tolist()
    found = {}
    for run, part in history.groupby("run"):
        outcome = outcomes[places[run]]
        if isinstance(outcome, str):
            # At its last point a run that diverged has nothing but the training loss.
            rows = part.iloc[:-1] if outcome == "diverged" else part
            values = rows[metric].to_numpy(dtype=float)
            found[places[run]] = Curve(
                rows["update"].to_numpy(), np.where(np.isnan(values), np.inf, values), outcome == "diverged"
            )
    return found


def over_runs(found: Sequence[Curve]) -> "tuple[NDArray[np.int64], NDArray[np.float64]]":
    """The updates at which any of the curves was recorded, and the quartiles over all curves there (3, updates)."""
    updates = np.unique(np.concatenate([curve.updates for curve in found]))
    return updates, quartiles(np.stack([curve.at(updates) for curve in found], axis=1)).T


def through_training(
    found: Mapping[int, Curve],
    told: Split,
    label: str,
    note: str,
    best: int,
    ceiling: float = np.inf,
    span: float = np.inf,
) -> "Figure":
    """A metric against updates, on a logarithmic axis that ends at the ceiling and is span long at most.

    best  the run that stands out where runs are not told apart
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        if told.hue is None:
            return _one_by_one(found, label, note, best, ceiling, span)
        figure, every = panels(told.titles, "update", label)
        groups: dict[tuple[int, int], list[Curve]] = {}
        for run, curve in found.items():
            groups.setdefault(told.of(run), []).append(curve)
        bands = [
            [_band(look, groups[panel, line]) for line, look in enumerate(looks(told.hue)) if (panel, line) in groups]
            for panel in range(len(every))
        ]
        crosses = draw_bands(every, bands, ceiling, span)
        if crosses is not None:
            update_axis(every[0], _updates(found.values()), ticks=5 if len(every) == 1 else 4)
            legend(figure, told.hue, markers=False)
        ends = "; crosses: most have diverged" if crosses else ""
        caption(figure, f"Lines: median; bands: middle half of the runs{ends}. {note}")
    return figure


def _band(look: Look, group: Sequence[Curve]) -> Band:
    updates, (low, middle, high) = over_runs(group)
    return Band(look, updates, middle, low, high)


def _one_by_one(found: Mapping[int, Curve], label: str, note: str, best: int, ceiling: float, span: float) -> "Figure":
    figure, (axes,) = panels([""], "update", label)
    runs = list(found)
    chosen = {runs[place] for place in np.unique(np.linspace(0, len(runs) - 1, _MOST_RUNS).astype(int))} | {best}
    window = Window.around(np.concatenate([found[run].values for run in chosen]), ceiling, span)
    if window is None:
        message(axes, "nothing finite was recorded")
        return figure
    for run in sorted(chosen, key=lambda run: run == best):
        axes.plot(
            found[run].updates,
            window.drawn(found[run].values),
            color=BLUE if run == best else GREY,
            linewidth=1.2 if run == best else 0.4,
            alpha=1.0 if run == best else 0.5,
        )
    window.apply(axes)
    update_axis(axes, _updates(found.values()))
    which = f"the {len(runs)}" if len(chosen) == len(runs) else f"{len(chosen)} of the {len(runs)}"
    caption(figure, f"A line for each of {which} runs, in blue for the one with the least final loss. {note}")
    return figure


def _updates(found: Iterable[Curve]) -> "NDArray[np.int64]":
    return np.unique(np.concatenate([curve.updates for curve in found]))
