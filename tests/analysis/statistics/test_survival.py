import numpy as np
import pytest
from scipy.stats import CensoredData, beta, ecdf

from bptt.analysis.statistics.intervals import Interval, clopper_pearson, median_updates, survival

# Seven runs: four solve the task, one is lost at 20, two are watched until 50.
OBSERVED = np.array([50, 10, 20, 20, 30, 40, 50])
SOLVED = np.array([False, True, True, False, True, True, False])


def test_the_curve_is_kaplans_and_meiers() -> None:
    curve = survival(OBSERVED, SOLVED)
    assert curve["update"].tolist() == [0, 10, 20, 30, 40, 50]
    left = np.array([1, 6 / 7, 6 / 7 * 5 / 6, 5 / 7 * 3 / 4, 15 / 28 * 2 / 3, 15 / 28 * 2 / 3])
    assert curve["solved_share"].tolist() == pytest.approx(1 - left)


def test_the_band_is_clopper_and_pearsons_for_as_many_runs_as_greenwoods_variance_is_that_of() -> None:
    curve = survival(OBSERVED, SOLVED).iloc[1:]
    greenwood = ecdf(CensoredData.right_censored(OBSERVED, ~SOLVED)).sf
    # At so low a level that nothing is cut off at 0 or 1.
    error = (greenwood.confidence_interval(0.1).high.probabilities - greenwood.probabilities) / 0.12566134685507402
    share = curve["solved_share"].to_numpy()
    size = share * (1 - share) / error**2
    hits = share * size
    assert curve["low"].to_numpy() == pytest.approx(beta.ppf(0.025, hits, size - hits + 1))
    assert curve["high"].to_numpy() == pytest.approx(beta.ppf(0.975, hits + 1, size - hits))


def test_while_all_are_watched_the_band_is_clopper_and_pearsons() -> None:
    curve = survival([1, 2, 2, 3], [True] * 4)
    for solved, row in zip((0, 1, 3, 4), curve.itertuples(), strict=True):
        expected = clopper_pearson(solved, 4)
        assert (row.solved_share, row.low, row.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_where_no_run_solves_it_the_band_widens_as_runs_are_lost() -> None:
    curve = survival([10, 20, 30], [False] * 3)
    assert curve["solved_share"].tolist() == [0] * 4
    assert curve["high"].tolist() == pytest.approx([clopper_pearson(0, n).high for n in (3, 3, 2, 1)])


def test_runs_that_are_not_known_do_not_count() -> None:
    known = survival(OBSERVED, SOLVED)
    assert survival([*OBSERVED, np.nan], [*SOLVED, False]).equals(known)
    assert survival([np.nan], [False]).empty


def test_the_median_is_where_half_have_solved_it() -> None:
    assert median_updates(np.arange(1, 11), [True] * 10) == Interval(5, 2, 8 + 1)
    found = median_updates(OBSERVED, SOLVED)
    assert (found.value, found.low) == (40, 10)
    assert np.isnan(found.high)


def test_a_median_that_was_not_reached_is_not_a_number() -> None:
    found = median_updates([100] * 10, [False] * 10)
    assert np.isnan([found.value, found.low, found.high]).all()
    assert np.isnan(median_updates([], []).value)


def test_a_run_that_solves_it_as_another_is_lost_solves_it_first() -> None:
    assert survival([5, 5], [True, False])["solved_share"].tolist() == [0, 0.5]


@pytest.mark.parametrize("lost_until", [120.0, 250.0])
def test_intervals_cover_the_truth_as_often_as_they_say(lost_until: float) -> None:
    # Exponential times; runs are watched until 120, or until some time between 20 and 250. 300 sweeps of 20 runs.
    rng = np.random.default_rng(2)
    median, share = [], []
    for _ in range(300):
        times = rng.exponential(100, 20)
        watched = np.full(20, 120.0) if lost_until == 120 else rng.uniform(20, lost_until, 20)
        observed, solved = np.minimum(times, watched), times <= watched
        interval = median_updates(observed, solved)
        median.append(interval.low <= 100 * np.log(2) and not interval.high < 100 * np.log(2))
        curve = survival(observed, solved)
        row = curve[curve["update"] <= 80].iloc[-1]
        share.append(row["low"] <= 1 - np.exp(-0.8) <= row["high"])
    # Exact intervals cover more often than they say, by as much as whole runs are coarse.
    assert 0.925 < np.mean(median) < 0.995
    assert 0.925 < np.mean(share) < 0.995
