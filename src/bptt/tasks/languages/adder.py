"""Binary addition: learn to carry."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from bptt.core.annotations import InvalidValue, Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Generated, Pool, Sequences, Stream
from bptt.tasks.common import (
    FAIR_BIT,
    Integers,
    Predict,
    Readout,
    Shares,
    encode_digits,
    find_baseline,
    score_sequences,
)
from bptt.tasks.languages.adder_program import BITS, draw_program_rows, find_program_misfits

_MOST_BITS_FOR_ALL = 10
_MOST_BITS_FOR_POOL = 7


@dataclass(frozen=True, kw_only=True)
class Adder:
    """Two random numbers of `bits` binary digits, the lowest digits first; the target is the digit of their sum.

    x_t = (digit t of a, digit t of b), y_t = digit t of a + b, t = 0..bits: the last timestep feeds zeros and asks for
    the last carry. a and b are uniform on 0..2^bits − 1, drawn anew for every sequence. Accuracy: the share of the
    additions of which every digit rounds right.

    bits       digits of each number
    order      random: each sequence is drawn anew; sequential: sequence r of update u is addition (u·batch + r) mod
               4^bits, in order of a, then b, so that `train.batch_size` = 4^bits makes each update see all (bits ≤ 7);
               program: as the public program draws them with this seed, see `adder_program` (7 bits, 16 hidden units,
               one for each update)
    eval_size  additions of the evaluation, drawn once; None: all 4^bits of them, in order of a, then b (bits ≤ 10)
    test_size  additions of the test, drawn once; 0: there is none

    x (N, bits + 1, 2), y (N, bits + 1, 1).
    """

    inputs: ClassVar[int] = 2
    outputs: ClassVar[int] = 1

    bits: Annotated[int, Range(at_least=1, at_most=50)]
    order: Literal["random", "sequential", "program"] = "random"
    eval_size: Annotated[int, Range(at_least=1)] | None
    test_size: Annotated[int, Range(at_least=0)] = 0
    readout: Readout

    def __post_init__(self) -> None:
        if self.eval_size is None and self.bits > _MOST_BITS_FOR_ALL:
            raise InvalidValue("eval_size", None, f"a number: there are too many additions of {self.bits} bits for all")
        if self.order == "sequential" and self.bits > _MOST_BITS_FOR_POOL:
            raise InvalidValue("order", "sequential", f"random; {self.bits} bits have too many for all")
        if self.order == "program" and self.bits != BITS:
            raise InvalidValue("bits", self.bits, f"task.order=program has numbers of {BITS} bits: {BITS}")

    @property
    def timesteps(self) -> int:
        return self.bits + 1

    def make(self, rng: Generator, count: int) -> Sequences:
        """`count` fresh additions."""
        first, second = rng.integers(2**self.bits, size=(2, count))
        return _add(first, second, self.timesteps)

    def training(self) -> Stream:
        if self.bits <= _MOST_BITS_FOR_POOL:  # the same distribution, but a sequence costs one row number
            order = draw_program_rows if self.order == "program" else self.order
            return Pool(_list_additions(self.bits), order)
        return Generated(self.make, 3 * self.timesteps)

    def evaluation(self, rng: Generator) -> Sequences:
        return _list_additions(self.bits) if self.eval_size is None else self.make(rng, self.eval_size)

    def test(self, rng: Generator) -> Sequences | None:
        return self.make(rng, self.test_size) if self.test_size else None

    def find_misfits(self, run: Any) -> Iterator[InvalidValue]:
        return find_program_misfits(run) if self.order == "program" else iter(())

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_sequences(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of 1/2 for each digit, which is fair, but for the last carry, which is 1 in (2^bits − 1) / 2^(bits + 1)."""
        carry = (1 - 0.5**self.bits) / 2
        digits, last = find_baseline(loss, *FAIR_BIT, self.bits), find_baseline(loss, carry, carry * (1 - carry))
        return None if digits is None or last is None else digits + last

    def show(self, predict: Predict) -> list[str]:
        """A few additions as the network makes them, '11 + 3 = 14'."""
        first = np.array([11, 5, 20, 85, 100, 127]) % 2**self.bits
        second = np.array([3, 7, 22, 42, 99, 1]) % 2**self.bits
        output = predict(_add(first, second, self.timesteps))[:, :, 0]
        sums = ((output > 0.5) * 2 ** np.arange(self.timesteps)).sum(axis=-1)
        return [
            f"{a} + {b} = {c}" + ("" if c == a + b else f" (should be {a + b})")
            for a, b, c in zip(first, second, sums, strict=True)
        ]


@lru_cache(maxsize=1)  # runs side by side evaluate the one set; a copy for each would fill the memory
def _list_additions(bits: int) -> Sequences:
    number = np.arange(4**bits)
    return _add(number >> bits, number & (2**bits - 1), bits + 1)


def _add(first: Integers, second: Integers, timesteps: int) -> Sequences:
    x = np.empty((len(first), timesteps, 2))
    x[:, :, 0], x[:, :, 1] = encode_digits(first, timesteps), encode_digits(second, timesteps)
    return Sequences(x, encode_digits(first + second, timesteps)[:, :, None])
