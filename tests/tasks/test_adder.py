from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bptt.core.annotations import InvalidValue
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences

Build = Callable[..., Any]


def number(bits: Floats) -> int:
    return sum(2**place for place, bit in enumerate(bits.tolist()) if bit == 1)


@pytest.mark.parametrize("bits", [1, 2, 7, 50])
def test_the_targets_are_the_digits_of_the_sum(build: Build, bits: int) -> None:
    sequences = build("adder", bits=bits).make(np.random.default_rng(0), 200)
    assert sequences.x.shape == (200, bits + 1, 2)
    assert sequences.y.shape == (200, bits + 1, 1)
    assert np.isin(sequences.x, (0, 1)).all()
    assert np.isin(sequences.y, (0, 1)).all()
    assert not sequences.x[:, bits].any()
    for x, y in zip(sequences.x, sequences.y, strict=True):
        assert number(x[:, 0]) + number(x[:, 1]) == number(y[:, 0])


def test_both_numbers_are_uniform_and_independent(build: Build) -> None:
    x = build("adder", bits=2).make(np.random.default_rng(1), 16000).x
    pairs = (x[:, 0] + 2 * x[:, 1]) @ [1, 4]
    counts = np.bincount(pairs.astype(int), minlength=16)
    assert (np.abs(counts - 1000) < 5 * np.sqrt(1000)).all()


def test_without_a_size_the_evaluation_is_every_addition_in_order(build: Build) -> None:
    sequences = build("adder", bits=3, eval_size=None).evaluation(np.random.default_rng(0))
    fed = [(number(x[:, 0]), number(x[:, 1])) for x in sequences.x]
    assert fed == [(a, b) for a in range(8) for b in range(8)]
    assert [number(y[:, 0]) for y in sequences.y] == [a + b for a, b in fed]
    assert build("adder", eval_size=None).evaluation(np.random.default_rng(0)).count == 128 * 128


def test_with_a_size_it_is_drawn(build: Build) -> None:
    task = build("adder", eval_size=9)
    assert np.array_equal(task.evaluation(np.random.default_rng(4)).x, task.make(np.random.default_rng(4), 9).x)


def test_an_addition_is_right_when_all_digits_are(build: Build) -> None:
    task = build("adder")
    sequences = task.make(np.random.default_rng(0), 4)
    output = np.abs(sequences.y - 0.4)
    assert task.accuracy(output, sequences) == 1.0
    output[0, 7] = 1 - output[0, 7]
    output[2, :3] = 1 - output[2, :3]
    assert task.accuracy(output, sequences) == 0.5


def test_all_additions_of_long_numbers_are_refused(build: Build) -> None:
    with pytest.raises(InvalidValue, match="too many additions of 11 bits") as raised:
        build("adder", bits=11, eval_size=None)
    assert raised.value.field == "eval_size"


def test_in_order_a_batch_of_all_is_every_addition_in_each_update(build: Build) -> None:
    page = build("adder", bits=3, order="sequential").training().page(np.random.SeedSequence(5), 2, 64)
    x = page.sequences.x[page.rows[2 - page.first]]
    assert [(number(one[:, 0]), number(one[:, 1])) for one in x] == [(a, b) for a in range(8) for b in range(8)]
    half = build("adder", bits=3, order="sequential").training().page(np.random.SeedSequence(5), 1, 32)
    assert half.rows[1].tolist() == list(range(32, 64))


def test_long_numbers_have_no_order(build: Build) -> None:
    with pytest.raises(InvalidValue, match=r"^order=sequential: random; 8 bits have too many for all$") as raised:
        build("adder", bits=8, order="sequential")
    assert raised.value.field == "order"


def test_it_shows_additions(build: Build) -> None:
    def off_by_one(sequences: Sequences) -> Floats:
        output = sequences.y.copy()
        output[0, 0] = 1 - output[0, 0]
        return output

    assert build("adder").show(off_by_one) == [
        "11 + 3 = 15 (should be 14)",
        "5 + 7 = 12",
        "20 + 22 = 42",
        "85 + 42 = 127",
        "100 + 99 = 199",
        "127 + 1 = 128",
    ]


def test_runs_side_by_side_evaluate_one_set_of_all_sums(build: Build) -> None:
    first, second = (
        build("adder", bits=3, eval_size=None).evaluation(Generator(np.random.SeedSequence(seed))) for seed in (0, 1)
    )
    assert first is second
    assert first.count == 64
    assert build("adder", bits=2, eval_size=None).evaluation(Generator(np.random.SeedSequence(0))).count == 16
