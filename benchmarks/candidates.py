"""Intervals that were tried and are not what bptt uses, for arrays of outcomes at once; see coverage."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, ndtri, stdtrit

from bptt.analysis.statistics.intervals import LEVEL, bootstrap_ends
from bptt.analysis.statistics.roc import RocArea

Ends = tuple[NDArray[Any], NDArray[Any]]


def score_ends(share: ArrayLike, trials: ArrayLike, level: float = LEVEL) -> Ends:
    """Wilson's interval, elementwise, the p at which |p̂ − p| = z·√(p(1 − p)/n); trials need not be whole.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American
    Statistical Association 22 (1927).
    """
    p, n = np.asarray(share, float), np.asarray(trials, float)
    z = ndtri(0.5 + level / 2)
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # At these two shares an end is exact, which rounding would miss.
    return np.where(p == 0, 0.0, centre - half), np.where(p == 1, 1.0, centre + half)


def newcombe(x: NDArray[Any], y: NDArray[Any], m: int, n: int) -> Ends:
    """Of x/m − y/n: Newcombe 1998, Statistics in Medicine 17, 873–890, method 10."""
    p, q = x / m, y / n
    (l1, u1), (l2, u2) = score_ends(p, m), score_ends(q, n)
    return p - q - np.hypot(p - l1, u2 - q), p - q + np.hypot(u1 - p, q - l2)


def newcombe_paired(table: NDArray[Any]) -> Ends:
    """Of rows (both, first alone, second alone, neither): Newcombe 1998, Stat. in Med. 17, 2635–2650, method 10."""
    a, b, c, d = table.T.astype(float)
    n = a + b + c + d
    p, q = (a + b) / n, (a + c) / n
    (l1, u1), (l2, u2) = score_ends(p, n), score_ends(q, n)
    product, cross = (a + b) * (c + d) * (a + c) * (b + d), a * d - b * c
    corrected = np.where(cross > n / 2, cross - n / 2, np.minimum(cross, 0.0))
    phi = np.divide(corrected, np.sqrt(product), out=np.zeros_like(n), where=product > 0)
    below = (p - l1) ** 2 - 2 * phi * (p - l1) * (u2 - q) + (u2 - q) ** 2
    above = (u1 - p) ** 2 - 2 * phi * (u1 - p) * (q - l2) + (q - l2) ** 2
    return p - q - np.sqrt(np.maximum(below, 0)), p - q + np.sqrt(np.maximum(above, 0))


def tango(b: NDArray[Any], c: NDArray[Any], n: int) -> Ends:
    """Of (b − c)/n: Tango 1998, Statistics in Medicine 17, 891–908, by bisection of its score."""
    b, c, z = np.atleast_1d(b).astype(float), np.atleast_1d(c).astype(float), float(ndtri(0.975))

    def score(difference: NDArray[Any]) -> NDArray[Any]:
        linear = (2 * n - b + c) * difference - b - c
        constant = -c * difference * (1 - difference)
        q = (np.sqrt(np.maximum(linear**2 - 8 * n * constant, 0)) - linear) / (4 * n)
        variance = np.maximum(n * (2 * q + difference * (1 - difference)), 0)
        apart = b - c - n * difference
        return np.divide(apart, np.sqrt(variance), out=np.sign(apart) * 1e9, where=variance > 0)

    def solve(target: float) -> NDArray[Any]:
        low, high = np.full(b.shape, -1.0), np.full(b.shape, 1.0)
        for _ in range(60):
            middle = (low + high) / 2
            above = score(middle) > target
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return (low + high) / 2

    return np.where(b - c == -n, -1.0, solve(z)), np.where(b - c == n, 1.0, solve(-z))


def sato(x: NDArray[Any], y: NDArray[Any], m: NDArray[Any], n: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mantel and Haenszel's risk difference over the last axis, and its variance: Sato 1989, Biometrics 45, 1323–1324.

    (d Σ P + Σ Q)/(Σ w)², w = mn/N, P = (m² y − n² x + mn(n − m)/2)/N², Q = (x(n − y) + y(m − x))/(2N), N = m + n.
    """
    total = m + n
    weight = (m * n / total).sum(axis=-1)
    difference = ((x * n - y * m) / total).sum(axis=-1) / weight
    p = ((m**2 * y - n**2 * x + m * n * (n - m) / 2) / total**2).sum(axis=-1)
    q = ((x * (n - y) + y * (m - x)) / (2 * total)).sum(axis=-1)
    return difference, (difference * p + q) / weight**2


def bootstrap_improvement(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, float]:
    """Of P(a larger than b) + ½ P(alike): runs of both are drawn anew, BCa."""
    wins = np.greater.outer(a, b) + 0.5 * np.equal.outer(a, b)

    def count(numbers: NDArray[Any], size: int) -> NDArray[Any]:
        rows = numbers.reshape(-1, numbers.shape[-1])
        counts = np.bincount((rows + size * np.arange(len(rows))[:, None]).reshape(-1), minlength=size * len(rows))
        return counts.reshape(*numbers.shape[:-1], size).astype(float)

    def statistic(i: NDArray[Any], j: NDArray[Any], axis: int = -1) -> NDArray[Any]:
        won = np.sum((count(i, len(a)) @ wins) * count(j, len(b)), axis=axis)
        return np.asarray(won / (i.shape[-1] * j.shape[-1]))

    low, high = bootstrap_ends(wins.shape, statistic, 0.95)
    return float(low), float(high)


def wald_of_area(found: RocArea) -> tuple[float, float]:
    """Of an area under the ROC curve, with the variance over clusters: Obuchowski 1997, Biometrics 53, 567–578."""
    half = float(ndtri(0.975) * np.sqrt(found.variance))
    return found.value - half, found.value + half


def logit_of_area(found: RocArea) -> tuple[float, float]:
    """The same for the area's logit, with Student's quantile: Pepe 2003, "The statistical evaluation of medical tests
    for classification and prediction". Where the area is 0 or 1 it has no width.
    """
    spread = found.value * (1 - found.value)
    if not spread:
        return found.value, found.value
    half = float(stdtrit(found.seeds - 1, 0.975) * np.sqrt(found.variance) / spread)
    return float(expit(logit(found.value) - half)), float(expit(logit(found.value) + half))
