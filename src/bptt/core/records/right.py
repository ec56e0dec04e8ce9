"""How many outputs are right, of many networks in one compiled call.

Outputs and targets are (N, T, outputs), or (N, outputs) where only the last timestep has a target. Only what is scored
counts, and NaN is never right. Axes before N, of outputs, or of outputs and sequences alike, are those of the result.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types

from bptt.core.kernel import UNITS, Kernel
from bptt.core.sequences import Floats, Sequences
from bptt.core.simd import inline, number_of, numbers_of

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
    last, count, numbers = sequences.last_only, sequences.count, output.shape[-1]
    networks, steps = output.shape[: -2 if last else -3], 1 if last else sequences.timesteps
    at_once = 1  # timesteps: where all count, the numbers of a sequence are looked at in one go
    if last or (right != _CLASS and sequences.full_scored.all()):
        scored, at_once = np.ones((1, 1, 1), bool), steps
    else:
        scored = np.ascontiguousarray(sequences.full_scored).reshape(-1, count, steps)
    shape = (-1, count, steps // at_once, at_once * numbers)
    target = np.ascontiguousarray(sequences.y, np.float64).reshape(shape)
    given = np.ascontiguousarray(output, np.float64).reshape(shape)
    if len(target) not in (1, len(given)):
        raise ValueError(f"outputs of shape {output.shape} for targets of shape {sequences.y.shape}")
    counts = np.empty((3, len(given)), np.int64)
    count_right.compile(UNITS).entry_point(given, target, scored, right, error, counts)
    found, whole, places = (own.reshape(networks) if networks else own[0] for own in counts)
    return Right(found, whole, places * at_once)


@inline
def _count_numbers(output, came, target, asked, count, right, error):
    """How many of neighbouring numbers are right."""
    found = 0
    if right == _ROUNDED:
        for i in range(count):
            found += 1 if np.rint(number_of(output, came + i, 0)) == number_of(target, asked + i, 0) else 0
    else:
        for i in range(count):
            found += 1 if abs(number_of(output, came + i, 0) - number_of(target, asked + i, 0)) < error else 0
    return found


@inline
def _is_class(output, came, target, asked, count):
    """Whether the first of the largest outputs stands where the first of the largest targets does."""
    found, truth = 0, 0
    most, largest = number_of(output, came, 0), number_of(target, asked, 0)
    unknown = most != most
    for i in range(1, count):
        given, true = number_of(output, came + i, 0), number_of(target, asked + i, 0)
        unknown = unknown or given != given
        if given > most:
            most, found = given, i
        if true > largest:
            largest, truth = true, i
    return found == truth and not unknown


def _count_right(output, target, scored, right, error, counts):
    count, steps, size = output.shape[1], output.shape[2], output.shape[3]
    given, true = numbers_of(output), numbers_of(target)
    of_each = 1 if right == _CLASS else size
    for net in range(output.shape[0]):
        own, marks = min(net, target.shape[0] - 1), min(net, scored.shape[0] - 1)
        good, whole, places = 0, 0, 0
        for n in range(count):
            came, asked, some, found = (net * count + n) * steps * size, (own * count + n) * steps * size, 0, 0
            marked = min(n, scored.shape[1] - 1)
            for t in range(steps):
                if scored[marks, marked, t]:
                    some += 1
                    if right == _CLASS:
                        found += 1 if _is_class(given, came, true, asked, size) else 0
                    else:
                        found += _count_numbers(given, came, true, asked, size, right, error)
                came += size
                asked += size
            good, places = good + found, places + some
            whole += 1 if found == some * of_each else 0
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
