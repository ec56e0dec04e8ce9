"""How well runs ended, as a whole distribution: performance profiles."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from bptt.analysis.comparison import choose_measure, select_ended
from bptt.analysis.factors import Factor, Split, combine_factors, drop_decided_factors, find_factors, split_runs
from bptt.analysis.figures.material import (
    Material,
    SweepFigure,
    describe_levels,
    describe_lines,
    find_common_baseline,
    find_display,
    group_runs,
    name_level,
    name_pooled,
    pool_runs,
)
from bptt.analysis.figures.outcomes import BEYOND
from bptt.analysis.figures.panels import (
    LinearWindow,
    Look,
    Scale,
    Window,
    choose_looks,
    describe_baseline,
    draw_baseline,
    draw_legend,
    make_panels,
    set_percent_axis,
)
from bptt.analysis.figures.training import MOST_BANDS
from bptt.analysis.statistics.intervals import exact_ends
from bptt.analysis.style import STYLE, write_message
from bptt.analysis.tables import ACCURACY, LOSS, is_smaller_better, take_final

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_MOST_PANELS: Final = 12
_LEAST_VALUES: Final = 3  # that runs end with; of two a share says all


def draw_performance_profiles(
    runs: "pd.DataFrame",
    swept: Sequence[str],
    conditions: Sequence[str] = (),
    metric: str = LOSS,
    ceiling: float = np.inf,
) -> "Figure":
    """The share of each setting's runs that end with a loss of at most τ, or an accuracy of at least τ, against τ.

    runs        as of `bptt.load(…).runs`; those that have not ended don't count
    swept       the swept keys
    conditions  those that make a task harder: each combination of their values has a panel
    metric      a loss, whose axis is logarithmic, or an accuracy
    ceiling     losses above it are beyond the axis, as that of a run that diverged; they count as worse than any τ

    These are the performance profiles of R. Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
    Precipice", NeurIPS 2021, section 4.2: where one line lies above another throughout, its setting is better whatever
    is asked for. Bands, where a panel has six lines or fewer, are Clopper and Pearson's 95 % intervals at each τ alone.
    Where all runs of a panel have the same `baseline`, a dashed line shows it.
    """
    import matplotlib as mpl

    ended, told = _tell_apart(runs, swept, conditions)
    assert told.hue is not None
    values, smaller = _take_values(ended, metric), is_smaller_better(metric) is True
    groups = group_runs(told, len(ended))
    members = [ended.iloc[_join(groups, panel)] for panel in range(len(told.titles))]
    costs = [find_common_baseline(one) if metric == LOSS else None for one in members]
    scale = _choose_scale(values, metric, ceiling, [cost for cost in costs if cost is not None])
    drawn, how = choose_looks(told.hue), find_display(metric)
    with mpl.rc_context(STYLE):
        figure, every = make_panels(
            told.titles,
            f"final {how.label} τ{' (%)' if how.scale == 'percent' else ''}",
            f"runs with at {'most' if smaller else 'least'} τ (%)",
        )
        if scale is None:
            write_message(every[0], "no run ended with a finite value")
            return figure
        scale.apply(every[0], across=True)
        for (panel, line), chosen in groups.items():
            _draw_profile(every[panel], drawn[line], values[chosen], scale, smaller, bands=len(drawn) <= MOST_BANDS)
        for axes, cost in zip(every, costs, strict=True):
            draw_baseline(axes, cost, scale, across=True)
        set_percent_axis(every[0])
        draw_legend(figure, told.hue, markers=False)
    return figure


def draw_performance(material: Material) -> Iterator[SweepFigure]:
    """How well runs ended, where no share of solved runs says it: by what `choose_measure` compares them."""
    measure, sweep = choose_measure(material.ended), material.sweep
    # Whether runs solved their task is a single share, and when they did is what survival curves show.
    if measure not in ("loss", "accuracy"):
        return
    metric = ACCURACY if measure == "accuracy" else LOSS
    ceiling = material.ceiling if metric == LOSS else np.inf
    ended, told = _tell_apart(material.runs, sweep.swept, sweep.conditions)
    values, groups = _take_values(ended, metric), group_runs(told, len(ended))
    shown = values[values <= ceiling]
    assert told.hue is not None
    lines, panels = (0 if one is None else len(one.levels) for one in (told.hue, told.facet))
    pooled = lines == 1 and any(factor.key not in sweep.conditions for factor in material.factors)
    if pooled or panels > _MOST_PANELS or len(groups) == len(ended):
        return
    if len(np.unique(shown[np.isfinite(shown)])) < _LEAST_VALUES:
        return
    smaller, how = metric == LOSS, find_display(metric)
    most, bands = "most" if smaller else "least", lines <= MOST_BANDS
    above = " A setting whose line lies above another's throughout did better in these runs, whichever τ is asked for."
    beyond = int(np.sum(values > ceiling)) if smaller else 0
    figure = draw_performance_profiles(material.runs, sweep.swept, sweep.conditions, metric, ceiling)
    yield SweepFigure(
        name="performance_profiles",
        figure=figure,
        title="How well runs end",
        caption=(
            f"The share of runs whose last {how.label} is at {most} τ, against τ: their performance profile"
            f"{'; light bands are 95 % intervals (Clopper–Pearson) at each τ alone' if bands else ''}."
            f"{above if lines > 1 else ''} {_explain_beyond(beyond)}{describe_baseline(figure)}"
            f"{name_pooled(material.factors, *_list_keys(material, told))}{material.note}"
        ),
        alt=(
            f"Step chart that {'rises' if smaller else 'falls'}, runs in percent against the final {how.label} that "
            f"they reach{', logarithmic' if smaller else ''}, {_describe_panels(told)}. Half of the runs"
            f"{' over all panels' if told.facet else ''} have at {most}: "
            f"{describe_levels(told.hue, _find_halves(values, told, smaller), '' if smaller else ' %')}."
        ),
    )


def _tell_apart(runs: "pd.DataFrame", swept: Sequence[str], conditions: Sequence[str]) -> "tuple[pd.DataFrame, Split]":
    """The runs that ended; a line for each setting, and panels for conditions, or where there are none as elsewhere."""
    ended = select_ended(runs)
    found = find_factors(ended, swept)
    harder = [factor for factor in found if factor.key in conditions]
    told = pool_runs(split_runs([factor for factor in found if factor not in harder], len(ended)), len(ended))
    return ended, Split(told.hue, combine_factors(drop_decided_factors(harder), len(ended))) if harder else told


def _list_keys(material: Material, told: Split) -> list[Factor | None]:
    """What lines and panels tell apart."""
    assert told.hue is not None
    conditions = [factor for factor in material.factors if factor.key in material.sweep.conditions]
    if not told.hue.key and len(told.hue.levels) > 1:  # each setting has a line
        return [*material.factors]
    return [told.hue, *conditions] if conditions else [told.hue, told.facet]


def _take_values(ended: "pd.DataFrame", metric: str) -> "NDArray[np.float64]":
    """What runs ended with, an accuracy in percent."""
    return take_final(ended, metric).to_numpy(float) * (100 if find_display(metric).scale == "percent" else 1)


def _join(groups: "Mapping[tuple[int, int], NDArray[np.intp]]", panel: int) -> "NDArray[np.intp]":
    """The runs of a panel."""
    return np.concatenate([np.empty(0, np.intp), *(chosen for (place, _), chosen in groups.items() if place == panel)])


def _choose_scale(
    values: "NDArray[np.float64]", metric: str, ceiling: float, costs: Sequence[float]
) -> Window | LinearWindow | None:
    """The axis of τ, for these values and for baselines beside them; None where nothing is finite."""
    if find_display(metric).scale != "log":
        return LinearWindow.around(values)
    return Window.around(values, ceiling) and Window.around(np.append(values, costs), ceiling)


def _draw_profile(
    axes: "Axes", look: Look, values: "NDArray[np.float64]", scale: Scale, smaller: bool, bands: bool
) -> None:
    """The profile of one setting; smaller: whether smaller values are better."""
    known = values[~np.isnan(values)]
    if not len(known):
        return
    inside = np.sort(scale.mask(known))
    inside = inside[~np.isnan(inside)]
    steps = np.unique(inside)
    worse = np.searchsorted(inside, steps, side="left")
    counts = np.searchsorted(inside, steps, side="right") if smaller else len(known) - worse
    first, last = (0, len(inside)) if smaller else (len(known), 0)
    low, high = axes.get_xlim()
    tau = np.array([low, *steps, high])
    share = np.array([first, *counts, last]) / len(known)
    # A share of "at most" changes at a value, one of "at least" behind it.
    where: Literal["post", "pre"] = "post" if smaller else "pre"
    axes.step(tau, 100 * share, look.line, where=where, color=look.colour)
    if bands:
        least, most = exact_ends(share, len(known))
        axes.fill_between(tau, 100 * least, 100 * most, step=where, color=look.colour, alpha=0.15, linewidth=0)


def _find_halves(values: "NDArray[np.float64]", told: Split, smaller: bool) -> "NDArray[np.float64]":
    """The best τ that half of each line's runs reach; nan where there are none."""
    assert told.hue is not None
    sign, found = 1 if smaller else -1, np.full(len(told.hue.levels), np.nan)
    for level in range(len(found)):
        here = values[(told.hue.codes == level) & ~np.isnan(values)]
        if len(here):
            found[level] = sign * np.quantile(sign * here, 0.5, method="inverted_cdf")
    return found


def _explain_beyond(count: int) -> str:
    if not count:
        return ""
    return f"Lines end below 100 % for runs that {BEYOND} ({count:,}). "


def _describe_panels(told: Split) -> str:
    assert told.hue is not None
    if told.facet is None or (told.facet.name and len(told.hue.levels) > 1):
        return describe_lines(told)
    panel = name_level(told.facet) if told.facet.name else "condition"
    return f"{describe_lines(Split(told.hue, None))}, a panel for each {panel}"
