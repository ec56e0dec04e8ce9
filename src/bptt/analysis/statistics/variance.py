"""How much of the variance in the final loss each swept parameter explains, and how much the seed."""

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.factors import Factor, combine_factors, find_factors
from bptt.analysis.tables import LOSS, take_final

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

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
