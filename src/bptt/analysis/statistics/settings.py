"""What can be said of a sweep's settings, each over its seeds, and how sure it is; and what each swept key explains."""

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.factors import Factor, combine_factors, find_factors
from bptt.analysis.statistics.intervals import (
    Interval,
    clopper_pearson,
    iqm_interval,
    location_intervals,
    median_interval,
    median_updates,
    probability_of_improvement,
    share_difference,
    survival,
)
from bptt.analysis.tables import ACCURACY, FITS, KEPT_LOSS, LOSS, drop_decided, drop_seed, take_final, write_settings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "Interval",
    "clopper_pearson",
    "iqm_interval",
    "median_interval",
    "median_updates",
    "probability_of_improvement",
    "setting_statistics",
    "share_difference",
    "survival",
    "variance_shares",
]


_LOCATED: Final = {
    "loss": LOSS,
    "best_loss": f"best/{LOSS}",
    "kept_loss": KEPT_LOSS,
    "accuracy": ACCURACY,
    **{f"{name}_{part}": f"{name}/{part}" for name in FITS for part in ("eval", "test")},
}


def setting_statistics(runs: "pd.DataFrame", swept: Sequence[str], conditions: Sequence[str] = ()) -> "pd.DataFrame":
    """A row for each setting in each condition, in the order of its first run.

    runs        as of `load(…).runs`
    swept       the swept keys; a setting is all of them but the seed and the conditions
    conditions  those that make a task harder: a setting is compared with others within one condition alone

    Columns: condition (text, where there are any), setting (text), the swept keys, then
    runs        how many there are
    ended       how many of them ended, among them those that diverged or stopped early: the statistics are of these
    diverged, failed, unfinished  how many of all runs did, FAILED, or were broken off, never begun or given up
    given_up    how many of the last were given up by halving; only where some run was
    solved      how many solved their task; success their share of those that ended (Clopper and Pearson's interval)
    loss_median, loss_iqm            of the last evaluations' loss; a diverged run's is infinite (bootstrap intervals)
    best_loss_median, best_loss_iqm  of the least loss that each run had
    kept_loss_median, kept_loss_iqm  of the loss of the network that each run keeps, where that is its best one
    accuracy_median, accuracy_iqm    of the last accuracy; a diverged run's is 0
    rmse_eval_median, r2_test_median and the like  of how well kept networks fit their targets
    updates_to_solve_median          the first recorded update at which half of the runs had solved it; nan: not reached
    updates_to_solve_median_after    the update after which half of the runs solved it: the median lies between the two
    Each estimate is followed by the ends of its 95 % interval, …_low and …_high; that of a median number of updates
    reaches from the low end of its lower bound's to the high end of its upper bound's. Columns whose metric no run
    recorded are left out.
    """
    import pandas as pd

    keys = [key for key in drop_seed(swept) if key in runs]
    status = runs["status"].fillna("")
    ended, failed = runs["outcome"].notna(), status.eq("FAILED")
    harder = drop_decided(runs, [key for key in keys if key in conditions])
    text = {"condition": write_settings(runs, harder)} if conditions else {}
    table = runs[keys].assign(
        **text,
        setting=write_settings(runs, [key for key in keys if key not in conditions]),
        ended=ended,
        diverged=runs["outcome"].eq("diverged"),
        failed=failed,
        unfinished=~(ended | failed),
        **({"given_up": runs["given_up"].notna()} if "given_up" in runs else {}),
    )
    grouped = table.groupby([*text, "setting", *keys], sort=False, dropna=False)
    counts = ["ended", "diverged", "failed", "unfinished", "given_up"]
    counted = grouped[[name for name in counts if name in table]].sum()
    counted.insert(0, "runs", grouped.size())
    counted = counted.reset_index()
    setting = grouped.ngroup().to_numpy()[table["ended"]]
    return pd.concat([counted, _estimate(runs[table["ended"]], setting, len(counted))], axis=1)


def _estimate(runs: "pd.DataFrame", setting: "NDArray[np.int64]", settings: int) -> "pd.DataFrame":
    """The columns with intervals, of runs that ended and the number of each one's setting."""
    import pandas as pd

    order = np.argsort(setting, kind="stable")
    bounds = np.searchsorted(setting[order], np.arange(1, settings))

    def grouped(column: "pd.Series") -> "list[NDArray[Any]]":
        return np.split(column.to_numpy()[order], bounds) if settings else []

    columns: dict[str, Any] = {}
    if "solved" in runs:
        solved = grouped(runs["solved"].astype(bool))
        columns["solved"] = [int(values.sum()) for values in solved]
        columns |= _make_columns("success", [clopper_pearson(int(values.sum()), len(values)) for values in solved])
    for name, metric in _LOCATED.items():
        if metric == LOSS or (metric in runs and runs[metric].notna().any()):
            found = location_intervals(grouped(take_final(runs, metric)))
            columns |= _make_columns(f"{name}_median", [location.median for location in found])
            columns |= _make_columns(f"{name}_iqm", [location.iqm for location in found])
    if "solved" in runs:
        seen = grouped(runs["observed"])
        before = grouped(runs["solved_after"].fillna(runs["observed"]))
        upper = [median_updates(times, event) for times, event in zip(seen, solved, strict=True)]
        lower = [median_updates(times, event) for times, event in zip(before, solved, strict=True)]
        columns["updates_to_solve_median_after"] = [interval.value for interval in lower]
        columns |= _make_columns(
            "updates_to_solve_median",
            [Interval(high.value, low.low, high.high) for low, high in zip(lower, upper, strict=True)],
        )
    return pd.DataFrame(columns, index=range(settings))


def _make_columns(name: str, intervals: Sequence[Interval]) -> dict[str, list[float]]:
    return {
        name: [interval.value for interval in intervals],
        f"{name}_low": [interval.low for interval in intervals],
        f"{name}_high": [interval.high for interval in intervals],
    }


INTERACTIONS: Final = "interactions"


SEED: Final = "seed"


REST: Final = "interactions and seed"


_LOGARITHMIC: Final = ("loss/", "best/loss/", "grad/norm", "update/ratio")


_ROUNDING: Final = 1e-9


_MOST_FACTORS: Final = 8  # whose every subset is fitted


_MOST_LEVELS: Final = 8  # of a key whose values hardly ever occur twice


def variance_shares(
    runs: "pd.DataFrame",
    swept: Sequence[str],
    value: str = LOSS,
    ceiling: float = np.inf,
    conditions: Sequence[str] = (),
) -> "pd.DataFrame":
    """The share of the variance in the runs' final losses that each swept parameter explains.

    runs        as of `load(…).runs`
    swept       the swept keys
    value       the metric; of losses, gradient norms and update ratios the decimal logarithm is taken
    ceiling     losses above it, and runs that diverged, count as this one, or as the largest finite one if that is less
    conditions  swept keys that explain nothing: the variance is that within their combinations, pooled, which stand in
                the additive model before any parameter is added

    A row for each parameter, then `interactions`, where there can be any, then `seed`; or, where most settings have one
    run only, `interactions and seed` in one row:
    source    the parameter's short name, or one of these
    share     η², the sum of squares due to it over the total; the shares are at least 0 and sum to 1
    adjusted  ε², the same less what chance gives to as many degrees of freedom, (SS − df·MS)/SS(total), with MS the
              mean square of the last row, which gets what the others lose: these sum to 1 too, and may be a little
              below 0; nan where no degree of freedom is left for MS (T. L. Kelley, "An unbiased correlation ratio
              measure", PNAS 21, 1935)
    df        degrees of freedom
    Empty where fewer than two settings ended, or all runs ended alike.

    The parameters' sums of squares are those of an additive model of their levels: the increase of the explained sum of
    squares when a parameter is added, averaged over all orders of adding them (R. H. Lindeman, P. F. Merenda,
    R. Z. Gold, Introduction to Bivariate and Multivariate Analysis, 1980). In a balanced grid this is the main effect
    of the analysis of variance, in whichever order; in one with gaps or lost runs, or of values drawn at random,
    parameters that go together share what they explain together. Interactions are what the settings' means explain
    beyond that, and what is left is the seed's: the sum of squares within settings.

    Of a number whose values hardly ever occur twice, as in a random search, the levels are up to eight quantiles. Of
    more than eight parameters only those that explain most alone have a row; the others' part is that of interactions.
    """
    import pandas as pd

    ended = runs[runs["outcome"].notna() & take_final(runs, value).notna()]
    y = _transform(take_final(ended, value).to_numpy(), value, ceiling)
    y = y - np.mean(y) if len(y) else y
    every = find_factors(ended, swept)
    harder = combine_factors([factor for factor in every if factor.key in conditions], len(y)).codes
    across, blocks = _between(y, harder)
    total = float(y @ y) - across
    found = [factor for factor in every if factor.key not in conditions]
    if not found or not total > _ROUNDING * across:
        return pd.DataFrame({name: [] for name in ("source", "share", "adjusted", "df")})
    between, groups = _between(y, combine_factors(every, len(y)).codes)
    between, groups = between - across, groups - blocks + 1
    codes = [_encode(factor) for factor in found]
    alone = np.argsort([-_between(y, one)[0] for one in codes], kind="stable")
    kept = sorted(alone[:_MOST_FACTORS])
    sources = [found[place].label for place in kept]
    sums, freedom = _average(y, [codes[place] for place in kept], harder)
    runs_left = len(y) - blocks + 1  # as many as there would be without conditions
    if len(y) >= 2 * (groups + blocks - 1):
        sources += [INTERACTIONS, SEED]
        sums += [between - sum(sums), total - between]
        freedom += [groups - 1 - sum(freedom), runs_left - groups]
    else:
        sources.append(REST)
        sums.append(total - sum(sums))
        freedom.append(runs_left - 1 - sum(freedom))
    shares, df = np.maximum(sums, 0.0) / total, np.array(freedom)  # rounding may leave -1e-17
    noise = shares[-1] / df[-1] if df[-1] > _ROUNDING else np.nan
    adjusted = np.append((shares - df * noise)[:-1], (runs_left - 1) * noise)
    table = pd.DataFrame({"source": sources, "share": shares, "adjusted": adjusted, "df": df})
    return table[(table["source"] != INTERACTIONS) | (df > _ROUNDING)].reset_index(drop=True)


def _transform(outcome: "NDArray[np.float64]", value: str, ceiling: float) -> "NDArray[np.float64]":
    """What the variance is of; what is infinite gets the worst value that isn't, and a loss of 0 the least above it."""
    usable = outcome[np.isfinite(outcome)]
    if value.startswith(_LOGARITHMIC):
        usable = usable[usable > 0]
    if not len(usable):
        return np.zeros(len(outcome))
    clipped = np.clip(outcome, usable.min(), min(usable.max(), ceiling))
    return np.log10(clipped) if value.startswith(_LOGARITHMIC) else clipped


def _encode(factor: Factor) -> "NDArray[np.int64]":
    """The number of each run's level, or of its quantile where hardly any value occurs twice."""
    runs = len(factor.codes)
    if runs >= 2 * len(factor.levels) or any(isinstance(level, str) for level in factor.levels):
        return factor.codes
    parts = min(_MOST_LEVELS, max(2, runs // 5))
    borders = np.quantile(factor.codes, np.arange(1, parts) / parts)
    return np.searchsorted(borders, factor.codes)


def _between(y: "NDArray[np.float64]", codes: "NDArray[np.int64]") -> tuple[float, int]:
    """The sum of squares of the groups' means around the mean of y, which is 0, and how many groups there are."""
    _, group = np.unique(codes, return_inverse=True)
    sums, counts = np.bincount(group, y), np.bincount(group)
    return float(np.sum(sums**2 / counts)), len(counts)


def _average(
    y: "NDArray[np.float64]", every: "Sequence[NDArray[np.int64]]", always: "NDArray[np.int64]"
) -> tuple[list[float], list[float]]:
    """Each factor's increase of the sum of squares and of the degrees of freedom, averaged over all orders; one is
    always there before.
    """
    k = len(every)
    explained = {
        chosen: _additive(y, [always, *(every[i] for i in chosen)])
        for size in range(k + 1)
        for chosen in combinations(range(k), size)
    }
    increase = np.zeros((k, 2))
    for chosen, before in explained.items():
        for i in set(range(k)) - set(chosen):
            after = explained[tuple(sorted((*chosen, i)))]
            increase[i] += (after - before) / (k * comb(k - 1, len(chosen)))
    return increase[:, 0].tolist(), increase[:, 1].tolist()


def _additive(y: "NDArray[np.float64]", every: "Sequence[NDArray[np.int64]]") -> "NDArray[np.float64]":
    """The sum of squares that the sum of an effect for each level explains, and its degrees of freedom."""
    cells, cell, counts = np.unique(
        np.array([*every, np.zeros(len(y), int)]), axis=1, return_inverse=True, return_counts=True
    )
    means = np.bincount(cell.reshape(-1), y) / counts
    design = np.hstack([row[:, None] == np.unique(row) for row in cells])
    weight = np.sqrt(counts)
    left, singular, _ = np.linalg.svd(weight[:, None] * design, full_matrices=False)
    basis = left[:, singular > singular[0] * _ROUNDING]
    return np.array([np.sum((basis.T @ (weight * means)) ** 2), basis.shape[1] - 1])
