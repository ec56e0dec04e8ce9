"""The figures of what `bptt measure` found, with captions that say how each is read."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.factors import Factor, build_factor
from bptt.analysis.figures.material import (
    SOLVED,
    Material,
    SweepFigure,
    describe_levels,
    find_measured_ends,
    join_texts,
    name_level,
    name_pooled,
    select_measured,
    write_digits,
)
from bptt.analysis.figures.panels import (
    Band,
    LinearWindow,
    Window,
    choose_looks,
    draw_bands,
    draw_legend,
    make_panels,
    set_level_axis,
)
from bptt.analysis.style import COLUMN, STYLE, write_power

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

#: Before the name of each of these figures.
DYNAMICS: Final = "dynamics_"
MAX: Final = "dynamics/lyapunov_max"
SPECTRUM: Final = "dynamics/lyapunov_spectrum"
SHARPNESS: Final = "dynamics/sharpness"
RATIO_OF_BOUND: Final = "dynamics/sharpness_ratio"
_BAND: Final = ("dynamics/singular_min", "dynamics/singular_median", "dynamics/singular_max")

_ALPHA: Final = "optimizer.alpha"
_LOWEST: Final = -4.0  # an exponent below which a direction is lost at once
_MOST_EXPONENTS: Final = 8  # that have a line along a training
_MOST_PANELS: Final = 4
_BINS: Final = 8  # of the exponent at the start
_MOST_TICKS: Final = 6  # that stand at values of their own
_SPAN: Final = 1e24  # of singular values
#: What there is to be known of that line.
EDGE: Final = (
    "Gradient descent on one batch can't stay where the sharpness is above the dashed line, 2/α (with momentum "
    "2(1 + ε)/α): it oscillates along the sharpest direction. "
)
RULE: Final[Any] = {"color": "#555555", "linewidth": 0.8, "linestyle": "--", "zorder": 0}


def draw_spectra(measures: "pd.DataFrame", ended: "pd.DataFrame", hue: Factor) -> "Figure":
    """All Lyapunov exponents, from the largest to the smallest, at the start and at the last update.

    Lines are medians over the runs of each level. An exponent below −4 per timestep, of a direction that is lost at
    once, is drawn as −4.
    """
    import matplotlib as mpl

    ends = find_measured_ends(select_measured(measures, ended, SPECTRUM), ended)
    looks = choose_looks(hue)
    bands: list[list[Band]] = []
    for part in ends.values():
        here = []
        for level, look in enumerate(looks):
            own = [
                values for values, place in zip(part[SPECTRUM], part["place"], strict=True) if hue.codes[place] == level
            ]
            sizes = {len(values) for values in own}
            if len(sizes) == 1:  # networks of several sizes have no exponents in common
                middle = np.maximum(np.median(np.stack(own), axis=0), _LOWEST)
                here.append(Band(look, (np.arange(len(middle)) + 0.5) / len(middle), middle))
        bands.append(here)
    with mpl.rc_context(STYLE):
        figure, every = make_panels([*ends], "share of the exponents", "Lyapunov exponent (1/timestep)")
        values = np.concatenate([np.zeros(1), *(band.middle for here in bands for band in here)])
        draw_bands(every, bands, LinearWindow.around(values))
        for axes in every:
            axes.axhline(0.0, **RULE)
            axes.set_xlim(0.0, 1.0)
            axes.set_xticks([0.0, 0.5, 1.0], ["0", "½", "1"])
        draw_legend(figure, hue, markers=False)
    return figure


def draw_exponents(measures: "pd.DataFrame", ended: "pd.DataFrame", hue: Factor) -> "Figure":
    """Lyapunov exponents against the update, a panel for each level of hue, or one of all where they are many.

    At most eight exponents have a line, evenly chosen from the largest, which is darkest, to the smallest.
    """
    import matplotlib as mpl

    rows = select_measured(measures, ended, SPECTRUM)
    many = len(hue.levels) > _MOST_PANELS
    titles = [""] if many else [f"{hue.name} {text}".strip() for text in hue.texts]
    updates = np.unique(rows["update"].to_numpy())
    with mpl.rc_context(STYLE):
        figure, every = make_panels(titles, "update", "Lyapunov exponent (1/timestep)")
        for panel, axes in enumerate(every):
            own = rows if many else rows[hue.codes[rows["place"]] == panel]
            _draw_exponents(axes, own)
            axes.axhline(0.0, **RULE)
        set_kept_axis(every, updates)
    return figure


def _draw_exponents(axes: "Axes", rows: "pd.DataFrame") -> None:
    import matplotlib as mpl

    sizes = {len(values) for values in rows[SPECTRUM]}
    if not sizes:
        return
    size = min(sizes)  # of networks of several sizes, those that all have
    chosen = np.unique(np.linspace(0, size - 1, min(size, _MOST_EXPONENTS)).round().astype(int))
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(chosen)))
    medians = {
        update: np.median(np.stack([values[chosen] for values in part[SPECTRUM]]), axis=0)
        for update, part in rows.groupby("update")
    }
    table = np.maximum(np.stack([*medians.values()]), _LOWEST)
    for column, colour in enumerate(colours):
        axes.plot([*medians], table[:, column], color=colour, marker="o", markersize=2)


def set_kept_axis(every: "Sequence[Axes]", updates: "NDArray[Any]") -> None:
    """Make the x axis one of updates of which the first is the start, 0: logarithmic where they are spaced so."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    later = updates[updates > 0]
    axis = every[0].xaxis
    if len(later) > 2 and later[-1] - later[-2] > 10 * (later[1] - later[0]):
        every[0].set_xscale("symlog", linthresh=float(later[0]))
        powers = [10.0**k for k in range(1 + int(np.log10(later[-1]))) if 10.0**k > 2 * later[0]]
        narrow = len(every) > 1  # where there is no room for each
        axis.set_major_locator(FixedLocator([0.0, *(powers[-1::-2] if narrow else [later[0], *powers])]))
        every[0].set_xlim(-0.3 * later[0], 1.3 * later[-1])
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: write_power(value)))
    else:
        axis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def draw_singular_values(measures: "pd.DataFrame", ended: "pd.DataFrame", hue: Factor) -> "Figure":
    """The band of the singular values of the Jacobian over a whole sequence, at the start and at the last update.

    For each level, from the median of the smallest to that of the largest; the mark is the median one.
    """
    import matplotlib as mpl

    ends = find_measured_ends(select_measured(measures, ended, _BAND[-1]), ended)
    tables = {name: _take_medians(part, hue, _BAND) for name, part in ends.items()}
    scale = Window.around(np.concatenate([table.ravel() for table in tables.values()]), span=_SPAN)
    looks = choose_looks(hue)
    with mpl.rc_context(STYLE):
        figure, every = make_panels([*ends], hue.name or "all runs", "singular value of the Jacobian")
        for axes, table in zip(every, tables.values(), strict=True):
            set_level_axis(axes, hue)
            axes.set_xlabel(hue.name or "all runs")
            axes.axhline(1.0, **RULE)
            for place, look, row in zip(hue.places, looks, table, strict=True):
                if scale is not None and not np.isnan(row).any():
                    least, middle, largest = np.clip(row, scale.low, scale.high)
                    axes.plot([place, place], [least, largest], color=look.colour, linewidth=3, alpha=0.4)
                    axes.plot([place], [middle], look.marker, color=look.colour, markersize=4)
        if scale is not None:
            Window(min(scale.low, 0.5), max(scale.high, 2.0)).apply(every[0])
    return figure


def _take_medians(rows: "pd.DataFrame", hue: Factor, columns: Sequence[str]) -> "NDArray[np.float64]":
    """(levels, columns): over the runs of each level; nan where it has none."""
    table = np.full((len(hue.levels), len(columns)), np.nan)
    codes = hue.codes[rows["place"]]
    for level in np.unique(codes):
        table[level] = np.nanmedian(rows.loc[codes == level, [*columns]].to_numpy(), axis=0)
    return table


def draw_sharpness_against_bound(measures: "pd.DataFrame", ended: "pd.DataFrame", hue: Factor) -> "Figure":
    """The sharpness of each run against the largest with which its optimizer is stable: 2/α, with momentum 2(1 + ε)/α.

    Hollow at the start, filled at the last update; on the dashed line they are equal.
    """
    import matplotlib as mpl

    rows = select_measured(measures, ended, RATIO_OF_BOUND)
    ends = find_measured_ends(rows[np.isfinite(rows[RATIO_OF_BOUND]) & (rows[SHARPNESS] > 0)], ended)
    with mpl.rc_context(STYLE):
        figure, (axes,) = make_panels([""], "largest stable sharpness, 2/α or 2(1 + ε)/α", "sharpness")
        for name, part in ends.items():
            bound, level = part[SHARPNESS] / part[RATIO_OF_BOUND], hue.codes[part["place"]]
            for number, look in enumerate(choose_looks(hue)):
                face = "none" if name == "start" else look.colour
                here = level == number
                axes.scatter(
                    bound[here],
                    part[SHARPNESS][here],
                    s=9,
                    marker=look.marker,
                    facecolors=face,
                    edgecolors=[look.colour],
                    linewidths=0.5,
                    alpha=0.7,
                )
        every = np.concatenate(
            [np.concatenate([part[SHARPNESS], part[SHARPNESS] / part[RATIO_OF_BOUND]]) for part in ends.values()]
        )
        low, high = float(every.min()) / 1.5, float(every.max()) * 1.5
        bounds = np.concatenate([part[SHARPNESS] / part[RATIO_OF_BOUND] for part in ends.values()])
        axes.plot([low, high], [low, high], **RULE)
        Window(float(bounds.min()) / 2, float(bounds.max()) * 2).apply(axes, across=True)
        Window(low, high).apply(axes)
        _mark_bounds(axes, np.unique(bounds.round(12)))
        draw_legend(figure, hue, markers=True)
    return figure


def _mark_bounds(axes: "Axes", bounds: "NDArray[np.float64]") -> None:
    """Ticks where points stand, where those are few."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if len(bounds) <= _MOST_TICKS:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: write_power(float(f"{value:.3g}"))))
        axes.xaxis.set_major_locator(FixedLocator(bounds.tolist()))
        axes.xaxis.set_minor_locator(NullLocator())


def bin_starts(exponents: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """The edges of equal bins of the exponents at the start, from the least to the largest that is finite."""
    finite = exponents[np.isfinite(exponents)]
    low, high = float(finite.min()), float(finite.max())
    room = (high - low) * 1e-9 or 0.5
    return np.linspace(low - room, high + room, 1 + min(_BINS, max(1, len(np.unique(finite)))))


def draw_solved_map(measures: "pd.DataFrame", ended: "pd.DataFrame", up: Factor) -> "Figure":
    """The share of runs that solved their task, over the largest exponent at the start and a swept value (the
    learning rate); in each cell of how many. A cell is grey where no run was measured.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    start = find_measured_ends(select_measured(measures, ended, MAX), ended)["start"]
    start = start[np.isfinite(start[MAX])]
    edges = bin_starts(start[MAX].to_numpy())
    column = np.clip(np.searchsorted(edges, start[MAX], "right") - 1, 0, len(edges) - 2)
    row, solved = up.codes[start["place"]], ended[SOLVED].to_numpy(dtype=bool)[start["place"]]
    counts, hits = (np.zeros((len(up.levels), len(edges) - 1)) for _ in range(2))
    np.add.at(counts, (row, column), 1)
    np.add.at(hits, (row, column), solved)
    with np.errstate(invalid="ignore"):
        shares = 100 * hits / counts
    with mpl.rc_context(STYLE):
        height = min(max(1.2 + 0.28 * len(up.levels), 1.8), 4.5)
        figure = Figure(figsize=(COLUMN, height), layout="constrained")
        axes = figure.subplots()
        mesh = axes.pcolormesh(edges, np.arange(len(up.levels) + 1), shares, vmin=0, vmax=100, cmap="cividis")
        for (level, place), count in np.ndenumerate(counts):
            if count:
                shade = "white" if shares[level, place] < 50 else "black"
                text = f"{hits[level, place]:.0f}/{count:.0f}"
                middle: Any = {"ha": "center", "va": "center", "color": shade, "fontsize": 6}
                axes.text((edges[place] + edges[place + 1]) / 2, level + 0.5, text, **middle)
        axes.set_facecolor("#d9d9d9")
        axes.grid(False)
        axes.set_yticks(np.arange(len(up.levels)) + 0.5, up.texts)
        axes.set_ylabel(up.name)
        axes.set_xlabel("largest Lyapunov exponent at the start (1/timestep)")
        figure.colorbar(mesh, ax=axes, label="solved runs (%)", ticks=[0, 50, 100])
        if edges[0] < 0 < edges[-1]:
            axes.axvline(0.0, **{**RULE, "zorder": 3})
    return figure


def draw_dynamics(material: Material) -> Iterator[SweepFigure]:
    """The figures of what was measured of a sweep's networks; none where nothing was."""
    measures, ended, hue = material.sweep.measures, material.ended, material.hue
    pooled = f"{name_pooled(material.factors, *material.list_keys(facets=False))}{material.note}"
    spectra = select_measured(measures, ended, SPECTRUM)
    if find_measured_ends(spectra, ended):
        yield from _show_spectra(material, spectra, pooled)
    values = find_measured_ends(select_measured(measures, ended, _BAND[-1]), ended)
    if any(np.isfinite(part[_BAND[-1]]).any() for part in values.values()):
        yield SweepFigure(
            name=f"{DYNAMICS}singular_values",
            figure=draw_singular_values(measures, ended, hue),
            title="Singular values of the Jacobian over a sequence",
            caption=(
                "How much a small change of the first state has grown at the end of a sequence, in the direction "
                "that grows most and in the one that grows least: bars reach from the smallest singular value to "
                "the largest (of each the median over runs), marks are the median one. On the dashed line, 1, "
                "lengths stay: a short bar there is dynamical isometry, and gradients neither vanish nor explode. A "
                "long bar says that some directions are remembered while others are lost; a bar above 1, that "
                f"gradients explode. What is below 10⁻¹⁵ of the largest is rounding. {pooled}"
            ),
            alt=(
                "Bars on a logarithmic axis, from the smallest to the largest singular value. The largest, as a "
                "median: "
                + "; ".join(
                    f"{describe_levels(hue, _take_medians(part, hue, _BAND)[:, 2])} ({name})"
                    for name, part in values.items()
                )
                + "."
            ),
        )
    yield from _show_sharpness(material, pooled)
    start = find_measured_ends(select_measured(measures, ended, MAX), ended).get("start")
    if start is not None and np.isfinite(start[MAX]).any() and len(ended) > 1:
        up = build_factor(ended, _ALPHA) if _ALPHA in ended and len(ended[_ALPHA].unique()) > 1 else hue
        yield SweepFigure(
            name=f"{DYNAMICS}solved_map",
            figure=draw_solved_map(measures, ended, up),
            title="Solved runs by the largest exponent at the start",
            caption=(
                "The share of runs that solved their task, by the largest Lyapunov exponent that their network had "
                f"before training (across) and by {up.name or 'setting'} (up); in each cell, how many of how many. "
                "Left of the dashed line gradients vanish at the start, right of it they explode. Compare "
                f"cells of one row for what goes with the start, cells of one column for {up.name or 'the setting'}. "
                f"Grey: no run whose start was measured. {material.note}"
            ),
            alt=(
                f"Heat map of solved runs; the exponents at the start go from {write_digits(start[MAX].min())} to "
                f"{write_digits(start[MAX].max())}."
            ),
        )


def _show_spectra(material: Material, spectra: "pd.DataFrame", pooled: str) -> Iterator[SweepFigure]:
    measures, ended, hue = material.sweep.measures, material.ended, material.hue
    ends = find_measured_ends(select_measured(measures, ended, MAX), ended)
    told = "; ".join(
        f"{describe_levels(hue, _take_medians(part, hue, [MAX])[:, 0])} ({name})" for name, part in ends.items()
    )
    yield SweepFigure(
        name=f"{DYNAMICS}spectra",
        figure=draw_spectra(measures, ended, hue),
        title="Lyapunov spectra",
        caption=(
            "All exponents of the networks along training sequences, from the largest to the smallest: how fast "
            "neighbouring states part (above the dashed line) or come together (below it), per timestep, in each "
            f"direction. Lines are medians over the runs of each {name_level(hue)}. A line that begins above 0 "
            "belongs to networks whose gradients explode; one that lies near 0 for a part of its way remembers in "
            "that many directions, and what is far below is forgotten within a few timesteps. Training that needs "
            f"memory lifts the line's beginning towards 0. Exponents below {_LOWEST:g} are drawn there. {pooled}"
        ),
        alt=f"Line chart of Lyapunov exponents. The largest, as a median: {told}.",
    )
    updates = np.unique(spectra["update"])
    if len(updates) > 2:
        yield SweepFigure(
            name=f"{DYNAMICS}exponents",
            figure=draw_exponents(measures, ended, hue),
            title="Lyapunov exponents through training",
            caption=(
                "Exponents after the updates that were measured, 0 being the start: medians over runs, the largest "
                "exponent darkest, at most eight of them evenly chosen. A largest one that comes to the dashed line "
                "and stays is a network that has learned to keep what it saw; a jump above it is an explosion. "
                "Lines that spread say that directions take on different tasks, some to remember, others to forget. "
                f"{pooled}"
            ),
            alt=(
                f"Line chart of exponents at {len(updates)} updates from {updates[0]} to {updates[-1]:,}. The "
                f"largest, as a median: {told}."
            ),
        )


def _show_sharpness(material: Material, pooled: str) -> Iterator[SweepFigure]:
    measures, ended, hue = material.sweep.measures, material.ended, material.hue
    rows = select_measured(measures, ended, RATIO_OF_BOUND)
    if rows.empty:
        return
    rows = rows[np.isfinite(rows[RATIO_OF_BOUND]) & (rows[SHARPNESS] > 0)]
    ends = find_measured_ends(rows, ended)
    if not ends:
        return
    told = join_texts([f"{write_digits(part[RATIO_OF_BOUND].median())} at the {name}" for name, part in ends.items()])
    yield SweepFigure(
        name=f"{DYNAMICS}sharpness",
        figure=draw_sharpness_against_bound(measures, ended, hue),
        title="Sharpness against the edge of stability",
        caption=(
            "The largest eigenvalue of the training loss's Hessian, a point for each run, hollow at the start and "
            f"filled at the last update, against the largest one with which its optimizer is stable. {EDGE}Points "
            "that began below and ended at the line are at the edge of stability (Cohen et al. 2021); points that "
            "end far below it could bear a larger learning rate. Small batches and other optimizers have other "
            f"edges. {pooled}"
        ),
        alt=f"Scatter plot of sharpness against the largest stable one; their ratio is {told}, as a median.",
    )
