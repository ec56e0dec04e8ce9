from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bptt.core.annotations import InvalidValue
from bptt.core.sequences import Floats, Sequences

STREAM = [0, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0]


def test_the_windows_are_the_article_s(build: Callable[..., Any]) -> None:
    task = build("leftbit")
    sequences = task.training().page(np.random.SeedSequence(0), 0, 1).sequences
    assert sequences.count == 12
    assert task.timesteps == 13
    for start in range(12):
        length = 13 - start
        assert sequences.full_lengths[start] == length
        assert sequences.x[start, :length, 0].tolist() == STREAM[start:]
        assert sequences.y[start, 1:length, 0].tolist() == STREAM[start:-1]
        assert sequences.full_scored[start].tolist() == [False, *[True] * (length - 1), *[False] * start]


def test_starts_are_drawn_uniformly(build: Callable[..., Any]) -> None:
    rows = build("leftbit").training().page(np.random.SeedSequence(0), 0, 3).rows
    counts = np.bincount(rows.ravel(), minlength=12)
    assert len(counts) == 12
    assert (np.abs(counts - rows.size / 12) < 5 * np.sqrt(rows.size / 12)).all()


def test_the_evaluation_is_fresh_bits_as_long_as_the_stream(build: Callable[..., Any]) -> None:
    task = build("leftbit")
    sequences = task.evaluation(np.random.default_rng(0))
    assert sequences.x.shape == (84, 13, 1)
    assert int(sequences.full_scored.sum()) == 84 * 12 >= 1000
    assert np.array_equal(sequences.y[:, 1:], sequences.x[:, :-1])
    assert abs(sequences.x.mean() - 0.5) < 5 * 0.5 / np.sqrt(sequences.x.size)
    assert np.array_equal(sequences.x, task.make(np.random.default_rng(0), 84).x)
    assert not np.array_equal(sequences.x, task.evaluation(np.random.default_rng(1)).x)
    assert [build("leftbit", eval_size=size).evaluation(np.random.default_rng(0)).count for size in (1, 12, 13)] == [
        1,
        1,
        2,
    ]


def test_without_a_size_the_evaluation_is_the_article_s(build: Callable[..., Any]) -> None:
    sequences = build("leftbit", eval_size=None).evaluation(np.random.default_rng(0))
    assert sequences.x[0, :, 0].tolist() == [1, 0, 0, 1, 1, 0, 1]
    assert sequences.y[0, 1:, 0].tolist() == [1, 0, 0, 1, 1, 0]
    assert sequences.full_scored.tolist() == [[False, *[True] * 6]]


def test_it_shows_expected_and_predicted_bits(build: Callable[..., Any]) -> None:
    def predict(sequences: Sequences) -> Floats:
        return np.array([[[0.9], [0.9], [0.1], [0.6], [0.6], [0.6], [0.1]]])

    assert build("leftbit").show(predict) == [
        "fed       1 0 0 1 1 0 1",
        "expected  . 1 0 0 1 1 0",
        "predicted . 1 0 1 1 1 0",
    ]


def test_another_stream_and_a_longer_evaluation(build: Callable[..., Any]) -> None:
    task = build("leftbit", stream="011", evaluation_bits="0 1 0 1")
    assert task.timesteps == 4
    assert task.training().page(np.random.SeedSequence(0), 0, 1).sequences.count == 2


@pytest.mark.parametrize("field", ["stream", "evaluation_bits"])
@pytest.mark.parametrize("bits", ["", "1", "0 2 1", "0,1", "zero"])
def test_what_is_no_row_of_bits_is_refused(build: Callable[..., Any], field: str, bits: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        build("leftbit", **{field: bits})
    assert (raised.value.field, raised.value.value) == (field, bits)
