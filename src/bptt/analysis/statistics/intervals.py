"""Confidence intervals: of shares and their differences, of medians and interquartile means, of which run does better;
and of survival curves: how many updates runs take until they solve their task, when some never do.

All are two-sided, at a level of 95 % unless another is asked for, and the same bits each time. Those of medians and
interquartile means are bootstrap intervals: BCa's, and percentiles where that formula is undefined.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

LEAST: Final = 3  # values that a bootstrap needs


LARGE: Final = 5000  # values of which no bootstrap is made any more


RESAMPLES: Final = 9999


ENTROPY: Final = 20170811  # of every bootstrap: a report made twice has the same numbers


_ROUNDING: Final = 1e-12


_BATCH: Final = 25_000  # numbers that are looked at together: they stay in a cache


def bootstrap_ends(sizes: Sequence[int], statistic: "Callable[..., NDArray[Any]]", level: float) -> "NDArray[Any]":
    """The lower and the upper ends, (2, …), of intervals of statistics (…) of samples of these sizes.

    statistic  of the numbers of the values that were drawn from each sample, (…, size) each, and the axis that these
               stand along, which is the last

    Bias-corrected, accelerated intervals with 9,999 resamples: B. Efron, "Better Bootstrap Confidence Intervals",
    Journal of the American Statistical Association 82 (1987). Where all resamples give the same value, or an infinite
    one enters the formula, an end is the percentile of the resamples' values.
    """
    from scipy.stats import DegenerateDataWarning, bootstrap

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)
        result = bootstrap(
            [np.arange(size) for size in sizes],
            statistic,
            n_resamples=RESAMPLES,
            batch=max(_BATCH // max(sizes), 100),
            vectorized=True,
            axis=-1,
            confidence_level=level,
            method="BCa",
            rng=np.random.Generator(np.random.PCG64(np.random.SeedSequence(ENTROPY))),
        )
    ends = np.array([result.confidence_interval.low, result.confidence_interval.high])
    undefined = np.isnan(ends).any(axis=0)
    tails = (0.5 - level / 2, 0.5 + level / 2)
    percentiles = np.quantile(result.bootstrap_distribution[undefined], tails, axis=-1, method="inverted_cdf")
    ends[:, undefined] = np.where(np.isnan(ends[:, undefined]), percentiles, ends[:, undefined])
    return ends


LEVEL: Final = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its confidence interval; nan where the data don't say."""

    value: float
    low: float
    high: float

    def name_columns(self, name: str) -> dict[str, float]:
        """Its parts, by the names of a table's columns: the estimate's, and its ends' with _low and _high."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


def clopper_pearson(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """A share of successes with Clopper and Pearson's exact interval; all nan without trials.

    It covers at least as often as it says, whatever the share: C. J. Clopper, E. S. Pearson, "The Use of Confidence or
    Fiducial Limits Illustrated in the Case of the Binomial", Biometrika 26 (1934). Wilson's, which is narrower, does so
    on average only: docs/trust/coverage.md.
    """
    if not trials:
        return Interval(np.nan, np.nan, np.nan)
    low, high = exact_ends(successes / trials, trials, level)
    return Interval(successes / trials, float(low), float(high))


def exact_ends(share: "ArrayLike", trials: "ArrayLike", level: float = LEVEL) -> "tuple[NDArray[Any], NDArray[Any]]":
    """The ends of Clopper and Pearson's interval, elementwise; trials need not be whole, as effective sizes aren't.

    With x = share × trials, the quantile at (1 − level)/2 of Beta(x, n − x + 1) and that at (1 + level)/2 of
    Beta(x + 1, n − x).
    """
    from scipy.special import betaincinv

    p, n = np.broadcast_arrays(np.asarray(share, float), np.asarray(trials, float))
    hits, misses, tail = p * n, (1 - p) * n, 0.5 - level / 2
    some, rest = hits > _ROUNDING, misses > _ROUNDING
    low = np.where(some, betaincinv(np.where(some, hits, 1.0), misses + 1, tail), 0.0)
    high = np.where(rest, 1 - betaincinv(np.where(rest, misses, 1.0), hits + 1, tail), 1.0)
    return low, high


def share_difference(successes: tuple[int, int], trials: tuple[int, int], level: float = LEVEL) -> Interval:
    """The first of two independent shares less the second, with a hybrid of their exact intervals.

    With p₁, p₂ and their intervals (l₁, u₁), (l₂, u₂) it reaches from p₁ − p₂ − √((p₁ − l₁)² + (u₂ − p₂)²) to
    p₁ − p₂ + √((u₁ − p₁)² + (p₂ − l₂)²): R. G. Newcombe, "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17 (1998), method 10, but of Clopper and Pearson's ends where he has Wilson's,
    with which it covers too seldom where shares are near 0 or 1: docs/trust/coverage.md. All nan where one has no
    trials.
    """
    first, second = (clopper_pearson(hits, count, level) for hits, count in zip(successes, trials, strict=True))
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
    enter. What is nan doesn't count. With fewer than three values the ends are nan. Of more than 5,000 values, for
    which a bootstrap takes minutes to say the same, the ends are those of `find_large_ends`.
    """
    tables = [np.asarray(sample, float).reshape(-1) for sample in samples]
    tables = [np.sort(table[~np.isnan(table)]) for table in tables]
    found: dict[int, Location] = {}
    for size in {len(table) for table in tables}:
        places = [place for place, table in enumerate(tables) if len(table) == size]
        estimates = _estimate(np.array([tables[place] for place in places]), level)
        for number, place in enumerate(places):
            median, iqm = (Interval(*(float(part) for part in one)) for one in estimates[:, :, number].T)
            found[place] = Location(median, iqm)
    return [found[place] for place in range(len(tables))]


def _estimate(ordered: "NDArray[np.float64]", level: float) -> "NDArray[np.float64]":
    """Value, low and high of both statistics, (3, 2, samples), of samples of one size whose rows ascend."""
    count, size = ordered.shape
    values = _statistics(ordered, np.arange(size)) if size else np.full((2, count), np.nan)
    if size < LEAST:
        return np.stack([values, np.full((2, count), np.nan), np.full((2, count), np.nan)])

    if size > LARGE:
        ends = [find_large_ends(row, iqm, level) for row, iqm in zip(ordered, values[1], strict=True)]
        return np.stack([values, *np.stack(ends, axis=-1)])

    # Both depend on order alone: what is drawn anew is ranks, once for all samples.
    def statistic(ranks: "NDArray[np.int64]", axis: int) -> "NDArray[np.float64]":
        drawn = _statistics(ordered, np.sort(ranks, axis=axis))
        return drawn.reshape(-1, *drawn.shape[2:])

    return np.stack([values, *bootstrap_ends([size], statistic, level).reshape(2, 2, count)])


def find_large_ends(ordered: "NDArray[np.float64]", iqm: float, level: float) -> "NDArray[np.float64]":
    """The ends, (2, 2), of intervals of the median and the interquartile mean of many values (n,), which ascend.

    The median's are values themselves, by the binomial distribution of how many are below it. The other's are
    iqm ± z s_w / ((1 − 2g) √n) with g = ⌊n/4⌋/n and the standard deviation s_w of the values, those that are dropped
    replaced by the nearest that is not: J. W. Tukey, D. H. McLaughlin, "Less Vulnerable Confidence and Significance
    Procedures for Location Based on a Single Sample", Sankhya A 25 (1963). Where so many values are infinite that the
    mean is, its ends are, too.
    """
    from scipy.special import ndtri
    from scipy.stats import binom

    size, tail = len(ordered), 0.5 - level / 2
    below = max(int(binom.ppf(tail, size, 0.5)) - 1, 0)
    cut = size // 4
    kept = np.clip(ordered, ordered[cut], ordered[size - cut - 1])
    with np.errstate(all="ignore"):
        half = -ndtri(tail) * kept.std(ddof=1) / ((1 - 2 * cut / size) * np.sqrt(size))
    spread = (iqm - half, iqm + half) if np.isfinite(iqm) else (iqm, iqm)
    return np.array([[ordered[below], spread[0]], [ordered[size - 1 - below], spread[1]]])


def _statistics(ordered: "NDArray[np.float64]", ranks: "NDArray[np.int64]") -> "NDArray[np.float64]":
    """Median and interquartile mean, (2, samples, …), of rows of ascending ranks (…, n) into the samples' values."""
    size = ranks.shape[-1]
    cut = size // 4
    medians = (ordered[:, ranks[..., (size - 1) // 2]] + ordered[:, ranks[..., size // 2]]) / 2
    return np.stack([medians, ordered[:, ranks[..., cut : size - cut]].mean(axis=-1)])


def probability_of_improvement(
    a: "ArrayLike", b: "ArrayLike", smaller_is_better: bool = True, level: float = LEVEL
) -> Interval:
    """P(A better than B) + ½ P(both alike) of a run of each, with an interval that holds for all distributions.

    It is Mann and Whitney's U over the number of pairs, and what R. Agarwal et al., "Deep Reinforcement Learning at the
    Edge of the Statistical Precipice", NeurIPS 2021, call so. Values may be infinite, as the loss of a diverged run;
    what is nan doesn't count.

    The ends are `exact_ends` for k pairs, the number of runs of the smaller set. The value is the mean, over all ways
    to make k pairs of runs that have none in common, of the share of pairs that A wins; so it varies no more than that
    share does, which is that of k independent pairs: Var ≤ θ(1 − θ)/k. The variance may be as large as that, where all
    runs of one set are alike; where both sets are spread alike it is two thirds of it at θ = ½. A bootstrap over the
    runs covers too seldom near 0 and 1, and so does Newcombe's interval (2006) for spreads that differ:
    docs/trust/coverage.md.
    """
    first, second = (np.asarray(values, float).reshape(-1) for values in (a, b))
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    if not (len(first) and len(second)):
        return Interval(np.nan, np.nan, np.nan)
    ordered = np.sort(second)
    below, up_to = (np.searchsorted(ordered, first, side) for side in ("left", "right"))
    better = len(second) - up_to if smaller_is_better else below
    value = float((better.sum() + 0.5 * (up_to - below).sum()) / (len(first) * len(second)))
    low, high = exact_ends(value, min(len(first), len(second)), level)
    return Interval(value, float(low), float(high))


def survival(observed: "ArrayLike", solved: "ArrayLike", level: float = LEVEL) -> "pd.DataFrame":
    """The share of runs that have solved their task, against the update: Kaplan and Meier's estimate.

    observed  of each run the update at which it was first seen to have solved the task, or, where it never was, the
              last that it was watched until; a run where it is nan doesn't count
    solved    of each run whether it did

    A row for 0 and one for each value of observed: update, solved_share, low, high. With dᵢ of nᵢ runs that are still
    watched solving the task at tᵢ, solved_share = 1 − S, S(t) = Π (1 − dᵢ/nᵢ) over tᵢ ≤ t: E. L. Kaplan, P. Meier,
    "Nonparametric Estimation from Incomplete Observations", Journal of the American Statistical Association 53 (1958).

    low and high bound it at each update: Clopper and Pearson's interval for as many runs as Greenwood's variance is of,
    S(1 − S)/Var, after K. J. Rothman, "Estimation of confidence limits for the cumulative probability of survival in
    life table analysis", Journal of Chronic Diseases 31 (1978). While all runs are watched that is
    `clopper_pearson`; where none or all have solved it, where Greenwood's variance is zero, it still is an interval.
    """
    import pandas as pd
    from scipy.stats import CensoredData, ecdf

    times, event = np.asarray(observed, float), np.asarray(solved, bool)
    times, event = times[~np.isnan(times)], event[~np.isnan(times)]
    if not len(times):
        return pd.DataFrame({name: np.empty(0) for name in ("update", "solved_share", "low", "high")})
    curve = ecdf(CensoredData.right_censored(times, ~event)).sf
    at = np.concatenate([[0.0], curve.quantiles[curve.quantiles > 0]])
    share = 1 - curve.evaluate(at)
    low, high = exact_ends(share, _effective_size(times, event, at), level)
    return pd.DataFrame({"update": at, "solved_share": share, "low": low, "high": high})


def median_updates(observed: "ArrayLike", solved: "ArrayLike", level: float = LEVEL) -> Interval:
    """The first update at which half of the runs have solved their task; arguments as of `survival`.

    Its interval holds the updates at which the interval of the share that solved it holds one half: R. Brookmeyer,
    J. Crowley, "A Confidence Interval for the Median Survival Time", Biometrics 38 (1982). What was not reached while
    runs were watched is nan.
    """
    curve = survival(observed, solved, level)
    updates = curve["update"].to_numpy()

    def reached(name: str) -> float:
        beyond = np.flatnonzero(curve[name] >= 0.5)
        return float(updates[beyond[0]]) if len(beyond) else np.nan

    return Interval(reached("solved_share"), reached("high"), reached("low"))


def _effective_size(
    times: "NDArray[np.float64]", event: "NDArray[np.bool_]", at: "NDArray[np.float64]"
) -> "NDArray[np.float64]":
    """How many runs, all of them watched, would give the estimate at each time the variance that it has."""
    watched = len(times) - np.searchsorted(np.sort(times), at)
    solving = np.searchsorted(np.sort(times[event]), at, "right") - np.searchsorted(np.sort(times[event]), at)
    after = np.cumprod(1 - solving / watched)
    before = np.concatenate([[1.0], after[:-1]])
    # Greenwood's sum without its newest term, which is infinite where no run is left.
    earlier = np.concatenate([[0.0], np.cumsum(solving[:-1] / (watched[:-1] * (watched - solving)[:-1]))])
    spread = after * earlier + before * solving / watched**2
    return np.divide(1 - after, spread, out=watched.astype(float), where=spread > 0)
