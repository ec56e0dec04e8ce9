"""How many outputs are right, of many networks in one compiled call.

Outputs and targets are (N, T, outputs), or (N, outputs) where only the last timestep has a target. Only what is scored
counts, and NaN is never right. Axes before N, of outputs, or of outputs and sequences alike, are those of the result.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types

from bptt.core.kernel import UNITS, Kernel
from bptt.core.sequences import Floats, Sequences
from bptt.core.simd import inline

_ROUNDED, _CLOSE, _CLASS = range(3)  # what is right


class Right(NamedTuple):
    """How many are right, (…) each: numbers, or timesteps of classes; sequences in which all is; scored: timesteps."""

    right: Any
    sequences: Any
    scored: Any


def count_rounded(output: Floats, sequences: Sequences) -> Right:
    """Output numbers that round to their targets, which are whole numbers."""
    return _count(output, sequences, _ROUNDED)


def count_close(output: Floats, sequences: Sequences, error: float) -> Right:
    """Output numbers that are less than `error` away from their targets."""
    return _count(output, sequences, _CLOSE, error)


def count_classes_right(output: Floats, sequences: Sequences) -> Right:
    """Timesteps at which the largest output, the first of equal ones, stands where the one-hot target has its 1."""
    return _count(output, sequences, _CLASS)


def _count(output: Floats, sequences: Sequences, right: int, error: float = 0.0) -> Right:
    last = sequences.last_only
    networks = output.shape[: -2 if last else -3]
    shape = (-1, sequences.count, 1 if last else sequences.timesteps, output.shape[-1])
    target = np.ascontiguousarray(sequences.y, np.float64).reshape(shape)
    scored = np.ones((1, 1, 1), bool) if last else sequences.full_scored.reshape(-1, *shape[1:3])
    given = np.ascontiguousarray(output, np.float64).reshape(shape)
    if len(target) not in (1, len(given)):
        raise ValueError(f"outputs of shape {output.shape} for targets of shape {sequences.y.shape}")
    counts = np.empty((3, len(given)), np.int64)
    count_right.compile(UNITS).entry_point(given, target, np.ascontiguousarray(scored), right, error, counts)
    return Right(*(own.reshape(networks) if networks else own[0] for own in counts))


@inline
def _is_right(output, target, right, error):
    """Whether one number is; NaN is not."""
    if right == _ROUNDED:
        return np.rint(output) == target
    return abs(output - target) < error


@inline
def _is_class(output, target, net, n, t, own):
    """Whether the first of the largest outputs stands where the first of the largest targets does."""
    found, truth = 0, 0
    for o in range(output.shape[3]):
        if np.isnan(output[net, n, t, o]):
            return False
        if output[net, n, t, o] > output[net, n, t, found]:
            found = o
        if target[own, n, t, o] > target[own, n, t, truth]:
            truth = o
    return found == truth


def _count_right(output, target, scored, right, error, counts):
    for net in range(output.shape[0]):
        own, rows = min(net, target.shape[0] - 1), min(net, scored.shape[0] - 1)
        good, whole, places = 0, 0, 0
        for n in range(output.shape[1]):
            wrong = 0
            for t in range(output.shape[2]):
                if scored[rows, min(n, scored.shape[1] - 1), t]:
                    places += 1
                    if right == _CLASS:
                        one = 1 if _is_class(output, target, net, n, t, own) else 0
                        good += one
                        wrong += 1 - one
                    else:
                        for o in range(output.shape[3]):
                            one = 1 if _is_right(output[net, n, t, o], target[own, n, t, o], right, error) else 0
                            good += one
                            wrong += 1 - one
            whole += 1 if wrong == 0 else 0
        counts[0, net], counts[1, net], counts[2, net] = good, whole, places


_NUMBERS = types.Array(types.float64, 4, "C")
#: count_right(outputs (networks, N, T, outputs), targets and scored of each or of all, what is right, error, counts
#: (3, networks)): as of `Right`
count_right = Kernel(
    _count_right,
    {
        UNITS: types.void(
            *(_NUMBERS, _NUMBERS, types.Array(types.boolean, 3, "C"), types.int64, types.float64),
            types.Array(types.int64, 2, "C"),
        )
    },
)
