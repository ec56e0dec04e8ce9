"""Lines with bands: the median of many values, and their middle half."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.figures.axes import Linear, Window
from bptt.analysis.figures.panels import Look
from bptt.analysis.style import message

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

CROSS: Final = "x"
Scale = Window | Linear


@dataclass(frozen=True)
class Band:
    """A line over x, and, where they are given, the lower and the upper end of its band.

    Where the line becomes infinite it ends with a cross; where it is nan, without.
    """

    look: Look
    x: "NDArray[Any]"
    middle: "NDArray[np.float64]"
    low: "NDArray[np.float64] | None" = None
    high: "NDArray[np.float64] | None" = None


def quartiles(table: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """The quartiles of each row (rows, 3). Values may be infinite; those that are nan don't count."""
    ordered = np.sort(table, axis=1)  # nan comes last
    count = np.sum(~np.isnan(ordered), axis=1)
    result = np.full((len(table), 3), np.nan)
    rows = np.flatnonzero(count)
    for column, share in enumerate((0.25, 0.5, 0.75)):
        place = share * (count[rows] - 1)
        below = np.floor(place).astype(int)
        lower, upper = ordered[rows, below], ordered[rows, np.ceil(place).astype(int)]
        step = np.subtract(upper, lower, out=np.full(len(rows), np.inf), where=np.isfinite(upper))
        between = place > below
        result[rows, column] = lower
        result[rows[between], column] += (place - below)[between] * step[between]
    return result


def draw_bands(every: "Sequence[Axes]", bands: Sequence[Sequence[Band]], scale: Scale | None) -> None:
    """Draw bands into each of some axes, which share a y axis; where that has no scale, say that nothing was finite."""
    if scale is None:
        message(every[0], "nothing finite was recorded")
        return
    for axes, here in zip(every, bands, strict=True):
        for band in here:
            _draw(axes, scale, band)
    scale.apply(every[0])


def values(bands: Sequence[Sequence[Band]]) -> "NDArray[np.float64]":
    """All that is to be drawn."""
    parts = [part for here in bands for band in here for part in (band.middle, band.low, band.high) if part is not None]
    return np.concatenate([np.empty(0), *parts])


def _draw(axes: "Axes", scale: Scale, band: Band) -> None:
    alone = len(band.x) == 1
    if band.low is not None and band.high is not None and not alone:
        # A band that goes on above the axis is drawn to its end.
        high = np.clip(band.high, scale.low, 2 * scale.high)
        axes.fill_between(band.x, scale.drawn(band.low), high, color=band.look.colour, alpha=0.15, linewidth=0)
    marker = band.look.marker if alone else None
    axes.plot(band.x, scale.drawn(band.middle), band.look.line, color=band.look.colour, marker=marker, markersize=3)
    inside = np.flatnonzero(band.middle <= scale.high)
    if len(inside) and np.isposinf(band.middle[inside[-1] + 1 :][:1]).any():
        end = inside[-1]
        axes.plot(band.x[end], scale.drawn(band.middle[end]), CROSS, color=band.look.colour, markersize=4)


def crosses(figure: "Figure") -> int:
    """How many lines of a figure end since most runs had diverged."""
    return sum(line.get_marker() == CROSS for axes in figure.axes for line in axes.lines)
