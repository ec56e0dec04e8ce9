"""`task.order=program`: the additions of the public program, behind the weights that the same generator drew."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.configuration.errors import ConfigurationError
from bptt.core.annotations import InvalidValue

#: The seed of a run's training data, of run 0 and of run 5.
SEEDS = {seed: np.random.SeedSequence(entropy=seed, spawn_key=(1,)) for seed in (0, 5)}


def draw_as_program(seed: int, count: int) -> list[int]:
    """One call for each number, as the program has them."""
    generator = np.random.RandomState(seed)
    for shape in ((2, 16), (16, 1), (16, 16)):
        generator.random_sample(shape)
    return [generator.randint(128) * 128 + generator.randint(128) for _ in range(count)]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_update_has_the_programs_addition(build: Callable[..., Any], seed: int) -> None:
    stream = build("adder", order="program").training()
    rows: list[int] = []
    while len(rows) < 20_000:  # over the bounds of pages
        page = stream.page(SEEDS[seed], len(rows), 1)
        assert page.first == len(rows)
        assert page.rows.shape[1] == 1
        rows += page.rows[:, 0].tolist()
    assert rows == draw_as_program(seed, len(rows))


def test_the_first_addition_is_the_one_that_the_program_prints_first(build: Callable[..., Any]) -> None:
    page = build("adder", order="program").training().page(SEEDS[0], 0, 1)
    (row,) = page.rows[0]
    assert page.sequences.x[row].T.tolist() == [[1, 0, 0, 1, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1, 0, 0]]  # 9, 60
    assert page.sequences.y[row, :, 0].tolist() == [1, 0, 1, 0, 0, 0, 1, 0]  # 69


def test_a_page_in_the_middle_does_not_hang_on_those_before(build: Callable[..., Any]) -> None:
    first, again = (build("adder", order="program").training() for _ in range(2))
    first.page(SEEDS[0], 0, 1)
    page, other = first.page(SEEDS[0], 9_000, 1), again.page(SEEDS[0], 9_000, 1)
    assert page.first == other.first
    assert np.array_equal(page.rows, other.rows)
    assert page.rows[9_000 - page.first, 0] == 11 * 128 + 3


def test_other_bits_are_refused(build: Callable[..., Any]) -> None:
    with pytest.raises(InvalidValue, match=r"^bits=8: task.order=program has numbers of 7 bits: 7$") as raised:
        build("adder", order="program", bits=8)
    assert raised.value.field == "bits"


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("task.bits=5", "task.bits=5: task.order=program has numbers of 7 bits: 7"),
        ("train.batch_size=2", "train.batch_size=2: task.order=program has one addition for each update: 1"),
        (
            "model.hidden_size=8",
            "model.hidden_size=8: task.order=program has the additions that follow on the weights of 16 units: 16",
        ),
        (
            "task.order=programm",
            "task.order=programm: must be one of random, sequential, program; did you mean program?",
        ),
        (
            "init.recurrent.place=-1",
            "init.recurrent.place=-1: must be a whole number at least 0 and at most 10000000, or null",
        ),
    ],
)
def test_what_contradicts_the_program_is_refused_in_a_line(override: str, line: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_configuration(compose(["experiment=zhu_adder_original", override]))
    assert list(refused.value.lines) == [line]


def test_another_order_takes_any_network_and_batch() -> None:
    given = ["experiment=zhu_adder_original", "task.order=random", "model.hidden_size=8", "train.batch_size=2"]
    assert check_configuration(compose(given)).run.model.hidden_size == 8
