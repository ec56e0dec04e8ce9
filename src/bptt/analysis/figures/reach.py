"""The figures of how far back gradients reach, with their captions."""

from collections.abc import Iterator, Sequence
from typing import Final

from bptt.analysis.figures.captioned import Drawn, Material
from bptt.analysis.figures.captions import lines_of, listed, number, pools
from bptt.analysis.figures.flow import gradient_flow_map, mapped
from bptt.analysis.figures.metrics import DECAY, RADIUS
from bptt.analysis.figures.profiles import alike, gradient_profiles
from bptt.analysis.figures.radius import ends, radius_against_decay
from bptt.analysis.figures.recorded import pooled

_MOST_ROWS: Final = 4_000_000  # of gradients by lag, that are read for one figure


def flow(material: Material) -> Iterator[Drawn]:
    """How far back gradients reach."""
    ends_only = material.sweep.flow_ends
    if not (ends_only["norm"] > 0).any():
        return
    lines = lines_of(pooled(material.told, len(material.ended)))
    every: list[Sequence[str]] = [["first"], ["last"]] if material.told.facet else [["first", "last"]]
    if material.told.facet and alike(ends_only, material.runs, material.sweep.swept, "first"):
        every.remove(["first"])
    medians = "" if material.single else "Lines are medians over runs. "
    for updates in every:
        which = listed(updates)
        yield Drawn(
            name="gradient_profiles" + (f"_{updates[0]}" if len(updates) == 1 else ""),
            figure=gradient_profiles(ends_only, material.runs, material.sweep.swept, updates),
            title="How far back gradients reach" + (f", {which} update" if len(updates) == 1 else ""),
            caption=(
                "The norm of the gradient by a hidden state, ‖∂loss/∂h‖, against how many timesteps before the end of "
                f"the sequence that state is, at the {which} update that each run recorded. {medians}"
                f"{pools(material.factors, *material.told_by())}{material.note}"
            ),
            alt=f"Line chart, norm of the gradient, logarithmic, against lag, {lines}. {_told(material, updates)}",
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
    if len(material.ended) < 2 or points.empty or material.sweep.flow_ends["lag"].max() < 1:
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


def _flow_map(material: Material) -> Drawn:
    _, factor, levels = mapped(material.runs, material.sweep.swept)
    texts = [factor.texts[level] for level in levels]
    of = f"the runs of each {factor.label or 'setting'}" if len(texts) > 1 else "all runs"
    each = "of a single run" if len(material.ended) == 1 else f"the median over {of}"
    some = f" ({len(texts)} of {len(factor.texts)} are shown)" if len(texts) < len(factor.texts) else ""
    panels = f", a panel for each {factor.label or 'setting'} ({listed(texts)})" if len(texts) > 1 else ""
    return Drawn(
        name="gradient_flow_map",
        figure=gradient_flow_map(material.sweep.gradient_flow, material.runs, material.sweep.swept),
        title="Gradient flow through time and training",
        caption=(
            "The norm of the gradient by a hidden state, ‖∂loss/∂h‖, by how many timesteps before the end of the "
            f"sequence that state is (down) and by update (across): {each}{some}. Grey is zero, white "
            f"is what most runs have not. {pools(material.factors, *material.told_by(facets=False))}{material.note}"
        ),
        alt=f"Heat map of the norm of the gradient by lag and update{panels}. {_told(material, ['first', 'last'])}",
    )


def _told(material: Material, updates: Sequence[str]) -> str:
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
    what = "It" if len(material.ended) == 1 else "The median over all runs"
    return f"{what} reaches back to {listed(told)}." if told else ""
