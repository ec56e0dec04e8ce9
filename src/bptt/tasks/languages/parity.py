"""Running parity."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import FAIR_BIT, Integers, Shares, find_baseline, score_bits, score_sequences
from bptt.tasks.drawn import DrawnByLength, mark_inside


@dataclass(frozen=True, kw_only=True)
class Parity(DrawnByLength):
    """Say at every timestep whether the ones so far are odd in number.

    A fair bit b_t arrives at every timestep; y_t = b_1 ⊕ … ⊕ b_t: two states that every one swaps, to be kept for as
    long as a sequence lasts. A network of two units can do it, and it is hard to learn from long sequences alone, as
    no part of the bits says anything of the answer. Accuracy: the share of the bits that round right.

    length     timesteps; or the least and the greatest, of which one is drawn for each update

    x (N, length, 1), y (N, length, 1).
    """

    everywhere: ClassVar[bool] = True
    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 1

    def make_of(self, rng: Generator, lengths: Integers) -> Sequences:
        bits = rng.integers(2, size=(len(lengths), self.timesteps)) * mark_inside(lengths, self.timesteps)
        return Sequences(bits[:, :, None] * 1.0, np.cumsum(bits, axis=1)[:, :, None] % 2.0, self.say_lengths(lengths))

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_bits(output, sequences)

    def all_right(self, output: Floats, sequences: Sequences) -> Shares:
        """The share of the sequences without a wrong bit."""
        return score_sequences(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of 1/2: each target is a fair bit; of several lengths the mean one counts."""
        bounds = self._bounds
        return find_baseline(loss, *FAIR_BIT, (bounds[0] + bounds[-1]) / 2)
