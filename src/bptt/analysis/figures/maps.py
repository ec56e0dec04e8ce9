"""A colour for each combination: of two swept keys, and of settings and conditions."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.factors import (
    Factor,
    build_factor,
    combine_factors,
    combine_keys,
    combine_texts,
    drop_decided_factors,
)
from bptt.analysis.figures.material import SOLVED, Material, SweepFigure, find_display, label_axis, write_digits
from bptt.analysis.figures.panels import Window
from bptt.analysis.style import COLUMN, STYLE, set_logarithmic_ticks, write_message
from bptt.analysis.tables import LOSS, drop_seed, take_final, write_parts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_MOST_NUMBERS: Final = 12  # beside each other
_EMPTY: Final = "#d9d9d9"
_ROOM: Final = 12  # characters of a level's name that a column has room for
_INCHES: Final = 0.066  # of a character
_BESIDE: Final = 48  # characters of all names that columns have room for


def draw_heat_map(runs: "pd.DataFrame", x: str, y: str, value: str = LOSS, ceiling: float = np.inf) -> "Figure":
    """A value of the runs that have ended, for each combination of two swept keys.

    runs     as of `bptt.load(…).runs`
    x, y     the keys across and up
    value    a metric: each cell has the median over what its runs recorded last; or `solved`: the share that did
    ceiling  losses above it are all alike

    A cell is grey where nothing was run, and grey with a cross where most runs diverged or are above the ceiling.
    """
    ended = runs[runs["outcome"].notna()].reset_index(drop=True)
    return draw_factor_map(ended, build_factor(ended, x), build_factor(ended, y), value, ceiling)


def draw_factor_map(
    ended: "pd.DataFrame", across: Factor, up: Factor, value: str = LOSS, ceiling: float = np.inf
) -> "Figure":
    """As `draw_heat_map`, over two factors of runs that have ended; long names of levels get the room they need."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    table = fill_cells(ended, across, up, value)
    label = label_axis(value) if value == SOLVED else f"median final {label_axis(value)}"
    with mpl.rc_context(STYLE):
        width = COLUMN + _INCHES * max(0, max(map(len, up.texts)) - _ROOM)
        below = _INCHES * max(map(len, across.texts)) if _is_crowded(across) else 0.0
        height = min(max(0.9 + 0.28 * len(up.levels), 2.2), 4.5) + below
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        if find_display(value).scale == "log":
            _draw_logarithmic(axes, table, label, ceiling)
        elif find_display(value).scale == "percent":
            numbers = table.shape[1] <= _MOST_NUMBERS
            how = {"ticks": [0, 25, 50, 75, 100]}
            _draw_cells(axes, table, label, how, vmin=0, vmax=100, cmap="cividis", annot=numbers, fmt=".0f")
        else:
            _draw_cells(axes, table, label, {}, cmap="viridis")
        if axes.axison:
            _label_axes(axes, across, up)
    return figure


def is_grid(across: Factor, up: Factor) -> bool:
    """Whether every combination of the two factors' levels was run."""
    return len(set(zip(across.codes.tolist(), up.codes.tolist(), strict=True))) == len(across.levels) * len(up.levels)


def fill_cells(runs: "pd.DataFrame", across: Factor, up: Factor, value: str) -> "NDArray[np.float64]":
    """The runs' median of a metric, or share of those that solved, shares in percent: (levels of up, of across)."""
    result = runs[SOLVED].astype(float) if value == SOLVED else take_final(runs, value)
    grouped = result.groupby([up.codes, across.codes])
    reduced = grouped.mean() if value == SOLVED else grouped.median()
    table = np.full((len(up.levels), len(across.levels)), np.nan)
    table[tuple(np.array(reduced.index.to_list()).T)] = reduced.to_numpy()
    return table * (100 if find_display(value).scale == "percent" else 1)


def _draw_logarithmic(axes: "Axes", table: "NDArray[np.float64]", label: str, ceiling: float) -> None:
    from matplotlib.colors import LogNorm

    window = Window.around(table, ceiling)
    if window is None:
        write_message(axes, "no setting ended with a finite value")
        return
    low, high = window.low, max(window.high, 1.5 * window.low)
    bar = _draw_cells(axes, window.mask(table), label, {}, norm=LogNorm(low, high), cmap="viridis_r")
    set_logarithmic_ticks(bar.ax.yaxis, low, high)
    for row, column in np.argwhere(table > window.high):
        axes.plot(column + 0.5, row + 0.5, "x", color="black", markersize=4, markeredgewidth=0.8)


def _draw_cells(axes: "Axes", table: "NDArray[np.float64]", label: str, bar: dict[str, Any], **how: Any) -> Any:
    """Returns the colour bar."""
    import seaborn as sns

    sns.heatmap(
        table,
        ax=axes,
        mask=np.isnan(table),
        linewidths=0.4,
        annot_kws={"fontsize": 7},
        cbar_kws={"pad": 0.02, "label": label, **bar},
        **how,
    )
    axes.grid(False)
    axes.set_facecolor(_EMPTY)
    axes.invert_yaxis()
    return axes.collections[0].colorbar


def _is_crowded(across: Factor) -> bool:
    """Whether its levels' texts have no room beside each other."""
    return any(isinstance(level, str) for level in across.levels) and sum(map(len, across.texts)) > _BESIDE


def _label_axes(axes: "Axes", across: Factor, up: Factor) -> None:
    for axis, factor, most in ((axes.xaxis, across, 8), (axes.yaxis, up, _MOST_SETTINGS)):
        step = -(-len(factor.levels) // most)
        turned = 90 if axis is axes.xaxis and _is_crowded(factor) else 0
        axis.set_ticks(np.arange(0, len(factor.levels), step) + 0.5, factor.texts[::step], rotation=turned)
        axis.set_tick_params(length=0)
        axis.set_label_text(factor.name)


_MOST_SETTINGS: Final = 16  # rows
_MOST_CONDITIONS: Final = 10  # columns


def combine_settings(material: Material) -> tuple[Factor, Factor] | None:
    """The conditions and the settings, each as one factor, where several keys make a setting and they are not many."""
    harder = [factor for factor in material.factors if factor.key in material.sweep.conditions]
    others = [factor for factor in material.factors if factor not in harder]
    harder = drop_decided_factors(harder)
    if not harder or len(others) < 2:
        return None
    keys = [key for key in drop_seed(material.sweep.swept) if key not in material.sweep.conditions]
    across, up = combine_factors(harder, len(material.ended)), combine_keys(material.ended, keys)
    if len(harder) > 1:
        across = combine_texts(write_parts(material.ended, material.sweep.swept, material.sweep.conditions)[0])
    return (across, up) if len(up.levels) <= _MOST_SETTINGS and len(across.levels) <= _MOST_CONDITIONS else None


def draw_settings(material: Material, across: Factor, up: Factor, meaning: str) -> SweepFigure:
    """The map; meaning: a sentence on when a run has solved its task."""
    shares = fill_cells(material.ended, across, up, SOLVED)
    where = across.name or "condition"
    return SweepFigure(
        name="success_map",
        figure=draw_factor_map(material.ended, across, up, SOLVED),
        title=f"Solved runs by setting and {where}",
        caption=(
            f"The share of runs that solved their task, for each setting (rows) and {where} (columns); grey where"
            f" nothing was run. {meaning} {material.note}"
        ),
        alt=(
            f"Heat map of solved runs in percent, {where} across and settings up: "
            f"{describe_cells(shares, across, up, ' %')}."
        ),
    )


def describe_cells(table: "NDArray[np.float64]", across: Factor, up: Factor, unit: str = "") -> str:
    """The least and the largest of a map."""

    def told(place: int) -> str:
        row, column = np.unravel_index(place, table.shape)
        where = ", ".join(
            f"{factor.name} {text}".strip() for factor, text in ((across, across.texts[column]), (up, up.texts[row]))
        )
        return f"{write_digits(table[row, column])}{unit} ({where})"

    return f"from {told(int(np.nanargmin(table)))} to {told(int(np.nanargmax(table)))}"
