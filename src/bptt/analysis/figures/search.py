"""The figures of a search and of halving: what was found and when, by which values, and what was given up where."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.factors import name_key
from bptt.analysis.figures.material import Material, SweepFigure, find_display, join_texts, label_axis, write_digits
from bptt.analysis.figures.panels import LinearWindow, Scale, Window
from bptt.analysis.search import REPEATS, Trials
from bptt.analysis.style import (
    BLUE,
    COLUMN,
    GREY,
    ORANGE,
    STYLE,
    VERMILION,
    set_logarithmic_ticks,
    set_update_axis,
    write_message,
)
from bptt.analysis.tables import drop_seed, shorten_keys, write_settings

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_MOST_SLICES: Final = 4  # keys that have panels
_MOST_OBJECTIVES: Final = 3
_LEAST_CONTOUR: Final = 8  # trials
_LEVELS: Final = 9
_JITTER: Final = 0.18  # beside a choice
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
    yield _tell_slices(trials, names[0], note)
    numbers = [key for key in trials.rank_keys() if trials.is_number(key)][:2]
    if len(numbers) == 2 and len(trials.ended) >= _LEAST_CONTOUR:
        yield _tell_contour(trials, names[0], numbers, note)
    if len(trials.importances):
        yield _tell_importances(trials, note)
    yield _tell_timeline(trials)


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
    several = len(runs["seed"].unique()) > 1 if "seed" in runs else False
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
        figure, axes = _make_figure(2.6)
        scale = _find_scale(middle[metric].to_numpy(), metric)
        if scale is None:
            write_message(axes, "nothing finite was recorded")
            return figure
        for setting, line in middle.sort_values("update", kind="stable").groupby("setting", sort=False):
            lost = setting in gone
            look: Any = {"color": GREY if lost else BLUE, "linewidth": 0.7 if lost else 1.0, "zorder": 2 if lost else 3}
            shown = scale.mask(_show(line[metric].to_numpy(), metric))
            axes.plot(line["update"], shown, alpha=0.6 if lost else 0.9, **look)
            if lost:
                axes.plot(line["update"].iloc[-1], shown[-1], "x", color=VERMILION, markersize=3, zorder=4)
        for rung in rungs:
            axes.axvline(rung, color="#555555", linewidth=0.6, linestyle=":", zorder=1)
        scale.apply(axes)
        set_update_axis(axes, np.unique(middle["update"].to_numpy()))
        axes.set(xlabel="update", ylabel=label_axis(metric))
        _draw_words(figure, [("given up", GREY, "-"), ("trained to the end", BLUE, "-")])
    return figure


def draw_pareto(trials: Trials) -> "Figure":
    """Trials by each two of the objectives; those on the front are joined where there are two objectives."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    names = [*trials.objectives][:_MOST_OBJECTIVES]
    pairs = [*combinations(names, 2)]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 0.5 + 2.1 * len(pairs)), layout="constrained")
        for axes, (across, up) in zip(figure.subplots(len(pairs), 1, squeeze=False).flat, pairs, strict=True):
            scales = [_find_scale(trials.ended[name].to_numpy(dtype=float), name) for name in (across, up)]
            if None in scales:
                write_message(axes, "nothing finite was recorded")
                continue
            for rows, colour, marker, size in ((trials.ended, GREY, "o", 2.5), (trials.front, VERMILION, "s", 3.5)):
                x, y = (_show(rows[name].to_numpy(dtype=float), name) for name in (across, up))
                axes.plot(x, y, marker, color=colour, markersize=size, zorder=2 + (colour == VERMILION))
            if len(names) == 2:
                front = trials.front.sort_values(across, kind="stable")
                x, y = (_show(front[name].to_numpy(dtype=float), name) for name in (across, up))
                # What is as good as a trial in one objective and worse in the other is beaten by it.
                post = trials.objectives[across] == "minimize"
                axes.step(x, y, where="post" if post else "pre", color=VERMILION, linewidth=0.9, zorder=2.5)
            for scale, of in zip(scales, (True, False), strict=True):
                assert scale is not None
                scale.apply(axes, across=of)
            axes.set(xlabel=label_axis(across), ylabel=label_axis(up))
        _draw_words(figure, [("on the front", VERMILION, "s"), ("beaten", GREY, "o")])
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
        figure, axes = _make_figure(2.4)
        scale = _find_scale(values, name)
        if scale is None:
            write_message(axes, "nothing finite was recorded")
            return figure
        axes.plot(numbers, scale.mask(_show(values, name)), "o", color=GREY, markersize=2.5)
        axes.step(numbers, scale.mask(_show(best, name)), where="post", color=BLUE)
        scale.apply(axes)
        axes.set(xlabel="trial", ylabel=label_axis(name))
        _draw_words(figure, [("trial", GREY, "o"), ("best so far", BLUE, "-")])
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
        scale = _find_scale(values, name)
        if scale is None:
            write_message(every[0], "nothing finite was recorded")
            return figure
        shown = scale.mask(_show(values, name))
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


def _tell_slices(trials: Trials, name: str, note: str) -> SweepFigure:
    keys = trials.rank_keys()[:_MOST_SLICES]
    left = len(trials.keys) - len(keys)
    return SweepFigure(
        name="slices",
        figure=draw_slices(trials, name),
        title="By each value",
        caption=(
            f"The last {find_display(name).label} of each trial against {join_texts(_name_keys(keys))}; later trials"
            f" are darker. All other keys vary from dot to dot, and the sampler chose where it tried more."
            f"{f' {left} keys more are not shown.' if left else ''} {note}"
        ),
        alt=f"Dots of {find_display(name).label}, a panel for each of {join_texts(_name_keys(keys))}.",
    )


def draw_contour(trials: Trials, name: str, keys: Sequence[str]) -> "Figure":
    """An objective over two keys with numbers, interpolated between the trials, which stand as dots."""
    import matplotlib as mpl
    from matplotlib.colors import BoundaryNorm

    values = trials.ended[name].to_numpy(dtype=float)
    with mpl.rc_context(STYLE):
        figure, axes = _make_figure(2.7)
        scale = _find_scale(values, name)
        x, y = (_place(trials, key) for key in keys)
        if scale is None or len({*zip(x, y, strict=True)}) < _LEAST_CONTOUR or _are_in_line(x, y):
            write_message(axes, "too few trials with different values")
            return figure
        logarithmic = isinstance(scale, Window)
        shown = scale.mask(_show(values, name))
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


def _tell_contour(trials: Trials, name: str, keys: Sequence[str], note: str) -> SweepFigure:
    return SweepFigure(
        name="contour",
        figure=draw_contour(trials, name, keys),
        title="Two keys together",
        caption=(
            f"The last {find_display(name).label} over {join_texts(_name_keys(keys))}, interpolated linearly between"
            " the trials (dots; the star is the best one). Between dots that lie far apart it says little, and what"
            f" else differs between trials is not told apart. {note}"
        ),
        alt=f"A map of {find_display(name).label} over {join_texts(_name_keys(keys))}, with a dot for each trial.",
    )


def draw_importances(trials: Trials) -> "Figure":
    """Each key's importance for each objective, with the range of its resamples."""
    import matplotlib as mpl

    table, keys = trials.importances, trials.rank_keys()
    names = [*trials.objectives][:_MOST_OBJECTIVES]
    looks = list(zip(names, (BLUE, ORANGE, VERMILION), ("", "///", "..."), strict=False))
    with mpl.rc_context(STYLE):
        figure, axes = _make_figure(0.9 + 0.2 * len(keys) * max(1, len(names)))
        step = 0.8 / len(looks)
        for number, (name, colour, hatch) in enumerate(looks):
            here = table[table["objective"] == name].set_index("key").reindex(keys)
            places = np.arange(len(keys)) - 0.4 + (number + 0.5) * step
            widths = 100 * here["importance"].to_numpy()
            ends = 100 * here[["low", "high"]].to_numpy().T
            axes.barh(places, widths, 0.85 * step, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
            axes.hlines(places, ends[0], ends[1], color="black", linewidth=0.8)
        axes.set_yticks(range(len(keys)), _name_keys(keys))
        axes.set_ylim(len(keys) - 0.5, -0.5)
        axes.set_xlim(0, 104)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("importance (%)")
        if len(names) > 1:
            _draw_words(figure, [(find_display(name).label, colour, "s") for name, colour, _ in looks])
    return figure


def _tell_importances(trials: Trials, note: str) -> SweepFigure:
    first = trials.importances[trials.importances["objective"] == next(iter(trials.objectives))]
    told = [
        f"{name} {100 * share:.0f} %" for name, share in zip(_name_keys(first["key"]), first["importance"], strict=True)
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


def draw_timeline(trials: Trials) -> "Figure":
    """When each trial was trained, a line each, by how it ended."""
    import matplotlib as mpl

    table = trials.table.drop(columns="ended").merge(trials.sweep.times, on="run")
    begin = table["began"].min()
    kinds = np.select([table["given_up"].notna(), table["status"].eq("FAILED")], [1, 2], 0)
    with mpl.rc_context(STYLE):
        figure, axes = _make_figure(2.6)
        for kind, (_, colour) in enumerate(_OUTCOMES):
            here = table[kinds == kind]
            ends = here[["began", "ended"]].to_numpy(dtype=float).T - begin
            axes.hlines(here["run"] + 1, ends[0], ends[1], color=colour, linewidth=max(0.6, 2.4 - len(table) / 60))
        axes.set_ylim(table["run"].max() + 1.5, 0.5)
        axes.set_xlim(left=0)
        axes.set(xlabel="seconds since the first began", ylabel="trial")
        told = [(text, colour, "-") for kind, (text, colour) in enumerate(_OUTCOMES) if (kinds == kind).any()]
        _draw_words(figure, told)
    return figure


def _tell_timeline(trials: Trials) -> SweepFigure:
    table = trials.sweep.times
    seconds = float(table["ended"].max() - table["began"].min()) if len(table) else 0.0
    return SweepFigure(
        name="timeline",
        figure=draw_timeline(trials),
        title="When each trial was trained",
        caption=(
            "A line for each trial, from when the first of its lanes' steps began to when it ended. Trials that were"
            " trained side by side have the same times; what was taken from the store took none."
        ),
        alt=f"Horizontal lines for {len(table):,} trials over {write_digits(seconds)} seconds.",
    )


def _make_figure(height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(COLUMN, height), layout="constrained")
    return figure, figure.subplots()


def _draw_words(figure: "Figure", words: Sequence[tuple[str, str, str]]) -> None:
    """A legend above everything: texts with colours, and a line or a marker."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=colour,
            linestyle="-" if mark == "-" else "",
            marker="" if mark == "-" else mark,
            markersize=3.5,
        )
        for _, colour, mark in words
    ]
    figure.legend(
        handles,
        [text for text, _, _ in words],
        loc="outside upper center",
        ncols=len(words),
        frameon=False,
        columnspacing=1.2,
        handlelength=1.4,
        borderpad=0.0,
    )


def _show(values: "NDArray[np.float64]", name: str) -> "NDArray[np.float64]":
    return values * (100 if find_display(name).scale == "percent" else 1)


def _find_scale(values: "NDArray[np.float64]", name: str) -> Scale | None:
    """The axis of an objective; None: nothing is finite."""
    kind = find_display(name).scale
    if kind == "percent":
        return LinearWindow(0.0, 100.0)
    finite = values[np.isfinite(values)]
    spread = len(finite) and finite.min() > 0 and finite.max() > 8 * finite.min()
    if kind == "log" or spread:
        largest = np.quantile(finite, 0.9, method="inverted_cdf") if len(finite) else np.inf
        return Window.around(values, ceiling=float(largest) * 10, span=1e12)
    return LinearWindow.around(values)


def _name_keys(keys: "Sequence[str] | pd.Series") -> list[str]:
    short = shorten_keys([*keys])
    return [name_key(key, short[key]) for key in keys]


def _place(trials: Trials, key: str) -> "NDArray[np.float64]":
    """Where each trial stands by a key with numbers, on an axis that is linear."""
    values = trials.ended[key].to_numpy(dtype=float)
    return np.log10(values) if trials.is_logarithmic(key) else values


def _set_key_axis(axes: "Axes", trials: Trials, key: str, across: bool, placed: bool = False) -> "NDArray[np.float64]":
    """Make an axis one of a searched key; returns where each trial stands. placed: by `_place`."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    axis = axes.xaxis if across else axes.yaxis
    (name,) = _name_keys([key])
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
