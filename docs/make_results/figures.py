"""Success against length, a panel for each cell and start."""

from typing import TYPE_CHECKING, Final

from matplotlib import rc_context
from matplotlib.figure import Figure

from bptt.analysis.style import BLUE, COLUMN, ORANGE, STYLE
from docs.make_results.variants import LENGTH, VARIANTS, Variant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from docs.make_results.tables import Tables

_LINES: Final = (("none", "no clipping", ORANGE, "s", "--"), ("norm", "clipped", BLUE, "o", "-"))


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
