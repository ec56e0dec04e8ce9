import numpy as np
import pytest
from scipy.stats import beta, mannwhitneyu

from bptt.analysis.statistics.intervals import probability_of_improvement


def test_it_is_mann_and_whitneys_statistic_over_the_pairs() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 20).astype(float), rng.integers(2, 11, 30).astype(float)
    larger = float(mannwhitneyu(a, b).statistic) / 600
    assert probability_of_improvement(a, b, smaller_is_better=False).value == pytest.approx(larger, rel=1e-14)
    assert probability_of_improvement(a, b).value == pytest.approx(1 - larger, rel=1e-14)


def test_three_against_three_by_hand() -> None:
    # 1 is less than 2, 2 and 4; 2 is less than 4 and alike twice; 3 is less than 4.
    assert probability_of_improvement([1, 2, 3], [2, 2, 4]).value == pytest.approx((3 + 1 + 2 / 2 + 1) / 9)


def test_it_is_the_other_way_round_for_the_other() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=15), rng.normal(0.5, 1, 12)
    one, other = probability_of_improvement(a, b), probability_of_improvement(b, a)
    assert one.value == pytest.approx(1 - other.value)
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low))


def test_diverged_runs_are_alike_and_worse_than_all_others() -> None:
    assert probability_of_improvement([1, 1, np.inf], [np.inf] * 3).value == pytest.approx((6 + 1.5) / 9)
    assert probability_of_improvement([np.inf] * 5, [np.inf] * 5).value == 0.5


def test_runs_without_a_value_do_not_count() -> None:
    assert probability_of_improvement([1, 2, 3, np.nan], [2, 3, 5]) == probability_of_improvement([1, 2, 3], [2, 3, 5])
    assert np.isnan(probability_of_improvement([np.nan], [1, 2, 3]).value)


def test_a_run_of_each_leaves_almost_everything_open() -> None:
    found = probability_of_improvement([1], [2])
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.025)


def test_runs_that_are_all_apart_leave_a_doubt_that_gets_smaller_with_more_of_them() -> None:
    doubts = [1 - probability_of_improvement(np.arange(n), np.arange(n) + 100).low for n in (3, 10, 50)]
    assert doubts == pytest.approx([1 - 0.025 ** (1 / n) for n in (3, 10, 50)])
    worse = probability_of_improvement([1] * 10, [2] * 10, smaller_is_better=False)
    assert (worse.value, worse.low) == (0, 0)
    assert worse.high == pytest.approx(doubts[1])


def test_the_interval_is_that_of_as_many_pairs_as_the_smaller_set_has_runs() -> None:
    found = probability_of_improvement([1, 4, 6, 8], [2, 3, 5, 7, 9, 11])
    hits, pairs = 4 * found.value, 4
    assert found.low == pytest.approx(beta.ppf(0.025, hits, pairs - hits + 1))
    assert found.high == pytest.approx(beta.ppf(0.975, hits + 1, pairs - hits))


@pytest.mark.parametrize("spread", [0.01, 1.0, 100.0])
def test_it_varies_no_more_than_the_share_of_so_many_pairs(spread: float) -> None:
    rng = np.random.default_rng(5)
    shift = np.hypot(spread, 1) * 0.524400513
    values = [
        probability_of_improvement(rng.normal(-shift, spread, 12), rng.normal(0, 1, 30)).value for _ in range(2000)
    ]
    assert np.mean(values) == pytest.approx(0.7, abs=0.01)
    assert np.var(values) < 0.7 * 0.3 / 12 * 1.05


def test_the_same_bits_each_time_in_whichever_order_runs_come() -> None:
    a, b = np.random.default_rng(3).normal(size=(2, 11))
    assert probability_of_improvement(a, b) == probability_of_improvement(a, b)
    assert probability_of_improvement(a, b) == probability_of_improvement(a[::-1], np.roll(b, 3))


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    # Normal values a distance of √2·0.5244 apart: P = Φ(0.5244) = 0.7. Of 200 pairs; a standard error is 0.015.
    rng = np.random.default_rng(4)
    covered = []
    for _ in range(200):
        found = probability_of_improvement(rng.normal(-np.sqrt(2) * 0.524400513, 1, 15), rng.normal(0, 1, 15))
        covered.append(found.low <= 0.7 <= found.high)
    assert np.mean(covered) > 0.95
