from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bptt.core.sequences import Floats, Sequences


@pytest.mark.parametrize("length", [2, 3, 4, 5, 11, 30])
def test_every_third_bit_is_the_exclusive_or_of_the_two_before(build: Callable[..., Any], length: int) -> None:
    sequences = build("xor", length=length).make(np.random.default_rng(1), 50)
    assert sequences.x.shape == sequences.y.shape == (50, length, 1)
    for x, y in zip(sequences.x[:, :, 0].astype(int).tolist(), sequences.y[:, :, 0].astype(int).tolist(), strict=True):
        stream = [*x, y[-1]]
        assert set(stream) <= {0, 1}
        assert y == stream[1:]
        for third in range(2, length + 1, 3):
            assert stream[third] == stream[third - 2] ^ stream[third - 1]
    assert [t for t in range(length) if sequences.full_scored[0, t]] == list(range(1, length, 3))


def test_the_random_bits_are_fair(build: Callable[..., Any]) -> None:
    x = build("xor").make(np.random.default_rng(2), 2000).x[:, :, 0]
    assert np.abs(x.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(2000)


def test_the_evaluation_is_drawn_once_from_its_own_generator(build: Callable[..., Any]) -> None:
    task = build("xor", eval_size=7)
    assert np.array_equal(task.evaluation(np.random.default_rng(5)).x, task.make(np.random.default_rng(5), 7).x)


def test_it_shows_the_four_pairs(build: Callable[..., Any]) -> None:
    def predict(sequences: Sequences) -> Floats:
        assert sequences.x[0, :, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1]
        return np.full((1, 11, 1), 0.8)

    assert build("xor").show(predict) == ["stream    0 0 0 0 1 1 1 0 1 1 1 0", "predicted . . 1 . . 1 . . 1 . . 1"]
