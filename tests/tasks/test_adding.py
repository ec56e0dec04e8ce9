from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Build = Callable[..., Any]


@pytest.mark.parametrize("length", [10, 19, 50])
def test_the_target_is_half_the_sum_of_the_marked_numbers(build: Build, length: int) -> None:
    task = build("adding", length=length)
    sequences = task.make(np.random.default_rng(0), 3000)
    places = set()
    for x, y, timesteps in zip(sequences.x, sequences.y, sequences.full_lengths.tolist(), strict=True):
        first, second = np.flatnonzero(x[:, 1]).tolist()
        assert set(x[:, 1]) == {0, 1}
        assert 0 <= first < timesteps // 10 <= second < timesteps // 2
        assert y[0] == (x[first, 0] + x[second, 0]) / 2
        assert not x[timesteps:].any()
        places.add((timesteps, first, second))
    lengths = range(length, length + length // 10 + 1)
    assert {place[0] for place in places} == set(lengths)
    for end in (length, lengths[-1]):
        assert {place[1] for place in places if place[0] == end} == set(range(end // 10))
        assert {place[2] for place in places if place[0] == end} == set(range(end // 10, end // 2))


def test_numbers_are_uniform_from_0_to_1(build: Build) -> None:
    sequences = build("adding").make(np.random.default_rng(1), 2000)
    numbers = sequences.x[:, :50, 0].ravel()
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert abs(numbers.mean() - 1 / 2) < 5 / np.sqrt(12 * numbers.size)
    assert abs(np.square(sequences.y - 0.5).mean() - 1 / 24) < 0.003


def test_an_error_below_0_04_is_right(build: Build) -> None:
    task = build("adding")
    sequences = task.evaluation(np.random.default_rng(0))
    assert sequences.count == 1000
    assert task.accuracy(sequences.y - np.where(np.arange(1000) < 900, 0.0399, 0.0401)[:, None], sequences) == 0.9
    assert task.accuracy(np.full((1000, 1), 0.5), sequences) == pytest.approx(1 - 0.92**2, abs=0.06)
