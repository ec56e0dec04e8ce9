"""How many runs would settle a question: with a probability of 80 %, by the rule that the words of a report follow.

Each takes what was observed for the truth, which few runs know badly; so a number says how far off an answer is, not
exactly how many runs it will take. None: more than 2,000, or no number of them.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.statistics.differences import PairCounts, lower_tail
from bptt.analysis.statistics.intervals import LEVEL, exact_ends

if TYPE_CHECKING:
    from numpy.typing import NDArray

POWER: Final = 0.8
MOST: Final = 2_000
_NEGLIGIBLE: Final = 1e-9  # probability of what is left out
_COARSE: Final = 1e-3  # the same, where each case costs an integral


@cache
def count_pairs_for_difference(counts: PairCounts, level: float = LEVEL) -> int | None:
    """Pairs with which `mcnemar` finds a difference like the observed one.

    P = Σ P(m) P(X ≥ k(m)), m ~ Binomial(n, (b + c)/pairs), X ~ Binomial(m, max(b, c)/(b + c)), with k(m) the least that
    the test rejects: exact, given that the shares are those. None where neither setting is ahead.
    """
    from scipy.stats import binom

    discordant = counts.wins + counts.losses
    if counts.wins == counts.losses:
        return None
    rate, ahead = discordant / counts.pairs, max(counts.wins, counts.losses) / discordant

    def power(n: int) -> float:
        m = _list_likely(n, rate, _NEGLIGIBLE)
        least = binom.isf((1 - level) / 2, m, 0.5) + 1
        return float(binom.pmf(m, n, rate) @ binom.sf(least - 1, m, ahead))

    return _find_least(power)


@cache
def count_pairs_for_equivalence(counts: PairCounts, margin: float, level: float = LEVEL) -> int | None:
    """Pairs with which the whole interval of `paired_difference` lies within ±margin, if neither setting is better.

    Discordant pairs are as frequent as observed, (b + c + ½)/(pairs + 1), so that none observed is not none ever.
    """
    from scipy.stats import binom

    rate = (counts.wins + counts.losses + 0.5) / (counts.pairs + 1)
    alpha = (1 - level) / 2

    def power(n: int) -> float:
        m = _list_likely(n, rate, _COARSE)
        least = _find_least_losses(m, n, margin, alpha)
        within = binom.cdf(m - least, m, 0.5) - binom.cdf(least - 1, m, 0.5)
        return float(binom.pmf(m, n, rate) @ np.maximum(within, 0.0))

    return _find_least(power)


@cache
def count_runs_for_difference(shares: tuple[float, float], level: float = LEVEL) -> int | None:
    """Runs of either setting with which `share_difference` and Fisher's test find a difference of these shares."""
    from scipy.stats import binom, hypergeom

    if shares[0] == shares[1]:
        return None

    better, worse = max(shares), min(shares)

    def settles(x: "NDArray[Any]", y: "NDArray[Any]", n: int) -> "NDArray[np.bool_]":
        p = 2 * hypergeom.sf(x - 1, 2 * n, x + y, n)
        return np.asarray((_find_difference_ends(x, y, n, level)[0] > 0) & (p < 1 - level))

    def power(n: int) -> float:
        x = _list_likely(n, better, _NEGLIGIBLE)
        most = _find_most(lambda y: settles(x, y, n), len(x), n)
        return float(binom.pmf(x, n, better) @ binom.cdf(most, n, worse))

    return _find_least(power)


@cache
def count_runs_for_equivalence(shares: tuple[float, float], margin: float, level: float = LEVEL) -> int | None:
    """Runs of either setting with which `share_difference` lies within ±margin, if both have these shares' mean."""
    from scipy.stats import binom

    mean = sum(shares) / 2

    def power(n: int) -> float:
        x = _list_likely(n, mean, _NEGLIGIBLE)
        most = _find_most(lambda y: _find_difference_ends(x, y, n, level)[0] > -margin, len(x), n)
        below = _find_most(lambda y: _find_difference_ends(x, y, n, level)[1] >= margin, len(x), n)
        within = binom.cdf(most, n, mean) - binom.cdf(below, n, mean)
        return float(binom.pmf(x, n, mean) @ np.maximum(within, 0.0))

    return _find_least(power)


@cache
def count_runs_for_improvement(probability: float, level: float = LEVEL) -> int | None:
    """Runs of either setting with which `probability_of_improvement` excludes ½, if this is the probability.

    The estimate is taken as normal, with the variance (2n + 1)/(12n²) that Mann and Whitney's statistic has where both
    are spread alike and neither is better.
    """
    from scipy.special import ndtri

    theta = max(probability, 1 - probability)
    if theta == 0.5:
        return None

    def power(n: int) -> float:
        reached = theta - ndtri(POWER) * np.sqrt((2 * n + 1) / 12) / n
        return POWER if reached > 0 and exact_ends(reached, n, level)[0] > 0.5 else 0.0

    return _find_least(power)


def _find_least(power: Callable[[int], float]) -> int | None:
    """A number with enough power, below which there is less; which rises with it, but for a saw's teeth."""
    low, high = 0, 8
    while power(high) < POWER:
        if high == MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def _list_likely(n: int, rate: float, negligible: float) -> "NDArray[np.int64]":
    from scipy.stats import binom

    return np.arange(int(binom.ppf(negligible, n, rate)), int(binom.isf(negligible, n, rate)) + 1)


def _find_least_losses(discordant: "NDArray[np.int64]", pairs: int, margin: float, alpha: float) -> "NDArray[np.int64]":
    """How many of the discordant pairs the second setting must win for the upper end to be below the margin.

    Of more discordant pairs it must win as many or more, so each number is looked for from the one before: a case costs
    an integral.
    """

    def is_within(losses: int, of: int) -> bool:
        return losses > of or float(lower_tail(-margin, losses, of, pairs, True)) < alpha

    low, high = -1, int(discordant[0]) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_within(middle, int(discordant[0])) else (middle, high)
    least = []
    for of in discordant:
        while not is_within(high, int(of)):
            high += 1
        least.append(high)
    return np.array(least)


def _find_most(holds: "Callable[[NDArray[Any]], NDArray[np.bool_]]", size: int, n: int) -> "NDArray[np.int64]":
    """The largest of −1 … n, elementwise, at which something holds that holds at all numbers below it."""
    low, high = np.full(size, -1), np.full(size, n + 1)
    while (high - low > 1).any():
        middle = np.clip((low + high) // 2, 0, n)
        held = holds(middle)
        low, high = np.where(held, middle, low), np.where(held, high, middle)
        high = np.maximum(high, low + 1)
    return low


def _find_difference_ends(
    x: "NDArray[Any]", y: "NDArray[Any]", n: int, level: float
) -> "tuple[NDArray[Any], NDArray[Any]]":
    """The ends of `share_difference`, elementwise."""
    p, q = x / n, y / n
    (l1, u1), (l2, u2) = exact_ends(p, n, level), exact_ends(q, n, level)
    return p - q - np.hypot(p - l1, u2 - q), p - q + np.hypot(u1 - p, q - l2)
