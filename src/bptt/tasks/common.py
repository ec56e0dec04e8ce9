"""What tasks share: shares of right outputs, the loss of a constant answer, bits and classes as vectors.

A diverged network's NaN is never right. Outputs and targets are (N, T, outputs), or (N, outputs) where only the last
timestep has a target. Only scored timesteps count. Axes before N, of outputs, or of outputs and sequences alike, are
those of the result.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bptt.core.annotations import InvalidValue
from bptt.core.elementwise import add_up
from bptt.core.records.right import (
    Right,
    count_class_sequences,
    count_close,
    count_right_classes,
    count_rounded,
    count_rounded_sequences,
)
from bptt.core.sequences import Floats, Sequences


def score_bits(output: Floats, sequences: Sequences) -> Any:
    """The share of the scored output numbers that round to their targets, which are whole numbers."""
    return _share(count_rounded(output, sequences))


def score_sequences(output: Floats, sequences: Sequences) -> Any:
    """The share of the sequences in which every scored output number rounds to its target."""
    return _share(count_rounded_sequences(output, sequences))


def score_classes(output: Floats, sequences: Sequences) -> Any:
    """The share of the scored timesteps at which the largest output stands where the one-hot target has its 1.

    Of equal outputs, the first is the largest.
    """
    return _share(count_right_classes(output, sequences))


def score_class_sequences(output: Floats, sequences: Sequences) -> Any:
    """The share of the sequences in which at every scored timestep the largest output is the target's, as above."""
    return _share(count_class_sequences(output, sequences))


def score_close(output: Floats, sequences: Sequences, error: float) -> Any:
    """The share of the scored output numbers that are less than `error` away from their targets."""
    return _share(count_close(output, sequences, error))


def _share(found: Right) -> Any:
    """NaN of none."""
    return np.divide(found.right, found.scored)


#: The read-out that a task's usual loss expects; `conf/model/*.yaml` take it from here unless told otherwise.
Readout = Literal["none", "identity", "sigmoid", "softmax"]
#: The same of tasks that say what their targets are, and whose read-out follows them.
OwnReadout = Literal["auto", "none", "identity", "sigmoid", "softmax"]


#: A trained network: sequences → output, (N, T, outputs) or (N, outputs) as the targets' shape says.
Predict = Callable[[Sequences], Floats]


#: What a task's `accuracy` gives: the share that is right, or an array of the shares of several networks.
Shares = NDArray[np.float64] | np.float64


FAIR_BIT = (0.5, 0.25)  # mean and variance


def find_baseline(loss: Any, mean: Any, variance: Any, timesteps: float = 1.0) -> float | None:
    """The cost per sequence of so many scored timesteps, whose targets have this mean and variance, (outputs,)."""
    constant_cost = getattr(loss, "constant_cost", None)
    if constant_cost is None:
        return None
    return float(timesteps * constant_cost(np.atleast_1d(mean), np.atleast_1d(variance)))


def find_baseline_of(loss: Any, sequences: Sequences) -> float | None:
    """The cost per sequence of the one answer that is best for all scored targets of a fixed set."""
    targets = sequences.y if sequences.last_only else sequences.y[sequences.full_scored]
    mean = add_up(targets.T) / len(targets)
    variance = add_up(((targets - mean) ** 2).T) / len(targets)
    return find_baseline(loss, mean, variance, len(targets) / sequences.count)


Integers = NDArray[np.int64]


def one_hot(codes: Integers, size: int) -> Floats:
    """(…) codes in 0..size−1 → (…, size), 1 at the code and 0 elsewhere."""
    return np.eye(size)[codes]


def encode_digits(numbers: Integers, count: int) -> Floats:
    """(N,) numbers, not below 0 → (N, count) their binary digits, the lowest first."""
    octets = numbers.astype("<i8")[:, None].view(np.uint8)
    return np.unpackbits(octets, axis=1, count=count, bitorder="little").astype(np.float64)


def parse_bits(field: str, text: str) -> Floats:
    """'0 1 1' → (3,); blanks between the bits don't count. InvalidValue(field, …) for anything but two bits or more."""
    bits = "".join(str(text).split())
    if len(bits) < 2 or set(bits) - {"0", "1"}:
        raise InvalidValue(field, text, "two or more bits, written like '0 1 1 0'")
    return np.array([float(bit) for bit in bits])


def format_bits(values: Floats, scored: NDArray[np.bool_] | None = None) -> str:
    """(T,) outputs → '. 1 0 0': each rounded to a bit, a dot where it isn't scored."""
    shown = np.ones(len(values), bool) if scored is None else scored
    return " ".join(str(int(value > 0.5)) if show else "." for value, show in zip(values, shown, strict=True))
