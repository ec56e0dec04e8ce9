"""What all figures of a sweep are made from, and a figure with its caption and its text for those who can't see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bptt.analysis.factors import Factor, Split, combine_factors, find_factors
from bptt.analysis.figures.metrics import (
    find_display,
    find_usual_start,
    group_runs,
    pool_runs,
    tabulate_metric,
    tell_apart,
)
from bptt.analysis.tables import LOSS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bptt.analysis.sweep import Sweep

_MOST_VALUES = 12  # that an alternative text lists


def count_runs(runs: "pd.DataFrame", found: Sequence[Factor]) -> str:
    """How many runs there are, how many for each setting, and how many of them did not go well."""
    status = runs["status"].fillna("")
    ended = runs["outcome"].notna()
    diverged = int(runs["outcome"].eq("diverged").sum())
    left_out = [
        f"{count:,} {what}"
        for count, what in (
            (int(status.eq("FAILED").sum()), "failed"),
            (int((~ended & status.ne("FAILED")).sum()), "did not end"),
        )
        if count
    ]
    sizes = np.unique(np.bincount(combine_factors(found, int(ended.sum())).codes))
    each = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    many = len(combine_factors(found, int(ended.sum())).levels)
    text = f"{int(ended.sum()):,} run{'s' if ended.sum() != 1 else ''}"
    text += f", {each} for each of {many:,} settings" if many > 1 else ""
    text += f"; {diverged:,} diverged" if diverged else ""
    return text + (f"; not counted: {' and '.join(left_out)}." if left_out else ".")


def name_pooled(found: Sequence[Factor], *used: Factor | None) -> str:
    """What a figure does not tell apart; empty where that is nothing."""
    keys = {factor.key for factor in used if factor}
    left = [factor.name for factor in found if factor.key not in keys]
    return f"Runs that differ in {join_texts(left)} are taken together. " if left else ""


def describe_lines(told: Split) -> str:
    """What the lines of a figure are, and its panels: `one line for each hidden_size (2, 3, 4)`."""
    assert told.hue is not None
    if len(told.hue.levels) < 2:
        return "one line"
    text = f"one line for each {name_level(told.hue)} ({_write_levels(told.hue)})"
    return text + (f", a panel for each value of {told.facet.name} ({_write_levels(told.facet)})" if told.facet else "")


def name_level(factor: Factor) -> str:
    """`value of hidden units`; `setting` where it is a combination of keys."""
    return f"value of {factor.name}" if factor.name else "setting"


def describe_levels(factor: Factor, values: "NDArray[np.float64]", unit: str = "") -> str:
    """A value at each level, or where they are many the least and the largest: `39 % at hidden_size 2, …`."""
    known = [(text, value) for text, value in zip(factor.texts, values, strict=True) if not np.isnan(value)]
    if not known:
        return "nowhere a value"
    told = [
        f"{write_digits(value)}{unit}{f' at {level}' if (level := _write_level(factor, text)) else ''}"
        for text, value in known
    ]
    if len(known) <= _MOST_VALUES:
        return join_texts(told)
    order = np.argsort([value for _, value in known])
    return f"from {told[order[0]]} to {told[order[-1]]}"


def describe_extremes(factor: Factor, values: "NDArray[np.float64]", metric: str) -> str:
    """Which levels have the least and the largest value."""
    unit = " %" if find_display(metric).scale == "percent" else ""
    if np.isnan(values).all():
        return "none"
    if np.nanmin(values) == np.nanmax(values):
        return f"{write_digits(float(np.nanmin(values)))}{unit}"
    least, most = int(np.nanargmin(values)), int(np.nanargmax(values))
    texts = [f"{write_digits(values[at])}{unit} ({_write_level(factor, factor.texts[at])})" for at in (least, most)]
    return f"from {texts[0]} to {texts[1]}"


def write_digits(value: float) -> str:
    """Three digits; `infinity` where a run diverged."""
    return "infinity" if np.isinf(value) else f"{value:.3g}"


def join_texts(texts: Sequence[str]) -> str:
    """As in a sentence: `a, b and c`."""
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))


def _write_level(factor: Factor, text: str) -> str:
    return f"{factor.name} {text}".strip()


def _write_levels(factor: Factor) -> str:
    shown = factor.texts if len(factor.texts) <= _MOST_VALUES else [factor.texts[0], "…", factor.texts[-1]]
    return ", ".join(shown)


@dataclass(frozen=True)
class SweepFigure:
    """A figure of a sweep.

    name     of its file, without an ending
    title    a few words
    caption  full sentences: what is shown, what lines, bands and bars are, and of how many runs
    alt      what one sees, for those who don't
    """

    name: str
    figure: "Figure"
    title: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Material:
    """A sweep as its figures see it."""

    sweep: "Sweep"

    @property
    def runs(self) -> "pd.DataFrame":
        """All of them."""
        return self.sweep.runs

    @cached_property
    def ended(self) -> "pd.DataFrame":
        """Those that count."""
        return self._split[0]

    @cached_property
    def split(self) -> Split:
        """How lines tell them apart; hue is None where they are too many."""
        return self._split[1]

    @cached_property
    def hue(self) -> Factor:
        """What lines are for; one level where runs are not told apart."""
        hue = pool_runs(self.split, len(self.ended)).hue
        assert hue is not None
        return hue

    @cached_property
    def factors(self) -> list[Factor]:
        """What was swept."""
        return find_factors(self.ended, self.sweep.swept)

    @cached_property
    def note(self) -> str:
        """How many runs there are."""
        return count_runs(self.runs, self.factors)

    @cached_property
    def ceiling(self) -> float:
        """The loss above which all runs are alike: ten times what they usually begin with."""
        if LOSS not in self.sweep.history:
            return np.inf
        return (find_display(LOSS).start or np.inf) * find_usual_start(
            tabulate_metric(self.sweep.history, self.ended, LOSS)
        )

    @property
    def single(self) -> bool:
        """Whether each line is a single run, of which there is no median."""
        return len(group_runs(pool_runs(self.split, len(self.ended)), len(self.ended))) == len(self.ended)

    def has(self, metric: str) -> bool:
        """Whether a metric was recorded, and not always zero."""
        history = self.sweep.history
        return metric in history and bool((history[metric].notna() & history[metric].ne(0)).any())

    def over_lines(self, values: "NDArray[np.float64]", mean: bool = False) -> "NDArray[np.float64]":
        """The median, or the mean, of the ended runs' values over each level of `hue`; nan where there are none."""
        result = np.full(len(self.hue.levels), np.nan)
        for level in range(len(result)):
            here = values[(self.hue.codes == level) & ~np.isnan(values)]
            if len(here):
                result[level] = np.mean(here) if mean else np.median(here)
        return result

    def list_keys(self, facets: bool = True) -> list[Factor]:
        """What lines, and panels for each level of another key, tell apart."""
        if self.split.hue is None:
            return []
        if not self.split.hue.key:  # each setting has a line
            return self.factors
        return [factor for factor in (self.split.hue, self.split.facet if facets else None) if factor]

    @cached_property
    def _split(self) -> "tuple[pd.DataFrame, Split]":
        return tell_apart(self.runs, self.sweep.swept)
