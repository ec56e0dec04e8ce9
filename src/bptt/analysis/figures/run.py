"""Figures of a run: tidy tables in, a figure out, no file touched."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bptt.analysis.style import (
    BASELINE,
    BLUE,
    COLUMN,
    GREEN,
    GREY,
    ORANGE,
    STYLE,
    clip_drawable,
    find_edges,
    set_logarithmic,
    set_logarithmic_ticks,
    set_update_axis,
    write_message,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    #: A table, or its columns: pandas takes half a second to import, and is not needed here.
    Table: TypeAlias = pd.DataFrame | Mapping[str, NDArray[Any]]


def draw_loss_curve(
    history: "Table", title: str = "", baseline: float | None = None, kept: float | None = None
) -> "Figure":
    """Loss against updates, training and evaluation, on a logarithmic axis; accuracy below, where the task has one.

    history: columns `update`, `loss/train`, and, where measured, `loss/eval`, `accuracy/eval`. Where a loss stops being
    finite the curve ends with a cross at the last finite value. baseline: what a constant answer costs, a dashed line.
    kept: the update of which the best network is kept, a thin line across.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    accuracy = "accuracy/eval" in history
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 3.2 if accuracy else 2.4), layout="constrained")
        panels: Any = figure.subplots(
            2 if accuracy else 1, 1, sharex=True, squeeze=False, height_ratios=[2, 1] if accuracy else [1]
        )
        top, bottom = panels[0, 0], panels[-1, 0]
        updates = np.asarray(history["update"])
        curves = {
            name: (clip_drawable(np.asarray(history[column], dtype=float)), colour, style)
            for name, column, colour, style in (
                ("training", "loss/train", BLUE, "-"),
                ("evaluation", "loss/eval", ORANGE, "--"),
            )
            if column in history
        }
        losses = np.concatenate([values for values, _, _ in curves.values()])
        if baseline is None or baseline <= 0 or not np.isfinite(losses).any():
            set_logarithmic(top, losses)
        else:
            set_logarithmic(top, np.append(losses, baseline))
            top.axhline(baseline, color=GREY, linestyle="--", linewidth=0.7, label=BASELINE, gid=BASELINE, zorder=0.5)
        for name, (values, colour, style) in curves.items():
            _draw_curve(top, updates, values, name, colour, style)
        if kept is not None:
            for axes in (top, *([bottom] if accuracy else [])):
                axes.axvline(kept, color=GREY, linewidth=0.7, zorder=0.5, label=f"kept: update {kept:,.0f}", gid="kept")
        top.set_ylabel("loss")
        if np.isfinite(losses).any():
            top.legend(frameon=False)
        else:
            top.text(0.5, 0.5, "no finite loss was recorded", ha="center", va="center", transform=top.transAxes)
            top.set_yticks([])
        top.set_title(title)
        if accuracy:
            percent = 100 * np.asarray(history["accuracy/eval"], dtype=float)
            _draw_curve(bottom, updates, percent, "evaluation", GREEN, "-")
            bottom.set_ylim(-4, 104)
            bottom.set_yticks([0, 50, 100])
            bottom.set_ylabel("accuracy (%)")
        bottom.set_xlabel("update")
        set_update_axis(bottom, updates)
    return figure


def draw_gradient_flow(flow: "Table", title: str = "") -> "Figure":
    """How far back the gradient reaches while training goes on: ‖∂loss/∂h‖ by lag (down) and update (across).

    flow: columns `update`, `lag`, `norm`. Colours are logarithmic; grey is zero (the gradient was cut off, or died out
    below the smallest number), white not finite. One recorded update, or one timestep, is drawn as a line instead.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    updates, across = np.unique(np.asarray(flow["update"]), return_inverse=True)
    lags, down = np.unique(np.asarray(flow["lag"]), return_inverse=True)
    norms = np.full((len(lags), len(updates)), np.nan)
    norms[down, across] = clip_drawable(np.asarray(flow["norm"], dtype=float))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 2.4), layout="constrained")
        axes = figure.subplots()
        axes.set_title(title)
        if not np.any(np.isfinite(norms) & (norms > 0)):
            write_message(axes, "no gradient above zero was recorded")
        elif len(updates) == 1:
            _draw_profile(axes, lags, norms[:, 0], "lag (timesteps before the end)")
            axes.set_title(title or f"update {updates[0]:,}")
        elif len(lags) == 1:
            _draw_profile(axes, updates, norms[0], "update")
            set_update_axis(axes, updates)
        else:
            _draw_map(figure, axes, updates, lags, norms)
    return figure


def _draw_curve(axes: "Axes", x: "NDArray[Any]", y: "NDArray[Any]", label: str, colour: str, style: str) -> None:
    finite = np.flatnonzero(np.isfinite(y))
    marker = "o" if len(finite) == 1 else None
    axes.plot(x, np.where(np.isfinite(y), y, np.nan), style, color=colour, label=label, marker=marker, markersize=3)
    if len(finite) and finite[-1] < len(y) - 1:
        axes.plot(x[finite[-1]], y[finite[-1]], "x", color=colour, markersize=5, markeredgewidth=1.4)


def _draw_profile(axes: "Axes", x: "NDArray[Any]", norms: "NDArray[Any]", label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    set_logarithmic(axes, norms)
    marker = "o" if len(x) <= 40 else None
    axes.plot(x, np.where(np.isfinite(norms), norms, np.nan), "-", color=BLUE, marker=marker, markersize=2.5)
    if len(x) == 1:
        axes.set_xticks(x)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(label)
    axes.set_ylabel("‖∂loss/∂h‖")


def _draw_map(
    figure: "Figure", axes: "Axes", updates: "NDArray[Any]", lags: "NDArray[Any]", norms: "NDArray[Any]"
) -> None:
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap, LogNorm
    from matplotlib.ticker import MaxNLocator

    zero, finite = norms == 0, np.isfinite(norms)
    positive = np.where(finite & ~zero, norms, np.nan)
    low, high = float(np.nanmin(positive)), float(np.nanmax(positive))
    # A vanished gradient may be 1e-300: what is sixteen digits below a usual update's largest is all one colour.
    usual = float(np.median(np.max(positive, axis=0, where=finite & ~zero, initial=0.0)))
    floor = max(low, usual * 1e-16)
    cut, low = floor > low, floor
    if high < 1.01 * low:
        low, high = low / 2, high * 2
    viridis = mpl.colormaps["viridis"]
    axes.grid(False)
    axes.set_facecolor("white")
    borders = find_edges(updates), find_edges(lags)
    if zero.any():
        axes.pcolormesh(*borders, np.ma.masked_where(~zero, norms), cmap=ListedColormap([GREY]), rasterized=True)
    mesh = axes.pcolormesh(
        *borders,
        np.ma.masked_invalid(positive),
        norm=LogNorm(low, high),
        cmap=viridis.with_extremes(under=viridis(0.0)),
        rasterized=True,
    )
    notes = [note for note, there in (("grey: zero", zero.any()), ("white: not finite", not finite.all())) if there]
    axes.set_xlabel("update" + (f" ({', '.join(notes)})" if notes else ""))
    axes.set_ylabel("lag (timesteps before the end)")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.invert_yaxis()
    set_update_axis(axes, updates)
    bar = figure.colorbar(mesh, ax=axes, pad=0.02, extend="min" if cut else "neither")
    bar.set_label("‖∂loss/∂h‖")
    set_logarithmic_ticks(bar.ax.yaxis, low, high)
