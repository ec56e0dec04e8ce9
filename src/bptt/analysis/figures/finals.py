"""What runs ended with, against what a sweep varied."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.factors import Factor, factor_of
from bptt.analysis.figures.axes import Window, level_axis, percent_axis
from bptt.analysis.figures.metrics import SOLVED, axis_label
from bptt.analysis.figures.panels import Look, legend, looks, panels
from bptt.analysis.intervals import wilson
from bptt.analysis.style import BLUE, STYLE, VERMILION, message
from bptt.analysis.tables import LOSS, final

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MOST_BARS: Final = 4  # beside each other
MOST_MEDIANS: Final = 24  # along an axis
_PLAIN: Final = Look(BLUE, "-", "o")
_BESIDE: Final = 0.2  # of the least distance between levels: where the outermost of another key stand


def success_rate(runs: "pd.DataFrame", key: str, hue: str | None = None) -> "Figure":
    """The share of runs that solved their task, with Wilson's 95 % interval, against a swept key.

    runs  as of `bptt.load(…).runs`; those that have not ended don't count
    hue   another swept key, each of whose levels has a line; with more than four levels they have no intervals
    """
    import matplotlib as mpl
    import seaborn as sns

    ended = runs[runs["outcome"].notna()].reset_index(drop=True)
    factor, other = factor_of(ended, key), None if hue is None else factor_of(ended, hue)
    every = [_PLAIN] if other is None else looks(other)
    with mpl.rc_context(STYLE):
        figure, (axes,) = panels([""], factor.label, axis_label(SOLVED))
        sns.pointplot(
            x=factor.places[factor.codes],
            y=100 * ended[SOLVED].to_numpy(dtype=float),
            hue=np.zeros(len(ended), int) if other is None else other.codes,
            estimator="mean",
            errorbar=_wilson_ends if len(every) <= MOST_BARS else None,
            native_scale=True,
            dodge=2 * _BESIDE if other else False,
            palette=[look.colour for look in every],
            markers=[look.marker for look in every],
            linestyles=[_line(factor, look) for look in every],
            markersize=3,
            linewidth=1.2,
            err_kws={"linewidth": 0.6, "alpha": 0.7},
            legend=False,
            ax=axes,
        )
        axes.set_ylabel(axis_label(SOLVED))
        level_axis(axes, factor, _BESIDE * _gap(factor))
        percent_axis(axes)
        if other:
            legend(figure, other, markers=True)
    return figure


def final_loss(
    runs: "pd.DataFrame", key: str, hue: str | None = None, metric: str = LOSS, ceiling: float = np.inf
) -> "Figure":
    """The last loss of each run as a dot, and each level's median as a mark, against a swept key.

    runs     as of `bptt.load(…).runs`; those that have not ended don't count
    hue      another swept key, each of whose levels has dots and a line
    ceiling  what is above it, or infinite since the run diverged, stands as a cross at the upper edge
    """
    import matplotlib as mpl

    ended = runs[runs["outcome"].notna()].reset_index(drop=True)
    loss = final(ended, metric).to_numpy()
    factor, other = factor_of(ended, key), None if hue is None else factor_of(ended, hue)
    window = Window.around(loss, ceiling)
    with mpl.rc_context(STYLE):
        figure, (axes,) = panels([""], factor.label, f"final {axis_label(metric)}")
        if window is None:
            message(axes, "no run ended with a finite loss")
            return figure
        window.apply(axes)
        level_axis(axes, factor, _BESIDE * _gap(factor))
        for look, chosen, shift in _groups(factor, other):
            _points(axes, window, loss, factor, look, chosen, shift)
        if other:
            legend(figure, other, markers=True)
    return figure


def _wilson_ends(shares: "pd.Series") -> tuple[float, float]:
    """Of values that are 0 or 100."""
    interval = wilson(int((shares > 0).sum()), len(shares))
    return 100 * interval.low, 100 * interval.high


def _groups(factor: Factor, hue: Factor | None) -> "list[tuple[Look, NDArray[np.bool_], float]]":
    """How each level of hue is drawn: its look, its runs, and how far beside the factor's level."""
    if hue is None:
        return [(_PLAIN, np.ones(len(factor.codes), bool), 0.0)]
    room = _BESIDE * _gap(factor)
    shifts = np.linspace(-room, room, len(hue.levels))
    return [(look, hue.codes == level, float(shifts[level])) for level, look in enumerate(looks(hue))]


def _points(
    axes: "Axes",
    window: Window,
    loss: "NDArray[np.float64]",
    factor: Factor,
    look: Look,
    chosen: "NDArray[np.bool_]",
    shift: float,
) -> None:
    """The runs of one look."""
    places = factor.places + shift
    width = (0.4 if look is _PLAIN else 0.12) * _gap(factor)
    medians: list[Any] = []
    for level, place in enumerate(places):
        values = np.sort(loss[chosen & (factor.codes == level)])
        if not len(values):
            continue
        # A golden-ratio sequence spreads the points of a level without drawing lots, as seaborn would.
        x = place + width * (np.arange(len(values)) * 0.6180339887 % 1 - 0.5)
        inside = values <= window.high
        axes.scatter(
            x[inside],
            window.drawn(values[inside]),
            s=5,
            color=[look.colour],
            alpha=0.5,
            linewidths=0,
            rasterized=len(loss) > 1000,
        )
        if not inside.all():
            axes.scatter(
                x[~inside],
                np.ones(len(x[~inside])),
                s=9,
                marker="x",
                color=VERMILION,
                linewidths=0.7,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )
        medians.append((place, float(np.median(values))))
    if medians and len(places) <= MOST_MEDIANS:
        x, middle = np.array(medians).T
        axes.plot(
            x, window.drawn(middle), linestyle=_line(factor, look), color=look.colour, marker=look.marker, markersize=3
        )


def _line(factor: Factor, look: Look) -> str:
    """None between levels that have no order."""
    return "none" if all(isinstance(level, str) for level in factor.levels) else look.line


def _gap(factor: Factor) -> float:
    """The least distance between two levels."""
    return float(np.diff(np.sort(factor.places)).min()) if len(factor.levels) > 1 else 1.0
