"""A colour for each combination of two swept keys."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.axes import Window
from bptt.analysis.factors import Factor
from bptt.analysis.panels import caption
from bptt.analysis.style import COLUMN, STYLE, logarithmic_ticks, message

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_MOST_NUMBERS: Final = 12  # beside each other


def is_grid(across: Factor, up: Factor) -> bool:
    """Whether every combination of the two factors' levels was run."""
    return len(set(zip(across.codes.tolist(), up.codes.tolist(), strict=True))) == len(across.levels) * len(up.levels)


def loss_map(loss: "NDArray[np.float64]", across: Factor, up: Factor, note: str, ceiling: float = np.inf) -> "Figure":
    """The median of the last loss in each cell; grey with a cross where it is infinite or above the ceiling.

    loss  of each run; infinite where it diverged, nan where it did not end
    """
    import matplotlib as mpl
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    medians = cells(loss, across, up, np.median)
    window = Window.around(medians, ceiling)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, _height(up)), layout="constrained")
        axes = figure.subplots()
        if window is None:
            message(axes, "no setting ended with a finite loss")
        else:
            low, high = window.low, max(window.high, 1.5 * window.low)
            mesh = _mesh(axes, window.drawn(medians), across, up, norm=LogNorm(low, high), cmap="viridis_r")
            bar = figure.colorbar(mesh, ax=axes, pad=0.02)
            bar.set_label("median final loss")
            logarithmic_ticks(bar.ax.yaxis, low, high)
            for row, column in np.argwhere(medians > window.high):
                axes.plot(column, row, "x", color="black", markersize=4, markeredgewidth=0.8)
        crosses = "Crosses: most runs diverged, or ended far above their start. " if np.any(medians > ceiling) else ""
        caption(figure, crosses + note)
    return figure


def success_map(accuracy: "NDArray[np.float64]", across: Factor, up: Factor, note: str) -> "Figure":
    """The share of runs in each cell whose last accuracy is 100 %.

    accuracy  of each run; zero where it diverged, nan where it did not end
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    shares = 100 * cells(np.where(np.isnan(accuracy), np.nan, accuracy == 1.0), across, up, np.mean)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, _height(up)), layout="constrained")
        axes = figure.subplots()
        mesh = _mesh(axes, shares, across, up, vmin=0, vmax=100, cmap="cividis")
        bar = figure.colorbar(mesh, ax=axes, pad=0.02, ticks=[0, 25, 50, 75, 100])
        bar.set_label("runs that are all right (%)")
        if len(across.levels) <= _MOST_NUMBERS:
            for (row, column), share in np.ndenumerate(shares):
                if not np.isnan(share):
                    colour = "black" if share > 50 else "white"
                    axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7, color=colour)
        caption(figure, note)
    return figure


def cells(values: "NDArray[np.float64]", across: Factor, up: Factor, reduce: Callable[..., Any]) -> "NDArray[Any]":
    """The runs' values that are not nan, reduced for each combination of levels: (levels of up, levels of across)."""
    table = np.full((len(up.levels), len(across.levels)), np.nan)
    for row, column in np.ndindex(table.shape):
        here = values[(up.codes == row) & (across.codes == column) & ~np.isnan(values)]
        if len(here):
            table[row, column] = reduce(here)
    return table


def _mesh(axes: "Axes", table: "NDArray[np.float64]", across: Factor, up: Factor, **how: Any) -> Any:
    rows, columns = table.shape
    axes.grid(False)
    axes.set_facecolor("#d9d9d9")
    borders = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    mesh = axes.pcolormesh(*borders, np.ma.masked_invalid(table), edgecolors="white", linewidth=0.4, **how)
    for axis, factor, most in ((axes.xaxis, across, 8), (axes.yaxis, up, 14)):
        step = -(-len(factor.levels) // most)
        axis.set_ticks(range(0, len(factor.levels), step), factor.texts[::step])
        axis.set_tick_params(length=0)
        axis.set_label_text(factor.label)
    return mesh


def _height(up: Factor) -> float:
    return min(max(0.9 + 0.28 * len(up.levels), 2.2), 4.5)
