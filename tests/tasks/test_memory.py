"""Tasks of memory: multiplication, permutation, memorization, delayed XOR, the latch, three symbols in order."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bptt.core.annotations import InvalidValue

Build = Callable[..., Any]


def test_multiplication_is_of_the_two_marked_numbers(build: Build) -> None:
    sequences = build("multiplication", length=20).make(np.random.default_rng(0), 1000)
    for x, y in zip(sequences.x, sequences.y, strict=True):
        first, second = np.flatnonzero(x[:, 1]).tolist()
        assert 0 <= first < 2 <= second < 10
        assert y[0] == x[first, 0] * x[second, 0]
    assert abs(((sequences.y - 0.25) ** 2).mean() - 7 / 144) < 0.005


def test_permutation_asks_for_the_first_symbol(build: Build) -> None:
    sequences = build("permutation", length=6, symbols=5).make(np.random.default_rng(0), 500)
    for x, y in zip(sequences.x.argmax(-1).tolist(), sequences.y.argmax(-1).tolist(), strict=True):
        assert x[0] == y < 2
        assert min(x[1:]) >= 2
    assert sequences.x.sum(axis=-1).tolist() == [[1.0] * 6] * 500
    assert {*sequences.x[:, 1:].argmax(-1).ravel().tolist()} == {2, 3, 4}


def test_memorization_repeats_from_the_delimiter_on(build: Build) -> None:
    task = build("memorization", length=3, values=4, symbols=2)
    sequences = task.make(np.random.default_rng(0), 200)
    for x, y in zip(sequences.x.argmax(-1).tolist(), sequences.y.argmax(-1).tolist(), strict=True):
        assert x[2:] == [4, 4, 4, 5, 4]
        assert y == [4] * 5 + x[:2]
    assert (task.inputs, task.outputs, task.timesteps) == (6, 5, 7)
    wrong = sequences.y.copy()
    wrong[0, -1] = 1 - wrong[0, -1]
    assert task.accuracy(wrong, sequences) == 1 - 1 / 400
    assert task.all_right(wrong, sequences) == 1 - 1 / 200


@pytest.mark.parametrize("terms", [1, 2, 3])
def test_delayed_xor_combines_bits_a_delay_apart(build: Build, terms: int) -> None:
    sequences = build("delayed_xor", length=12, delay=3, terms=terms).make(np.random.default_rng(0), 100)
    for x, y, scored in zip(sequences.x[:, :, 0], sequences.y[:, :, 0], sequences.full_scored, strict=True):
        for t in range(12):
            assert scored[t] == (t >= 3 * terms)
            if scored[t]:
                assert y[t] == sum(x[t - 3 * term] for term in range(1, terms + 1)) % 2
    with pytest.raises(InvalidValue, match="at least 41"):
        build("delayed_xor", length=40, delay=20)


def test_the_latch_holds_a_bit_that_is_shown_under_noise(build: Build) -> None:
    sequences = build("latch", length=30, shown=4, noise=0.1).make(np.random.default_rng(0), 400)
    sign = 2 * sequences.y[:, 0] - 1
    assert {*sign.tolist()} == {-1.0, 1.0}
    assert np.abs(sequences.x[:, :4, 0] - sign[:, None]).max() < 0.6
    assert np.abs(sequences.x[:, 4:, 0]).max() < 0.6
    assert abs(sequences.x[:, 4:].std() - 0.1) < 0.005
    assert build("latch", noise=0).make(np.random.default_rng(0), 1).x[0, 3:].any() == False  # noqa: E712


def test_three_symbols_stand_in_their_tenths(build: Build) -> None:
    sequences = build("temporal_order", length=30, symbols=3).make(np.random.default_rng(0), 2000)
    places = set()
    for x, y in zip(sequences.x.argmax(-1), sequences.y.argmax(-1), strict=True):
        at = np.flatnonzero(x < 2).tolist()
        assert len(at) == 3
        assert y == 4 * x[at[0]] + 2 * x[at[1]] + x[at[2]]
        places.add(tuple(at))
    assert {place[0] for place in places} == {3, 4, 5}
    assert {place[1] for place in places} == {9, 10, 11}
    assert {place[2] for place in places} == {18, 19, 20}
    assert np.abs(sequences.y.mean(axis=0) - 1 / 8).max() < 0.03
