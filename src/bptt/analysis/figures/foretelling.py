"""The figure of how well the start foretells which runs will be solved."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.factors import combine_texts
from bptt.analysis.figures.material import Material, SweepFigure, join_texts
from bptt.analysis.figures.panels import Look, choose_looks, draw_legend
from bptt.analysis.foretelling import Start
from bptt.analysis.style import COLUMN, GREY, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_CONDITIONS: Final = 8  # that have colours and markers of their own
_ALL: Final = Look("#000000", "-", "D")


def draw_areas(start: Start) -> "Figure":
    """Each predictor's area under the ROC curve with its interval, over all conditions and, of up to eight, of each."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    table, conditions = start.by_condition, start.conditions
    shown = conditions if 1 < len(conditions) <= _MOST_CONDITIONS else []
    factor = combine_texts(conditions)
    own = [replace(look, colour=GREY) if look.colour == _ALL.colour else look for look in choose_looks(factor)]
    looks = dict(zip(conditions, own, strict=True)) if shown else {}
    lines = len(shown) + 1
    with mpl.rc_context(STYLE):
        high = 0.7 + len(start.predictors) * (0.14 + 0.08 * lines) + 0.12 * -(-len(shown) // 2)
        figure = Figure(figsize=(COLUMN, high), layout="constrained")
        axes = figure.subplots()
        axes.axvline(50, color=GREY, linewidth=0.8, zorder=0)
        for place, (one, found) in enumerate(zip(start.predictors, start.found, strict=True)):
            step = 0.8 / lines
            interval = found.interval
            _draw_interval(axes, place - 0.4 + step / 2, interval.value, interval.low, interval.high, _ALL)
            here = table[table["symbol"] == one.symbol].set_index("condition")
            for number, condition in enumerate(shown, 1):
                if condition in here.index:
                    value, least, most = here.loc[condition, ["area", "area_low", "area_high"]].astype(float)
                    _draw_interval(axes, place - 0.4 + (number + 0.5) * step, value, least, most, looks[condition])
        axes.set_yticks(range(len(start.predictors)), [one.symbol for one in start.predictors])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(start.predictors) - 0.5, -0.5)
        axes.set_xlim(-2, 102)
        axes.set_xticks([0, 25, 50, 75, 100])
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("probability that the solved run has the larger (%)")
        if shown:
            draw_legend(figure, factor, markers=True, looks=own)
    return figure


def _draw_interval(axes: "Axes", y: float, value: float, low: float, high: float, look: Look) -> None:
    if np.isnan(value):
        return
    if not np.isnan(low):
        axes.plot([100 * low, 100 * high], [y, y], "-", color=look.colour, linewidth=0.9, alpha=0.8)
    axes.plot(100 * value, y, look.marker, color=look.colour, markersize=3.5 if look is _ALL else 2.8)


def draw_foretelling(material: Material) -> Iterator[SweepFigure]:
    """What the start foretells, where it was measured."""
    start = Start(material.sweep)
    if not start.is_measured:
        return
    several = len(start.conditions) > 1
    each = several and len(start.conditions) <= _MOST_CONDITIONS
    told = [
        f"{one.name} {100 * found.interval.value:.0f} %"
        for one, found in zip(start.predictors, start.found, strict=True)
        if not np.isnan(found.interval.value)
    ]
    names = join_texts([f"{one.symbol}: {one.name}" for one in start.predictors])
    yield SweepFigure(
        name="start",
        figure=draw_areas(start),
        title="What the start foretells",
        caption=(
            "How well numbers of untrained networks foretell which runs will be solved: the probability that of a"
            f" solved and an unsolved run{' of one condition' if several else ''} the solved one has the larger number"
            " (the area under the ROC curve), with 95 % intervals over seeds that allow for all of one kind together."
            f" {'Black: over all conditions; below it each of them. ' if each else ''}The line at 50 % is what"
            f" foretells nothing; left of it smaller numbers are those of solved runs. {names}. {material.note}"
        ),
        alt=(
            "Points with intervals, the area under the ROC curve in percent, a row for each number at the start"
            f"{' and condition' if each else ''}. {'Over all conditions: ' if several else ''}{join_texts(told)}."
        ),
    )
