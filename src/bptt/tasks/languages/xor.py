"""Temporal XOR (Elman 1990, "Finding Structure in Time")."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import (
    FAIR_BIT,
    Integers,
    Predict,
    Shares,
    find_baseline,
    format_bits,
    score_bits,
    score_sequences,
)
from bptt.tasks.drawn import DrawnByLength


@dataclass(frozen=True, kw_only=True)
class Xor(DrawnByLength):
    """Predict the next bit of a stream in which every third bit is the exclusive or of the two before it.

    b_{3i}, b_{3i+1} are random, b_{3i+2} = b_{3i} ⊕ b_{3i+1}; a sequence begins with a triple, x_t = b_t, y_t =
    b_{t+1}. Only the predictable bits are scored: the timesteps t = 1, 4, 7, … whose next bit is an exclusive or.
    (Elman scored all, and showed that the error falls at these; the others add the same noise to every network's loss.)
    Accuracy: the share of the scored bits that round right.

    length     timesteps of a sequence

    x (N, length, 1), y (N, length, 1).
    """

    everywhere: ClassVar[bool] = True
    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 1

    length: Annotated[int, Range(at_least=2)]

    @property
    def shortest(self) -> int:
        return 2

    def make_of(self, rng: Generator, lengths: Integers) -> Sequences:
        count = len(lengths)
        triples = -(-(self.length + 1) // 3)
        return _make_sequences(rng.integers(2, size=(count, triples, 2)), self.length)

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_bits(output, sequences)

    def all_right(self, output: Floats, sequences: Sequences) -> Shares:
        """The share of the sequences of which every scored bit rounds right."""
        return score_sequences(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of 1/2: the exclusive or of two fair bits is fair, at each scored timestep."""
        return find_baseline(loss, *FAIR_BIT, len(range(1, self.length, 3)))

    def show(self, predict: Predict) -> list[str]:
        """The four pairs with the bits that are predicted to follow them."""
        sequences = _make_sequences(np.array([[[0, 0], [0, 1], [1, 0], [1, 1]]]), 11)
        predicted = format_bits(predict(sequences)[0, :, 0], sequences.full_scored[0])
        return [f"stream    0 {format_bits(sequences.y[0, :, 0])}", f"predicted . {predicted}"]


def _make_sequences(pairs: Integers, length: int) -> Sequences:
    """(N, triples, 2) random bits → the first `length` bits of their streams, with the bits that follow as targets."""
    triples = np.concatenate([pairs, pairs[..., :1] ^ pairs[..., 1:]], axis=-1)
    stream = triples.reshape(len(pairs), -1, 1).astype(np.float64)
    return Sequences(stream[:, :length], stream[:, 1 : length + 1], scored=np.arange(length) % 3 == 1)
