"""The figures of what happened through training, with their captions: losses, gradients, weights."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from bptt.analysis.figures.bands import crosses
from bptt.analysis.figures.captioned import Drawn, Material
from bptt.analysis.figures.captions import extremes, lines_of, listed, number, pools
from bptt.analysis.figures.curves import clipped_share, convergence, gradient_norm, one_by_one, update_ratio
from bptt.analysis.figures.metrics import CLIPPED, RATIO, shown
from bptt.analysis.figures.recorded import recorded
from bptt.analysis.figures.run import loss_curve
from bptt.analysis.tables import ACCURACY, GRADIENT, LOSS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
