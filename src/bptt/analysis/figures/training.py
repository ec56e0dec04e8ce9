"""The figures of what happened through training, with their captions: losses, gradients, weights.

Metrics through training: for each setting the median over its runs, and the band of their middle half.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.figures.material import Drawn, Material, extremes, lines_of, listed, number, pools
from bptt.analysis.figures.metrics import (
    CLIPPED,
    RATIO,
    Recorded,
    Shown,
    axis_label,
    groups,
    recorded,
    shown,
    told_apart,
    usual_start,
)
from bptt.analysis.figures.panels import (
    PERCENT,
    Band,
    Linear,
    Look,
    Scale,
    Window,
    crosses,
    draw_bands,
    legend,
    looks,
    panels,
    quartiles,
    values,
)
from bptt.analysis.figures.run import loss_curve
from bptt.analysis.style import BLUE, GREY, STYLE, message, update_axis
from bptt.analysis.tables import ACCURACY, GRADIENT, LOSS, final

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MOST_RUNS: Final = 200  # drawn one by one


def convergence(history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str], metric: str = LOSS) -> "Figure":
    """A metric against updates, for each setting: the median over its runs, and a band from quartile to quartile.

    history  run, update, metrics
    runs     as of `bptt.load(…).runs`; those that have not ended don't count
    swept    the swept keys

    A loss has a logarithmic axis, which ends at ten times the loss that runs begin with; a share is in percent. A run
    that diverged counts as infinitely bad from there on; where more than half of a setting's have, its line ends with a
    cross. Where settings are too many to be told apart each run is a line, the one with the least final loss in blue.
    """
    import matplotlib as mpl

    ended, told = told_apart(runs, swept)
    table = recorded(history, ended, metric)
    how = shown(metric)
    with mpl.rc_context(STYLE):
        if told.hue is None:
            return _one_by_one(table, ended, metric)
        figure, every = panels(told.titles, "update", axis_label(metric))
        drawn = looks(told.hue)
        bands: list[list[Band]] = [[] for _ in every]
        for (panel, line), chosen in groups(told, len(ended)).items():
            bands[panel].append(_band(drawn[line], table.of(chosen)))
        draw_bands(every, bands, _scale(how, values(bands), table))
        if len(table.updates):
            update_axis(every[0], table.updates, ticks=5 if len(every) == 1 else 4)
        legend(figure, told.hue, markers=False)
    return figure


def gradient_norm(history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
    """‖∂loss/∂θ‖ before clipping, against updates; see `convergence`. What is 10⁻¹⁶ of the largest has vanished."""
    return convergence(history, runs, swept, GRADIENT)


def clipped_share(history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
    """The share of the updates since the last recorded one that were clipped, against updates; see `convergence`."""
    return convergence(history, runs, swept, CLIPPED)


def update_ratio(history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
    """‖θ_t − θ_{t−1}‖ / ‖θ_{t−1}‖, how far one update moves, against updates; see `convergence`."""
    return convergence(history, runs, swept, RATIO)


def _scale(how: Shown, drawn: "NDArray[np.float64]", table: Recorded) -> Scale | None:
    """What is shown of these values; None where there are none."""
    if how.scale == "percent":
        return PERCENT if np.isfinite(drawn).any() else None
    if how.scale == "linear":
        return Linear.around(drawn)
    usual = usual_start(table)
    return Window.around(drawn, np.inf if how.start is None else how.start * usual, how.span)


def _band(look: Look, table: Recorded) -> Band:
    low, middle, high = quartiles(table.values).T
    return Band(look, table.updates, middle, low, high)


def _one_by_one(table: Recorded, runs: "pd.DataFrame", metric: str) -> "Figure":
    figure, (axes,) = panels([""], "update", axis_label(metric))
    chosen, best = one_by_one(runs)
    scale = _scale(shown(metric), table.values[:, chosen], table)
    if scale is None:
        message(axes, "nothing finite was recorded")
        return figure
    for run in sorted(chosen, key=lambda run: run == best):
        there = table.there[:, run]
        axes.plot(
            table.updates[there],
            scale.drawn(table.values[there, run]),
            color=BLUE if run == best else GREY,
            linewidth=1.2 if run == best else 0.4,
            alpha=1.0 if run == best else 0.5,
        )
    scale.apply(axes)
    update_axis(axes, table.updates)
    return figure


def one_by_one(runs: "pd.DataFrame") -> "tuple[list[int], int]":
    """The places of the runs that are drawn one by one, and of the one among them with the least final loss."""
    best = int(np.argmin(final(runs, LOSS).fillna(np.inf).to_numpy()))
    return sorted({*np.unique(np.linspace(0, len(runs) - 1, MOST_RUNS).astype(int)).tolist(), best}), best


def loss(material: Material) -> Iterator[Drawn]:
    """The evaluation loss."""
    if len(material.ended) == 1:
        yield _of_one_run(material)
    elif material.has(LOSS):
        figure = convergence(material.sweep.history, material.runs, material.sweep.swept)
        yield _through(material, "convergence", figure, LOSS, "Convergence", "The evaluation loss")


def gradients(material: Material) -> Iterator[Drawn]:
    """The gradient's norm, what of it was clipped, and how far the updates went."""
    given = material.sweep.history, material.runs, material.sweep.swept
    if material.has(GRADIENT):
        yield _through(
            material,
            "gradient_norm",
            gradient_norm(*given),
            GRADIENT,
            "Gradient norm through training",
            "The norm of the gradient over all parameters, before clipping,",
        )
    if material.has(CLIPPED):
        yield _through(
            material,
            "clipped_share",
            clipped_share(*given),
            CLIPPED,
            "Clipped updates through training",
            "The share of the updates since the last recorded one whose gradient was clipped,",
        )
    if material.has(RATIO):
        yield _through(
            material,
            "update_ratio",
            update_ratio(*given),
            RATIO,
            "Size of the updates through training",
            "How far one update moves the parameters, ‖Δθ‖/‖θ‖,",
        )


def _of_one_run(material: Material) -> Drawn:
    history = material.sweep.history[material.sweep.history["run"].isin(material.ended["run"])]
    known = {metric: history[metric].dropna() for metric in ("loss/train", LOSS, ACCURACY) if metric in history}
    ends_with = [
        f"{shown(metric).label} {number(values.iloc[-1] * (100 if metric == ACCURACY else 1))}"
        f"{' %' if metric == ACCURACY else ''}"
        for metric, values in known.items()
        if len(values)
    ]
    accuracy = "; below, the accuracy" if ACCURACY in known else ""
    return Drawn(
        name="convergence",
        figure=loss_curve(history),
        title="Convergence",
        caption=f"The loss of training batches and of the evaluation set through training{accuracy}. {material.note}",
        alt=f"Line chart, loss, logarithmic, against update{accuracy}. At the end: {listed(ends_with)}.",
    )


def _through(material: Material, name: str, figure: "Figure", metric: str, title: str, what: str) -> Drawn:
    """A metric through training."""
    scale = {"log": ", logarithmic,", "percent": " in percent"}.get(shown(metric).scale, "")
    chart = f"Line chart, {shown(metric).label}{scale} against update"
    if material.told.hue is None:
        count, total = len(one_by_one(material.ended)[0]), len(material.ended)
        some = f"{count:,} of the {total:,} runs" if count < total else f"each of the {total:,} runs"
        caption = (
            f"{what} through training, a line for {some}; the one with the least final loss is blue. {material.note}"
        )
        return Drawn(name, figure, title, caption, f"{chart}, a thin line for {some} and a thick one for the best.")
    table = recorded(material.sweep.history, material.ended, metric)
    last = material.over_lines(table.values[-1]) if len(table.updates) else np.full(len(material.hue.levels), np.nan)
    ended = " A line ends with a cross where most runs had diverged." if crosses(figure) else ""
    over = " over all panels" if material.told.facet else ""
    lines = "Lines are medians over runs, bands reach from quartile to quartile."
    if material.single:
        lines = "A line for each run."
    what_ends = "The lines end at" if material.single else f"Medians at the end{over}:"
    return Drawn(
        name,
        figure,
        title,
        f"{what} through training. {lines}{ended} {pools(material.factors, *material.told_by())}{material.note}",
        f"{chart}, {lines_of(material.told)}. {what_ends} {extremes(material.hue, last, metric)}.",
    )
