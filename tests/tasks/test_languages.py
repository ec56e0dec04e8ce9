"""Parity, aⁿbⁿ and Dyck languages against their definitions, letter by letter."""

from collections.abc import Callable
from typing import Any

import numpy as np

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
