"""How well a number that is known before a training foretells who will succeed: the area under the ROC curve.

Of a run that succeeded and one that did not, the area is the probability that the former has the larger number, ties
counting half. ½ foretells nothing; 1 and 0 tell them apart without a mistake, in either direction.

Runs with equal seeds have the same draws of weights and data, so they are no independent runs: what is independent is
seeds. Each seed's runs together are one observation here, of all conditions and settings at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from bptt.analysis.statistics.conclusions import MARGIN, correct_level
from bptt.analysis.statistics.intervals import LEAST, LEVEL, Interval, exact_ends
from bptt.analysis.statistics.power import MOST, POWER

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_ROUNDING: Final = 1e-12
_MOST_WORTH: Final = 1.5  # that a run of the rarer outcome may count as


@dataclass(frozen=True)
class RocArea:
    """The area under the ROC curve, over all strata that tell something.

    value     Σ w θ, the strata's areas weighted by m·n/(m + n), with m runs that succeeded and n that did not
    variance  of it, over seeds
    seeds     how many there are, of the runs that count
    rare      of the outcome that fewer seeds have, how many seeds have it
    fewer     Σ min(m, n), the runs of each stratum's rarer outcome
    runs      how many succeeded, and how many did not
    silent    strata in which all runs succeeded, or none did, which tell nothing
    influence of each seed on the value, in the order of `np.unique`; their sum is 0
    """

    value: float
    variance: float
    seeds: int
    rare: int
    fewer: int
    runs: tuple[int, int]
    silent: int
    influence: "NDArray[np.float64]"

    @property
    def mirrored(self) -> "RocArea":
        """That of the numbers with their signs changed: 1 − value."""
        return replace(self, value=1.0 - self.value, influence=-self.influence)

    def find_interval(self, level: float = LEVEL) -> Interval:
        """Clopper and Pearson's ends for as many runs as the variance is of; nan with fewer than three seeds.

        n* = θ(1 − θ)/Var · (t(n* − 1)/t(r − 1))², with t Student's quantiles and r `rare`, as E. L. Korn,
        B. I. Graubard, "Confidence intervals for proportions with small expected number of positive counts estimated
        from complex survey data", Survey Methodology 24 (1998), do for shares. θ(1 − θ)/Var is taken to be at most
        1.5 · `fewer`, as it is at θ = ½ where runs are independent, equally spread and as many of either outcome; a
        smaller variance may be that of few runs which happen to be alike. Where numbers tell all runs apart, and the
        estimated variance is 0, n* is r. Wald's interval and that of the logit cover far too seldom where θ is near 0
        or 1 or an outcome is rare, and one that takes runs for independent where they are not: docs/trust/coverage.md.
        """
        if np.isnan(self.value) or self.seeds < LEAST:
            return Interval(self.value, np.nan, np.nan)
        low, high = exact_ends(self.value, self._count_effective(level), level)
        return Interval(self.value, float(low), float(high))

    def count_seeds_for_difference(self, level: float = LEVEL) -> int | None:
        """Seeds with which the interval excludes ½ with a probability of 80 %, if the area is this one.

        The variance is taken to fall as one over the seeds, and the estimate to be normal. None: more than 2,000, or no
        number of them.
        """
        from scipy.special import ndtri

        side = 1.0 if self.value > 0.5 else -1.0

        def settles(one: RocArea) -> bool:
            unlucky = replace(one, value=one.value - side * float(ndtri(POWER)) * np.sqrt(one.variance))
            interval = unlucky.find_interval(level)
            return interval.low > 0.5 if side > 0.0 else interval.high < 0.5

        return self._find_seeds(settles)

    def count_seeds_for_equivalence(self, margin: float, level: float = LEVEL) -> int | None:
        """Seeds with which the whole interval lies within ½ ± margin with a probability of 80 %, if the area is ½."""
        from scipy.special import ndtri

        def settles(one: RocArea) -> bool:
            unlucky = replace(one, value=0.5 + float(ndtri((1.0 + POWER) / 2.0)) * np.sqrt(one.variance))
            return unlucky.find_interval(level).high < 0.5 + margin

        return self._find_seeds(settles)

    def _find_seeds(self, settles: Callable[["RocArea"], bool]) -> int | None:
        """The least number of seeds that settles it, where as many more runs come with them."""
        if np.isnan(self.value) or self.seeds < LEAST:
            return None

        def grow(seeds: int) -> RocArea:
            times = seeds / self.seeds
            return replace(
                self,
                seeds=seeds,
                variance=self.variance / times,
                rare=round(self.rare * times),
                fewer=round(self.fewer * times),
            )

        low, high = LEAST - 1, MOST + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if settles(grow(middle)) else (middle, high)
        return None if high > MOST else high

    def _count_effective(self, level: float) -> float:
        from scipy.special import stdtrit

        spread = self.value * (1.0 - self.value)
        if spread <= _ROUNDING or self.variance <= _ROUNDING * spread:
            return float(self.rare)
        size, tail = min(spread / self.variance, _MOST_WORTH * self.fewer), 0.5 + level / 2
        factor = stdtrit(max(size - 1.0, 1.0), tail) / stdtrit(max(self.rare - 1, 1), tail)
        return float(size * min(factor, 1.0) ** 2)


def roc_area(
    scores: "ArrayLike",
    succeeded: "ArrayLike",
    seeds: "ArrayLike | None" = None,
    strata: "ArrayLike | None" = None,
) -> RocArea:
    """P(the number of a run that succeeded is larger than that of one that did not) + ½ P(both are alike).

    scores     a number of each run; those that are nan don't count, infinite ones do
    succeeded  whether each run did
    seeds      of each run; runs with equal seeds may depend on each other. None: all are independent
    strata     of each run its condition: only runs of one are compared. None: all are of one

    With V(i) the share of the other outcome's runs in its stratum that a run's number is on the right side of, ties
    half, the influence of a run on the area is w (V − θ)/m, or /n, and that of a seed on the value the sum of its
    runs', A of those that succeeded and B of the others:

        Var = K₁/(K₁ − 1) Σ A² + K₀/(K₀ − 1) Σ B² + 2 K/(K − 1) Σ A B,

    K₁ and K₀ being how many seeds have a run of either outcome, and K how many there are: N. A. Obuchowski,
    "Nonparametric analysis of clustered ROC curve data", Biometrics 53 (1997), with several strata summed. Where each
    run has a seed of its own and there is one stratum, it is the variance of E. R. DeLong, D. M. DeLong,
    D. L. Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating characteristic curves: a
    nonparametric approach", Biometrics 44 (1988). The area itself is Mann and Whitney's U over m·n. All nan where no
    stratum has both outcomes. Raises ValueError with one line where there is not one of each for each run, or an
    outcome is neither.
    """
    values, outcomes = (np.asarray(given, float).reshape(-1) for given in (scores, succeeded))
    if not np.isin(outcomes, (0.0, 1.0)).all():
        raise ValueError("succeeded: true or false, 1 or 0, for each run")
    did = outcomes == 1.0
    which = np.arange(len(values)) if seeds is None else np.asarray(seeds).reshape(-1)
    where = np.zeros(len(values), np.int64) if strata is None else np.unique(strata, return_inverse=True)[1].reshape(-1)
    if not len(values) == len(did) == len(which) == len(where):
        raise ValueError(
            f"{len(values)} scores, {len(did)} outcomes, {len(which)} seeds and {len(where)} strata: give one of each "
            "for each run"
        )
    known = ~np.isnan(values)
    values, did, which, where = values[known], did[known], which[known], where[known]
    silent, parts = 0, []
    for stratum in np.unique(where):
        here = np.flatnonzero(where == stratum)
        if did[here].all() or not did[here].any():
            silent += 1
        else:
            parts.append(here)
    if not parts:
        return RocArea(np.nan, np.nan, 0, 0, 0, (0, 0), silent, np.empty(0))
    sizes = np.array([(np.sum(did[here]), np.sum(~did[here])) for here in parts])
    weights = sizes.prod(axis=1) / sizes.sum(axis=1)
    weights = weights / weights.sum()
    value, influence = 0.0, np.zeros(len(values))
    for weight, here, size in zip(weights, parts, sizes, strict=True):
        right = _place(values[here], did[here])
        area = float(right[did[here]].mean())
        value += weight * area
        influence[here] = weight * (right - area) / np.where(did[here], *size)
    told = np.concatenate(parts)
    labels, code = np.unique(which[told], return_inverse=True)
    code = code.reshape(-1)
    split = [
        np.bincount(code, np.where(did[told] == outcome, influence[told], 0.0), len(labels))
        for outcome in (True, False)
    ]
    having = [len(np.unique(code[did[told] == outcome])) for outcome in (True, False)]
    variance = sum(_correct(count) * float(part @ part) for count, part in zip(having, split, strict=True))
    variance += 2.0 * _correct(len(labels)) * float(split[0] @ split[1])
    return RocArea(
        value=float(value),
        variance=max(variance, 0.0),
        seeds=len(labels),
        rare=min(having),
        fewer=int(sizes.min(axis=1).sum()),
        runs=(int(sizes[:, 0].sum()), int(sizes[:, 1].sum())),
        silent=silent,
        influence=np.asarray(split[0] + split[1], np.float64),
    )


def compare_roc_areas(first: RocArea, second: RocArea, level: float = LEVEL) -> Interval:
    """One area less another, of the same runs: the difference with Student's interval over seeds.

    Var = K/(K − 1) Σ (φ₁ − φ₂)², with the seeds' influences φ: DeLong's covariance, for clusters. Raises ValueError
    where the two are not of the same seeds. nan ends with fewer than three seeds.
    """
    from scipy.special import stdtrit

    if len(first.influence) != len(second.influence):
        raise ValueError(f"areas of {first.seeds} and of {second.seeds} seeds: give two of the same runs")
    difference = first.value - second.value
    if first.seeds < LEAST:
        return Interval(difference, np.nan, np.nan)
    apart = first.influence - second.influence
    half = float(stdtrit(first.seeds - 1, 0.5 + level / 2) * np.sqrt(_correct(first.seeds) * (apart @ apart)))
    return Interval(difference, difference - half, difference + half)


def _place(values: "NDArray[np.float64]", did: "NDArray[np.bool_]") -> "NDArray[np.float64]":
    """Of each run the share of the other outcome's runs that it is on the right side of, ties half."""
    found = np.empty(len(values))
    for outcome in (True, False):
        ordered = np.sort(values[did != outcome])
        below, up_to = (np.searchsorted(ordered, values[did == outcome], side) for side in ("left", "right"))
        share = (below + up_to) / (2.0 * len(ordered))
        found[did == outcome] = share if outcome else 1.0 - share
    return found


def _correct(count: int) -> float:
    """n/(n − 1), and 1 of a single one, which says nothing of its variance."""
    return count / (count - 1) if count > 1 else 1.0


Foretells = Literal["larger", "smaller", "nothing", "unsettled", "silent"]


@dataclass(frozen=True)
class Foretelling:
    """What a number that is known before a training says of whether a run succeeds.

    name         of the number, as in a sentence
    interval     of the area, at a level that allows for all numbers which were asked about together
    comparisons  how many these are
    outcome      "larger": runs with a larger one succeed rather; "smaller"; "nothing": the whole interval lies within
                 ½ ± margin; "unsettled"; "silent": no stratum has both outcomes
    to_differ, to_equal  seeds that would settle a difference from ½ like this one, and that there is none beyond the
                 margin, with a probability of 80 %; None where that is more than 2,000, or more than can be said
    """

    name: str
    area: RocArea
    interval: Interval
    comparisons: int
    margin: float
    outcome: Foretells
    to_differ: int | None
    to_equal: int | None


def conclude_foretelling(
    areas: Mapping[str, RocArea], level: float = LEVEL, margin: float = MARGIN
) -> list[Foretelling]:
    """What each of several numbers foretells; areas: by the number's name. Intervals are Bonferroni's over all."""
    each = correct_level(len(areas), level) if areas else level
    found = []
    for name, area in areas.items():
        interval = area.find_interval(each)
        near = abs(area.value - 0.5) < margin
        found.append(
            Foretelling(
                name=name,
                area=area,
                interval=interval,
                comparisons=len(areas),
                margin=margin,
                outcome=_decide(interval, margin),
                to_differ=area.count_seeds_for_difference(each),
                to_equal=area.count_seeds_for_equivalence(margin, each) if near else None,
            )
        )
    return found


def _decide(interval: Interval, margin: float) -> Foretells:
    if np.isnan(interval.value):
        return "silent"
    if interval.low > 0.5:
        return "larger"
    if interval.high < 0.5:
        return "smaller"
    return "nothing" if 0.5 - margin < interval.low and interval.high < 0.5 + margin else "unsettled"
