"""Draws: PCG64's words, each distribution against its theory, and streams that don't touch each other."""

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bptt.core.random import Generator, make_generator, make_legacy

SEED = np.random.SeedSequence(11)
COUNT = 100_000
LEAST = 1e-3  # of a p-value at a fixed seed: one chance in a thousand that a right generator fails, once and for all


def words(count: int, seed: np.random.SeedSequence = SEED) -> Any:
    return np.random.PCG64(seed).random_raw(count)


@pytest.mark.parametrize("seed", [0, 1, 2**63, 12345678901234567890123])
def test_words_are_numpys(seed: int) -> None:
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(2, 7))
    found = Generator(sequence).random(1000)
    assert np.array_equal(found, (words(1000, sequence) >> np.uint64(11)) * 2.0**-53)


def test_each_distribution_is_its_written_function_of_the_words() -> None:
    raw = [int(word) for word in words(50)]
    assert Generator(SEED).integers(10, size=50).tolist() == [word * 10 >> 64 for word in raw]
    assert Generator(SEED).integers(-3, 4, size=50).tolist() == [(word * 7 >> 64) - 3 for word in raw]
    shares = [((word >> 12) + 0.5) * 2.0**-52 for word in raw]
    assert Generator(SEED).standard_normal(50) == pytest.approx(stats.norm.ppf(shares), rel=1e-13)
    uniform = Generator(SEED).uniform(-2.0, 1.0, 50)
    assert uniform.tolist() == [-2.0 + 3.0 * ((word >> 11) * 2.0**-53) for word in raw]
    order = list(range(8))
    for place, word in zip(range(7, 0, -1), raw, strict=False):
        chosen = word * (place + 1) >> 64
        order[place], order[chosen] = order[chosen], order[place]
    assert Generator(SEED).permutation(8).tolist() == order


def test_words_that_would_favour_some_integers_are_left_out() -> None:
    """Of n = 3·2⁶¹ numbers every fourth word is left out, else each third number would come twice as often."""
    count = 3 * 2**61
    found = Generator(SEED).integers(count, size=2000)
    kept = [word for word in map(int, words(4000)) if word * count % 2**64 >= 2**64 % count][:2000]
    assert found.tolist() == [word * count >> 64 for word in kept]
    shares = np.bincount(found % 3, minlength=3)
    assert stats.chisquare(shares).pvalue > LEAST


def test_uniform_and_normal_numbers_have_their_distribution() -> None:
    uniform, normal = Generator(SEED).random(COUNT), make_generator(SEED, 1).standard_normal(COUNT)
    assert stats.kstest(uniform, "uniform").pvalue > LEAST
    assert stats.kstest(normal, "norm").pvalue > LEAST
    for power in (1, 2, 3, 4):
        expected = stats.norm.moment(power)
        spread = math.sqrt((stats.norm.moment(2 * power) - expected**2) / COUNT)
        assert abs((normal**power).mean() - expected) < 4 * spread
    tails = (np.abs(normal) > 3).sum()
    assert stats.binomtest(int(tails), COUNT, 2 * stats.norm.sf(3)).pvalue > LEAST
    assert 0 <= uniform.min() < uniform.max() < 1


def test_integers_are_equally_likely_within_their_bounds() -> None:
    for low, high in ((0, 2), (0, 7), (-5, 6), (3, 67)):
        found = Generator(SEED).integers(low, high, size=COUNT)
        assert (found.min(), found.max()) == (low, high - 1)
        assert stats.chisquare(np.bincount(found - low)).pvalue > LEAST
    bounds = np.arange(1, 2001)
    found = Generator(SEED).integers(bounds, size=(50, 2000))
    assert (found < bounds).all()
    assert abs(((found + 0.5) / bounds).mean() - 0.5) < 4 / math.sqrt(12 * found.size)


def test_all_orders_are_equally_likely() -> None:
    counts = Counter(tuple(make_generator(SEED, draw).permutation(4).tolist()) for draw in range(6000))
    assert set(counts) == set(itertools.permutations(range(4)))
    assert stats.chisquare(list(counts.values())).pvalue > LEAST


def test_parts_of_a_stream_have_nothing_to_do_with_each_other() -> None:
    first, second = (make_generator(SEED, part).standard_normal(COUNT) for part in (0, 1))
    assert abs(stats.pearsonr(first, second).statistic) < 4 / math.sqrt(COUNT)
    neighbours = stats.pearsonr(first[:-1], first[1:]).statistic
    assert abs(neighbours) < 4 / math.sqrt(COUNT)
    assert np.array_equal(make_generator(SEED, 0).standard_normal(5), first[:5])


def test_a_draw_goes_on_where_the_one_before_ended() -> None:
    apart, at_once = Generator(SEED), Generator(SEED)
    found = [apart.random(3), apart.random((2, 2)).ravel(), [apart.random()]]
    assert np.concatenate(found).tolist() == at_once.random(8).tolist()


def test_bounds_that_leave_nothing_are_refused() -> None:
    for low, high in ((0, 0), (3, 3), (4, 2), (0, np.array([1, 0]))):
        with pytest.raises(ValueError, match="there is no integer from"):
            Generator(SEED).integers(low, high, size=2)


def test_what_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(AttributeError, match="poisson: there are random, uniform, integers, standard_normal"):
        _ = Generator(SEED).poisson


def test_the_legacy_generator_is_that_of_the_runs_seed_whichever_the_stream() -> None:
    for key in ((), (0,), (1, 5)):
        found = make_legacy(np.random.SeedSequence(entropy=3, spawn_key=key))
        assert np.array_equal(found.random_sample(5), np.random.RandomState(3).random_sample(5))


@pytest.mark.parametrize(("seed", "words"), [(2**32 - 1, 2**32 - 1), (2**32, [0, 1]), (5 + 7 * 2**64, [5, 0, 7])])
def test_a_seed_that_is_too_large_for_the_legacy_generator_counts_by_its_words(seed: int, words: Any) -> None:
    found = make_legacy(np.random.SeedSequence(seed))
    assert np.array_equal(found.random_sample(5), np.random.RandomState(words).random_sample(5))
