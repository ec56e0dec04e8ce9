"""How far back gradients reach while training goes on: ‖∂loss/∂h‖ by lag, timesteps before the end, and update."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.factors import Factor
from bptt.analysis.figures.bands import quartiles
from bptt.analysis.figures.metrics import SPAN
from bptt.analysis.figures.panels import panels
from bptt.analysis.figures.recorded import pooled, told_apart
from bptt.analysis.style import COLUMN, GREY, STYLE, drawable, edges, logarithmic_ticks, message, update_axis

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NORM: Final = "‖∂loss/∂h‖"
MOST_MAPS: Final = 6


def gradient_flow_map(flow: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
    """The norm by lag (down) and update (across), the median over the runs of each level of the first swept key.

    flow   run, update, lag, norm; what is nan, as after a run diverged, doesn't count
    runs   as of `bptt.load(…).runs`; those that have not ended don't count
    swept  the swept keys; where the first has more than six levels, six of them are shown

    All panels have the same colours, which are logarithmic, down to 10⁻¹⁶ of what is usually the largest norm; grey is
    zero, and white is what most runs have not.
    """
    import matplotlib as mpl

    ended, factor, levels = mapped(runs, swept)
    codes = dict(zip(ended["run"], factor.codes, strict=True))
    tables = [_median_map(flow[flow["run"].map(codes) == level]) for level in levels]
    norms = np.concatenate([np.empty(0), *(table.to_numpy().ravel() for table in tables)])
    positive = norms[np.isfinite(norms) & (norms > 0)]
    titles = [f"{factor.label} {factor.texts[level]}".strip() for level in levels] if len(levels) > 1 else [""]
    with mpl.rc_context(STYLE):
        figure, every = panels(titles, "update", "lag (timesteps)")
        if len(levels) == 1:
            figure.set_size_inches(COLUMN, 2.4)
        if not len(positive):
            message(every[0], "no gradient above zero was recorded")
            return figure
        high = float(positive.max())
        low = max(float(positive.min()), high / SPAN)
        if high < 1.01 * low:
            low, high = low / 2, high * 2
        meshes = [_mesh(axes, table, low, high) for axes, table in zip(every, tables, strict=True) if table.size]
        every[0].invert_yaxis()
        update_axis(every[0], np.unique(np.concatenate([table.columns.to_numpy() for table in tables])), ticks=3)
        bar = figure.colorbar(
            meshes[0], ax=every, pad=0.02, aspect=30, extend="min" if positive.min() < low else "neither"
        )
        bar.set_label(NORM)
        logarithmic_ticks(bar.ax.yaxis, low, high)
    return figure


def mapped(runs: "pd.DataFrame", swept: Sequence[str]) -> "tuple[pd.DataFrame, Factor, list[int]]":
    """The runs that have ended, and the levels that `gradient_flow_map` shows."""
    ended, told = told_apart(runs, swept)
    factor = pooled(told, len(ended)).hue
    assert factor is not None
    count = len(factor.levels)
    return ended, factor, sorted({round(place) for place in np.linspace(0, count - 1, min(count, MOST_MAPS))})


def _median_map(flow: "pd.DataFrame") -> "pd.DataFrame":
    """The median norm by lag and update; nan where fewer than half of the runs have one."""
    import pandas as pd

    lags, lag = np.unique(flow["lag"].to_numpy(), return_inverse=True)
    updates, update = np.unique(flow["update"].to_numpy(), return_inverse=True)
    runs, run = np.unique(flow["run"].to_numpy(), return_inverse=True)
    # A table of all runs is sorted much faster than one group for each cell.
    norms = np.full((len(lags) * len(updates), len(runs)), np.nan)
    norms[lag * len(updates) + update, run] = flow["norm"].to_numpy(dtype=float)
    medians = np.where(2 * np.sum(~np.isnan(norms), axis=1) >= len(runs), quartiles(drawable(norms))[:, 1], np.nan)
    return pd.DataFrame(medians.reshape(len(lags), len(updates)), index=lags, columns=updates)


def _mesh(axes: "Axes", table: "pd.DataFrame", low: float, high: float) -> Any:
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap, LogNorm

    norms = table.to_numpy(dtype=float)
    borders = edges(table.columns.to_numpy()), edges(table.index.to_numpy())
    axes.grid(False)
    zero = norms == 0
    if zero.any():
        axes.pcolormesh(*borders, np.ma.masked_where(~zero, norms), cmap=ListedColormap([GREY]), rasterized=True)
    viridis = mpl.colormaps["viridis"]
    return axes.pcolormesh(
        *borders,
        np.ma.masked_where(zero | ~np.isfinite(norms), norms),
        norm=LogNorm(low, high),
        cmap=viridis.with_extremes(under=viridis(0.0)),
        rasterized=True,
    )
