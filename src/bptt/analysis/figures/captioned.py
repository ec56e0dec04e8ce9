"""A figure with its words, and what all figures of a sweep are made from."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bptt.analysis.factors import Factor, Split, factors
from bptt.analysis.figures.captions import counted
from bptt.analysis.figures.metrics import shown
from bptt.analysis.figures.recorded import groups, pooled, recorded, told_apart, usual_start
from bptt.analysis.tables import LOSS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bptt.analysis.sweep import Sweep


@dataclass(frozen=True)
class Drawn:
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
        return self._told[0]

    @cached_property
    def told(self) -> Split:
        """How lines tell them apart; hue is None where they are too many."""
        return self._told[1]

    @cached_property
    def hue(self) -> Factor:
        """What lines are for; one level where runs are not told apart."""
        hue = pooled(self.told, len(self.ended)).hue
        assert hue is not None
        return hue

    @cached_property
    def factors(self) -> list[Factor]:
        """What was swept."""
        return factors(self.ended, self.sweep.swept)

    @cached_property
    def note(self) -> str:
        """How many runs there are."""
        return counted(self.runs, self.factors)

    @cached_property
    def ceiling(self) -> float:
        """The loss above which all runs are alike: ten times what they usually begin with."""
        if LOSS not in self.sweep.history:
            return np.inf
        return (shown(LOSS).start or np.inf) * usual_start(recorded(self.sweep.history, self.ended, LOSS))

    @property
    def single(self) -> bool:
        """Whether each line is a single run, of which there is no median."""
        return len(groups(pooled(self.told, len(self.ended)), len(self.ended))) == len(self.ended)

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

    def told_by(self, facets: bool = True) -> list[Factor]:
        """What lines, and panels for each level of another key, tell apart."""
        if self.told.hue is None:
            return []
        if not self.told.hue.key:  # each setting has a line
            return self.factors
        return [factor for factor in (self.told.hue, self.told.facet if facets else None) if factor]

    @cached_property
    def _told(self) -> "tuple[pd.DataFrame, Split]":
        return told_apart(self.runs, self.sweep.swept)
