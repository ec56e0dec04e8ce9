import numpy as np
import pytest
from scipy.stats import binom, lognorm

from benchmarks.candidates import score_ends
from benchmarks.coverage import (
    Coverage,
    _score_locations,
    enumerate_pairs,
    enumerate_share,
    find_paired_ends,
    hybrid,
    list_tables,
    simulate_improvement,
    simulate_large_locations,
    simulate_roc,
    write_page,
)
from bptt.analysis.statistics.differences import PairCounts, paired_difference
from bptt.analysis.statistics.intervals import (
    LARGE,
    clopper_pearson,
    exact_ends,
    location_intervals,
    probability_of_improvement,
    share_difference,
)


def test_a_share_is_covered_as_often_as_by_hand() -> None:
    found = enumerate_share("", exact_ends, 10, True)
    p = float(found.where)
    held = [x for x in range(11) if clopper_pearson(x, 10).low <= p <= clopper_pearson(x, 10).high]
    assert found.least == pytest.approx(sum(binom.pmf(x, 10, p) for x in held))
    assert found.least > 0.95
    assert found.size == 10


def test_wilsons_interval_holds_too_seldom() -> None:
    # L. D. Brown, T. T. Cai and A. DasGupta 2001: its dips below the level are near 0 and 1.
    found = enumerate_share("", score_ends, 10, False)
    assert found.least < 0.9
    assert min(float(found.where), 1 - float(found.where)) < 0.06


def test_arrays_have_the_ends_of_the_functions() -> None:
    low, high = hybrid(np.array([3, 10]), np.array([0, 4]), 10, 10)
    for place, successes in enumerate(((3, 0), (10, 4))):
        found = share_difference(successes, (10, 10))
        assert (low[place], high[place]) == pytest.approx((found.low, found.high))
    low, high = find_paired_ends(np.array([[2, 3, 1, 4]]))
    assert (low[0], high[0]) == (
        paired_difference(PairCounts(3, 1, 6)).low,
        paired_difference(PairCounts(3, 1, 6)).high,
    )


def test_values_of_improvement_are_counted_in_halves() -> None:
    ours, bootstrap = simulate_improvement(4, 20, np.random.default_rng(0))
    assert (ours.used, ours.trials, bootstrap.used, bootstrap.trials) == (True, 20, False, 1)
    low, high = exact_ends(0.5, 4)
    found = probability_of_improvement([1, 2, 3, 4], [1, 2, 3, 4])
    assert (found.low, found.high) == (float(low), float(high))
    assert 0.9 < ours.least <= ours.mean <= 1


def test_intervals_of_many_values_hold_what_they_say() -> None:
    median, iqm = simulate_large_locations(LARGE + 1, 60, np.random.default_rng(0))
    assert (median.size, median.trials, median.used, iqm.used) == (LARGE + 1, 60, True, True)
    # Of 5 × 60 samples; 3 standard errors of 95 % are 3.8 points.
    assert 0.91 < median.mean < 0.99
    assert 0.91 < iqm.mean < 0.99
    assert 0.05 < median.width < iqm.width < 0.07


def test_what_is_infinite_moves_the_middle_that_is_to_be_held() -> None:
    rng, one = np.random.default_rng(1), lognorm(1)
    samples = one.rvs((40, LARGE + 1), random_state=rng)
    samples[rng.random(samples.shape) < 0.2] = np.inf
    found = location_intervals(list(samples))
    for kind in ("median", "iqm"):
        assert _score_locations(found, kind, one, 0.2)[0] > 0.8
        assert _score_locations(found, kind, one)[0] == 0.0


def test_runs_that_share_seeds_are_not_taken_for_independent() -> None:
    ours, *others = simulate_roc(20, 30, np.random.default_rng(0))
    assert (ours.used, ours.trials, [one.used for one in others]) == (True, 30, [False] * 3)
    assert ours.least > 0.85  # of thirty samples, the least of 44 cases
    assert all(one.least < ours.least < ours.mean for one in others)


def test_all_outcomes_of_pairs_are_enumerated() -> None:
    assert len(list_tables(4)) == 35  # (4 + 3 choose 3)
    always = enumerate_pairs("", lambda table: (np.full(len(table), -1.0), np.full(len(table), 1.0)), 4, True)
    assert (always.least, always.mean, always.width) == pytest.approx((1.0, 1.0, 2.0))
    never = enumerate_pairs("", lambda table: (np.full(len(table), 2.0), np.full(len(table), 2.0)), 4, True)
    assert never.least == 0.0


def test_the_page_names_what_is_below() -> None:
    good, bad = Coverage("a", 10, 0.951, "0.5", 0.97, 0.4, True), Coverage("b", 20, 0.92, "0.02", 0.96, 0.3, True, 500)
    unused = Coverage("c", 20, 0.8, "0.02", 0.96, 0.3, False)
    assert write_page([good, unused]).endswith("Of the intervals that are used none is below 93 % anywhere.\n")
    page = write_page([good, bad])
    assert "| a | 10 | 95.1 % | 0.5 | 97.0 % | 0.400 | all |" in page
    assert "| b | 20 | **92.0 %** | 0.02 | 96.0 % | 0.300 | 500 |" in page
    assert page.endswith("Below 93 % are, of those that are used: b, n = 20: 92.0 % (0.02).\n")
    assert "| *c* | 20 | 80.0 % |" in write_page([unused])
