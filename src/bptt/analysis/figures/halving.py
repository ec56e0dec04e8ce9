"""The figure of halving: what was given up, and where."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bptt.analysis.figures.material import Material, SweepFigure, find_display, join_texts, label_axis
from bptt.analysis.figures.panels import choose_scale, draw_words, make_single_panel, show_values_of
from bptt.analysis.style import BLUE, GREY, STYLE, VERMILION, set_update_axis, write_message
from bptt.analysis.tables import SEED, drop_seed, write_settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_halving(material: Material) -> Iterator[SweepFigure]:
    """What halving gave up where; nothing where nothing was given up."""
    runs, searched = material.runs, material.sweep.searched
    if searched is None or "given_up" not in runs:
        return
    metric = next(iter(searched.objectives))
    if metric not in material.sweep.history:
        return
    rungs = sorted({int(update) for update in runs.loc[runs["given_up"].notna(), "updates"]})
    each = "setting" if searched.sampler is None else "trial"
    several = len(runs[SEED].unique()) > 1 if SEED in runs else False
    yield SweepFigure(
        name="halving",
        figure=draw_rungs(material, metric, rungs),
        title="What was given up",
        caption=(
            f"The {find_display(metric).label} of each {each}{', the median over its seeds' if several else ''}: grey"
            " up to the update at which it was given up, with a cross there; blue where it was trained to its end."
            f" Dotted: the updates at which {each}s were compared ({join_texts([f'{rung:,}' for rung in rungs])}). What"
            " was given up was worse there, among those that had come that far; how it would have ended is not known."
        ),
        alt=(
            f"Lines of {find_display(metric).label} over updates. {int(runs['given_up'].notna().sum()):,} of"
            f" {len(runs):,} runs end early, at {join_texts([f'{rung:,}' for rung in rungs])} updates."
        ),
    )


def draw_rungs(material: Material, metric: str, rungs: Sequence[int]) -> "Figure":
    """A metric of each setting over updates, to where it was given up or ended."""
    import matplotlib as mpl

    runs, history = material.runs, material.sweep.history
    of = dict(zip(runs["run"], write_settings(runs, drop_seed(material.sweep.swept)), strict=True))
    up = set(runs.loc[runs["given_up"].notna(), "run"])
    rows = history[history["run"].isin(of)].assign(setting=lambda table: table["run"].map(of))
    middle = rows.groupby(["setting", "update"], sort=False)[metric].median().reset_index()
    gone = {of[run] for run in up}
    with mpl.rc_context(STYLE):
        figure, axes = make_single_panel(2.6)
        scale = choose_scale(middle[metric].to_numpy(), metric)
        if scale is None:
            write_message(axes, "nothing finite was recorded")
            return figure
        for setting, line in middle.sort_values("update", kind="stable").groupby("setting", sort=False):
            lost = setting in gone
            look: Any = {"color": GREY if lost else BLUE, "linewidth": 0.7 if lost else 1.0, "zorder": 2 if lost else 3}
            shown = scale.mask(show_values_of(line[metric].to_numpy(), metric))
            axes.plot(line["update"], shown, alpha=0.6 if lost else 0.9, **look)
            if lost:
                axes.plot(line["update"].iloc[-1], shown[-1], "x", color=VERMILION, markersize=3, zorder=4)
        for rung in rungs:
            axes.axvline(rung, color="#555555", linewidth=0.6, linestyle=":", zorder=1)
        scale.apply(axes)
        set_update_axis(axes, np.unique(middle["update"].to_numpy()))
        axes.set(xlabel="update", ylabel=label_axis(metric))
        draw_words(figure, [("given up", GREY, "-"), ("trained to the end", BLUE, "-")])
    return figure
