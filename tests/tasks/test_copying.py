from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Build = Callable[..., Any]


@pytest.mark.parametrize("length", [1, 2, 20])
def test_ten_symbols_are_asked_for_after_the_delimiter(build: Build, length: int) -> None:
    task = build("copying", length=length)
    sequences = task.make(np.random.default_rng(0), 200)
    assert task.timesteps == length + 20
    for x, y in zip(sequences.x, sequences.y, strict=True):
        assert x.shape == (length + 20, 10)
        assert y.shape == (length + 20, 9)
        assert set(x.sum(axis=1)) == set(y.sum(axis=1)) == {1}
        fed, asked = x.argmax(axis=1).tolist(), y.argmax(axis=1).tolist()
        symbols = fed[:10]
        assert max(symbols) < 8
        assert fed[10:] == [8] * (length - 1) + [9] + [8] * 10
        assert asked == [8] * (length + 10) + symbols
    assert sequences.full_scored.all()


def test_symbols_are_uniform(build: Build) -> None:
    x = build("copying").make(np.random.default_rng(1), 2000).x[:, :10, :8]
    assert np.abs(x.mean(axis=(0, 1)) - 1 / 8).max() < 5 * np.sqrt(7 / 64 / 20000)


def test_only_the_ten_symbols_count(build: Build) -> None:
    task = build("copying")
    sequences = task.evaluation(np.random.default_rng(0))
    blanks = np.zeros_like(sequences.y)
    blanks[:, :, 8] = 1
    assert task.accuracy(blanks, sequences) == 0
    output = np.zeros_like(sequences.y)
    output[:, -10:] = sequences.y[:, -10:]
    output[:, -4:] = np.roll(output[:, -4:], 1, axis=2)
    assert task.accuracy(output, sequences) == 0.6
