"""Figures of a cost surface: the surface with points and paths on it, and the gradients at the points through time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from bptt.analysis.style import COLUMN, PALETTE, STYLE, set_logarithmic_ticks, write_message, write_power

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure, FigureBase
    from numpy.typing import NDArray

_SPAN: Final = 1e12  # between the colours' ends; what is lower, an exact zero too, has the lowest one's colour
_LINES: Final = ("-", "--", "-.", ":")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<")
_NOT_FINITE: Final = "#d9d9d9"
_LEGEND: Final = 56  # characters beside each other, a line's sample being 8


def draw_cost_surface(
    surfaces: "Sequence[pd.DataFrame]",
    *,
    paths: "Mapping[str, pd.DataFrame] | None" = None,
    points: Sequence[tuple[float, float]] = (),
    labels: tuple[str, str] = ("x", "y"),
    title: str = "",
) -> "Figure":
    """The loss over two weights in logarithmic colours, with a line for each power of ten; up to two side by side.

    surfaces  of `surface.compute_surface`: x, y, loss; they share their colours. Grey where the loss is not finite
    paths     by name, of `surface.follow_path`: a dot for each row; a circle where it starts, a star where it ends;
              several have a legend
    points    each has a marker, the same as in `draw_gradient_lines`
    labels    of the two weights
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 2.75 if len(surfaces) == 1 else 2.35), layout="constrained")
        draw_surfaces(figure, surfaces, paths=paths, points=points, labels=labels)
        if title:
            figure.suptitle(title, fontsize=8)
    return figure


def draw_gradient_lines(
    gradients: "pd.DataFrame", *, labels: tuple[str, str] = ("x", "y"), state: str = "h"
) -> "Figure":
    """The gradient by the state after timestep k, going back from the last timestep, at each point of a surface.

    gradients  of `surface.compute_state_gradients`; a point's line is the sum over layers and hidden units
    state      the letter of a state

    The axis is linear around zero and logarithmic outside, as gradients have signs and many orders of magnitude.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 2.9), layout="constrained")
        draw_gradients(figure, gradients, labels=labels, state=state)
    return figure


def draw_surfaces(
    figure: "FigureBase",
    surfaces: "Sequence[pd.DataFrame]",
    *,
    paths: "Mapping[str, pd.DataFrame] | None" = None,
    points: Sequence[tuple[float, float]] = (),
    labels: tuple[str, str] = ("x", "y"),
) -> None:
    """`draw_cost_surface`, into an empty figure or a part of one."""
    from matplotlib.colors import LogNorm

    grid: Any = figure.subplots(1, len(surfaces), squeeze=False)
    every = list(grid.flat)
    losses = np.concatenate([surface["loss"].to_numpy(dtype=float) for surface in surfaces])
    positive = losses[np.isfinite(losses) & (losses > 0)]
    if not len(positive):
        for axes in every:
            write_message(axes, "no finite loss above zero")
        return
    high = min(float(positive.max()), 1e200)
    low = max(float(positive.min()), high / _SPAN, 1e-200)
    norm = LogNorm(low, max(high, 1.001 * low))
    for axes, surface in zip(every, surfaces, strict=True):
        mesh = _draw_mesh(axes, surface, norm)
        axes.set_xlabel(labels[0])
        for look, (x, y) in zip(_choose_looks(len(points)), points, strict=True):
            axes.plot(x, y, look.marker, color=look.colour, markersize=5, markeredgecolor="white", markeredgewidth=0.7)
        for look, (name, path) in zip(_choose_looks(len(paths or {})), (paths or {}).items(), strict=True):
            _draw_path(axes, path, name, look, alone=len(paths or {}) == 1)
    every[0].set_ylabel(labels[1])
    bar = figure.colorbar(mesh, ax=every, location="bottom", aspect=30, pad=0.03)
    bar.set_label("loss")
    _set_loss_ticks(bar.ax.xaxis, norm)
    if len(paths or {}) > 1:
        _draw_legend(figure, every[0], "outside upper center", most=2)


def draw_gradients(
    figure: "FigureBase", gradients: "pd.DataFrame", *, labels: tuple[str, str] = ("x", "y"), state: str = "h"
) -> None:
    """`draw_gradient_lines`, into an empty figure or a part of one."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes = figure.subplots()
    sums = gradients.groupby(["x", "y", "k"], sort=False)["gradient"].sum().reset_index()
    every = list(sums.groupby(["x", "y"], sort=False))
    sizes = np.abs(sums["gradient"].to_numpy())
    usual = sizes[np.isfinite(sizes) & (sizes > 0)]
    # As many powers of ten above the linear piece as there are, but for gradients that have died out.
    threshold = 10.0 ** np.floor(np.log10(max(usual.min(), usual.max() * 1e-7))) if len(usual) else 1.0
    for look, ((x, y), line) in zip(_choose_looks(len(every)), every, strict=True):
        axes.plot(
            line["k"],
            line["gradient"],
            look.line,
            marker=look.marker,
            color=look.colour,
            markersize=3,
            label=f"({_write_signed(_shorten(x))}, {_write_signed(_shorten(y))})",
        )
    axes.set_yscale("symlog", linthresh=threshold)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _write_signed(value)))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=11, integer=True))
    axes.invert_xaxis()
    axes.set_xlabel("timestep k (the gradient flows to the right)")
    axes.set_ylabel(f"∂loss/∂{state}ₖ")
    _draw_legend(figure, axes, "outside lower center", most=3, title=f"({', '.join(labels)})")


def _draw_legend(
    figure: "FigureBase",
    axes: "Axes",
    where: Literal["outside upper center", "outside lower center"],
    most: int,
    title: str | None = None,
) -> None:
    handles, texts = axes.get_legend_handles_labels()
    columns = min(most, max(1, _LEGEND // (max(map(len, texts)) + 8)))
    figure.legend(handles, texts, title=title, loc=where, ncols=columns, frameon=False, handlelength=3)


def _set_loss_ticks(axis: "Axis", norm: Any) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator

    set_logarithmic_ticks(axis, norm.vmin, norm.vmax)
    if norm.vmax < 3 * norm.vmin:
        axis.set_major_locator(MaxNLocator(nbins=4))
        axis.set_minor_locator(NullLocator())


def _shorten(value: float) -> float:
    return float(f"{value:.3g}")


def _write_signed(value: float) -> str:
    return f"−{write_power(-value)}" if value < 0 else write_power(value)


@dataclass(frozen=True)
class _Look:
    colour: str
    line: str
    marker: str


def _choose_looks(count: int) -> list[_Look]:
    return [
        _Look(PALETTE[n % len(PALETTE)], _LINES[n % len(_LINES)], _MARKERS[n % len(_MARKERS)]) for n in range(count)
    ]


def _draw_mesh(axes: "Axes", surface: "pd.DataFrame", norm: Any) -> Any:
    from matplotlib.ticker import MaxNLocator

    table = surface.pivot_table(index="y", columns="x", values="loss", dropna=False)
    xs, ys = table.columns.to_numpy(), table.index.to_numpy()
    losses = np.ma.masked_invalid(np.clip(table.to_numpy(), norm.vmin, None))
    axes.grid(False)
    axes.set_facecolor(_NOT_FINITE)
    mesh = axes.pcolormesh(xs, ys, losses, norm=norm, cmap="viridis", shading="nearest", rasterized=True)
    if min(losses.shape) > 1:
        axes.contour(
            xs, ys, losses, levels=_choose_levels(norm.vmin, norm.vmax), colors="white", linewidths=0.3, alpha=0.6
        )
    axes.set_xlim(xs[0], xs[-1])
    axes.set_ylim(ys[0], ys[-1])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    return mesh


def _choose_levels(low: float, high: float) -> "NDArray[np.float64]":
    """Powers of ten, or 1, 2 and 5 of each, from low to high; not the lowest few.

    Around a minimum that lies between the points their lines would be ragged.
    """
    steps = (1.0,) if high > 1e4 * low else (1.0, 2.0, 5.0)
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    every = np.array([step * 10.0**power for power in range(first, last + 1) for step in steps])
    return every[(every > low) & (every < high)][1:]


def _draw_path(axes: "Axes", path: "pd.DataFrame", name: str, look: _Look, alone: bool) -> None:
    from matplotlib.patheffects import Normal, Stroke

    x, y = path["x"].to_numpy(), path["y"].to_numpy()
    colour = "white" if alone else look.colour
    halo = [Stroke(linewidth=2.0, foreground="black" if alone else "white"), Normal()]
    axes.plot(x, y, look.line, color=colour, linewidth=0.8, label=name, path_effects=halo)
    axes.plot(x, y, "o", color=colour, markersize=1.6, markeredgewidth=0, rasterized=len(x) > 200)
    edge: dict[str, Any] = {"color": colour, "markeredgecolor": "black", "markeredgewidth": 0.6}
    axes.plot(x[:1], y[:1], "o", markersize=5, **edge)
    axes.plot(x[-1:], y[-1:], "*", markersize=9, **edge)
