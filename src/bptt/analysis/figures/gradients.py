"""The figures of how far back gradients reach, with their captions, and whether the spectral radius foretells it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.figures.flow import choose_mapped, draw_flow_map, draw_profiles, have_equal_profiles
from bptt.analysis.figures.material import (
    DECAY,
    RADIUS,
    SOLVED,
    Material,
    SweepFigure,
    describe_lines,
    join_texts,
    label_axis,
    name_level,
    name_pooled,
    pool_runs,
    tell_apart,
    write_digits,
)
from bptt.analysis.figures.panels import choose_looks, draw_legend, make_panels
from bptt.analysis.style import STYLE, set_logarithmic_ticks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FAR: Final = 5.0  # a decay per timestep beyond which there is nothing to be told apart


_DENSE: Final = 200  # points that an SVG holds as a picture


def draw_radius_against_decay(history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
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

    ended, told = tell_apart(runs, swept)
    told = pool_runs(told, len(ended))
    assert told.hue is not None
    points = find_ends(history, ended)
    lines = dict(zip(ended["run"], told.hue.codes, strict=True))
    solved = dict(zip(ended["run"], ended[SOLVED], strict=True))
    with mpl.rc_context(STYLE):
        figure, every = make_panels(["first update", "last update"], label_axis(RADIUS), label_axis(DECAY))
        for axes, (_, here) in zip(every, points.items(), strict=True):
            level, filled = here["run"].map(lines), here["run"].map(solved).astype(bool)
            for number, look in enumerate(choose_looks(told.hue)):
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
        _set_radius_axis(every[0], together[RADIUS])
        _set_decay_axis(every[0], together[DECAY])
        _draw_linear_network(every)
        draw_legend(figure, told.hue, markers=True)
    return figure


def find_ends(history: "pd.DataFrame", runs: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
    """The first and the last of each run's points with both metrics, the radius above 0: run, update, and these."""
    known = history.loc[history["run"].isin(runs["run"]), ["run", "update", RADIUS, DECAY]].dropna()
    known = known[known[RADIUS] > 0]
    return {"first": known.groupby("run").head(1), "last": known.groupby("run").tail(1)}


def _set_radius_axis(axes: "Axes", radii: "pd.Series") -> None:
    low, high = max(float(radii.min()), 1e-3), max(float(radii.max()), 2e-3)
    room = max((high / low) ** 0.05, 1.1)
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    set_logarithmic_ticks(axes.xaxis, low / room, high * room)


def _set_decay_axis(axes: "Axes", decays: "pd.Series") -> None:
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


def _draw_linear_network(every: "Sequence[Axes]") -> None:
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


def draw_flow(material: Material) -> Iterator[SweepFigure]:
    """How far back gradients reach."""
    ends_only = material.sweep.flow_ends
    if not (ends_only["norm"] > 0).any():
        return
    lines = describe_lines(pool_runs(material.split, len(material.ended)))
    every: list[Sequence[str]] = [["first"], ["last"]] if material.split.facet else [["first", "last"]]
    if material.split.facet and have_equal_profiles(ends_only, material.runs, material.sweep.swept, "first"):
        every.remove(["first"])
    medians = "" if material.single else "Lines are medians over runs. "
    for updates in every:
        which = join_texts(updates)
        yield SweepFigure(
            name="gradient_profiles" + (f"_{updates[0]}" if len(updates) == 1 else ""),
            figure=draw_profiles(ends_only, material.runs, material.sweep.swept, updates),
            title="How far back gradients reach" + (f", {which} update" if len(updates) == 1 else ""),
            caption=(
                "The norm of the gradient by a hidden state, ‖∂loss/∂h‖, against how many timesteps before the end of "
                f"the sequence that state is, at the {which} update that each run recorded. {medians}"
                f"{name_pooled(material.factors, *material.list_keys())}{material.note}"
            ),
            alt=(
                f"Line chart, norm of the gradient, logarithmic, against lag, {lines}. "
                f"{_describe_flow(material, updates)}"
            ),
        )
    points = material.sweep.history.groupby("run").size().median()
    if len(ends_only) / 2 * points <= _MOST_ROWS and points > 2:
        yield _draw_map(material)


def draw_radius(material: Material) -> Iterator[SweepFigure]:
    """The spectral radius against the decay of gradients."""
    history = material.sweep.history
    if RADIUS not in history or DECAY not in history:
        return
    points = find_ends(history, material.ended)["last"]
    if len(material.ended) < 2 or points.empty or material.sweep.flow_ends["lag"].max() < 1:
        return
    decay, rho = points[DECAY].median(), points[RADIUS].median()
    yield SweepFigure(
        name="radius_against_decay",
        figure=draw_radius_against_decay(history, material.runs, material.sweep.swept),
        title="Spectral radius against the decay of gradients",
        caption=(
            "The spectral radius of each run's recurrent weights against the slope of ln ‖∂loss/∂h‖ per timestep going "
            "back (below 0 the gradient vanishes, above 0 it explodes), at the first and at the last recorded update. "
            "Filled points solved their task. Dashed: ln of the spectral radius, the decay of a linear network with a "
            "normal recurrent matrix. "
            f"{name_pooled(material.factors, *material.list_keys(facets=False))}{material.note}"
        ),
        alt=(
            "Two scatter plots, first and last update, of the decay of gradients per timestep against the spectral "
            f"radius, a point for each run. At the last update the median decay is {write_digits(decay)} and the "
            f"median spectral radius {write_digits(rho)}."
        ),
    )


def _draw_map(material: Material) -> SweepFigure:
    _, factor, levels = choose_mapped(material.runs, material.sweep.swept)
    texts = [factor.texts[level] for level in levels]
    of = f"the runs of each {name_level(factor)}" if len(texts) > 1 else "all runs"
    each = "of a single run" if len(material.ended) == 1 else f"the median over {of}"
    some = f" ({len(texts)} of {len(factor.texts)} are shown)" if len(texts) < len(factor.texts) else ""
    panels = f", a panel for each {name_level(factor)} ({join_texts(texts)})" if len(texts) > 1 else ""
    return SweepFigure(
        name="gradient_flow_map",
        figure=draw_flow_map(material.sweep.gradient_flow, material.runs, material.sweep.swept),
        title="Gradient flow through time and training",
        caption=(
            "The norm of the gradient by a hidden state, ‖∂loss/∂h‖, by how many timesteps before the end of the "
            f"sequence that state is (down) and by update (across): {each}{some}. Grey is zero, white "
            "is what most runs have not. "
            f"{name_pooled(material.factors, *material.list_keys(facets=False))}{material.note}"
        ),
        alt=(
            f"Heat map of the norm of the gradient by lag and update{panels}. "
            f"{_describe_flow(material, ['first', 'last'])}"
        ),
    )


def _describe_flow(material: Material, updates: Sequence[str]) -> str:
    """How the gradient falls, or grows, going back, in the middle of all runs."""
    flow = material.sweep.flow_ends
    told = []
    for update in updates:
        by_run = flow.groupby("run")["update"]
        here = flow[flow["update"] == (by_run.transform("min") if update == "first" else by_run.transform("max"))]
        medians = here.groupby("lag")["norm"].median()
        reached = medians[medians > 0]
        if len(reached):
            told.append(
                f"{write_digits(reached.iloc[-1])} at lag {reached.index[-1]} (lag 0: {write_digits(medians.iloc[0])})"
            )
            told[-1] += f" at the {update} update"
    what = "It" if len(material.ended) == 1 else "The median over all runs"
    return f"{what} reaches back to {join_texts(told)}." if told else ""
