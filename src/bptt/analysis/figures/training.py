"""The figures of what happened through training, with their captions: losses, gradients, weights."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.figures.bands import crosses
from bptt.analysis.figures.captioned import Drawn, Material
from bptt.analysis.figures.captions import extremes, lines_of, listed, number, pools
from bptt.analysis.figures.curves import clipped_share, convergence, gradient_norm, one_by_one, update_ratio
from bptt.analysis.figures.flow import gradient_flow_map, mapped
from bptt.analysis.figures.metrics import CLIPPED, DECAY, RADIUS, RATIO, shown
from bptt.analysis.figures.profiles import alike, gradient_profiles
from bptt.analysis.figures.radius import ends, radius_against_decay
from bptt.analysis.figures.recorded import pooled, recorded
from bptt.analysis.figures.run import loss_curve
from bptt.analysis.tables import ACCURACY, GRADIENT, LOSS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS: Final = 4_000_000  # of gradients by lag, that are read for one figure


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


def flow(material: Material) -> Iterator[Drawn]:
    """How far back gradients reach."""
    ends_only = material.sweep.flow_ends
    if not (ends_only["norm"] > 0).any():
        return
    lines = lines_of(pooled(material.told, len(material.ended)))
    every: list[Sequence[str]] = [["first"], ["last"]] if material.told.facet else [["first", "last"]]
    if material.told.facet and alike(ends_only, material.runs, material.sweep.swept, "first"):
        every.remove(["first"])
    for updates in every:
        which = listed(updates)
        yield Drawn(
            name="gradient_profiles" + (f"_{updates[0]}" if len(updates) == 1 else ""),
            figure=gradient_profiles(ends_only, material.runs, material.sweep.swept, updates),
            title="How far back gradients reach" + (f", {which} update" if len(updates) == 1 else ""),
            caption=(
                "The norm of the gradient by a hidden state, ‖∂loss/∂h‖, against how many timesteps before the end of "
                f"the sequence that state is, at the {which} update that each run recorded. Lines are medians over "
                f"runs. {pools(material.factors, *material.told_by())}{material.note}"
            ),
            alt=(f"Line chart, norm of the gradient, logarithmic, against lag, {lines}. {_reach(material, updates)}"),
        )
    points = material.sweep.history.groupby("run").size().median()
    if len(ends_only) / 2 * points <= _MOST_ROWS and points > 2:
        yield _flow_map(material)


def radius(material: Material) -> Iterator[Drawn]:
    """The spectral radius against the decay of gradients."""
    history = material.sweep.history
    if RADIUS not in history or DECAY not in history:
        return
    points = ends(history, material.ended)["last"]
    if points.empty or material.sweep.flow_ends["lag"].max() < 1:
        return
    decay, rho = points[DECAY].median(), points[RADIUS].median()
    yield Drawn(
        name="radius_against_decay",
        figure=radius_against_decay(history, material.runs, material.sweep.swept),
        title="Spectral radius against the decay of gradients",
        caption=(
            "The spectral radius of each run's recurrent weights against the slope of ln ‖∂loss/∂h‖ per timestep going "
            "back (below 0 the gradient vanishes, above 0 it explodes), at the first and at the last recorded update. "
            "Filled points solved their task. Dashed: ln of the spectral radius, the decay of a linear network with a "
            f"normal recurrent matrix. {pools(material.factors, *material.told_by(facets=False))}{material.note}"
        ),
        alt=(
            "Two scatter plots, first and last update, of the decay of gradients per timestep against the spectral "
            f"radius, a point for each run. At the last update the median decay is {number(decay)} and the median "
            f"spectral radius {number(rho)}."
        ),
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


def _flow_map(material: Material) -> Drawn:
    _, factor, levels = mapped(material.runs, material.sweep.swept)
    texts = [factor.texts[level] for level in levels]
    each = f"the runs of each {factor.label or 'setting'}" if len(texts) > 1 else "all runs"
    some = f" ({len(texts)} of {len(factor.texts)} are shown)" if len(texts) < len(factor.texts) else ""
    panels = f", a panel for each {factor.label or 'setting'} ({listed(texts)})" if len(texts) > 1 else ""
    return Drawn(
        name="gradient_flow_map",
        figure=gradient_flow_map(material.sweep.gradient_flow, material.runs, material.sweep.swept),
        title="Gradient flow through time and training",
        caption=(
            "The norm of the gradient by a hidden state, ‖∂loss/∂h‖, by how many timesteps before the end of the "
            f"sequence that state is (down) and by update (across): the median over {each}{some}. Grey is zero, white "
            f"is what most runs have not. {pools(material.factors, *material.told_by(facets=False))}{material.note}"
        ),
        alt=f"Heat map of the norm of the gradient by lag and update{panels}. {_reach(material, ['first', 'last'])}",
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
    single = len(material.ended) == len(material.hue.levels)
    lines = "A line for each run." if single else "Lines are medians over runs, bands reach from quartile to quartile."
    return Drawn(
        name,
        figure,
        title,
        f"{what} through training. {lines}{ended} {pools(material.factors, *material.told_by())}{material.note}",
        f"{chart}, {lines_of(material.told)}. Medians at the end{over}: {extremes(material.hue, last, metric)}.",
    )


def _reach(material: Material, updates: Sequence[str]) -> str:
    """How the gradient falls, or grows, going back, in the middle of all runs."""
    flow = material.sweep.flow_ends
    told = []
    for update in updates:
        by_run = flow.groupby("run")["update"]
        here = flow[flow["update"] == (by_run.transform("min") if update == "first" else by_run.transform("max"))]
        medians = here.groupby("lag")["norm"].median()
        reached = medians[medians > 0]
        if len(reached):
            told.append(f"{number(reached.iloc[-1])} at lag {reached.index[-1]} (lag 0: {number(medians.iloc[0])})")
            told[-1] += f" at the {update} update"
    return f"The median over all runs reaches back to {listed(told)}." if told else ""
