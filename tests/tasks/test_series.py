"""Mackey–Glass, Lorenz and NARMA-10 against their equations, in parts that share no value."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

Build = Callable[..., Any]


def test_mackey_glass_obeys_its_equation(build: Build) -> None:
    series = build("mackey_glass").compute_series(3000)[:, 0] + 0.9
    assert series.shape == (3000,)
    assert 0.2 < series.min() < 0.5 < 1.2 < series.max() < 1.5  # the attractor at τ = 17
    # A unit of time in a coarse quadrature of the equation's right side.
    rate = 0.2 * series[:-17] / (1 + series[:-17] ** 10) - 0.1 * series[17:]
    change = np.diff(series[17:])
    assert np.abs(change - (rate[1:] + rate[:-1]) / 2).max() < 0.02
    assert np.array_equal(build("mackey_glass").compute_series(10)[:, 0] + 0.9, series[:10])


def test_lorenz_is_what_another_integrator_gives(build: Build) -> None:
    series = build("lorenz", every=2).compute_series(50) * [8, 9, 8.6] + [0, 0, 23.5]

    def change(_t: float, s: Any) -> list[float]:
        return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]

    exact = solve_ivp(change, (0, 0.98), series[0], t_eval=np.arange(50) * 0.02, rtol=1e-10, atol=1e-10).y.T
    assert np.abs(series - exact).max() < 1e-3


@pytest.mark.parametrize("name", ["mackey_glass", "lorenz"])
def test_windows_follow_each_other_and_parts_share_no_value(build: Build, name: str) -> None:
    task = build(name, window=4, windows=6, eval_size=3, test_size=2, horizon=5)
    series = task.compute_series(11 + 3 * 8)
    parts = task.training().sequences, task.evaluation(None), task.test(None)
    first = 0
    for part, size in zip(parts, (6, 3, 2), strict=True):
        for i in range(size):
            assert np.array_equal(part.x[i], series[first + i : first + i + 4])
            assert np.array_equal(part.y[i], series[first + i + 5 : first + i + 9])
        first += size + 8
    assert first == len(series)
    assert build(name, test_size=0).test(None) is None


def test_narma_obeys_its_recursion(build: Build) -> None:
    sequences = build("narma", length=40).make(np.random.default_rng(0), 20)
    for x, y in zip(sequences.x[:, :, 0].tolist(), sequences.y[:, :, 0].tolist(), strict=True):
        u, values = [0.0] * 9 + x, [0.0] * 10
        for t in range(40):
            now = t + 9
            past = 0.0
            for i in range(9, -1, -1):
                past += values[now - i]
            values.append(min(0.3 * values[now] + 0.05 * values[now] * past + 1.5 * u[now - 9] * u[now] + 0.1, 1.0))
        assert y == values[10:]
    assert sequences.full_scored[0].tolist() == [False] * 9 + [True] * 31
    assert sequences.x.max() < 0.5
    assert build("narma", length=2000).make(np.random.default_rng(1), 200).y.max() <= 1
