"""Bootstrap intervals of statistics of ranks: BCa's, and percentiles where that formula is undefined."""

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST: Final = 3  # values that a bootstrap needs
_RESAMPLES: Final = 9999
_ENTROPY: Final = 20170811  # of every bootstrap: a report made twice has the same numbers
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
            n_resamples=_RESAMPLES,
            batch=max(_BATCH // max(sizes), 100),
            vectorized=True,
            axis=-1,
            confidence_level=level,
            method="BCa",
            rng=np.random.Generator(np.random.PCG64(np.random.SeedSequence(_ENTROPY))),
        )
    ends = np.array([result.confidence_interval.low, result.confidence_interval.high])
    undefined = np.isnan(ends).any(axis=0)
    tails = (0.5 - level / 2, 0.5 + level / 2)
    percentiles = np.quantile(result.bootstrap_distribution[undefined], tails, axis=-1, method="inverted_cdf")
    ends[:, undefined] = np.where(np.isnan(ends[:, undefined]), percentiles, ends[:, undefined])
    return ends
