from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap, false_discovery_control, fisher_exact, mannwhitneyu

from bptt.analysis.statistics.conclusions import correct_holm, correct_level
from bptt.analysis.statistics.differences import (
    PairCounts,
    Successes,
    add_counts,
    compute_ranks_p,
    compute_shares_p,
    count_pairs,
    mcnemar,
    mean_ends,
    median_difference,
    paired_difference,
    probability_on_pairs,
    restricted_mean_difference,
    stratified_difference,
    stratified_improvement,
)
from bptt.analysis.statistics.intervals import Interval, clopper_pearson, probability_of_improvement, share_difference


def ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def test_pairs_are_counted_by_which_is_better() -> None:
    a, b = [1, 2, np.inf, np.inf, np.nan, 5], [2, 2, np.inf, 7, 1, 4]
    assert count_pairs(a, b, smaller_is_better=True) == PairCounts(1, 2, 2)
    assert count_pairs(a, b) == PairCounts(2, 1, 2)
    assert add_counts([PairCounts(1, 2, 3), PairCounts(4, 5, 6)]) == PairCounts(5, 7, 9)


@pytest.mark.parametrize(("wins", "losses", "p"), [(9, 1, 0.0215), (5, 0, 0.0625), (0, 0, 1.0), (7, 7, 1.0)])
def test_mcnemar_by_hand(wins: int, losses: int, p: float) -> None:
    assert mcnemar(wins, losses) == pytest.approx(p, abs=5e-5)


def test_mcnemar_as_published() -> None:
    # Fagerland, Lydersen and Laake 2014, of Cavo et al. 2012: 6 and 16 discordant pairs.
    assert mcnemar(6, 16) == pytest.approx(0.052479, abs=5e-7)


def test_mcnemar_is_the_sign_test_by_enumeration() -> None:
    for total in range(1, 9):
        outcomes = [abs(2 * sum(one) - total) for one in product((0, 1), repeat=total)]
        for wins in range(total + 1):
            expected = np.mean([extreme >= abs(2 * wins - total) for extreme in outcomes])
            assert mcnemar(wins, total - wins) == pytest.approx(expected)
            assert mcnemar(wins, total - wins) == pytest.approx(binomtest(wins, total).pvalue)


@pytest.mark.parametrize("counts", [(9, 1, 50), (5, 0, 55), (0, 0, 60), (6, 0, 4), (3, 7, 0), (1, 0, 1), (30, 12, 8)])
def test_the_paired_difference_has_fays_and_lumbards_quantiles(counts: tuple[int, int, int]) -> None:
    # As their program has it with Monte Carlo: the smaller of both quantiles, and the mirror image of the other's.
    rng = np.random.default_rng(0)

    def draw(left: int, right: int) -> np.ndarray:
        size = 1_000_000
        return np.zeros(size) if not left else np.ones(size) if not right else rng.beta(left, right, size)

    def lower(wins: int, m: int, n: int) -> float:
        b = draw(wins, m - wins + 1)
        return float(min(np.quantile(draw(left, n - left + 1) * (2 * b - 1), 0.025) for left in (m, m + 1)))

    wins, losses, _ = counts
    n = sum(counts)
    found = paired_difference(PairCounts(*counts))
    assert found.value == (wins - losses) / n
    expected = lower(wins, wins + losses, n), -lower(losses, wins + losses, n)
    assert ends(found) == pytest.approx(expected, abs=2e-3)


def test_without_ties_the_end_on_the_other_side_is_clopper_and_pearsons() -> None:
    share = clopper_pearson(12, 20)
    found = probability_on_pairs(PairCounts(12, 8, 0))
    assert found.value == 0.6
    assert found.low == pytest.approx(share.low, abs=1e-6)
    assert found.high == pytest.approx(share.high, abs=1e-6)


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_the_interval_excludes_no_difference_where_and_only_where_the_exact_test_does(level: float) -> None:
    for wins, losses in product(range(11), repeat=2):
        for ties in (0, 20):
            counts = PairCounts(wins, losses, ties)
            if not counts.pairs:
                continue
            found, sure = paired_difference(counts, level), mcnemar(wins, losses) < 1 - level
            assert (found.low > 0 or found.high < 0) == sure, counts
            chance = probability_on_pairs(counts, level)
            assert (chance.low > 0.5 or chance.high < 0.5) == sure
            assert found.low <= found.value <= found.high


def test_the_other_setting_has_the_mirror_image() -> None:
    one, other = paired_difference(PairCounts(9, 3, 8)), paired_difference(PairCounts(3, 9, 8))
    assert ends(one) == (-other.high, -other.low)


def test_no_pair_and_one_pair() -> None:
    assert np.isnan([*vars(paired_difference(PairCounts(0, 0, 0))).values()]).all()
    one = paired_difference(PairCounts(1, 0, 0))
    assert (one.value, one.high) == (1.0, 1.0)
    assert one.low == pytest.approx(-0.95)
    assert ends(paired_difference(PairCounts(0, 0, 1))) == pytest.approx((-0.975, 0.975))


def test_none_discordant_of_n_is_bounded_as_none_of_n() -> None:
    found = paired_difference(PairCounts(0, 0, 60))
    assert ends(found) == pytest.approx((-clopper_pearson(0, 60).high, clopper_pearson(0, 60).high))


def test_the_median_difference_has_scipys_bootstrap_interval() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.lognormal(size=(2, 15))
    expected = bootstrap(
        (np.sort(a - b),),
        np.median,
        batch=25_000 // 15,
        rng=np.random.Generator(np.random.PCG64(np.random.SeedSequence(20170811))),
    ).confidence_interval
    found = median_difference(a, b)
    assert found.value == pytest.approx(np.median(a - b))
    assert ends(found) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert median_difference(a[::-1], b[::-1]) == found


def test_diverged_pairs_differ_by_nothing() -> None:
    assert median_difference([np.inf, np.inf, np.inf, 1], [np.inf, np.inf, np.inf, 2]).value == 0.0
    assert median_difference([np.inf] * 5, [1.0] * 5) == Interval(np.inf, np.inf, np.inf)
    assert median_difference([1, np.nan], [3, 4]).value == -2.0
    assert np.isnan(median_difference([1, 2], [3, 5]).low)
    assert np.isnan(median_difference([], []).value)


def test_the_restricted_mean_stops_at_its_horizon() -> None:
    found = restricted_mean_difference([100, 200, np.inf, 900], [200, 500, np.inf, np.inf], 1000)
    assert found.value == np.mean([-100, -300, 0, -100])
    assert -1000 < found.low < found.value < found.high < 1000
    assert np.isnan(restricted_mean_difference([], [], 1000).value)


def test_of_values_at_their_bounds_the_means_ends_are_clopper_and_pearsons() -> None:
    # Weights of k of n + 1 are Beta(k, n + 1 − k): 9,999 draws know its quantiles to some 0.004.
    sample = np.array([[0.0] * 7 + [1.0] * 3])
    low, high = mean_ends(sample, 0.0, 1.0)
    exact = clopper_pearson(3, 10)
    assert (low[0], high[0]) == pytest.approx((exact.low, exact.high), abs=0.01)


def test_what_no_pair_showed_may_exist() -> None:
    found = restricted_mean_difference([np.inf] * 20, [np.inf] * 20, 1000)
    assert found.value == 0
    assert ends(found) == pytest.approx((-168, 168), abs=5)  # 1 − 0.025^(1/20) = 0.168


def test_the_same_bits_in_whichever_order_pairs_come() -> None:
    a, b = np.random.default_rng(3).random((2, 12)) * 900
    assert restricted_mean_difference(a, b, 1000) == restricted_mean_difference(np.roll(a, 5), np.roll(b, 5), 1000)


def test_holms_correction_by_hand() -> None:
    assert correct_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert correct_holm([0.6, 0.9]) == [1.0, 1.0]
    assert correct_holm([0.2]) == [0.2]
    assert correct_holm([]) == []


def test_holm_rejects_in_steps_and_is_between_bonferroni_and_none() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        p = rng.random(6) ** 3
        found = np.array(correct_holm(p.tolist()))
        assert (found >= p).all()
        assert (found <= np.minimum(1, 6 * p)).all()
        assert (found >= false_discovery_control(p) - 1e-12).all()
        for alpha in (0.01, 0.05, 0.2):
            rejected = np.zeros(6, bool)
            for step, place in enumerate(np.argsort(p)):
                if p[place] > alpha / (6 - step):
                    break
                rejected[place] = True
            assert ((found <= alpha) == rejected).all()


def test_an_interval_that_excludes_0_has_a_corrected_p_below_the_level() -> None:
    assert correct_level(1) == 0.95
    assert correct_level(5) == pytest.approx(0.99)
    counts = [PairCounts(12, 1, 40), PairCounts(8, 1, 40), PairCounts(4, 3, 40)]
    corrected = correct_holm([mcnemar(one.wins, one.losses) for one in counts])
    for one, p in zip(counts, corrected, strict=True):
        assert paired_difference(one, correct_level(3)).low <= 0 or p < 0.05


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
