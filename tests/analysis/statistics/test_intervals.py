import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, bootstrap, lognorm, trim_mean

from bptt.analysis.statistics.intervals import (
    Interval,
    clopper_pearson,
    exact_ends,
    iqm_interval,
    location_intervals,
    median_interval,
    probability_of_improvement,
    share_difference,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def interquartile_mean(values: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    cut = values.shape[axis] // 4
    return np.asarray(np.sort(values, axis=axis)[..., cut : values.shape[axis] - cut].mean(axis))


def test_without_trials_nothing_is_known() -> None:
    assert np.isnan([*vars(clopper_pearson(0, 0)).values()]).all()
    assert np.isnan([*vars(share_difference((0, 1), (0, 2))).values()]).all()


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 50), (50, 50), (7, 10), (41, 50), (3, 1000)])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_clopper_pearson_is_scipys(successes: int, trials: int, level: float) -> None:
    expected = binomtest(successes, trials).proportion_ci(level, method="exact")
    found = clopper_pearson(successes, trials, level)
    assert found.value == successes / trials
    assert ends(found) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.low == 0 or successes
    assert found.high == 1 or successes < trials


def test_exact_ends_for_sizes_that_are_not_whole_lie_between_those_for_whole_ones() -> None:
    low, high = exact_ends(0.3, np.array([10.0, 14.0, 20.0]))
    assert low[0] < low[1] < low[2] < 0.3 < high[2] < high[1] < high[0]
    assert (low[0], high[2]) == pytest.approx((clopper_pearson(3, 10).low, clopper_pearson(6, 20).high), abs=1e-12)


@pytest.mark.parametrize(
    ("successes", "trials"), [((56, 48), (70, 80)), ((9, 3), (10, 10)), ((5, 0), (56, 29)), ((10, 0), (10, 10))]
)
def test_difference_of_shares_adds_the_squares_of_the_exact_ends_distances(
    successes: tuple[int, int], trials: tuple[int, int]
) -> None:
    (p, l1, u1), (q, l2, u2) = (
        (hits / count, *binomtest(hits, count).proportion_ci(method="exact"))
        for hits, count in zip(successes, trials, strict=True)
    )
    found = share_difference(successes, trials)
    assert found.value == p - q
    expected = p - q - np.sqrt((p - l1) ** 2 + (u2 - q) ** 2), p - q + np.sqrt((u1 - p) ** 2 + (q - l2) ** 2)
    assert ends(found) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", [3, 10, 21, 50])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_bootstrap_intervals_are_scipys(size: int, level: float) -> None:
    values = np.sort(rng(size).lognormal(size=size))  # as they are drawn from
    for found, statistic in ((median_interval, np.median), (iqm_interval, interquartile_mean)):
        expected = bootstrap(
            (values,),
            statistic,
            confidence_level=level,
            batch=max(25_000 // size, 100),
            rng=np.random.Generator(np.random.PCG64(np.random.SeedSequence(20170811))),
        ).confidence_interval
        interval = found(values[::-1], level)
        assert interval.value == pytest.approx(float(statistic(values)), rel=1e-14)
        assert ends(interval) == pytest.approx((expected.low, expected.high), rel=1e-12)


@pytest.mark.parametrize("size", [3, 4, 5, 7, 8, 50])
def test_the_interquartile_mean_is_scipys_trimmed_mean(size: int) -> None:
    values = rng(size).normal(size=size)
    assert iqm_interval(values).value == pytest.approx(trim_mean(values, 0.25))


def test_samples_together_have_the_bits_of_each_alone() -> None:
    samples = [rng(seed).lognormal(size=size) for seed, size in enumerate((10, 30, 10, 0, 2))]
    for sample, together in zip(samples, location_intervals(samples), strict=True):
        alone = location_intervals([sample])[0]
        assert np.array_equal([*vars(alone.median).values()], [*vars(together.median).values()], equal_nan=True)
        assert np.array_equal([*vars(alone.iqm).values()], [*vars(together.iqm).values()], equal_nan=True)


def test_intervals_are_scaled_with_the_values() -> None:
    values = rng().lognormal(size=20)
    found, scaled = iqm_interval(values), iqm_interval(1e-30 * values)
    assert (scaled.value, *ends(scaled)) == pytest.approx(1e-30 * np.array([found.value, *ends(found)]), rel=1e-9)


def test_equal_values_have_an_interval_without_width() -> None:
    assert median_interval([0.5] * 9) == Interval(0.5, 0.5, 0.5)
    assert iqm_interval([0.5] * 9) == Interval(0.5, 0.5, 0.5)
    assert iqm_interval([np.inf] * 9) == Interval(np.inf, np.inf, np.inf)


def test_few_values_have_no_interval() -> None:
    assert np.isnan(ends(median_interval([1.0, 3.0]))).all()
    assert median_interval([1.0, 3.0]).value == 2.0
    assert np.isnan(median_interval([]).value)
    assert np.isnan(iqm_interval([np.nan]).value)


def test_diverged_runs_are_above_all_others() -> None:
    # A third diverged: the median is finite, more than half of them might have in another such sweep.
    some = np.array([*np.linspace(1, 2, 10), *[np.inf] * 5])
    median = median_interval(some)
    assert median.value == np.linspace(1, 2, 10)[7]
    assert 1 < median.low < median.value < median.high == np.inf
    mean = iqm_interval(some)  # 3 of 15 are dropped at each end
    assert mean.value == mean.high == np.inf
    assert 1 < mean.low < np.inf
    few = np.array([*np.linspace(1, 2, 45), np.inf])
    assert np.isfinite(ends(iqm_interval(few))).all()


def test_what_is_not_a_number_does_not_count() -> None:
    values = rng().random(12)
    assert median_interval([*values, np.nan]) == median_interval(values)


@pytest.mark.parametrize("size", [10, 30])
def test_intervals_cover_the_truth_as_often_as_they_say(size: int) -> None:
    # Of 400 samples; two standard errors of a share of 0.95 are 0.022.
    distribution = lognorm(1.0)
    samples = distribution.rvs((400, size), random_state=rng(1))
    truth = distribution.median(), float(np.mean(distribution.ppf(np.linspace(0.25, 0.75, 100_001))))
    found = location_intervals(list(samples))
    for true, intervals in zip(truth, ([one.median for one in found], [one.iqm for one in found]), strict=True):
        covered = np.mean([interval.low <= true <= interval.high for interval in intervals])
        assert 0.92 < covered < 0.98


@pytest.mark.parametrize("kind", ["normal", "skewed", "ties", "some infinite"])
def test_ends_of_many_values_are_those_of_a_bootstrap(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = rng(7)
    values = {
        "normal": draw.normal(size=2000),
        "skewed": draw.exponential(size=2000),
        "ties": draw.integers(0, 9, 2000).astype(float),
        "some infinite": np.where(draw.random(2000) < 0.15, np.inf, draw.normal(size=2000)),
    }[kind]
    (drawn,) = location_intervals([values])
    monkeypatch.setattr("bptt.analysis.statistics.intervals.LARGE", 1999)
    (direct,) = location_intervals([values])
    assert (direct.median.value, direct.iqm.value) == (drawn.median.value, drawn.iqm.value)
    width = drawn.iqm.high - drawn.iqm.low
    for ours, theirs in ((direct.median, drawn.median), (direct.iqm, drawn.iqm)):
        assert ours.low == pytest.approx(theirs.low, abs=0.15 * width)
        assert ours.high == pytest.approx(theirs.high, abs=0.15 * width)


def test_many_values_more_than_a_quarter_of_which_are_infinite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bptt.analysis.statistics.intervals.LARGE", 9)
    found = location_intervals([[*range(20), *[np.inf] * 8], [*range(20), *[np.inf] * 6]])
    assert found[0].iqm == Interval(np.inf, np.inf, np.inf)
    assert np.isfinite([found[1].iqm.value, found[1].iqm.low, found[1].iqm.high]).all()
    assert np.isfinite(found[0].median.value)


@pytest.mark.parametrize("smaller_is_better", [True, False])
def test_improvement_is_the_share_of_all_pairs(smaller_is_better: bool) -> None:
    draw = rng(3)
    for sizes in ((1, 1), (3, 7), (50, 31)):
        first, second = (np.append(draw.integers(0, 9, size), np.inf) for size in sizes)
        better = np.less if smaller_is_better else np.greater
        wins = better.outer(first, second) + 0.5 * np.equal.outer(first, second)
        assert probability_of_improvement(first, second, smaller_is_better).value == wins.mean()
