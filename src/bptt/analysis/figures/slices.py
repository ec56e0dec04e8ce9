"""The figures of an objective over what was searched: against each key, and over two of them together."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.figures.material import SweepFigure, find_display, join_texts, label_axis
from bptt.analysis.figures.panels import Window, choose_scale, make_single_panel, name_all_keys, show_values_of
from bptt.analysis.search import Trials
from bptt.analysis.style import COLUMN, STYLE, set_logarithmic_ticks, write_message

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_MOST_SLICES: Final = 4  # keys that have panels
_LEAST_CONTOUR: Final = 8  # trials
_LEVELS: Final = 9
_JITTER: Final = 0.18  # beside a choice


def draw_slices(trials: Trials, name: str) -> "Figure":
    """An objective of each trial against each of the searched keys, the most important first; later trials darker."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    keys = trials.rank_keys()[:_MOST_SLICES]
    columns = min(len(keys), 2)
    rows = -(-len(keys) // columns)
    values = trials.ended[name].to_numpy(dtype=float)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 0.9 + 1.5 * rows), layout="constrained")
        every = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
        scale = choose_scale(values, name)
        if scale is None:
            write_message(every[0], "nothing finite was recorded")
            return figure
        shown = scale.mask(show_values_of(values, name))
        for axes, key in zip(every, keys, strict=False):
            places = _set_key_axis(axes, trials, key, across=True)
            dots = axes.scatter(places, shown, c=trials.ended["run"] + 1, cmap="viridis_r", s=7, linewidths=0, zorder=2)
        for axes in every[len(keys) :]:
            axes.set_axis_off()
        scale.apply(every[0])
        figure.supylabel(label_axis(name), fontsize=8)
        bar = figure.colorbar(dots, ax=every, label="trial", pad=0.02, aspect=30)
        bar.outline.set_visible(False)
    return figure


def tell_slices(trials: Trials, name: str, note: str) -> SweepFigure:
    """The figure of each key; note: how many trials there are."""
    keys = trials.rank_keys()[:_MOST_SLICES]
    left = len(trials.keys) - len(keys)
    return SweepFigure(
        name="slices",
        figure=draw_slices(trials, name),
        title="By each value",
        caption=(
            f"The last {find_display(name).label} of each trial against {join_texts(name_all_keys(keys))}; later trials"
            f" are darker. All other keys vary from dot to dot, and the sampler chose where it tried more."
            f"{f' {left} keys more are not shown.' if left else ''} {note}"
        ),
        alt=f"Dots of {find_display(name).label}, a panel for each of {join_texts(name_all_keys(keys))}.",
    )


def draw_contour(trials: Trials, name: str, keys: Sequence[str]) -> "Figure":
    """An objective over two keys with numbers, interpolated between the trials, which stand as dots."""
    import matplotlib as mpl
    from matplotlib.colors import BoundaryNorm

    values = trials.ended[name].to_numpy(dtype=float)
    with mpl.rc_context(STYLE):
        figure, axes = make_single_panel(2.7)
        scale = choose_scale(values, name)
        x, y = (_place(trials, key) for key in keys)
        if scale is None or len({*zip(x, y, strict=True)}) < _LEAST_CONTOUR or _are_in_line(x, y):
            write_message(axes, "too few trials with different values")
            return figure
        logarithmic = isinstance(scale, Window)
        shown = scale.mask(show_values_of(values, name))
        shown = np.log10(shown) if logarithmic else shown
        low, high = np.nanmin(shown), np.nanmax(shown)
        levels = np.linspace(low, max(high, low + 1e-9), _LEVELS)
        colours = mpl.colormaps["viridis_r" if trials.objectives[name] == "minimize" else "viridis"]
        kept = ~np.isnan(shown)
        how: Any = {"levels": levels, "cmap": colours, "norm": BoundaryNorm(levels, colours.N), "extend": "neither"}
        drawn = axes.tricontourf(x[kept], y[kept], np.clip(shown[kept], levels[0], levels[-1]), **how)
        axes.plot(x, y, "o", color="white", markeredgecolor="black", markersize=2.2, markeredgewidth=0.4)
        best = int(np.argmin(trials.costs[:, [*trials.objectives].index(name)]))
        axes.plot(x[best], y[best], "*", color="white", markeredgecolor="black", markersize=8, markeredgewidth=0.6)
        bar = figure.colorbar(drawn, ax=axes, label=label_axis(name), pad=0.02)
        bar.set_ticks([levels[place] for place in range(0, _LEVELS, 2)])
        ends = 10**levels if logarithmic else levels
        bar.set_ticklabels([f"{ends[place]:.2g}" for place in range(0, _LEVELS, 2)])
        bar.outline.set_visible(False)
        bar.ax.minorticks_off()
        for key, across in zip(keys, (True, False), strict=True):
            _set_key_axis(axes, trials, key, across, placed=True)
        axes.grid(visible=False)
    return figure


def tell_contour(trials: Trials, name: str, note: str) -> Iterator[SweepFigure]:
    """The figure of the two most important keys with numbers, where there are two, and trials enough."""
    keys = [key for key in trials.rank_keys() if trials.is_number(key)][:2]
    if len(keys) < 2 or len(trials.ended) < _LEAST_CONTOUR:
        return
    yield SweepFigure(
        name="contour",
        figure=draw_contour(trials, name, keys),
        title="Two keys together",
        caption=(
            f"The last {find_display(name).label} over {join_texts(name_all_keys(keys))}, interpolated linearly between"
            " the trials (dots; the star is the best one). Between dots that lie far apart it says little, and what"
            f" else differs between trials is not told apart. {note}"
        ),
        alt=f"A map of {find_display(name).label} over {join_texts(name_all_keys(keys))}, with a dot for each trial.",
    )


def _place(trials: Trials, key: str) -> "NDArray[np.float64]":
    """Where each trial stands by a key with numbers, on an axis that is linear."""
    values = trials.ended[key].to_numpy(dtype=float)
    return np.log10(values) if trials.is_logarithmic(key) else values


def _set_key_axis(axes: "Axes", trials: Trials, key: str, across: bool, placed: bool = False) -> "NDArray[np.float64]":
    """Make an axis one of a searched key; returns where each trial stands. placed: by `_place`."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    axis = axes.xaxis if across else axes.yaxis
    (name,) = name_all_keys([key])
    axis.set_label_text(name)
    if not trials.is_number(key):
        values = trials.ended[key]
        levels = sorted(values.unique())
        codes = np.array([levels.index(value) for value in values], float)
        axis.set_major_locator(FixedLocator(range(len(levels))))
        axis.set_ticklabels([f"{one:g}" if isinstance(one, int | float) else str(one) for one in levels])
        # So that dots of one choice can be told apart; the same each time.
        shift = _JITTER * (2 * ((np.arange(len(codes)) * 0.618034) % 1) - 1)
        return codes + shift
    if not trials.is_logarithmic(key):
        axis.set_major_locator(MaxNLocator(nbins=4, integer=trials.ended[key].dtype.kind == "i"))
        return trials.ended[key].to_numpy(dtype=float)
    values = trials.ended[key].to_numpy(dtype=float)
    if placed:
        low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max()))
        ends = np.log10(values.min()), np.log10(values.max())
        whole = [place for place in np.arange(low, high + 1) if ends[0] - 0.05 <= place <= ends[1] + 0.05]
        places = whole if len(whole) > 1 else [*np.linspace(*ends, 3)]
        axis.set_major_locator(FixedLocator(places))
        axis.set_major_formatter(FuncFormatter(lambda place, _: f"{10**place:.2g}"))
        return np.log10(values)
    (axes.set_xscale if across else axes.set_yscale)("log")
    set_logarithmic_ticks(axis, float(values.min()), float(values.max()))
    return values


def _are_in_line(x: "NDArray[np.float64]", y: "NDArray[np.float64]") -> bool:
    """Whether points span no area."""
    centred = np.stack([x - x.mean(), y - y.mean()])
    scaled = centred / np.maximum(np.abs(centred).max(axis=1, keepdims=True), 1e-300)
    return bool(np.linalg.svd(scaled, compute_uv=False)[-1] < 1e-9)
