from collections.abc import Callable
from typing import Any

import numpy as np

from bptt.core.sequences import Floats, Sequences


def test_seed_1_gives_the_article_s_data(build: Callable[..., Any]) -> None:
    task = build("counting")
    sequences = task.training().page(np.random.SeedSequence(0), 0, 20).sequences
    rng = np.random.RandomState(1)
    expected = [[float(round(value)) for value in rng.rand(10).tolist()] for _ in range(20)]
    assert sequences.x[:, :, 0].tolist() == expected
    assert sequences.y.tolist() == [[sum(row)] for row in expected]
    assert expected[0] == [0, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert expected[1] == [0, 1, 0, 1, 0, 1, 0, 1, 0, 0]
    assert [sum(row) for row in expected] == [2, 4, 6, 6, 4, 4, 6, 5, 7, 5, 7, 6, 4, 7, 3, 6, 4, 5, 6, 6]


def test_each_update_takes_the_next_rows(build: Callable[..., Any]) -> None:
    stream = build("counting").training()
    assert stream.page(np.random.SeedSequence(0), 0, 20).rows[:2].tolist() == [list(range(20))] * 2
    assert stream.page(np.random.SeedSequence(0), 0, 3).rows[6].tolist() == [18, 19, 0]


def test_the_evaluation_is_the_same_set(build: Callable[..., Any]) -> None:
    task = build("counting")
    assert task.evaluation(np.random.default_rng(0)) is task.training().sequences


def test_a_sequence_is_right_when_its_count_rounds_right(build: Callable[..., Any]) -> None:
    task = build("counting")
    sequences = task.evaluation(np.random.default_rng(0))
    assert task.accuracy(sequences.y + np.where(np.arange(20) < 15, 0.45, 0.55)[:, None], sequences) == 0.75


def test_it_shows_the_article_s_test_sequence(build: Callable[..., Any]) -> None:
    def predict(sequences: Sequences) -> Floats:
        assert sequences.x[0, :, 0].tolist() == [0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1, 1]
        assert sequences.y.tolist() == [[5]]
        return np.array([[4.99896]])

    assert build("counting").show(predict) == ["0 1 1 0 0 0 0 1 0 0 1 1: 5 vs 5.00"]
