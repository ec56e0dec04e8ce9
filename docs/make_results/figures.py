"""The index's own figures: success by length, by remedy and by change."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from matplotlib import rc_context
from matplotlib.figure import Figure

from bptt.analysis.style import BLUE, COLUMN, GREY, ORANGE, STYLE
from docs.make_results.changes import find_shares
from docs.make_results.remedies import LENGTH as TIMESTEPS
from docs.make_results.remedies import REMEDIES, TASKS, find_share
from docs.make_results.variants import LENGTH, VARIANTS, Variant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from docs.make_results.tables import Tables

_LINES: Final = (("none", "no clipping", ORANGE, "s", "--"), ("norm", "clipped", BLUE, "o", "-"))


def draw_figure(tables: "Tables") -> Figure:
    """The figure that the index has of a sweep, of those in `DRAWN`."""
    return DRAWN[tables.name](tables)


def draw_success_by_length(tables: "Tables") -> Figure:
    """The share of solved runs against the length, with exact 95 % intervals."""
    variants = VARIANTS[tables.name]
    with rc_context(STYLE):
        figure = Figure(figsize=(2.1 * COLUMN, 1.75), layout="constrained")
        panels = figure.subplots(1, len(variants), sharey=True)
        for panel, variant in zip(panels, variants, strict=True):
            _draw_panel(panel, tables, variant)
        panels[0].set_ylabel("solved runs, %")
        figure.supxlabel("timesteps" if tables.name != "length_copying" else "pause, timesteps", fontsize=8)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure


def _draw_panel(panel: "Axes", tables: "Tables", variant: Variant) -> None:
    lengths = variant.lengths(tables)
    step = 0.012 * (tables.levels(LENGTH)[-1] - tables.levels(LENGTH)[0])
    for place, (clip, label, colour, marker, line) in enumerate(_LINES):
        if not variant.has(tables, clip):
            continue
        intervals = [variant.solved(tables, length, clip).interval for length in lengths]
        low = [100 * (interval.value - interval.low) for interval in intervals]
        high = [100 * (interval.high - interval.value) for interval in intervals]
        panel.errorbar(
            [length + (2 * place - 1) * step for length in lengths],  # side by side where they coincide
            [100 * interval.value for interval in intervals],
            yerr=(low, high),
            label=label,
            color=colour,
            marker=marker,
            linestyle=line,
            markersize=3,
            elinewidth=0.8,
        )
    panel.set(title=variant.name.replace(", ", "\n", 1), ylim=(-4, 104), xticks=lengths)


def draw_remedies(tables: "Tables") -> Figure:
    """The share of solved runs of each remedy, a panel for each task, a column for each length."""
    lengths = tables.levels(TIMESTEPS)
    with rc_context(STYLE):
        figure = Figure(figsize=(1.75 * COLUMN, 3.3), layout="constrained")
        panels = figure.subplots(1, len(TASKS), sharey=True)
        for panel, (task, called) in zip(panels, TASKS.items(), strict=True):
            shares = [
                [100 * find_share(tables, name, task, length).interval.value for length in lengths] for name in REMEDIES
            ]
            mesh = panel.imshow(shares, cmap="cividis", vmin=0, vmax=100, aspect="auto")
            for row, values in enumerate(shares):
                for column, value in enumerate(values):
                    colour = "black" if value > 50 else "white"
                    panel.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7, color=colour)
            panel.set(title=called, xlabel="timesteps", xticks=range(len(lengths)), yticks=range(len(REMEDIES)))
            panel.set_xticklabels([f"{length:g}" for length in lengths])
            panel.set_yticklabels(REMEDIES)
            panel.grid(False)
        figure.colorbar(mesh, ax=panels, label="solved runs, %", ticks=[0, 25, 50, 75, 100], pad=0.02)
    return figure


def draw_changes(tables: "Tables") -> Figure:
    """The share of solved runs with each single change, with exact 95 % intervals; a line at that of no change."""
    shares = find_shares(tables)
    with rc_context(STYLE):
        figure = Figure(figsize=(1.5 * COLUMN, 3.6), layout="constrained")
        axes = figure.subplots()
        intervals = [share.interval for share in shares.values()]
        low = [100 * (interval.value - interval.low) for interval in intervals]
        high = [100 * (interval.high - interval.value) for interval in intervals]
        values, rows = [100 * interval.value for interval in intervals], range(len(shares))
        axes.axvline(values[0], color=GREY, linestyle="--", linewidth=0.8)
        axes.errorbar(values, rows, xerr=(low, high), color=BLUE, fmt="o", markersize=3, elinewidth=0.8)
        axes.set(xlabel="solved runs, %", xlim=(-4, 104), yticks=rows)
        axes.set_yticklabels(shares)
        axes.invert_yaxis()
    return figure


#: Sweep → what draws the index's own figure of it.
DRAWN: Final[Mapping[str, Callable[["Tables"], Figure]]] = {
    **dict.fromkeys(VARIANTS, draw_success_by_length),
    "remedies": draw_remedies,
    "single_changes": draw_changes,
}
