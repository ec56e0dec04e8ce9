"""The additions of the public program of binary addition: one after another from the generator that drew its weights.

iamtrask.github.io, "Anyone Can Learn To Code an LSTM-RNN in Python (Part 1: RNN)", 2015.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from bptt.core.annotations import InvalidValue
from bptt.core.random import make_legacy
from bptt.tasks.common import Integers

BITS: Final = 7
_UNITS: Final = 16
_WEIGHTS: Final = (2 + 1 + _UNITS) * _UNITS  # drawn before: input, read-out, recurrent


def draw_program_rows(seed: np.random.SeedSequence, place: int, size: int) -> Integers:
    """(size,) numbers a·2^bits + b of the program's additions from the one at `place` on; a is drawn before b."""
    rng = make_legacy(seed)
    rng.random_sample(_WEIGHTS)
    numbers: Integers = rng.randint(2**BITS, size=(place + size, 2), dtype=np.int64)[place:]
    return numbers[:, 0] << BITS | numbers[:, 1]


def find_program_misfits(run: Any) -> Iterator[InvalidValue]:
    """With which the program would draw other additions, and which `task.order=program` therefore can't be of."""
    if run.model.hidden_size != _UNITS:
        says = f"task.order=program has the additions that follow on the weights of {_UNITS} units: {_UNITS}"
        yield InvalidValue("model.hidden_size", run.model.hidden_size, says)
    if run.train.batch_size != 1:
        says = "task.order=program has one addition for each update: 1"
        yield InvalidValue("train.batch_size", run.train.batch_size, says)
