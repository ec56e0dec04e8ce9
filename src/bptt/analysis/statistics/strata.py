"""Two settings over several conditions whose runs have no seeds in common: a difference within each, then a mean.

The weight of a condition with m runs of the one and n of the other setting is mn/(m + n), Mantel and Haenszel's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bptt.analysis.statistics.intervals import LEVEL, Interval, clopper_pearson, probability_of_improvement

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Successes:
    """How many runs of either setting succeeded, of how many, in one condition."""

    counts: tuple[int, int]
    trials: tuple[int, int]


def stratified_difference(strata: Sequence[Successes], level: float = LEVEL) -> Interval:
    """The first setting's share less the second's: Mantel and Haenszel's risk difference; nan without runs of both.

    Σ w d / Σ w with d = p̂₁ − p̂₂ and w = mn/(m + n): S. Greenland, J. M. Robins, "Estimation of a Common Effect
    Parameter from Sparse Follow-Up Data", Biometrics 41 (1985). Its ends are d − √Σ w² ((p̂₁ − l₁)² + (u₂ − p̂₂)²) and
    d + √Σ w² ((u₁ − p̂₁)² + (p̂₂ − l₂)²), the weights now of sum 1 and l, u Clopper and Pearson's: G. Y. Zou, A. Donner,
    "Construction of confidence limits about effect measures: A general approach", Statistics in Medicine 27 (2008).
    With one condition it is `share_difference`. The usual interval, with Sato's variance, covers too seldom where
    shares are near 0 or 1: docs/trust/coverage.md.
    """
    known = [one for one in strata if min(one.trials)]
    if not known:
        return Interval(np.nan, np.nan, np.nan)
    weights = _weigh([one.trials for one in known])
    value = below = above = 0.0
    for weight, one in zip(weights, known, strict=True):
        first, second = (clopper_pearson(*pair, level) for pair in zip(one.counts, one.trials, strict=True))
        value += weight * (first.value - second.value)
        below += weight**2 * ((first.value - first.low) ** 2 + (second.high - second.value) ** 2)
        above += weight**2 * ((first.high - first.value) ** 2 + (second.value - second.low) ** 2)
    return Interval(float(value), float(value - np.sqrt(below)), float(value + np.sqrt(above)))


def compute_shares_p(strata: Sequence[Successes]) -> float:
    """The exact two-sided p-value that neither setting succeeds more often in any condition.

    Given each condition's numbers of runs and of successes, those of the first setting are hypergeometric; p is twice
    the smaller tail of their sum, at most 1. With one condition it is Fisher's test, with several that of M. W. Birch,
    "The Detection of Partial Association, I: The 2 × 2 Case", Journal of the Royal Statistical Society B 26 (1964).
    """
    from scipy.stats import hypergeom

    distribution, least, seen = np.ones(1), 0, 0
    for one in strata:
        runs, hits, first = sum(one.trials), sum(one.counts), one.trials[0]
        low = max(0, first + hits - runs)
        possible = np.arange(low, min(first, hits) + 1)
        distribution = np.convolve(distribution, hypergeom.pmf(possible, runs, hits, first))
        least, seen = least + low, seen + one.counts[0]
    at = seen - least
    return float(min(1.0, 2 * min(distribution[: at + 1].sum(), distribution[at:].sum())))


def stratified_improvement(
    strata: "Sequence[tuple[ArrayLike, ArrayLike]]", smaller_is_better: bool = True, level: float = LEVEL
) -> Interval:
    """P(a run of the first is better than one of the second in its condition) + ½ P(alike), the conditions' mean.

    With Σ w = 1, θ = Σ w θᵢ of `probability_of_improvement`, from θ − √Σ w²(θᵢ − lᵢ)² to θ + √Σ w²(uᵢ − θᵢ)², as in
    `stratified_difference`.
    """
    found, sizes = [], []
    for a, b in strata:
        first, second = (_drop_nan(values) for values in (a, b))
        if len(first) and len(second):
            found.append(probability_of_improvement(first, second, smaller_is_better, level))
            sizes.append((len(first), len(second)))
    if not found:
        return Interval(np.nan, np.nan, np.nan)
    weights, values = _weigh(sizes), np.array([one.value for one in found])
    if len(found) == 1:
        return found[0]
    low, high = np.array([(one.low, one.high) for one in found]).T
    value = float(weights @ values)
    below, above = (float(np.sqrt(np.sum((weights * reach) ** 2))) for reach in (values - low, high - values))
    return Interval(value, max(0.0, value - below), min(1.0, value + above))


def compute_ranks_p(strata: "Sequence[tuple[ArrayLike, ArrayLike]]") -> float:
    """The two-sided p-value that neither setting's values tend to be larger in any condition.

    With one condition it is Mann and Whitney's test, exact for small samples without ties. With several,
    Σ w(θ − ½)/√(Σ w² V) is taken as normal, V = (N + 1 − Σ(t³ − t)/(N(N − 1)))/(12mn) with N = m + n and t the numbers
    of values that are alike; these weights are those of P. van Elteren, "On the combination of independent two sample
    tests of Wilcoxon", Bulletin of the International Statistical Institute 37 (1960), but for their last term. 1 where
    all are alike.
    """
    from scipy.stats import mannwhitneyu, norm

    pairs = [(_drop_nan(a), _drop_nan(b)) for a, b in strata]
    pairs = [(a, b) for a, b in pairs if len(a) and len(b)]
    if not pairs or all(np.unique(np.concatenate(pair)).size == 1 for pair in pairs):
        return 1.0
    if len(pairs) == 1:
        return float(mannwhitneyu(*_rank(*pairs[0])).pvalue)
    weights, shift, variance = _weigh([(len(a), len(b)) for a, b in pairs]), 0.0, 0.0
    for weight, (a, b) in zip(weights, pairs, strict=True):
        m, n = len(a), len(b)
        ties = np.unique(np.concatenate([a, b]), return_counts=True)[1].astype(float)
        theta = np.mean(np.greater.outer(a, b) + 0.5 * np.equal.outer(a, b))
        rest = np.sum(ties**3 - ties) / ((m + n) * (m + n - 1))
        shift += weight * (theta - 0.5)
        variance += weight**2 * (m + n + 1 - rest) / (12 * m * n)
    return float(2 * norm.sf(abs(shift) / np.sqrt(variance)))


def _weigh(sizes: Sequence[tuple[int, int]]) -> "NDArray[np.float64]":
    weights = np.array([m * n / (m + n) for m, n in sizes])
    return weights / weights.sum()


def _rank(a: "NDArray[Any]", b: "NDArray[Any]") -> "tuple[NDArray[Any], NDArray[Any]]":
    """Numbers in the same order, none of them infinite."""
    codes = np.unique(np.concatenate([a, b]), return_inverse=True)[1]
    return codes[: len(a)], codes[len(a) :]


def _drop_nan(values: "ArrayLike") -> "NDArray[np.float64]":
    array = np.asarray(values, float).reshape(-1)
    return array[~np.isnan(array)]
