"""Confidence intervals: of a share, of the difference of two shares, of a median and of an interquartile mean.

All are two-sided, at a level of 95 % unless another is asked for, and the same bits each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.bootstrap import LEAST, bootstrap_ends

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LEVEL: Final = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its confidence interval; nan where the data don't say."""

    value: float
    low: float
    high: float


def wilson(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """A share of successes with Wilson's score interval; all nan without trials.

    The ends are the p at which |p̂ − p| = z·√(p(1 − p)/n): E. B. Wilson, "Probable Inference, the Law of Succession, and
    Statistical Inference", Journal of the American Statistical Association 22 (1927).
    """
    if not trials:
        return Interval(np.nan, np.nan, np.nan)
    share = successes / trials
    low, high = score_ends(share, trials, level)
    return Interval(share, float(low), float(high))


def score_ends(share: "ArrayLike", trials: "ArrayLike", level: float = LEVEL) -> "tuple[NDArray[Any], NDArray[Any]]":
    """The ends of Wilson's interval, elementwise; trials need not be whole, as effective sample sizes aren't."""
    from scipy.special import ndtri

    p, n = np.asarray(share, float), np.asarray(trials, float)
    z = ndtri(0.5 + level / 2)
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # At these two shares an end is exact, which rounding would miss.
    return np.where(p == 0, 0.0, centre - half), np.where(p == 1, 1.0, centre + half)


def share_difference(successes: tuple[int, int], trials: tuple[int, int], level: float = LEVEL) -> Interval:
    """The first of two independent shares less the second, with Newcombe's hybrid score interval.

    With p₁, p₂ and their Wilson intervals (l₁, u₁), (l₂, u₂) it reaches from p₁ − p₂ − √((p₁ − l₁)² + (u₂ − p₂)²) to
    p₁ − p₂ + √((u₁ − p₁)² + (p₂ − l₂)²): R. G. Newcombe, "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17 (1998), method 10. All nan where one has no trials.
    """
    first, second = (wilson(hits, count, level) for hits, count in zip(successes, trials, strict=True))
    difference = first.value - second.value
    below = np.hypot(first.value - first.low, second.high - second.value)
    above = np.hypot(first.high - first.value, second.value - second.low)
    return Interval(difference, float(difference - below), float(difference + above))


def median_interval(values: "ArrayLike", level: float = LEVEL) -> Interval:
    """The median with its bootstrap interval; see `location_intervals`."""
    return location_intervals([values], level)[0].median


def iqm_interval(values: "ArrayLike", level: float = LEVEL) -> Interval:
    """The interquartile mean with its bootstrap interval; see `location_intervals`."""
    return location_intervals([values], level)[0].iqm


@dataclass(frozen=True)
class Location:
    """Where the middle of a sample lies: its median and its interquartile mean."""

    median: Interval
    iqm: Interval


def location_intervals(samples: "Sequence[ArrayLike]", level: float = LEVEL) -> list[Location]:
    """The median and the interquartile mean of each sample, with bias-corrected, accelerated bootstrap intervals.

    The interquartile mean of n values is the mean of those that are left when the ⌊n/4⌋ smallest and the ⌊n/4⌋ largest
    are dropped. Intervals are as of `bootstrap_ends`.

    Values may be infinite, as the loss of a diverged run: they are above all others, and so are statistics that they
    enter. What is nan doesn't count. With fewer than three values the ends are nan.
    """
    tables = [np.asarray(sample, float).reshape(-1) for sample in samples]
    tables = [np.sort(table[~np.isnan(table)]) for table in tables]
    found: dict[int, Location] = {}
    for size in {len(table) for table in tables}:
        places = [place for place, table in enumerate(tables) if len(table) == size]
        estimates = _estimates(np.array([tables[place] for place in places]), level)
        for number, place in enumerate(places):
            median, iqm = (Interval(*(float(part) for part in one)) for one in estimates[:, :, number].T)
            found[place] = Location(median, iqm)
    return [found[place] for place in range(len(tables))]


def _estimates(ordered: "NDArray[np.float64]", level: float) -> "NDArray[np.float64]":
    """Value, low and high of both statistics, (3, 2, samples), of samples of one size whose rows ascend."""
    count, size = ordered.shape
    values = _statistics(ordered, np.arange(size)) if size else np.full((2, count), np.nan)
    if size < LEAST:
        return np.stack([values, np.full((2, count), np.nan), np.full((2, count), np.nan)])

    # Both depend on order alone: what is drawn anew is ranks, once for all samples.
    def statistic(ranks: "NDArray[np.int64]", axis: int) -> "NDArray[np.float64]":
        drawn = _statistics(ordered, np.sort(ranks, axis=axis))
        return drawn.reshape(-1, *drawn.shape[2:])

    return np.stack([values, *bootstrap_ends([size], statistic, level).reshape(2, 2, count)])


def _statistics(ordered: "NDArray[np.float64]", ranks: "NDArray[np.int64]") -> "NDArray[np.float64]":
    """Median and interquartile mean, (2, samples, …), of rows of ascending ranks (…, n) into the samples' values."""
    size = ranks.shape[-1]
    cut = size // 4
    medians = (ordered[:, ranks[..., (size - 1) // 2]] + ordered[:, ranks[..., size // 2]]) / 2
    return np.stack([medians, ordered[:, ranks[..., cut : size - cut]].mean(axis=-1)])
