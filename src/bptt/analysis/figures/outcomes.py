"""The figures of what runs came to, with their captions: who solved the task and when, final losses and why."""

import re
from collections.abc import Iterator
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.factors import Factor, build_factor, combine_factors
from bptt.analysis.figures.maps import (
    combine_settings,
    describe_cells,
    draw_heat_map,
    draw_settings,
    fill_cells,
    is_grid,
)
from bptt.analysis.figures.material import (
    SOLVED,
    Material,
    SweepFigure,
    describe_levels,
    describe_lines,
    find_common_baseline,
    join_texts,
    label_axis,
    name_pooled,
    pool_runs,
)
from bptt.analysis.figures.panels import (
    Look,
    Window,
    choose_looks,
    describe_baseline,
    draw_baseline,
    draw_legend,
    make_panels,
    set_level_axis,
    set_percent_axis,
)
from bptt.analysis.figures.training import MOST_BANDS, describe_axis, draw_survival_curves, name_along
from bptt.analysis.statistics.intervals import clopper_pearson
from bptt.analysis.statistics.settings import INTERACTIONS, REST, SEED, variance_shares
from bptt.analysis.style import BLUE, COLUMN, GREY, STYLE, VERMILION, write_message
from bptt.analysis.tables import LOSS, take_final
from bptt.analysis.work import AXIS_LABELS, UPDATES

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MOST_BARS: Final = 4  # beside each other


MOST_MEDIANS: Final = 24  # along an axis


_PLAIN: Final = Look(BLUE, "-", "o")


_BESIDE: Final = 0.2  # of the least distance between levels: where the outermost of another key stand


def draw_success_rate(runs: "pd.DataFrame", key: str, hue: str | None = None) -> "Figure":
    """The share of runs that solved their task, with its exact 95 % interval, against a swept key.

    runs  as of `bptt.load(…).runs`; those that have not ended don't count
    hue   another swept key, each of whose levels has a line; with more than four levels they have no intervals
    """
    import matplotlib as mpl
    import seaborn as sns

    ended = runs[runs["outcome"].notna()].reset_index(drop=True)
    factor, other = build_factor(ended, key), None if hue is None else build_factor(ended, hue)
    every = [_PLAIN] if other is None else choose_looks(other)
    with mpl.rc_context(STYLE):
        figure, (axes,) = make_panels([""], factor.name, label_axis(SOLVED))
        sns.pointplot(
            x=factor.places[factor.codes],
            y=100 * ended[SOLVED].to_numpy(dtype=float),
            hue=np.zeros(len(ended), int) if other is None else other.codes,
            estimator="mean",
            errorbar=_find_share_ends if len(every) <= MOST_BARS else None,
            native_scale=True,
            dodge=2 * _BESIDE if other else False,
            palette=[look.colour for look in every],
            markers=[look.marker for look in every],
            linestyles=[_choose_line(factor, look) for look in every],
            markersize=3,
            linewidth=1.2,
            err_kws={"linewidth": 0.6, "alpha": 0.7},
            legend=False,
            ax=axes,
        )
        axes.set_ylabel(label_axis(SOLVED))
        set_level_axis(axes, factor, _BESIDE * _find_gap(factor))
        set_percent_axis(axes)
        if other:
            draw_legend(figure, other, markers=True)
    return figure


def draw_final_loss(
    runs: "pd.DataFrame", key: str, hue: str | None = None, metric: str = LOSS, ceiling: float = np.inf
) -> "Figure":
    """The last loss of each run as a dot, and each level's median as a mark, against a swept key.

    runs     as of `bptt.load(…).runs`; those that have not ended don't count
    hue      another swept key, each of whose levels has dots and a line
    ceiling  what is above it, or infinite since the run diverged, stands as a cross at the upper edge

    Where all runs have the same `baseline`, a dashed line shows it.
    """
    import matplotlib as mpl

    ended = runs[runs["outcome"].notna()].reset_index(drop=True)
    loss = take_final(ended, metric).to_numpy()
    factor, other = build_factor(ended, key), None if hue is None else build_factor(ended, hue)
    cost = find_common_baseline(ended) if metric == LOSS else None
    window = Window.around(loss, ceiling) and Window.around(loss if cost is None else np.append(loss, cost), ceiling)
    with mpl.rc_context(STYLE):
        figure, (axes,) = make_panels([""], factor.name, f"final {label_axis(metric)}")
        if window is None:
            write_message(axes, "no run ended with a finite loss")
            return figure
        window.apply(axes)
        set_level_axis(axes, factor, _BESIDE * _find_gap(factor))
        for look, chosen, shift in _style_groups(factor, other):
            _draw_points(axes, window, loss, factor, look, chosen, shift)
        draw_baseline(axes, cost, window)
        if other:
            draw_legend(figure, other, markers=True)
    return figure


def _find_share_ends(shares: "pd.Series") -> tuple[float, float]:
    """Of values that are 0 or 100."""
    interval = clopper_pearson(int((shares > 0).sum()), len(shares))
    return 100 * interval.low, 100 * interval.high


def _style_groups(factor: Factor, hue: Factor | None) -> "list[tuple[Look, NDArray[np.bool_], float]]":
    """How each level of hue is drawn: its look, its runs, and how far beside the factor's level."""
    if hue is None:
        return [(_PLAIN, np.ones(len(factor.codes), bool), 0.0)]
    room = _BESIDE * _find_gap(factor)
    shifts = np.linspace(-room, room, len(hue.levels))
    return [(look, hue.codes == level, float(shifts[level])) for level, look in enumerate(choose_looks(hue))]


def _draw_points(
    axes: "Axes",
    window: Window,
    loss: "NDArray[np.float64]",
    factor: Factor,
    look: Look,
    chosen: "NDArray[np.bool_]",
    shift: float,
) -> None:
    """The runs of one look."""
    places = factor.places + shift
    width = (0.4 if look is _PLAIN else 0.12) * _find_gap(factor)
    medians: list[Any] = []
    for level, place in enumerate(places):
        values = np.sort(loss[chosen & (factor.codes == level)])
        if not len(values):
            continue
        # A golden-ratio sequence spreads the points of a level without drawing lots, as seaborn would.
        x = place + width * (np.arange(len(values)) * 0.6180339887 % 1 - 0.5)
        inside = values <= window.high
        axes.scatter(
            x[inside],
            window.mask(values[inside]),
            s=5,
            color=[look.colour],
            alpha=0.5,
            linewidths=0,
            rasterized=len(loss) > 1000,
        )
        if not inside.all():
            axes.scatter(
                x[~inside],
                np.ones(len(x[~inside])),
                s=9,
                marker="x",
                color=VERMILION,
                linewidths=0.7,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )
        medians.append((place, float(np.median(values))))
    if medians and len(places) <= MOST_MEDIANS:
        x, middle = np.array(medians).T
        axes.plot(
            x,
            window.mask(middle),
            linestyle=_choose_line(factor, look),
            color=look.colour,
            marker=look.marker,
            markersize=3,
        )


def _choose_line(factor: Factor, look: Look) -> str:
    """None between levels that have no order."""
    return "none" if all(isinstance(level, str) for level in factor.levels) else look.line


def _find_gap(factor: Factor) -> float:
    """The least distance between two levels."""
    return float(np.diff(np.sort(factor.places)).min()) if len(factor.levels) > 1 else 1.0


def draw_variance_bars(shares: "pd.DataFrame") -> "Figure":
    """A bar for each source of variance; swept keys in blue, what is left to interactions and to the seed in grey.

    shares  as of `bptt.analysis.statistics.settings.variance_shares`: source, share
    """
    import matplotlib as mpl
    import seaborn as sns
    from matplotlib.figure import Figure

    percent = 100 * shares["share"]
    colours = [GREY if source in (INTERACTIONS, SEED, REST) else BLUE for source in shares["source"]]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 0.7 + 0.26 * len(shares)), layout="constrained")
        axes = figure.subplots()
        names = shares["source"].tolist()
        sns.barplot(
            x=percent, y=names, hue=names, palette=colours, saturation=1, width=0.7, orient="y", legend=False, ax=axes
        )
        for place, share in enumerate(percent):
            axes.annotate(f"{share:.0f} %", (max(share, 0), place), (2, 0), textcoords="offset points", va="center")
        axes.grid(False)
        axes.set_xlim(0, 108)
        axes.set_xticks([0, 25, 50, 75, 100])
        axes.set_xlabel("share of the variance (%)")
        axes.set_ylabel("")
        axes.tick_params(axis="y", length=0)
    return figure


_MOST_LEVELS: Final = 10  # of a key that has colours of its own


BEYOND: Final = "diverged, or ended above ten times the loss that runs begin with"


_MOST_KEYS: Final = 3  # that have figures of their own


def draw_success(material: Material) -> Iterator[SweepFigure]:
    """The share of runs that solved their task: over two keys, and against each, as far as there is room."""
    if not material.ended[SOLVED].any():
        return
    meaning = f"A run has solved its task when it first recorded {material.sweep.solved}."
    if (grid := combine_settings(material)) is not None:
        yield draw_settings(material, *grid, meaning)
    for across, up in _find_grid(material) if grid is None else []:
        shares = fill_cells(material.ended, across, up, SOLVED)
        yield SweepFigure(
            name="success_map",
            figure=draw_heat_map(material.runs, across.key, up.key, SOLVED),
            title=f"Solved runs over {across.name} and {up.name}",
            caption=(
                f"The share of runs that solved their task, for each combination of {across.name} and {up.name}. "
                f"{meaning} {name_pooled(material.factors, across, up)}{material.note}"
            ),
            alt=(
                f"Heat map of solved runs in percent, {across.name} across and {up.name} up: "
                f"{describe_cells(shares, across, up, ' %')}."
            ),
        )
    for factor, hue, chosen in _choose_keys(material):
        few = hue is None or len(hue.levels) <= MOST_BARS
        shares = _reduce_levels(factor, 100 * material.ended[SOLVED].to_numpy(dtype=float), np.mean, chosen)
        yield SweepFigure(
            name=_write_file_name("success", factor),
            figure=draw_success_rate(_select(material, chosen), factor.key, hue.key if hue else None),
            title=f"Solved runs against {factor.name}",
            caption=(
                f"The share of runs that solved their task against {factor.name}"
                f"{f', for each value of {hue.name}' if hue else ''}"
                f"{'; bars are 95 % intervals (Clopper–Pearson)' if few else ''}. {meaning} "
                f"{name_pooled(material.factors, factor, hue)}{_note_left_out(chosen)}{material.note}"
            ),
            alt=(
                f"Points{' joined by a line for each value of ' + hue.name if hue else ''}: solved runs in percent "
                f"against {factor.name}. {'Over all runs: ' if hue else ''}{describe_levels(factor, shares, ' %')}."
            ),
        )


def draw_survivals(material: Material) -> Iterator[SweepFigure]:
    """When runs solved their task."""
    if len(material.ended) < 2 or not material.ended[SOLVED].any():
        return
    told = pool_runs(material.split, len(material.ended))
    bands = len(material.hue.levels) <= MOST_BANDS
    over = " over all panels" if told.facet else ""
    shares = material.over_lines(100 * material.ended[SOLVED].to_numpy(dtype=float), mean=True)
    for along in material.axes:
        cost = "" if along == UPDATES else f", against what they had cost by then, in {AXIS_LABELS[along]}"
        yield SweepFigure(
            name=name_along("survival", along, material),
            figure=draw_survival_curves(material.runs, material.sweep.swept, along, material.sweep.history),
            title=f"When runs solve their task{describe_axis(along)}",
            caption=(
                f"The share of runs that have solved their task until an update, by Kaplan and Meier's estimate{cost}"
                f"{'; light bands are its 95 % intervals' if bands else ''}. A run has solved it when it first "
                f"recorded {material.sweep.solved}, at some update since the record before: the dark strip holds what "
                "that leaves open. Ticks stand where runs ended without. "
                f"{name_pooled(material.factors, *material.list_keys())}{material.note}"
            ),
            alt=(
                f"Step chart that rises, solved runs in percent against {AXIS_LABELS[along]}, {describe_lines(told)}. "
                f"At the end{over}: {describe_levels(material.hue, shares, ' %')}."
            ),
        )


def draw_losses(material: Material) -> Iterator[SweepFigure]:
    """The loss that runs ended with: over two keys, and against each."""
    loss = take_final(material.ended, LOSS).to_numpy()
    if np.isnan(loss).all():
        return
    for across, up in _find_grid(material):
        medians = fill_cells(material.ended, across, up, LOSS)
        beyond = f" Where a cross stands most runs {BEYOND}."
        yield SweepFigure(
            name="loss_map",
            figure=draw_heat_map(material.runs, across.key, up.key, LOSS, material.ceiling),
            title=f"Final loss over {across.name} and {up.name}",
            caption=(
                "The median over runs of the last evaluation loss, for each combination of "
                f"{across.name} and {up.name}.{beyond if (medians > material.ceiling).any() else ''} "
                f"{name_pooled(material.factors, across, up)}{material.note}"
            ),
            alt=(
                f"Heat map of the median final loss, {across.name} across and {up.name} up: "
                f"{describe_cells(medians, across, up)}."
            ),
        )
    for factor, hue, chosen in _choose_keys(material):
        above = int(np.sum(loss[chosen] > material.ceiling))
        crosses = f" A cross at the upper edge is a run that {BEYOND} ({above:,})."
        medians = _reduce_levels(factor, loss, np.median, chosen)
        marked = len(factor.levels) <= MOST_MEDIANS
        figure = draw_final_loss(
            _select(material, chosen), factor.key, hue.key if hue else None, LOSS, material.ceiling
        )
        yield SweepFigure(
            name=_write_file_name("final_loss", factor),
            figure=figure,
            title=f"Final loss against {factor.name}",
            caption=(
                f"The last evaluation loss of each run (dots){' and their medians (marks)' if marked else ''} against "
                f"{factor.name}{f', for each value of {hue.name}' if hue else ''}.{crosses if above else ''} "
                f"{describe_baseline(figure)}{name_pooled(material.factors, factor, hue)}{_note_left_out(chosen)}"
                f"{material.note}"
            ),
            alt=(
                f"Dots for runs{' and marks for medians' if marked else ''}: final evaluation loss, logarithmic, "
                f"against {factor.name}. Medians{' over all runs' if hue else ''}: {describe_levels(factor, medians)}."
            ),
        )


def draw_variance(material: Material) -> Iterator[SweepFigure]:
    """What explains the differences between runs."""
    shares = variance_shares(material.runs, material.sweep.swept, LOSS, material.ceiling, material.sweep.conditions)
    if shares.empty:
        return
    if len(material.factors) == 1:
        shares = shares[shares["source"] != INTERACTIONS]
    told = [f"{source} {100 * share:.0f} %" for source, share in zip(shares["source"], shares["share"], strict=True)]
    several = INTERACTIONS in set(shares["source"])
    between = "; interactions are what the settings' means explain beyond that" if several else ""
    yield SweepFigure(
        name="variance",
        figure=draw_variance_bars(shares),
        title="What the final loss depends on",
        caption=(
            "The share of the variance in the logarithm of the final evaluation loss (η²) that each swept key explains "
            f"on its own{between}; what is left is between runs of one setting, which differ in the seed. "
            f"{material.note}"
        ),
        alt=f"Horizontal bars, shares of variance: {join_texts(told)}.",
    )


def _find_grid(material: Material) -> list[tuple[Factor, Factor]]:
    """The first two keys, where all their combinations were run."""
    first = material.factors[:2]
    return [(first[0], first[1])] if len(first) == 2 and is_grid(first[0], first[1]) else []


def _choose_keys(material: Material) -> Iterator[tuple[Factor, Factor | None, "NDArray[np.bool_]"]]:
    """The keys that have a figure of their own, each with the one that has a line for each level, and its runs.

    What all levels of the key were trained with is pooled, and nothing else: or a level would stand for what only some
    levels have. A key of which no two levels have anything in common has no figure.
    """
    found = material.factors
    for factor in found[: 1 if _find_grid(material) and len(found) == 2 else _MOST_KEYS]:
        others = [other for other in found if other is not factor and len(other.levels) <= _MOST_LEVELS]
        beside = combine_factors([other for other in found if other is not factor], len(material.ended)).codes
        everywhere = reduce(
            np.intersect1d, [beside[factor.codes == level] for level in range(len(factor.levels))], beside
        )
        if len(found) == 2 and others:
            yield factor, others[0], np.full(len(beside), True)
        elif len(factor.levels) > _MOST_LEVELS and not len(everywhere):  # a search draws all its values at random
            yield factor, None, np.full(len(beside), True)
        elif len(everywhere):
            yield factor, None, np.isin(beside, everywhere)


def _note_left_out(chosen: "NDArray[np.bool_]") -> str:
    left = int(np.sum(~chosen))
    return f"{left:,} runs are left out, whose other values do not occur at all of these. " if left else ""


def _write_file_name(what: str, factor: Factor) -> str:
    """Of letters alone: LaTeX takes what follows a dot for a file's kind, and a record's keys may hold anything."""
    return re.sub(r"\W", "_", f"{what}_{factor.label}")


def _reduce_levels(
    factor: Factor, values: "NDArray[np.float64]", statistic: "Callable[..., Any]", chosen: "NDArray[np.bool_]"
) -> "NDArray[np.float64]":
    """A statistic of the chosen values at each level."""
    return np.array([statistic(values[chosen & (factor.codes == level)]) for level in range(len(factor.levels))])


def _select(material: Material, chosen: "NDArray[np.bool_]") -> "pd.DataFrame":
    """These of the runs that have ended; all runs where they are all."""
    return material.runs if chosen.all() else material.ended[chosen].reset_index(drop=True)
