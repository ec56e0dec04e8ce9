"""Symbols and numbers as arrays of zeros and ones."""

import numpy as np
from numpy.typing import NDArray

from bptt.core.annotations import InvalidValue
from bptt.core.sequences import Floats

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
