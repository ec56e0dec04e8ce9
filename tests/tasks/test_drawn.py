"""Lengths that are drawn for each update, and sets of all of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bptt.core.annotations import InvalidValue
from bptt.core.random import Generator

Build = Callable[..., Any]
RANGED = ["adding", "latch", "multiplication", "parity", "permutation", "temporal_order"]


@pytest.mark.parametrize("name", RANGED)
def test_the_sequences_of_an_update_have_one_length_between_the_two(build: Build, name: str) -> None:
    task = build(name, length=(10, 14))
    page = task.training().page(np.random.SeedSequence(0), 0, 3)
    lengths = page.sequences.full_lengths[page.rows]
    assert (lengths == lengths[:, :1]).all()
    evaluated = task.evaluation(Generator(np.random.SeedSequence(1))).full_lengths
    assert {*lengths.ravel().tolist()} == {10, 11, 12, 13, 14} == {*evaluated.tolist()}
    assert task.timesteps == page.sequences.timesteps == 14
    behind = np.arange(14) >= page.sequences.full_lengths[:, None]
    assert not page.sequences.x[behind].any()
    assert task.accuracy(page.sequences.y, page.sequences) == 1


@pytest.mark.parametrize("name", RANGED)
def test_lengths_that_are_none_are_refused(build: Build, name: str) -> None:
    for wrong in ((20, 10), (10, 10), (10, 11, 12), ()):
        with pytest.raises(InvalidValue, match="the least and the greatest"):
            build(name, length=wrong)
    with pytest.raises(InvalidValue, match="at least"):
        build(name, length=0)
