"""The figures of a search: what can't be had together, what was found when, what the best have in common."""

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.figures.material import Material, SweepFigure, find_display, join_texts, label_axis, write_digits
from bptt.analysis.figures.panels import choose_scale, draw_words, make_single_panel, name_all_keys, show_values_of
from bptt.analysis.figures.slices import tell_contour, tell_slices
from bptt.analysis.search import REPEATS, Trials
from bptt.analysis.style import BLUE, COLUMN, GREY, ORANGE, STYLE, VERMILION, write_message

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bptt.analysis.sweep import Sweep

_MOST_OBJECTIVES: Final = 3
_NOT_COMPARABLE: Final = " Trials that were given up are left out: they have no value at the end."


def draw_search(material: Material) -> Iterator[SweepFigure]:
    """What a search came to; nothing where the sweep is none."""
    if material.sweep.searched is None:
        return
    trials = material.sweep.trials
    if not trials.is_search or trials.ended.empty:
        return
    names = [*trials.objectives][:_MOST_OBJECTIVES]
    many = f"{len(trials.ended):,} of {len(trials.table):,} trials were trained to their end."
    note = many + (_NOT_COMPARABLE if trials.table["given_up"].notna().any() else "")
    if len(names) > 1:
        yield _tell_pareto(trials, note)
    yield _tell_history(trials, names[0], note)
    yield tell_slices(trials, names[0], note)
    yield from tell_contour(trials, names[0], note)
    if len(trials.importances):
        yield _tell_importances(trials, note)
    yield _tell_timeline(trials, material.sweep)


def draw_pareto(trials: Trials) -> "Figure":
    """Trials by each two of the objectives; those on the front are joined where there are two objectives."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    names = [*trials.objectives][:_MOST_OBJECTIVES]
    pairs = [*combinations(names, 2)]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 0.5 + 2.1 * len(pairs)), layout="constrained")
        for axes, (across, up) in zip(figure.subplots(len(pairs), 1, squeeze=False).flat, pairs, strict=True):
            scales = [choose_scale(trials.ended[name].to_numpy(dtype=float), name) for name in (across, up)]
            if None in scales:
                write_message(axes, "nothing finite was recorded")
                continue
            for rows, colour, marker, size in ((trials.ended, GREY, "o", 2.5), (trials.front, VERMILION, "s", 3.5)):
                x, y = (show_values_of(rows[name].to_numpy(dtype=float), name) for name in (across, up))
                axes.plot(x, y, marker, color=colour, markersize=size, zorder=2 + (colour == VERMILION))
            if len(names) == 2:
                front = trials.front.sort_values(across, kind="stable")
                x, y = (show_values_of(front[name].to_numpy(dtype=float), name) for name in (across, up))
                # What is as good as a trial in one objective and worse in the other is beaten by it.
                post = trials.objectives[across] == "minimize"
                axes.step(x, y, where="post" if post else "pre", color=VERMILION, linewidth=0.9, zorder=2.5)
            for scale, of in zip(scales, (True, False), strict=True):
                assert scale is not None
                scale.apply(axes, across=of)
            axes.set(xlabel=label_axis(across), ylabel=label_axis(up))
        draw_words(figure, [("on the front", VERMILION, "s"), ("beaten", GREY, "o")])
    return figure


def _tell_pareto(trials: Trials, note: str) -> SweepFigure:
    names = [*trials.objectives]
    wanted = join_texts([f"{find_display(name).label} ({trials.objectives[name]})" for name in names])
    return SweepFigure(
        name="pareto",
        figure=draw_pareto(trials),
        title="What can't be had together",
        caption=(
            f"Each trial by {wanted}. Squares are on the Pareto front: no other trial is as good in every objective and"
            f" better in one.{' The line bounds what they beat.' if len(names) == 2 else ''} The front is of these"
            f" trials and their seeds; with others it would lie elsewhere. {note}"
        ),
        alt=f"{len(trials.front):,} squares among {len(trials.ended):,} dots, by {join_texts(names)}.",
    )


def draw_progress(trials: Trials, name: str) -> "Figure":
    """An objective of each trial by its number, and the best until there."""
    import matplotlib as mpl

    table, minimize = trials.ended, trials.objectives[name] == "minimize"
    numbers = table["run"].to_numpy() + 1
    values = table[name].to_numpy(dtype=float)
    best = (np.minimum if minimize else np.maximum).accumulate(values)
    with mpl.rc_context(STYLE):
        figure, axes = make_single_panel(2.4)
        scale = choose_scale(values, name)
        if scale is None:
            write_message(axes, "nothing finite was recorded")
            return figure
        axes.plot(numbers, scale.mask(show_values_of(values, name)), "o", color=GREY, markersize=2.5)
        axes.step(numbers, scale.mask(show_values_of(best, name)), where="post", color=BLUE)
        scale.apply(axes)
        axes.set(xlabel="trial", ylabel=label_axis(name))
        draw_words(figure, [("trial", GREY, "o"), ("best so far", BLUE, "-")])
    return figure


def _tell_history(trials: Trials, name: str, note: str) -> SweepFigure:
    values = trials.ended[name]
    best = values.min() if trials.objectives[name] == "minimize" else values.max()
    return SweepFigure(
        name="search_history",
        figure=draw_progress(trials, name),
        title="What the search found when",
        caption=(
            f"The last {find_display(name).label} of each trial, in the order in which they were asked for, and the"
            f" best until there. The best of many owes some of that to its seed. {note}"
        ),
        alt=f"Dots by trial, and a line that steps to the best: {write_digits(float(best))} in the end.",
    )


def draw_importances(trials: Trials) -> "Figure":
    """Each key's importance for each objective, with the range of its resamples."""
    import matplotlib as mpl

    table, keys = trials.importances, trials.rank_keys()
    names = [*trials.objectives][:_MOST_OBJECTIVES]
    looks = list(zip(names, (BLUE, ORANGE, VERMILION), ("", "///", "..."), strict=False))
    with mpl.rc_context(STYLE):
        figure, axes = make_single_panel(0.9 + 0.2 * len(keys) * max(1, len(names)))
        step = 0.8 / len(looks)
        for number, (name, colour, hatch) in enumerate(looks):
            here = table[table["objective"] == name].set_index("key").reindex(keys)
            places = np.arange(len(keys)) - 0.4 + (number + 0.5) * step
            widths = 100 * here["importance"].to_numpy()
            ends = 100 * here[["low", "high"]].to_numpy().T
            axes.barh(places, widths, 0.85 * step, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
            axes.hlines(places, ends[0], ends[1], color="black", linewidth=0.8)
        axes.set_yticks(range(len(keys)), name_all_keys(keys))
        axes.set_ylim(len(keys) - 0.5, -0.5)
        axes.set_xlim(0, 104)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("importance (%)")
        if len(names) > 1:
            draw_words(figure, [(find_display(name).label, colour, "s") for name, colour, _ in looks])
    return figure


def _tell_importances(trials: Trials, note: str) -> SweepFigure:
    first = trials.importances[trials.importances["objective"] == next(iter(trials.objectives))]
    told = [
        f"{name} {100 * share:.0f} %"
        for name, share in zip(name_all_keys(first["key"]), first["importance"], strict=True)
    ]
    return SweepFigure(
        name="importances",
        figure=draw_importances(trials),
        title="What the best trials have in common",
        caption=(
            "Importances by PED-ANOVA: how much the values of a key among the best tenth of the trials differ from"
            f" those among all of them, as a share of all keys. Lines: the middle 95 % of {REPEATS} resamples of the"
            " trials."
            f" They describe these {len(trials.ended):,} trials, of which the sampler chose the values; they are no"
            f" test, and say nothing of a cause. {note}"
        ),
        alt=f"Bars of importance in percent: {join_texts(told)}.",
    )


_OUTCOMES: Final = (("trained to the end", BLUE), ("given up", GREY), ("failed", VERMILION))


def draw_timeline(trials: Trials, sweep: "Sweep") -> "Figure":
    """When each trial was trained, a line each, by how it ended."""
    import matplotlib as mpl

    table = trials.table.drop(columns="ended").merge(sweep.times, on="run")
    begin = table["began"].min()
    kinds = np.select([table["given_up"].notna(), table["status"].eq("FAILED")], [1, 2], 0)
    with mpl.rc_context(STYLE):
        figure, axes = make_single_panel(2.6)
        for kind, (_, colour) in enumerate(_OUTCOMES):
            here = table[kinds == kind]
            ends = here[["began", "ended"]].to_numpy(dtype=float).T - begin
            axes.hlines(here["run"] + 1, ends[0], ends[1], color=colour, linewidth=max(0.6, 2.4 - len(table) / 60))
        axes.set_ylim(table["run"].max() + 1.5, 0.5)
        axes.set_xlim(left=0)
        axes.set(xlabel="seconds since the first began", ylabel="trial")
        told = [(text, colour, "-") for kind, (text, colour) in enumerate(_OUTCOMES) if (kinds == kind).any()]
        draw_words(figure, told)
    return figure


def _tell_timeline(trials: Trials, sweep: "Sweep") -> SweepFigure:
    table = sweep.times
    seconds = float(table["ended"].max() - table["began"].min()) if len(table) else 0.0
    return SweepFigure(
        name="timeline",
        figure=draw_timeline(trials, sweep),
        title="When each trial was trained",
        caption=(
            "A line for each trial, from when the first of its lanes' steps began to when it ended. Trials that were"
            " trained side by side have the same times; what was taken from the store took none."
        ),
        alt=f"Horizontal lines for {len(table):,} trials over {write_digits(seconds)} seconds.",
    )
