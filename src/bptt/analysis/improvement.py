"""How likely it is that a run of one setting does better than a run of another."""

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.bootstrap import LEAST, bootstrap_ends
from bptt.analysis.intervals import LEVEL, Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_ROUNDING: Final = 1e-12


def probability_of_improvement(
    a: "ArrayLike", b: "ArrayLike", smaller_is_better: bool = True, level: float = LEVEL
) -> Interval:
    """P(A better than B) + ½ P(both alike) of a run of each, with a bootstrap interval.

    It is Mann and Whitney's U over the number of pairs, and what R. Agarwal et al., "Deep Reinforcement Learning at the
    Edge of the Statistical Precipice", NeurIPS 2021, call so. Values may be infinite, as the loss of a diverged run;
    what is nan doesn't count.

    The interval is that of `bootstrap_ends`, which draws the runs of each anew. Where all pairs end alike, as when
    every run of one is better than all of the other, resamples say nothing of how sure that is, and the interval is
    Newcombe's, see `score_interval`. With fewer than three runs of either the ends are nan.
    """
    # In order, so that the same values are drawn whichever order they come in.
    first, second = (np.sort(np.asarray(values, float).reshape(-1)) for values in (a, b))
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    if not (len(first) and len(second)):
        return Interval(np.nan, np.nan, np.nan)
    better = np.less if smaller_is_better else np.greater
    wins = better.outer(first, second) + 0.5 * np.equal.outer(first, second)
    value = float(wins.mean())
    if min(wins.shape) < LEAST:
        return Interval(value, np.nan, np.nan)
    if np.ptp(wins) == 0:
        return score_interval(value, wins.shape, level)

    def statistic(i: "NDArray[np.int64]", j: "NDArray[np.int64]", axis: int = -1) -> "NDArray[np.float64]":
        # Halves, so that sums are exact whatever their order.
        won = np.sum((_counts(i, len(first)) @ wins) * _counts(j, len(second)), axis=axis)
        return np.asarray(won / (i.shape[-1] * j.shape[-1]))

    low, high = bootstrap_ends(wins.shape, statistic, level)
    return Interval(value, float(low), float(high))


def score_interval(value: float, runs: tuple[int, int], level: float = LEVEL) -> Interval:
    """An interval of U/(mn) from its value θ̂ and the numbers m, n of runs alone.

    Its ends are the θ at which (θ̂ − θ)² = z² θ(1 − θ)(1 + (N − 1)((1 − θ)/(2 − θ) + θ/(1 + θ)))/(mn), N = (m + n)/2:
    R. G. Newcombe, "Confidence intervals for an effect size measure based on the Mann–Whitney statistic", Part 2,
    Statistics in Medicine 25 (2006), method 5. As Wilson's for shares, it has a width where θ̂ is 0 or 1.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    m, n = runs
    z = float(ndtri(0.5 + level / 2))

    def variance(theta: float) -> float:
        rest = (1 - theta) / (2 - theta) + theta / (1 + theta)
        return theta * (1 - theta) * (1 + ((m + n) / 2 - 1) * rest) / (m * n)

    def beyond(theta: float) -> float:
        return abs(value - theta) - z * math.sqrt(variance(theta))

    # Beside an estimate of 0 or 1 stands a root that is no end.
    inside = min(max(value, _ROUNDING), 1 - _ROUNDING)
    low = 0.0 if value == 0 else brentq(beyond, 0.0, inside)
    high = 1.0 if value == 1 else brentq(beyond, inside, 1.0)
    return Interval(value, float(low), float(high))


def _counts(numbers: "NDArray[np.int64]", size: int) -> "NDArray[Any]":
    """How often each of 0 … size − 1 stands in each row."""
    rows = numbers.reshape(-1, numbers.shape[-1])
    offsets = size * np.arange(len(rows))[:, None]
    counts = np.bincount((rows + offsets).reshape(-1), minlength=size * len(rows))
    return counts.reshape(*numbers.shape[:-1], size).astype(float)
