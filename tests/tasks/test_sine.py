import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


def test_windows_and_targets_are_the_curve_s(build: Callable[..., Any]) -> None:
    task = build("sine", amplitude=2.0, step=0.3, window=4, windows=6, eval_size=3)
    curve = [2.0 * math.sin(0.3 * k) for k in range(40)]
    for sequences, first, count in (
        (task.training().sequences, 0, 6),
        (task.evaluation(np.random.default_rng(0)), 10, 3),
    ):
        assert sequences.count == count
        for i in range(count):
            assert sequences.x[i, :, 0].tolist() == pytest.approx(curve[first + i : first + i + 4], rel=1e-14)
            assert sequences.y[i].tolist() == pytest.approx([curve[first + i + 4]], rel=1e-14)


def test_nothing_of_the_evaluation_was_trained_on(build: Callable[..., Any]) -> None:
    task = build("sine")
    training, evaluation = task.training().sequences, task.evaluation(np.random.default_rng(0))
    seen = np.unique(np.concatenate([training.x.ravel(), training.y.ravel()]))
    fresh = np.unique(np.concatenate([evaluation.x.ravel(), evaluation.y.ravel()]))
    assert not np.isin(fresh, seen).any()
    assert len(seen) == 1600 + 20
    assert len(fresh) == 1000 + 20
    test = task.test(np.random.default_rng(0))
    unseen = np.unique(np.concatenate([test.x.ravel(), test.y.ravel()]))
    assert len(unseen) == 1000 + 20
    assert not np.isin(unseen, np.concatenate([seen, fresh])).any()


def test_every_window_trains_once_per_epoch(build: Callable[..., Any]) -> None:
    rows = build("sine").training().page(np.random.SeedSequence(0), 0, 16).rows
    epochs = rows[:200].reshape(2, 1600)
    assert (np.sort(epochs) == np.arange(1600)).all()
    assert (epochs[0] != epochs[1]).any()


def test_it_shows_values_and_the_mean_absolute_error(build: Callable[..., Any]) -> None:
    task = build("sine", eval_size=1, amplitude=1.0, step=0.5, window=20, windows=1600)
    target = math.sin(0.5 * (1600 + 20 + 20))
    assert task.show(lambda sequences: sequences.y + 0.0013) == [
        f"{target + 0.0013:.4f} for {target:.4f}",
        "mean absolute error 0.001300 on 1 windows that were not trained on",
    ]
