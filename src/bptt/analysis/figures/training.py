"""The figures of what happened through training, with their captions: medians and quartiles, and when runs solved."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.figures.material import (
    CLIPPED,
    RATIO,
    SOLVED,
    Display,
    Material,
    MetricTable,
    SweepFigure,
    describe_extremes,
    describe_lines,
    find_common_baseline,
    find_display,
    find_usual_start,
    group_runs,
    join_texts,
    label_axis,
    name_pooled,
    pool_runs,
    tabulate_metric,
    tell_apart,
    write_digits,
)
from bptt.analysis.figures.panels import (
    PERCENT,
    Band,
    LinearWindow,
    Look,
    Scale,
    Window,
    choose_looks,
    collect_values,
    compute_quartiles,
    count_crosses,
    describe_baseline,
    draw_bands,
    draw_baseline,
    draw_legend,
    make_panels,
    set_percent_axis,
)
from bptt.analysis.figures.run import draw_loss_curve
from bptt.analysis.statistics.intervals import survival
from bptt.analysis.style import BLUE, GREY, STYLE, are_logarithmic, set_update_axis, write_message
from bptt.analysis.tables import ACCURACY, GRADIENT, LOSS, take_final
from bptt.analysis.work import AXIS_LABELS, SECONDS, UPDATES, Axis, check_axis, restate_history, restate_runs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MOST_RUNS: Final = 200  # drawn one by one


def draw_convergence(
    history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str], metric: str = LOSS, along: Axis = UPDATES
) -> "Figure":
    """A metric against updates, for each setting: the median over its runs, and a band from quartile to quartile.

    history  run, update, metrics
    runs     as of `bptt.load(…).runs`; those that have not ended don't count
    swept    the swept keys
    along    what is across: update; work/gradients or work/seconds, what each run had cost by then, see
             `bptt.analysis.work`

    A loss has a logarithmic axis, which ends at ten times the loss that runs begin with; a share is in percent. A run
    that diverged counts as infinitely bad from there on; where more than half of a setting's have, its line ends with a
    cross. Where settings are too many to be told apart each run is a line, the one with the least final loss in blue.
    Where all runs of a panel have the same `baseline`, a dashed line in that of the evaluation loss shows it. Raises
    ValueError where there is no such axis, or nothing of it was recorded.
    """
    import matplotlib as mpl

    along = check_axis(along, history)
    ended, told = tell_apart(runs, swept)
    table = tabulate_metric(restate_history(history, along), ended, metric)
    logarithmic = are_logarithmic(np.unique(history["update"]))
    how = find_display(metric)
    with mpl.rc_context(STYLE):
        if told.hue is None:
            return _draw_one_by_one(table, ended, metric, along, logarithmic)
        figure, every = make_panels(told.titles, AXIS_LABELS[along], label_axis(metric))
        drawn = choose_looks(told.hue)
        bands: list[list[Band]] = [[] for _ in every]
        members: list[list[int]] = [[] for _ in every]
        for (panel, line), chosen in group_runs(told, len(ended)).items():
            bands[panel].append(_make_band(drawn[line], table.of(chosen)))
            members[panel] += chosen.tolist()
        costs = [find_common_baseline(ended.iloc[chosen]) if metric == LOSS else None for chosen in members]
        scale = _choose_scale(how, collect_values(bands), table, *costs)
        draw_bands(every, bands, scale)
        for axes, cost in zip(every, costs, strict=True):
            draw_baseline(axes, cost, scale)
        if len(table.updates):
            ticks = 5 if len(every) == 1 else 4
            set_update_axis(every[0], table.updates, ticks, logarithmic, whole=along != SECONDS)
        draw_legend(figure, told.hue, markers=False)
    return figure


def draw_gradient_norm(history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
    """‖∂loss/∂θ‖ before clipping; see `draw_convergence`. What is 10⁻¹⁶ of the largest has vanished."""
    return draw_convergence(history, runs, swept, GRADIENT)


def draw_clipped_share(history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
    """The share of the updates since the last recorded one that were clipped; see `draw_convergence`."""
    return draw_convergence(history, runs, swept, CLIPPED)


def draw_update_ratio(history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
    """‖θ_t − θ_{t−1}‖ / ‖θ_{t−1}‖, how far one update moves, against updates; see `draw_convergence`."""
    return draw_convergence(history, runs, swept, RATIO)


def _choose_scale(how: Display, drawn: "NDArray[np.float64]", table: MetricTable, *costs: float | None) -> Scale | None:
    """What is shown of these values, and of baselines beside them; None where there are no values."""
    if how.scale == "percent":
        return PERCENT if np.isfinite(drawn).any() else None
    if how.scale == "linear":
        return LinearWindow.around(drawn)
    ceiling = np.inf if how.start is None else how.start * find_usual_start(table)
    beside = [cost for cost in costs if cost is not None]
    return Window.around(drawn, ceiling, how.span) and Window.around(np.append(drawn, beside), ceiling, how.span)


def _make_band(look: Look, table: MetricTable) -> Band:
    low, middle, high = compute_quartiles(table.values).T
    return Band(look, table.updates, middle, low, high)


def _draw_one_by_one(table: MetricTable, runs: "pd.DataFrame", metric: str, along: Axis, logarithmic: bool) -> "Figure":
    figure, (axes,) = make_panels([""], AXIS_LABELS[along], label_axis(metric))
    chosen, best = choose_runs(runs)
    cost = find_common_baseline(runs) if metric == LOSS else None
    scale = _choose_scale(find_display(metric), table.values[:, chosen], table, cost)
    if scale is None:
        write_message(axes, "nothing finite was recorded")
        return figure
    for run in sorted(chosen, key=lambda run: run == best):
        there = table.there[:, run]
        axes.plot(
            table.updates[there],
            scale.mask(table.values[there, run]),
            color=BLUE if run == best else GREY,
            linewidth=1.2 if run == best else 0.4,
            alpha=1.0 if run == best else 0.5,
        )
    scale.apply(axes)
    draw_baseline(axes, cost, scale)
    set_update_axis(axes, table.updates, logarithmic=logarithmic, whole=along != SECONDS)
    return figure


def choose_runs(runs: "pd.DataFrame") -> "tuple[list[int], int]":
    """The places of the runs that are drawn one by one, and of the one among them with the least final loss."""
    best = int(np.argmin(take_final(runs, LOSS).fillna(np.inf).to_numpy()))
    return sorted({*np.unique(np.linspace(0, len(runs) - 1, MOST_RUNS).astype(int)).tolist(), best}), best


def draw_loss(material: Material) -> Iterator[SweepFigure]:
    """The evaluation loss."""
    if len(material.ended) == 1:
        yield _draw_one_run(material)
    elif material.has(LOSS):
        for along in material.axes:
            figure = draw_convergence(material.sweep.history, material.runs, material.sweep.swept, along=along)
            yield _draw_through(
                material,
                name_along("convergence", along, material),
                figure,
                LOSS,
                f"Convergence{describe_axis(along)}",
                "The evaluation loss",
                along,
            )


def draw_steps(material: Material) -> Iterator[SweepFigure]:
    """The gradient's norm, what of it was clipped, and how far the updates went."""
    given = material.sweep.history, material.runs, material.sweep.swept
    if material.has(GRADIENT):
        yield _draw_through(
            material,
            "gradient_norm",
            draw_gradient_norm(*given),
            GRADIENT,
            "Gradient norm through training",
            "The norm of the gradient over all parameters, before clipping,",
        )
    if material.has(CLIPPED):
        yield _draw_through(
            material,
            "clipped_share",
            draw_clipped_share(*given),
            CLIPPED,
            "Clipped updates through training",
            "The share of the updates since the last recorded one whose gradient was clipped,",
        )
    if material.has(RATIO):
        yield _draw_through(
            material,
            "update_ratio",
            draw_update_ratio(*given),
            RATIO,
            "Size of the updates through training",
            "How far one update moves the parameters, ‖Δθ‖/‖θ‖,",
        )


def _draw_one_run(material: Material) -> SweepFigure:
    history = material.sweep.history[material.sweep.history["run"].isin(material.ended["run"])]
    known = {metric: history[metric].dropna() for metric in ("loss/train", LOSS, ACCURACY) if metric in history}
    ends_with = [
        f"{find_display(metric).label} {write_digits(values.iloc[-1] * (100 if metric == ACCURACY else 1))}"
        f"{' %' if metric == ACCURACY else ''}"
        for metric, values in known.items()
        if len(values)
    ]
    accuracy = "; below, the accuracy" if ACCURACY in known else ""
    figure = draw_loss_curve(history, baseline=find_common_baseline(material.ended))
    return SweepFigure(
        name="convergence",
        figure=figure,
        title="Convergence",
        caption=f"The loss of training batches and of the evaluation set through training{accuracy}. "
        f"{describe_baseline(figure)}{material.note}",
        alt=f"Line chart, loss, logarithmic, against update{accuracy}. At the end: {join_texts(ends_with)}.",
    )


def name_along(name: str, along: Axis, material: Material) -> str:
    """The name of a figure's file: its own along what is asked for, else with what it is along."""
    return name if along == material.along else f"{name}_{along.replace('/', '_')}"


def describe_axis(along: Axis) -> str:
    """What a title says of an axis beside that of updates."""
    return "" if along == UPDATES else f" against {AXIS_LABELS[along].partition(' (')[0]}"


def _draw_through(
    material: Material, name: str, figure: "Figure", metric: str, title: str, what: str, along: Axis = UPDATES
) -> SweepFigure:
    """A metric through training."""
    scale = {"log": ", logarithmic,", "percent": " in percent"}.get(find_display(metric).scale, "")
    chart = f"Line chart, {find_display(metric).label}{scale} against {AXIS_LABELS[along]}"
    if material.split.hue is None:
        count, total = len(choose_runs(material.ended)[0]), len(material.ended)
        some = f"{count:,} of the {total:,} runs" if count < total else f"each of the {total:,} runs"
        caption = (
            f"{what} through training, a line for {some}; the one with the least final loss is blue. "
            f"{describe_baseline(figure)}{material.note}"
        )
        return SweepFigure(
            name, figure, title, caption, f"{chart}, a thin line for {some} and a thick one for the best."
        )
    table = tabulate_metric(material.sweep.history, material.ended, metric)
    last = material.over_lines(table.values[-1]) if len(table.updates) else np.full(len(material.hue.levels), np.nan)
    ended = " A line ends with a cross where most runs had diverged." if count_crosses(figure) else ""
    over = " over all panels" if material.split.facet else ""
    lines = "Lines are medians over runs, bands reach from quartile to quartile."
    if material.single:
        lines = "A line for each run."
    what_ends = "The lines end at" if material.single else f"Medians at the end{over}:"
    return SweepFigure(
        name,
        figure,
        title,
        f"{what} through training. {lines}{ended} "
        f"{describe_baseline(figure)}{name_pooled(material.factors, *material.list_keys())}{material.note}",
        f"{chart}, {describe_lines(material.split)}. {what_ends} {describe_extremes(material.hue, last, metric)}.",
    )


MOST_BANDS: Final = 6  # in one panel


def draw_survival_curves(
    runs: "pd.DataFrame", swept: Sequence[str], along: Axis = UPDATES, history: "pd.DataFrame | None" = None
) -> "Figure":
    """The share of each setting's runs that have solved their task, against the update: Kaplan and Meier's estimate.

    runs     as of `bptt.load(…).runs`, with solved, observed and solved_after; those that have not ended don't count
    swept    the swept keys
    along    what is across: update; work/gradients or work/seconds, what each run had cost by then, for which the
             history is asked
    history  run, update, metrics

    A run is seen to have solved its task at recorded updates alone: the line is what was seen, and a darker strip
    reaches up to what would have been seen had each run solved it right after the record before. Lighter bands, where a
    panel has six lines or fewer, are 95 % intervals of both bounds, see `bptt.analysis.statistics.intervals.survival`.
    A tick stands where a run was watched no longer without having solved it. Raises ValueError where there is no such
    axis, or nothing of it was recorded.
    """
    import matplotlib as mpl
    import pandas as pd

    history = pd.DataFrame() if history is None else history
    along = check_axis(along, history)
    ended, told = tell_apart(restate_runs(runs, history, along), swept)
    told = pool_runs(told, len(ended))
    assert told.hue is not None
    observed, solved = ended["observed"].to_numpy(dtype=float), ended[SOLVED].to_numpy(dtype=bool)
    after = ended["solved_after"].fillna(ended["observed"]).to_numpy(dtype=float)
    drawn = choose_looks(told.hue)
    with mpl.rc_context(STYLE):
        figure, every = make_panels(told.titles, AXIS_LABELS[along], label_axis(SOLVED))
        for (panel, line), chosen in group_runs(told, len(ended)).items():
            curve = survival(observed[chosen], solved[chosen])
            censored = np.unique(observed[chosen][~solved[chosen]])
            # Where all have solved it nothing is left to happen, and the line goes on.
            curve = pd.concat([curve, curve.tail(1).assign(update=np.nanmax(observed))])
            earliest = survival(after[chosen], solved[chosen])
            _draw_step(every[panel], drawn[line], curve, earliest, censored, bands=len(drawn) <= MOST_BANDS)
        set_percent_axis(every[0])
        ticks = 5 if len(every) == 1 else 4
        set_update_axis(every[0], np.array([0.0, np.nanmax(observed)]), ticks, whole=along != SECONDS)
        draw_legend(figure, told.hue, markers=False)
    return figure


def _draw_step(
    axes: "Axes",
    look: Look,
    curve: "pd.DataFrame",
    earliest: "pd.DataFrame",
    censored: "NDArray[np.float64]",
    bands: bool,
) -> None:
    updates, share = curve["update"].to_numpy(), 100 * curve["solved_share"].to_numpy()
    axes.step(updates, share, look.line, where="post", color=look.colour)
    # Both curves at the updates of either.
    every = np.union1d(updates, earliest["update"])
    seen = curve.iloc[np.searchsorted(updates, every, side="right") - 1]
    could = earliest.iloc[np.searchsorted(earliest["update"], every, side="right") - 1]
    shades = [("solved_share", "solved_share", 0.3), *([("low", "high", 0.15)] if bands else [])]
    for low, high, alpha in shades:
        axes.fill_between(
            every, 100 * seen[low], 100 * could[high], step="post", color=look.colour, alpha=alpha, linewidth=0
        )
    height = share[np.searchsorted(updates, censored, side="right") - 1]
    axes.plot(censored, height, "|", color=look.colour, markersize=5, markeredgewidth=0.8)
