"""How many updates runs take until they solve their task, when some never do: survival curves."""

from typing import TYPE_CHECKING

import numpy as np

from bptt.analysis.statistics.intervals import LEVEL, Interval, exact_ends

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray


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
