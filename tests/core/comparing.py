"""Records compared bit for bit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bptt.core.run import TIMED, Record, Run
from bptt.core.training import Training


def assert_same_bits(found: NDArray[Any], expected: NDArray[Any], what: str) -> None:
    assert found.dtype == expected.dtype, what
    assert found.shape == expected.shape, what
    np.testing.assert_array_equal(found, expected, what)
    if found.dtype == np.float64:  # array_equal takes 0 for −0
        assert np.array_equal(np.signbit(found[found == 0]), np.signbit(expected[expected == 0])), what


def assert_same_record(found: Record, expected: Record) -> None:
    """Everything that a record holds but the time that it took: outcome, history, flow, parameters, state, and what
    there is one number of.
    """
    assert found.outcome == expected.outcome
    assert found.updates == expected.updates
    assert list(found.history) == list(expected.history)
    for name, values in expected.history.items():
        if name not in TIMED:
            assert_same_bits(found.history[name], values, name)
    assert_same_bits(found.flow, expected.flow, "flow")
    assert_same_parameters(found, expected)
    assert_same_bits(found.state, expected.state, "state")
    assert found.once == expected.once


def assert_same_parameters(found: Record, expected: Record) -> None:
    assert list(found.parameters) == list(expected.parameters)
    for name, values in expected.parameters.items():
        assert_same_bits(found.parameters[name], values, name)


def finished(runs: Sequence[Run], checkpoint: Any = None) -> list[Record]:
    """Trained to the end, from a checkpoint if there is one."""
    training = Training(runs, checkpoint)
    while training.advance() is not None:
        pass
    return training.records()


def assert_runs_are_the_same_beside_others(runs: Sequence[Run], block: str) -> None:
    """Each run alone has the bits that it has beside the others, from the start and from the middle; no two runs end
    with the same weights in this block.
    """
    alone = [finished([run])[0] for run in runs]
    assert len({record.parameters[block].tobytes() for record in alone}) == len(runs)
    training = Training(runs)
    training.advance()
    training.advance()
    for checkpoint in (None, training.checkpoint()):
        for found, expected in zip(finished(runs, checkpoint), alone, strict=True):
            assert_same_record(found, expected)
