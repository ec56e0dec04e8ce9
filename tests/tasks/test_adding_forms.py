"""The adding problem as Le and as Hochreiter & Schmidhuber have it."""

from collections.abc import Callable
from typing import Any

import numpy as np

Build = Callable[..., Any]


def test_le_adds_two_numbers_at_any_places(build: Build) -> None:
    sequences = build("adding", form="le", length=4).make(np.random.default_rng(0), 2000)
    pairs = set()
    for x, y in zip(sequences.x, sequences.y, strict=True):
        first, second = np.flatnonzero(x[:, 1]).tolist()
        assert y[0] == x[first, 0] + x[second, 0] or y[0] == x[second, 0] + x[first, 0]
        pairs.add((first, second))
    assert sequences.x.shape == (2000, 4, 2)
    assert pairs == {(a, b) for a in range(4) for b in range(a + 1, 4)}
    assert abs(((sequences.y - 1) ** 2).mean() - 1 / 6) < 0.02


def test_hochreiter_marks_the_ends_and_halves_the_mean(build: Build) -> None:
    sequences = build("adding", form="hochreiter", length=24).make(np.random.default_rng(0), 3000)
    zeros, seconds = 0, set()
    for x, y, timesteps in zip(sequences.x, sequences.y, sequences.full_lengths.tolist(), strict=True):
        marked = [t for t in range(timesteps) if x[t, 1] == 1]
        assert len(marked) == 2
        assert min(marked) < 10
        assert max(marked) < timesteps // 2
        assert x[timesteps - 1, 1] == -1
        assert (x[0, 1] == -1) == (0 not in marked)
        if 0 in marked:
            assert x[0, 0] == 0
            zeros += 1
        assert y[0] == 0.5 + (x[marked[0], 0] + x[marked[1], 0]) / 4
        assert np.abs(x[:, 0]).max() < 1
        seconds.add(max(marked))
    assert zeros > 300
    assert {*sequences.full_lengths.tolist()} == {24, 25, 26}
    assert max(seconds) == 12


def test_what_is_always_answered_costs_the_baseline(build: Build) -> None:
    class Squares:
        def constant_cost(self, mean: Any, variance: Any) -> float:
            assert mean.shape == (1,)
            return float(variance.sum())

    for form, mean in (("pascanu", 0.5), ("le", 1.0), ("hochreiter", 0.5)):
        task = build("adding", form=form)
        y = task.make(np.random.default_rng(0), 4000).y
        assert abs(((y - mean) ** 2).mean() / task.baseline(Squares()) - 1) < 0.1, form
