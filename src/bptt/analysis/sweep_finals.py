"""What runs ended with, against what a sweep varied."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.axes import Window, level_axis
from bptt.analysis.factors import Factor
from bptt.analysis.panels import Look, caption, legend, looks, panels
from bptt.analysis.style import BLUE, STYLE, VERMILION, message

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_PLAIN: Final = Look(BLUE, "-", "o")
_MOST_MEDIANS: Final = 24  # along an axis
_MOST_BARS: Final = 4  # beside each other
_BESIDE: Final = 0.2  # of the least distance between levels: where the outermost of another key stand


def final_loss(
    loss: "NDArray[np.float64]", factor: Factor, hue: Factor | None, note: str, ceiling: float = np.inf
) -> "Figure":
    """The last loss of each run, and each level's median, against a factor.

    loss  of each run; infinite where it diverged, nan where it did not end. What is above the ceiling stands as a cross
          at the upper edge.
    """
    import matplotlib as mpl

    window = Window.around(loss, ceiling)
    with mpl.rc_context(STYLE):
        figure, (axes,) = panels([""], factor.label, "final evaluation loss")
        beyond = 0
        if window is None:
            message(axes, "no run ended with a finite loss")
        else:
            window.apply(axes)
            level_axis(axes, factor, _BESIDE * _gap(factor))
            for look, chosen, shift in _groups(factor, hue):
                beyond += _points(axes, window, loss, factor, look, chosen, shift)
            if hue:
                legend(figure, hue, markers=True)
        crosses = f" Crosses: beyond the axis ({beyond})." if beyond else ""
        medians = "; marks: medians" if len(factor.levels) <= _MOST_MEDIANS else ""
        caption(figure, f"Dots: runs{medians}.{crosses} {note}")
    return figure


def success(accuracy: "NDArray[np.float64]", factor: Factor, hue: Factor | None, note: str) -> "Figure":
    """The share of runs whose last accuracy is 100 %, with Wilson's 95 % interval, against a factor.

    accuracy  of each run; zero where it diverged, nan where it did not end
    """
    import matplotlib as mpl

    ended = ~np.isnan(accuracy)
    bars = hue is None or len(hue.levels) <= _MOST_BARS
    with mpl.rc_context(STYLE):
        figure, (axes,) = panels([""], factor.label, "runs that are all right (%)")
        level_axis(axes, factor, _BESIDE * _gap(factor))
        for look, chosen, shift in _groups(factor, hue):
            counted = [accuracy[chosen & ended & (factor.codes == level)] for level in range(len(factor.levels))]
            x = factor.places + shift
            share = np.array([100 * np.mean(values == 1.0) if len(values) else np.nan for values in counted])
            axes.plot(x, share, linestyle=_line(factor, look), color=look.colour, marker=look.marker, markersize=3)
            if bars:
                ends = np.array([wilson(int(np.sum(values == 1.0)), len(values)) for values in counted])
                axes.vlines(x, 100 * ends[:, 0], 100 * ends[:, 1], color=look.colour, linewidth=0.6, alpha=0.7)
        axes.set_ylim(-4, 104)
        axes.set_yticks([0, 25, 50, 75, 100])
        if hue:
            legend(figure, hue, markers=True)
        told = "; bars: 95 % interval (Wilson)" if bars else ""
        caption(figure, f"Share of runs with an accuracy of 100 % at the end{told}. {note}")
    return figure


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share (Wilson 1927); nan where nothing was counted."""
    if not count:
        return np.nan, np.nan
    z = 1.959963984540054
    centre = (hits + z**2 / 2) / (count + z**2)
    half = z / (count + z**2) * np.sqrt(hits * (count - hits) / count + z**2 / 4)
    return (0.0 if hits == 0 else float(centre - half)), (1.0 if hits == count else float(centre + half))


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
) -> int:
    """Draw the runs of one look; returns how many are beyond the axis."""
    places = factor.places + shift
    width = 0.12 * _gap(factor)
    medians: list[Any] = []
    beyond = 0
    for level, place in enumerate(places):
        values = np.sort(loss[chosen & (factor.codes == level) & ~np.isnan(loss)])
        if not len(values):
            continue
        # A golden-ratio sequence spreads the points of a level without drawing lots.
        x = place + width * (np.arange(len(values)) * 0.6180339887 % 1 - 0.5)
        inside = values <= window.high
        axes.scatter(x[inside], window.drawn(values[inside]), s=5, color=[look.colour], alpha=0.5, linewidths=0)
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
        beyond += int(np.sum(~inside))
        medians.append((place, float(np.median(values))))
    if medians and len(places) <= _MOST_MEDIANS:
        x, middle = np.array(medians).T
        axes.plot(
            x, window.drawn(middle), linestyle=_line(factor, look), color=look.colour, marker=look.marker, markersize=3
        )
    return beyond


def _line(factor: Factor, look: Look) -> str:
    """None between levels that have no order."""
    return "none" if all(isinstance(level, str) for level in factor.levels) else look.line


def _gap(factor: Factor) -> float:
    """The least distance between two levels."""
    return float(np.diff(np.sort(factor.places)).min()) if len(factor.levels) > 1 else 1.0
