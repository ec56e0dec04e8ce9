from itertools import product

import numpy as np
import pytest
from scipy.stats import fisher_exact, mannwhitneyu

from bptt.analysis.statistics.intervals import probability_of_improvement, share_difference
from bptt.analysis.statistics.strata import (
    Successes,
    compute_ranks_p,
    compute_shares_p,
    stratified_difference,
    stratified_improvement,
)

STRATA = [Successes((7, 3), (10, 12)), Successes((15, 14), (20, 18)), Successes((1, 0), (5, 9))]


def test_the_difference_is_mantels_and_haenszels() -> None:
    # Sums of (x n − y m)/N over mn/N.
    above = (7 * 12 - 3 * 10) / 22 + (15 * 18 - 14 * 20) / 38 + (1 * 9 - 0 * 5) / 14
    assert stratified_difference(STRATA).value == pytest.approx(above / (120 / 22 + 360 / 38 + 45 / 14))


def test_with_one_condition_it_is_the_difference_of_two_shares() -> None:
    one, other = stratified_difference([STRATA[0]]), share_difference((7, 3), (10, 12))
    assert [*vars(one).values()] == pytest.approx([*vars(other).values()])
    assert np.isnan(stratified_difference([Successes((0, 0), (0, 4))]).value)


def test_more_conditions_alike_narrow_the_interval_as_more_runs_do() -> None:
    one, four = stratified_difference(STRATA[:1]), stratified_difference(STRATA[:1] * 4)
    assert four.value == pytest.approx(one.value)
    assert four.value - four.low == pytest.approx((one.value - one.low) / 2)
    assert four.high - four.value == pytest.approx((one.high - one.value) / 2)


@pytest.mark.parametrize(
    ("counts", "trials"), [((7, 3), (10, 12)), ((0, 5), (8, 8)), ((4, 4), (9, 9)), ((3, 0), (3, 9))]
)
def test_with_one_condition_p_is_twice_fishers_smaller_tail(counts: tuple[int, int], trials: tuple[int, int]) -> None:
    table = [[counts[0], trials[0] - counts[0]], [counts[1], trials[1] - counts[1]]]
    tails = [fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
    assert compute_shares_p([Successes(counts, trials)]) == pytest.approx(min(1, 2 * min(tails)))


def test_with_several_p_is_that_of_all_ways_to_deal_successes_to_settings() -> None:
    # Two conditions of 2 against 3 runs with 2 and 3 successes: every dealing is as likely.
    strata = [Successes((2, 0), (2, 3)), Successes((2, 1), (2, 3))]
    sums = []
    for first, second in product(product((0, 1), repeat=5), repeat=2):
        if (sum(first), sum(second)) == (2, 3):
            sums.append(sum(first[:2]) + sum(second[:2]))
    assert compute_shares_p(strata) == pytest.approx(2 * np.mean(np.array(sums) >= 4))


def test_improvement_over_conditions_is_their_weighted_mean() -> None:
    rng = np.random.default_rng(0)
    strata = [(rng.normal(0, 1, 10), rng.normal(0.5, 1, 12)), (rng.normal(3, 1, 20), rng.normal(3, 1, 6))]
    parts = [probability_of_improvement(a, b) for a, b in strata]
    weights = np.array([120 / 22, 120 / 26])
    weights /= weights.sum()
    found = stratified_improvement(strata)
    value = weights @ [one.value for one in parts]
    assert found.value == pytest.approx(value)
    assert found.low == pytest.approx(value - np.hypot(*weights * [one.value - one.low for one in parts]))
    assert found.high == pytest.approx(value + np.hypot(*weights * [one.high - one.value for one in parts]))
    assert stratified_improvement(strata[:1]) == parts[0]


def test_without_runs_of_both_nothing_is_known() -> None:
    assert np.isnan(stratified_improvement([([], [1.0])]).value)
    assert stratified_improvement([([], [1.0]), ([1.0], [2.0])]) == probability_of_improvement([1.0], [2.0])


def test_ranks_with_one_condition_are_mann_and_whitneys() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=9), rng.normal(0.8, 1, 11)
    assert compute_ranks_p([(a, b)]) == pytest.approx(mannwhitneyu(a, b).pvalue)
    a[a > 0.5] = np.inf  # diverged runs are alike
    b[b > 0.5] = np.inf
    codes = np.unique(np.concatenate([a, b]), return_inverse=True)[1]
    assert compute_ranks_p([(a, b)]) == pytest.approx(mannwhitneyu(codes[:9], codes[9:]).pvalue)
    assert compute_ranks_p([([1, 1], [1])]) == 1.0
    assert compute_ranks_p([([], [1.0])]) == 1.0


def test_ranks_over_conditions_reject_as_seldom_as_they_say() -> None:
    rng = np.random.default_rng(2)
    p = []
    for _ in range(2000):
        strata = [(rng.integers(0, 6, 8) + shift, rng.integers(0, 6, 13) + shift) for shift in (0.0, 10.0)]
        p.append(compute_ranks_p(strata))
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.012)  # two standard errors are 0.01
