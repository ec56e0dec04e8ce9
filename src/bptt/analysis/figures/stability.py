"""The figure of sharpness through training, as a share of the largest one with which the optimizer is stable."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.factors import Factor, Split, combine_texts
from bptt.analysis.figures.dynamics import DYNAMICS, EDGE, RULE, set_kept_axis
from bptt.analysis.figures.material import (
    Material,
    SweepFigure,
    describe_lines,
    find_display,
    group_runs,
    join_texts,
    tabulate_metric,
    write_digits,
)
from bptt.analysis.figures.panels import (
    Band,
    Window,
    choose_looks,
    collect_values,
    compute_quartiles,
    draw_bands,
    draw_legend,
    make_panels,
)
from bptt.analysis.stability import SHARPNESS, Stability
from bptt.analysis.style import STYLE
from bptt.analysis.tables import write_parts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_SHOWN: Final = (0.01, 10.0)  # of the largest stable sharpness: what is above is on its way to diverge
_MOST_LINES: Final = 8
_MOST_PANELS: Final = 8


def draw_sharpness_along(
    measures: "pd.DataFrame", ended: "pd.DataFrame", hue: Factor, facet: Factor | None = None
) -> "Figure":
    """The share that the sharpness is of the largest stable one, against the update: medians, bands of quartiles.

    measures  run, update, `dynamics/sharpness_ratio`
    ended     the runs, as of `bptt.load(…).runs`
    hue       whose levels have a line; facet: whose levels have a panel
    """
    import matplotlib as mpl

    told = Split(hue, facet)
    known = measures if SHARPNESS in measures else measures.assign(**{SHARPNESS: np.nan})
    table = tabulate_metric(known[known[SHARPNESS].notna()], ended.assign(outcome="completed"), SHARPNESS)
    with mpl.rc_context(STYLE):
        figure, every = make_panels(told.titles, "update", find_display(SHARPNESS).label)
        looks = choose_looks(hue)
        bands: list[list[Band]] = [[] for _ in every]
        for (panel, line), chosen in group_runs(told, len(ended)).items():
            own = table.of(chosen)
            low, middle, high = compute_quartiles(own.values).T
            bands[panel].append(Band(looks[line], own.updates, middle, low, high))
        values = np.append(collect_values(bands), 1.0)
        draw_bands(every, bands, Window.around(np.clip(values, *_SHOWN)))
        for axes in every:
            axes.axhline(1.0, **RULE)
        set_kept_axis(every, table.updates)
        draw_legend(figure, hue, markers=False)
    return figure


def _tell_apart(stability: Stability) -> "tuple[pd.DataFrame, Factor, Factor | None]":
    """The runs that were measured; lines for settings and panels for conditions, where they are few."""
    sweep = stability.sweep
    ended = sweep.runs[sweep.runs["run"].isin(stability.runs["run"])].reset_index(drop=True)
    condition, setting = write_parts(ended, sweep.swept, sweep.conditions)
    hue, facet = (combine_texts(texts) for texts in (setting, condition))
    return (
        ended,
        hue if len(hue.levels) <= _MOST_LINES else combine_texts([""] * len(ended)),
        facet if 1 < len(facet.levels) <= _MOST_PANELS else None,
    )


def draw_stability(material: Material) -> Iterator[SweepFigure]:
    """Sharpness through training, where it was measured."""
    stability = Stability(material.sweep)
    if not stability.is_measured:
        return
    ended, hue, facet = _tell_apart(stability)
    told = describe_lines(Split(hue, facet))
    known = stability.settings[stability.settings["rest"].notna()]
    names = (known["condition"] + " " + known["setting"]).str.strip()
    rests = [
        write_digits(rest) + (f" ({name})" if name else "") for rest, name in zip(known["rest"], names, strict=True)
    ]
    yield SweepFigure(
        name=f"{DYNAMICS}sharpness_along",
        figure=draw_sharpness_along(stability.history, ended, hue, facet),
        title="Sharpness through training",
        caption=(
            "The sharpness as a share of the largest one with which the optimizer is stable, after the updates that "
            "were measured: medians over runs, and bands from the lower to the upper quartile, "
            f"{told}. {EDGE}A line that rises to 1 and stays there is progressive sharpening up to the "
            "edge of stability (Cohen et al. 2021); one that falls towards it began in a place that was too steep. "
            f"{material.note}"
        ),
        alt=(
            "Line chart of the sharpness' share of the largest stable one, logarithmic, against the update, "
            f"{told}. Medians over the last quarter of updates: {join_texts(rests)}."
        ),
    )
