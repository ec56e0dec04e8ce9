"""How far back gradients reach: ‖∂loss/∂h‖ by lag, timesteps before the end, through training and at some updates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.factors import Factor
from bptt.analysis.figures.material import SPAN, pool_runs, tell_apart
from bptt.analysis.figures.panels import choose_looks, compute_quartiles, draw_legend, make_panels
from bptt.analysis.style import (
    COLUMN,
    GREY,
    STYLE,
    clip_drawable,
    find_edges,
    set_logarithmic_ticks,
    set_update_axis,
    write_message,
    write_power,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

NORM: Final = "‖∂loss/∂h‖"


MOST_MAPS: Final = 6


def draw_flow_map(flow: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
    """The norm by lag (down) and update (across), the median over the runs of each level of the first swept key.

    flow   run, update, lag, norm; what is nan, as after a run diverged, doesn't count
    runs   as of `bptt.load(…).runs`; those that have not ended don't count
    swept  the swept keys; where the first has more than six levels, six of them are shown

    All panels have the same colours, which are logarithmic, down to 10⁻¹⁶ of what is usually the largest norm; grey is
    zero, and white is what most runs have not.
    """
    import matplotlib as mpl

    ended, factor, levels = choose_mapped(runs, swept)
    codes = dict(zip(ended["run"], factor.codes, strict=True))
    tables = [_take_median(flow[flow["run"].map(codes) == level]) for level in levels]
    norms = np.concatenate([np.empty(0), *(table.to_numpy().ravel() for table in tables)])
    positive = norms[np.isfinite(norms) & (norms > 0)]
    titles = [f"{factor.name} {factor.texts[level]}".strip() for level in levels] if len(levels) > 1 else [""]
    with mpl.rc_context(STYLE):
        figure, every = make_panels(titles, "update", "lag (timesteps)")
        if len(levels) == 1:
            figure.set_size_inches(COLUMN, 2.4)
        if not len(positive):
            write_message(every[0], "no gradient above zero was recorded")
            return figure
        high = float(positive.max())
        low = max(float(positive.min()), high / SPAN)
        if high < 1.01 * low:
            low, high = low / 2, high * 2
        meshes = [_draw_mesh(axes, table, low, high) for axes, table in zip(every, tables, strict=True) if table.size]
        every[0].invert_yaxis()
        set_update_axis(every[0], np.unique(np.concatenate([table.columns.to_numpy() for table in tables])), ticks=3)
        bar = figure.colorbar(
            meshes[0], ax=every, pad=0.02, aspect=30, extend="min" if positive.min() < low else "neither"
        )
        bar.set_label(NORM)
        set_logarithmic_ticks(bar.ax.yaxis, low, high)
    return figure


def choose_mapped(runs: "pd.DataFrame", swept: Sequence[str]) -> "tuple[pd.DataFrame, Factor, list[int]]":
    """The runs that have ended, and the levels that `draw_flow_map` shows."""
    ended, told = tell_apart(runs, swept)
    factor = pool_runs(told, len(ended)).hue
    assert factor is not None
    count = len(factor.levels)
    return ended, factor, sorted({round(place) for place in np.linspace(0, count - 1, min(count, MOST_MAPS))})


def _take_median(flow: "pd.DataFrame") -> "pd.DataFrame":
    """The median norm by lag and update; nan where fewer than half of the runs have one."""
    import pandas as pd

    lags, lag = np.unique(flow["lag"].to_numpy(), return_inverse=True)
    updates, update = np.unique(flow["update"].to_numpy(), return_inverse=True)
    runs, run = np.unique(flow["run"].to_numpy(), return_inverse=True)
    # A table of all runs is sorted much faster than one group for each cell.
    norms = np.full((len(lags) * len(updates), len(runs)), np.nan)
    norms[lag * len(updates) + update, run] = flow["norm"].to_numpy(dtype=float)
    medians = np.where(
        2 * np.sum(~np.isnan(norms), axis=1) >= len(runs), compute_quartiles(clip_drawable(norms))[:, 1], np.nan
    )
    return pd.DataFrame(medians.reshape(len(lags), len(updates)), index=lags, columns=updates)


def _draw_mesh(axes: "Axes", table: "pd.DataFrame", low: float, high: float) -> Any:
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap, LogNorm

    norms = table.to_numpy(dtype=float)
    borders = find_edges(table.columns.to_numpy()), find_edges(table.index.to_numpy())
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


_LAG: Final = "lag (timesteps before the end)"


def draw_profiles(
    flow: "pd.DataFrame",
    runs: "pd.DataFrame",
    swept: Sequence[str],
    updates: Sequence[str | int] = ("first", "last"),
) -> "Figure":
    """The norm against the lag at some updates, for each setting the median over its runs, on a symlog axis.

    flow     run, update, lag, norm; what is nan, as after a run diverged, doesn't count
    runs     as of `bptt.load(…).runs`; those that have not ended don't count
    swept    the swept keys
    updates  each with a panel: `first` and `last` are what each run recorded so, a number is that update

    The axis is logarithmic down to 10⁻¹⁶ of what is usually the largest norm, and from there to zero, which is where a
    gradient was cut off, linear.
    """
    import matplotlib as mpl

    ended, told = tell_apart(runs, swept)
    told = pool_runs(told, len(ended))
    assert told.hue is not None
    drawn = choose_looks(told.hue)
    titles = [
        ", ".join(filter(None, (facet, _write_title(update) if len(updates) > 1 else "")))
        for facet in told.titles
        for update in updates
    ]
    with mpl.rc_context(STYLE):
        figure, every = make_panels(titles, "lag (timesteps)" if len(titles) > 1 else _LAG, NORM)
        medians = [
            _take_profiles(flow, ended, [told.of(run) for run in range(len(ended))], update) for update in updates
        ]
        for column, table in enumerate(medians):
            for panel, line in table:
                axes, profile = every[panel * len(updates) + column], table[panel, line].dropna()
                axes.plot(profile.index, profile, drawn[line].line, color=drawn[line].colour)
        _set_symlog(every, np.concatenate([np.empty(0), *(table.to_numpy().ravel() for table in medians)]))
        draw_legend(figure, told.hue, markers=False)
    return figure


def have_equal_profiles(flow: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str], update: str) -> bool:
    """Whether all settings have the same profile at an update, as at the first where what was swept comes later."""
    ended, told = tell_apart(runs, swept)
    table = _take_profiles(flow, ended, [told.of(run) for run in range(len(ended))], update)
    return bool((table.max(axis=1) <= 1.05 * table.min(axis=1)).all()) and not table.isna().to_numpy().any()


def _write_title(update: str | int) -> str:
    return f"{update} update" if isinstance(update, str) else f"update {update:,}"


_ROWS_AT_ONCE: Final = 200_000
_MOST_PARTS: Final = 16  # each takes a look at all rows


def _take_profiles(
    flow: "pd.DataFrame", runs: "pd.DataFrame", groups: Sequence[tuple[int, int]], update: str | int
) -> "pd.DataFrame":
    """The median norm by lag (rows) and by panel and line (columns)."""
    import pandas as pd

    lags, updates, norms = (flow[name].to_numpy() for name in ("lag", "update", "norm"))
    place = pd.Index(runs["run"]).get_indexer(flow["run"])
    there = place >= 0
    if isinstance(update, str):
        find, worst = (np.minimum, np.iinfo(np.int64).max) if update == "first" else (np.maximum, -1)
        ends = np.full(len(runs) + 1, worst)  # of rows of other runs, in the last place
        find.at(ends, place, updates)
        there &= updates == ends[place]
    else:
        there &= updates == update
    there &= ~np.isnan(norms)
    parts, columns = [], np.array(groups, np.int64).reshape(-1, 2)
    # As many rows at once as there is memory for.
    for some in np.array_split(np.unique(lags[there]), max(1, min(_MOST_PARTS, int(there.sum()) // _ROWS_AT_ONCE))):
        if len(some):
            which = there & (lags >= some[0]) & (lags <= some[-1])
            panel, line = columns[place[which]].T
            rows = pd.DataFrame({"lag": lags[which], "panel": panel, "line": line, "norm": norms[which]})
            parts.append(rows.pivot_table(index="lag", columns=["panel", "line"], values="norm", aggfunc="median"))
    return pd.concat(parts).sort_index(axis="columns") if parts else pd.DataFrame()


def _set_symlog(every: "Sequence[Axes]", norms: "NDArray[np.float64]") -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

    positive = norms[np.isfinite(norms) & (norms > 0)]
    if not len(positive):
        write_message(every[0], "no gradient above zero was recorded")
        return
    axes = every[0]
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    high = min(float(positive.max()), 1e200)
    low = max(float(positive.min()), high / SPAN, 1e-200)
    room = max((high / low) ** 0.04, 1.1)
    if not np.any(norms < low):
        axes.set_yscale("log")
        axes.set_ylim(low / room, high * room)
        set_logarithmic_ticks(axes.yaxis, low / room, high * room)
        return
    axes.set_yscale("symlog", linthresh=low, linscale=1.0)
    axes.set_ylim(-0.1 * low, high * room)
    first, last = int(np.ceil(np.log10(low))), int(np.floor(np.log10(high)))
    step = max(1, -(-(last - first) // 6))
    axes.set_yticks([0.0, *(10.0**exponent for exponent in range(last, first - 1, -step))])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: write_power(value)))
