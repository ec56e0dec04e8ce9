from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Build = Callable[..., Any]


@pytest.mark.parametrize("length", [10, 19, 50])
def test_the_class_is_the_order_of_a_and_b(build: Build, length: int) -> None:
    sequences = build("temporal_order", length=length).make(np.random.default_rng(0), 2000)
    assert sequences.x.shape == (2000, length, 6)
    places = set()
    classes = {"AA": 0, "AB": 1, "BA": 2, "BB": 3}
    for x, y in zip(sequences.x, sequences.y, strict=True):
        assert x.sum(axis=1).tolist() == [1] * length
        text = "".join("ABcdef"[int(step.argmax())] for step in x)
        first, second = (t for t, symbol in enumerate(text) if symbol in "AB")
        places.add((first, second))
        assert y.tolist() == [float(i == classes[text[first] + text[second]]) for i in range(4)]
    firsts, seconds = range(length // 10, 2 * length // 10), range(5 * length // 10, 6 * length // 10)
    assert places == {(i, j) for i in firsts for j in seconds}


def test_classes_and_distractors_are_uniform(build: Build) -> None:
    sequences = build("temporal_order").make(np.random.default_rng(1), 4000)
    assert np.abs(sequences.y.mean(axis=0) - 1 / 4).max() < 5 * np.sqrt(3 / 16 / 4000)
    others = sequences.x[:, :5, 2:].reshape(-1, 4)
    assert np.abs(others.mean(axis=0) - 1 / 4).max() < 5 * np.sqrt(3 / 16 / len(others))


def test_the_largest_output_decides(build: Build) -> None:
    task = build("temporal_order", eval_size=4000)
    sequences = task.evaluation(np.random.default_rng(0))
    assert task.accuracy(np.tile([0.1, 0.2, 0.4, 0.3], (4000, 1)), sequences) == sequences.y[:, 2].mean()
