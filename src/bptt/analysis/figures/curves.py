"""Metrics through training: for each setting the median over its runs, and the band of their middle half."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.figures.axes import PERCENT, Linear, Window
from bptt.analysis.figures.bands import Band, Scale, draw_bands, quartiles, values
from bptt.analysis.figures.metrics import CLIPPED, RATIO, Shown, axis_label, shown
from bptt.analysis.figures.panels import Look, legend, looks, panels
from bptt.analysis.figures.recorded import Recorded, groups, recorded, told_apart, usual_start
from bptt.analysis.style import BLUE, GREY, STYLE, message, update_axis
from bptt.analysis.tables import GRADIENT, LOSS, final

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MOST_RUNS: Final = 200  # drawn one by one


def convergence(history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str], metric: str = LOSS) -> "Figure":
    """A metric against updates, for each setting: the median over its runs, and a band from quartile to quartile.

    history  run, update, metrics
    runs     as of `bptt.load(…).runs`; those that have not ended don't count
    swept    the swept keys

    A loss has a logarithmic axis, which ends at ten times the loss that runs begin with; a share is in percent. A run
    that diverged counts as infinitely bad from there on; where more than half of a setting's have, its line ends with a
    cross. Where settings are too many to be told apart each run is a line, the one with the least final loss in blue.
    """
    import matplotlib as mpl

    ended, told = told_apart(runs, swept)
    table = recorded(history, ended, metric)
    how = shown(metric)
    with mpl.rc_context(STYLE):
        if told.hue is None:
            return _one_by_one(table, ended, metric)
        figure, every = panels(told.titles, "update", axis_label(metric))
        drawn = looks(told.hue)
        bands: list[list[Band]] = [[] for _ in every]
        for (panel, line), chosen in groups(told, len(ended)).items():
            bands[panel].append(_band(drawn[line], table.of(chosen)))
        draw_bands(every, bands, _scale(how, values(bands), table))
        if len(table.updates):
            update_axis(every[0], table.updates, ticks=5 if len(every) == 1 else 4)
        legend(figure, told.hue, markers=False)
    return figure


def gradient_norm(history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
    """‖∂loss/∂θ‖ before clipping, against updates; see `convergence`. What is 10⁻¹⁶ of the largest has vanished."""
    return convergence(history, runs, swept, GRADIENT)


def clipped_share(history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
    """The share of the updates since the last recorded one that were clipped, against updates; see `convergence`."""
    return convergence(history, runs, swept, CLIPPED)


def update_ratio(history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
    """‖θ_t − θ_{t−1}‖ / ‖θ_{t−1}‖, how far one update moves, against updates; see `convergence`."""
    return convergence(history, runs, swept, RATIO)


def _scale(how: Shown, drawn: "NDArray[np.float64]", table: Recorded) -> Scale | None:
    """What is shown of these values; None where there are none."""
    if how.scale == "percent":
        return PERCENT if np.isfinite(drawn).any() else None
    if how.scale == "linear":
        return Linear.around(drawn)
    usual = usual_start(table)
    return Window.around(drawn, np.inf if how.start is None else how.start * usual, how.span)


def _band(look: Look, table: Recorded) -> Band:
    low, middle, high = quartiles(table.values).T
    return Band(look, table.updates, middle, low, high)


def _one_by_one(table: Recorded, runs: "pd.DataFrame", metric: str) -> "Figure":
    figure, (axes,) = panels([""], "update", axis_label(metric))
    chosen, best = one_by_one(runs)
    scale = _scale(shown(metric), table.values[:, chosen], table)
    if scale is None:
        message(axes, "nothing finite was recorded")
        return figure
    for run in sorted(chosen, key=lambda run: run == best):
        there = table.there[:, run]
        axes.plot(
            table.updates[there],
            scale.drawn(table.values[there, run]),
            color=BLUE if run == best else GREY,
            linewidth=1.2 if run == best else 0.4,
            alpha=1.0 if run == best else 0.5,
        )
    scale.apply(axes)
    update_axis(axes, table.updates)
    return figure


def one_by_one(runs: "pd.DataFrame") -> "tuple[list[int], int]":
    """The places of the runs that are drawn one by one, and of the one among them with the least final loss."""
    best = int(np.argmin(final(runs, LOSS).fillna(np.inf).to_numpy()))
    return sorted({*np.unique(np.linspace(0, len(runs) - 1, MOST_RUNS).astype(int)).tolist(), best}), best
