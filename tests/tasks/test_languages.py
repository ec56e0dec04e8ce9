"""Parity, aⁿbⁿ and Dyck languages against their definitions, letter by letter."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bptt.core.losses.squared_error import SquaredError

Build = Callable[..., Any]


def test_parity_is_of_the_bits_so_far(build: Build) -> None:
    sequences = build("parity", length=9).make(np.random.default_rng(0), 50)
    for x, y in zip(sequences.x[:, :, 0].tolist(), sequences.y[:, :, 0].tolist(), strict=True):
        assert y == [sum(x[: t + 1]) % 2 for t in range(9)]


def test_anbn_says_what_may_follow(build: Build) -> None:
    task = build("anbn", most=4)
    sequences = task.make(np.random.default_rng(0), 200)
    seen = set()
    for x, y, length in zip(sequences.x, sequences.y, sequences.full_lengths.tolist(), strict=True):
        word = "".join("^ab"[symbol] for symbol in x[:length].argmax(-1))
        n = (length - 1) // 2
        assert word == "^" + "a" * n + "b" * n
        assert not x[length:].any()
        # Of all words of the language, those that begin alike say what may come next.
        words = ["^" + "a" * m + "b" * m + "$" for m in range(1, 5)]
        for t in range(length):
            follows = {w[t + 1] for w in words if w.startswith(word[: t + 1])}
            assert {"ab$"[k] for k in np.flatnonzero(y[t])} == follows
        seen.add(n)
    assert seen == {1, 2, 3, 4}
    many = task.make(np.random.default_rng(1), 4000)

    class Shares:
        def constant_cost(self, mean: Any, variance: Any) -> float:
            assert np.abs(mean - many.y[many.full_scored].mean(axis=0)).max() < 0.01
            return float(variance.sum())

    assert task.baseline(Shares()) > 0


def test_dyck_says_which_brackets_may_follow(build: Build) -> None:
    for kinds, depth in ((1, 4), (2, 3)):
        sequences = build("dyck", length=25, kinds=kinds, depth=depth).make(np.random.default_rng(0), 100)
        deepest = 0
        for x, y in zip(sequences.x.argmax(-1).tolist(), sequences.y, strict=True):
            stack: list[int] = []
            for t, bracket in enumerate(x):
                if bracket < kinds:
                    stack.append(bracket)
                else:
                    assert stack.pop() == bracket - kinds
                deepest = max(deepest, len(stack))
                may = set(range(kinds)) if len(stack) < depth else set()
                if stack:
                    may.add(kinds + stack[-1])
                assert set(np.flatnonzero(y[t]).tolist()) == may
        assert deepest == depth


@pytest.mark.parametrize("changes", [{"kinds": 1, "depth": 1}, {"kinds": 2, "depth": 3}, {"kinds": 3, "depth": 9}])
def test_the_baseline_of_dyck_is_of_the_shares_of_all_strings(build: Build, changes: dict[str, int]) -> None:
    task = build("dyck", length=12, **changes)
    strings: dict[tuple[int, ...], float] = {(0,): 1.0}  # of how many are open, from the start on → its chance
    for _ in range(12):
        longer: dict[tuple[int, ...], float] = {}
        for heights, chance in strings.items():
            now = heights[-1]
            steps = [1] if now == 0 else [-1] if now == task.depth else [1, -1]
            longer |= {(*heights, now + step): chance / len(steps) for step in steps}
        strings = longer
    opens = sum(chance * sum(h < task.depth for h in heights[1:]) / 12 for heights, chance in strings.items())
    closes = sum(chance * sum(h > 0 for h in heights[1:]) / 12 for heights, chance in strings.items()) / task.kinds
    share = np.repeat([opens, closes], task.kinds)
    assert task.baseline(SquaredError(weight=1.0)) == pytest.approx(12 * (share * (1 - share)).sum(), rel=1e-12)


def test_the_baseline_of_long_strings_of_many_kinds_takes_no_memory(build: Build) -> None:
    assert build("dyck", length=3000, kinds=100_000, depth=3).baseline(SquaredError(weight=1.0)) > 0
