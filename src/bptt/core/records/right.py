"""How many outputs are right, of many networks in one compiled call.

Outputs and targets are (N, T, outputs), or (N, outputs) where only the last timestep has a target. Only what is scored
counts, and NaN is never right. Axes before N, of outputs or of sequences, are those of the result; where both have some
or shapes differ otherwise, they are broadcast, and ValueError is raised where they can't be.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import types

from bptt.core.kernel import UNITS, Kernel
from bptt.core.sequences import Floats, Sequences
from bptt.core.simd import inline, number_of, numbers_of

_ROUNDED, _CLOSE, _CLASS = range(3)  # what is right


class Right(NamedTuple):
    """How many are right of how many, (…) each: numbers, or timesteps of classes."""

    right: Any
    scored: Any


def count_rounded(output: Floats, sequences: Sequences) -> Right:
    """Output numbers that round to their targets, which are whole numbers."""
    return _count(output, sequences, _ROUNDED)


def count_rounded_sequences(output: Floats, sequences: Sequences) -> Right:
    """Sequences of which every scored number does."""
    return _count(output, sequences, _ROUNDED, whole=True)


def count_close(output: Floats, sequences: Sequences, error: float) -> Right:
    """Output numbers that are less than `error` away from their targets."""
    return _count(output, sequences, _CLOSE, error)


def count_right_classes(output: Floats, sequences: Sequences) -> Right:
    """Timesteps at which the largest output, the first of equal ones, stands where the one-hot target has its 1."""
    return _count(output, sequences, _CLASS)


def count_class_sequences(output: Floats, sequences: Sequences) -> Right:
    """Sequences of which every scored timestep is right as above."""
    return _count(output, sequences, _CLASS, whole=True)


def _count(output: Floats, sequences: Sequences, right: int, error: float = 0.0, whole: bool = False) -> Right:
    """whole: sequences are counted."""
    axes = 2 if sequences.last_only else 3
    given, target, scored = _fit(output, sequences, axes)
    networks, (count, *_, numbers) = given.shape[:-axes], given.shape[-axes:]
    size, steps = math.prod(networks), scored.shape[-1]
    rows, flat = (count, steps), False
    if right != _CLASS and scored.all():  # numbers that lie side by side are looked at in one go
        flat = not whole or steps * numbers == 1
        rows, numbers = ((1, 1), count * steps * numbers) if flat else ((count, 1), steps * numbers)
        scored = np.ones((1, 1), np.bool_)
    places = (
        np.ascontiguousarray(array).reshape(size if array.ndim > axes else 1, *rows, numbers)
        for array in (given, target)
    )
    marks = np.ascontiguousarray(scored).reshape(size if scored.ndim > 2 else 1, *scored.shape[-2:])
    counts = np.empty((3, size), np.int64)
    count_right.compile(UNITS).entry_point(*places, marks, right, error, counts)
    found, sequences_right, marked = (own.reshape(networks) if networks else own[0] for own in counts)
    if whole:
        return Right(found if flat else sequences_right, count)
    return Right(found, marked if right == _CLASS else marked * numbers)


def _fit(output: Floats, sequences: Sequences, axes: int) -> tuple[Any, Any, Any]:
    """Outputs, targets and what is scored, (…, N, T or 1); the last two have all axes of outputs, or N and T alone."""
    given, target = np.asarray(output, np.float64), np.asarray(sequences.y, np.float64)
    scored = np.ones((1, 1), np.bool_) if axes == 2 else np.asarray(sequences.full_scored, np.bool_)
    networks = given.shape[:-axes]
    fit = given.shape[-axes:] == target.shape[-axes:] and target.shape[:-axes] in ((), networks)
    if axes == 3:
        fit = fit and scored.shape[-2:] == given.shape[-3:-1] and scored.shape[:-2] in ((), networks)
    if fit:
        return given, target, scored
    if axes == 2:
        given, target = np.broadcast_arrays(given, target)
        return given, target, scored
    given, target, marks = np.broadcast_arrays(given, target, scored[..., None])
    return given, target, marks[..., 0]


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
                    elif size == 1 and right == _ROUNDED:  # without what a loop costs
                        found += 1 if np.rint(number_of(given, came, 0)) == number_of(true, asked, 0) else 0
                    else:
                        found += _count_numbers(given, came, true, asked, size, right, error)
                came += size
                asked += size
            good, places = good + found, places + some
            whole += 1 if found == some * of_each else 0
        counts[0, net], counts[1, net], counts[2, net] = good, whole, places


_NUMBERS = types.Array(types.float64, 4, "C")
#: count_right(outputs (networks, N, T, outputs), targets and scored of each or of all, what is right, error, counts
#: (3, networks)): numbers or timesteps that are right, sequences in which all are, scored timesteps
count_right = Kernel(
    _count_right,
    {
        UNITS: types.void(
            *(_NUMBERS, _NUMBERS, types.Array(types.boolean, 3, "C"), types.int64, types.float64),
            types.Array(types.int64, 2, "C"),
        )
    },
)
