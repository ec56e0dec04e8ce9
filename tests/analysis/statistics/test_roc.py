"""The area under the ROC curve, beside SciPy's rank test, DeLong's and Obuchowski's formulas written out, and
leaving out seeds one by one."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta, mannwhitneyu, norm, t

from bptt.analysis.statistics.roc import RocArea, compare_roc_areas, roc_area

Draw = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]


def draw(seeds: int = 12, each: int = 5, strata: int = 2, shift: float = 1.0) -> Draw:
    """Rounded scores, outcomes, seeds and strata of runs of which those of one seed are alike."""
    rng = np.random.default_rng(20)
    shape = (seeds, each, strata)
    seed, _, stratum = np.indices(shape)
    did = rng.normal(size=shape) + rng.normal(size=(seeds, 1, 1)) + 0.5 * stratum > 0.3
    scores = np.round(2 * (rng.normal(size=shape) + rng.normal(size=(seeds, 1, 1)) + shift * did + 3 * stratum)) / 2
    return scores.reshape(-1), did.reshape(-1), seed.reshape(-1), stratum.reshape(-1)


def score_pairs(won: NDArray[np.float64], lost: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([[float(a > b) + 0.5 * float(a == b) for b in lost] for a in won])


def test_it_is_mann_and_whitneys_statistic_over_the_pairs() -> None:
    scores, did, _, _ = draw()
    found = roc_area(scores, did)
    assert found.value == pytest.approx(mannwhitneyu(scores[did], scores[~did]).statistic / did.sum() / (~did).sum())
    assert found.runs == (did.sum(), (~did).sum())
    assert found.value == pytest.approx(score_pairs(scores[did], scores[~did]).mean(), rel=1e-14)


def test_of_independent_runs_the_variance_is_delongs() -> None:
    scores, did, _, _ = draw()
    pairs = score_pairs(scores[did], scores[~did])
    rows, columns = pairs.mean(axis=1), pairs.mean(axis=0)
    expected = rows.var(ddof=1) / len(rows) + columns.var(ddof=1) / len(columns)
    assert roc_area(scores, did).variance == pytest.approx(expected, rel=1e-12)


def test_of_runs_that_share_seeds_it_is_obuchowskis() -> None:
    scores, did, seed, _ = draw(strata=1)
    pairs = score_pairs(scores[did], scores[~did])
    area, (m, n) = pairs.mean(), pairs.shape
    wins = [np.sum(pairs.mean(axis=1)[seed[did] == one] - area) for one in range(12)]
    losses = [np.sum(pairs.mean(axis=0)[seed[~did] == one] - area) for one in range(12)]
    k1, k0, k = len({*seed[did]}), len({*seed[~did]}), 12
    assert k1 < k or k0 < k  # so that the three factors are told apart
    expected = (
        k1 / (k1 - 1) * np.sum(np.square(wins)) / m**2
        + k0 / (k0 - 1) * np.sum(np.square(losses)) / n**2
        + 2 * k / (k - 1) * np.sum(np.multiply(wins, losses)) / (m * n)
    )
    found = roc_area(scores, did, seed)
    assert found.variance == pytest.approx(expected, rel=1e-12)
    assert found.variance > 1.15 * roc_area(scores, did).variance
    assert (found.seeds, found.rare, found.fewer) == (12, min(k1, k0), min(m, n))


def test_over_conditions_it_compares_within_each_and_weighs_them() -> None:
    scores, did, seed, stratum = draw()
    parts = [roc_area(scores[stratum == one], did[stratum == one]) for one in (0, 1)]
    weights = np.array([np.prod(part.runs) / np.sum(part.runs) for part in parts])
    found = roc_area(scores, did, seed, stratum)
    assert found.value == pytest.approx(weights @ [part.value for part in parts] / weights.sum())
    assert abs(found.value - roc_area(scores, did).value) > 0.02  # where a condition's scores count as the runs' own
    assert found.fewer == sum(part.fewer for part in parts)


def test_the_variance_is_near_that_of_leaving_out_each_seed() -> None:
    scores, did, seed, stratum = draw(seeds=60)
    left = [roc_area(scores[seed != one], did[seed != one], None, stratum[seed != one]).value for one in range(60)]
    assert roc_area(scores, did, seed, stratum).variance == pytest.approx(59 * np.var(left), rel=0.1)


def test_a_condition_that_tells_nothing_is_left_out() -> None:
    scores, did, seed, stratum = draw()
    more = roc_area(
        [*scores, 5, 6, 9], [*did, True, True, False], [*seed, 0, 1, 70], [*(stratum.astype(str)), "a", "a", "b"]
    )
    plain = roc_area(scores, did, seed, stratum)
    assert (more.silent, plain.silent) == (2, 0)
    assert (more.value, more.variance, more.seeds, more.runs) == (
        plain.value,
        plain.variance,
        plain.seeds,
        plain.runs,
    )
    nothing = roc_area([1, 2, 3], [True, True, True])
    assert np.isnan([nothing.value, nothing.find_interval().low]).all()
    assert (nothing.silent, nothing.count_seeds_for_difference()) == (1, None)


def test_no_number_counts_for_nothing_and_infinite_ones_are_the_largest() -> None:
    scores, did, seed, _ = draw()
    assert roc_area([*scores, np.nan], [*did, True], [*seed, 3]).value == roc_area(scores, did, seed).value
    assert roc_area([np.inf, 1, 2, -np.inf], [True, True, False, False]).value == 0.75


def test_the_other_direction_is_the_mirror_image() -> None:
    scores, did, seed, stratum = draw()
    one, other = roc_area(scores, did, seed, stratum), roc_area(-scores, did, seed, stratum)
    assert one.value == pytest.approx(1 - other.value)
    assert one.variance == pytest.approx(other.variance)
    ends = one.find_interval(), other.find_interval()
    assert (ends[0].low, ends[0].high) == pytest.approx((1 - ends[1].high, 1 - ends[1].low))


def test_the_ends_are_those_of_as_many_runs_as_the_variance_is_of() -> None:
    found = RocArea(0.8, 0.004, 50, 30, 100, (100, 100), 0, np.empty(0))
    size = 0.8 * 0.2 / 0.004
    size *= (t.ppf(0.975, size - 1) / t.ppf(0.975, 29)) ** 2
    interval = found.find_interval()
    assert interval.low == pytest.approx(beta.ppf(0.025, 0.8 * size, 0.2 * size + 1))
    assert interval.high == pytest.approx(beta.ppf(0.975, 0.8 * size + 1, 0.2 * size))
    few = RocArea(0.8, 0.0004, 50, 10**6, 12, (12, 600), 0, np.empty(0)).find_interval()  # n* = 1.5 · 12
    assert few.low == pytest.approx(beta.ppf(0.025, 0.8 * 18, 0.2 * 18 + 1), rel=1e-4)


@pytest.mark.parametrize("seeds", [3, 10, 50])
def test_scores_that_tell_all_runs_apart_leave_a_doubt_that_gets_smaller_with_seeds(seeds: int) -> None:
    scores, did = np.arange(2.0 * seeds), np.arange(2 * seeds) >= seeds
    found = roc_area(scores, did, np.tile(np.arange(seeds), 2)).find_interval()
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / seeds))


def test_two_seeds_say_nothing_of_how_sure_it_is() -> None:
    found = roc_area([1, 2, 3, 4], [False, True, False, True], [0, 0, 1, 1])
    assert found.value == 0.75
    assert np.isnan([found.find_interval().low, found.find_interval().high]).all()


def test_a_score_against_another_on_the_same_runs() -> None:
    scores, did, seed, stratum = draw(seeds=60)
    other = scores + np.random.default_rng(1).normal(scale=2.0, size=len(scores))
    one, two = (roc_area(each, did, seed, stratum) for each in (scores, other))
    found = compare_roc_areas(one, two)
    assert found.value == one.value - two.value
    areas = [
        [roc_area(each[seed != k], did[seed != k], None, stratum[seed != k]).value for k in range(60)]
        for each in (scores, other)
    ]
    left = np.subtract(areas[0], areas[1])
    half = t.ppf(0.975, 59) * np.sqrt(59 * np.var(left))
    assert found.high - found.value == pytest.approx(half, rel=0.1)
    assert (compare_roc_areas(one, one).low, compare_roc_areas(one, one).high) == (0.0, 0.0)
    with pytest.raises(ValueError, match=r"^areas of 60 and of 12 seeds"):
        compare_roc_areas(one, roc_area(*draw()))


def test_as_many_seeds_as_it_says_settle_it_in_four_fifths_of_the_samples() -> None:
    shift = np.sqrt(2) * norm.ppf(0.65)  # an area of 0.65

    def sample(seeds: int, rng: np.random.Generator) -> RocArea:
        did = rng.random(seeds) < 0.5
        return roc_area(rng.normal(size=seeds) + shift * did, did)

    rng = np.random.default_rng(3)
    needed = sample(4000, rng).count_seeds_for_difference()
    assert needed is not None
    settled = [
        not found.low <= 0.5 <= found.high for found in (sample(needed, rng).find_interval() for _ in range(300))
    ]
    assert np.mean(settled) == pytest.approx(0.8, abs=0.09)
    wide = RocArea(0.51, 0.01, 50, 25, 250, (250, 250), 0, np.empty(0))
    assert wide.count_seeds_for_difference() is None  # some 39,000
    assert wide.count_seeds_for_equivalence(0.1) == pytest.approx(
        50 * ((1.959964 + 1.281552) / 0.1) ** 2 * 0.01, rel=0.05
    )
    apart = roc_area(np.arange(8.0), np.arange(8) > 3, np.tile(np.arange(4), 2))
    assert apart.find_interval().low < 0.5  # 0.025^(1/4)
    assert apart.count_seeds_for_difference() == 6  # 0.025^(1/6) = 0.54, 0.025^(1/5) = 0.48


@pytest.mark.parametrize(("shift", "alike"), list(product([0.0, 1.0], [0.0, 0.9])))
def test_intervals_cover_the_truth_as_often_as_they_say(shift: float, alike: float) -> None:
    rng, truth, covered = np.random.default_rng(4), norm.cdf(shift / np.sqrt(2)), []
    for _ in range(200):
        parts = [
            np.sqrt(alike) * rng.normal(size=(20, 1)) + np.sqrt(1 - alike) * rng.normal(size=(20, 4)) for _ in "ab"
        ]
        did = parts[0] > 0
        found = roc_area(parts[1] + shift * did, did, np.repeat(np.arange(20), 4)).find_interval()
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) >= 0.93


def test_as_many_of_each_are_asked_for() -> None:
    with pytest.raises(
        ValueError, match=r"^3 scores, 2 outcomes, 3 seeds and 3 strata: give one of each for each run$"
    ):
        roc_area([1, 2, 3], [True, False])


@pytest.mark.parametrize("outcome", [np.nan, 0.5, 2])
def test_an_outcome_is_one_or_the_other(outcome: float) -> None:
    with pytest.raises(ValueError, match=r"^succeeded: true or false, 1 or 0, for each run$"):
        roc_area([1, 2], [0, outcome])
