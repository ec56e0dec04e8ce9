"""The figures of how far back gradients reach, with their captions.

Whether the recurrent weights' spectral radius foretells how gradients decay.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.figures.flow import alike, gradient_flow_map, gradient_profiles, mapped
from bptt.analysis.figures.material import Drawn, Material, lines_of, listed, number, pools
from bptt.analysis.figures.metrics import DECAY, RADIUS, SOLVED, axis_label, pooled, told_apart
from bptt.analysis.figures.panels import legend, looks, panels
from bptt.analysis.style import STYLE, logarithmic_ticks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FAR: Final = 5.0  # a decay per timestep beyond which there is nothing to be told apart


_DENSE: Final = 200  # points that an SVG holds as a picture


def radius_against_decay(history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
    """weights/spectral_radius against grad/decay, a point for each run, at its first and its last recorded update.

    history  run, update, metrics
    runs     as of `bptt.load(…).runs`; those that have not ended don't count
    swept    the swept keys

    Points are filled where the run solved its task. Dashed: ln ρ, which is the decay per timestep of a linear network
    whose recurrent matrix is normal with a spectral radius of ρ (R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty
    of training recurrent neural networks", 2013, section 2.1).
    """
    import matplotlib as mpl
    import pandas as pd

    ended, told = told_apart(runs, swept)
    told = pooled(told, len(ended))
    assert told.hue is not None
    points = ends(history, ended)
    lines = dict(zip(ended["run"], told.hue.codes, strict=True))
    solved = dict(zip(ended["run"], ended[SOLVED], strict=True))
    with mpl.rc_context(STYLE):
        figure, every = panels(["first update", "last update"], axis_label(RADIUS), axis_label(DECAY))
        for axes, (_, here) in zip(every, points.items(), strict=True):
            level, filled = here["run"].map(lines), here["run"].map(solved).astype(bool)
            for number, look in enumerate(looks(told.hue)):
                for part, face in (
                    (here[(level == number) & ~filled], "none"),
                    (here[(level == number) & filled], look.colour),
                ):
                    axes.scatter(
                        part[RADIUS],
                        part[DECAY],
                        s=7,
                        marker=look.marker,
                        facecolors=face,
                        edgecolors=[look.colour],
                        linewidths=0.5,
                        alpha=0.6,
                        rasterized=len(ended) > _DENSE,
                    )
        together = pd.concat(points)
        _radius_axis(every[0], together[RADIUS])
        _decay_axis(every[0], together[DECAY])
        _linear_network(every)
        legend(figure, told.hue, markers=True)
    return figure


def ends(history: "pd.DataFrame", runs: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
    """The first and the last of each run's points with both metrics, the radius above 0: run, update, and these."""
    known = history.loc[history["run"].isin(runs["run"]), ["run", "update", RADIUS, DECAY]].dropna()
    known = known[known[RADIUS] > 0]
    return {"first": known.groupby("run").head(1), "last": known.groupby("run").tail(1)}


def _radius_axis(axes: "Axes", radii: "pd.Series") -> None:
    low, high = max(float(radii.min()), 1e-3), max(float(radii.max()), 2e-3)
    room = max((high / low) ** 0.05, 1.1)
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    logarithmic_ticks(axes.xaxis, low / room, high * room)


def _decay_axis(axes: "Axes", decays: "pd.Series") -> None:
    """Linear, but for what is beyond ±1 where that is far."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if decays.abs().max() <= _FAR:
        return
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(*(sign * max(1.5 * sign * end, 1.0) for sign, end in ((-1, decays.min()), (1, decays.max()))))
    decades = 10.0 ** np.arange(9)
    axes.yaxis.set_major_locator(FixedLocator([*-decades[::-1], -0.5, 0.0, 0.5, *decades]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}".replace("-", "−")))


def _linear_network(every: "Sequence[Axes]") -> None:
    """Draw ln ρ behind the points, as far as they reach."""
    axes = every[0]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    radii = np.geomspace(left, right, 100)
    for part in every:
        part.plot(radii, np.log(radii), "--", color="#555555", linewidth=0.8, zorder=0)
        part.axhline(0, color="#bbbbbb", linewidth=0.6, zorder=0)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)


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
