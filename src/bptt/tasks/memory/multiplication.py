"""The multiplication problem (Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", experiment 5)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import Integers, Shares, find_baseline, score_close
from bptt.tasks.drawn import DrawnByLength, mark_inside


@dataclass(frozen=True, kw_only=True)
class Multiplication(DrawnByLength):
    """Multiply two marked numbers of a long sequence.

    At every timestep arrive a number uniform on [0, 1) and a mark, 1 at two timesteps and 0 elsewhere. The target, at
    the last timestep, is the product of the two marked numbers. Of T timesteps, counted from 0, the marks fall on one
    drawn uniformly from 0 ≤ t < ⌊T/10⌋ and one from ⌊T/10⌋ ≤ t < ⌊T/2⌋, as in the program of Pascanu, Mikolov & Bengio
    (2013), "On the difficulty of training recurrent neural networks". (Hochreiter & Schmidhuber mark the first and the
    last timestep with −1.)

    Accuracy: the share of the sequences with an error below 0.04. Always to answer 1/4 has the squared error
    1/9 − 1/16 = 7/144.

    length     T; or the least and the greatest, of which one is drawn for each update

    x (N, T, 2): the number, the mark; y (N, 1).
    """

    inputs: ClassVar[int] = 2
    outputs: ClassVar[int] = 1

    @property
    def shortest(self) -> int:
        return 10

    def make_of(self, rng: Generator, lengths: Integers) -> Sequences:
        count = len(lengths)
        numbers = rng.random((count, self.timesteps))
        marks = np.stack([rng.integers(lengths // 10), rng.integers(lengths // 10, lengths // 2)], axis=-1)
        x = np.zeros((count, self.timesteps, 2))
        x[:, :, 0] = np.where(mark_inside(lengths, self.timesteps), numbers, 0)
        x[np.arange(count)[:, None], marks, 1] = 1
        marked = np.take_along_axis(numbers, marks, axis=1)
        return Sequences(x, marked[:, :1] * marked[:, 1:], self.say_lengths(lengths))

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_close(output, sequences, 0.04)

    def baseline(self, loss: Any) -> float | None:
        """Of 1/4: the product of two numbers uniform on [0, 1) has the variance 1/9 − 1/16."""
        return find_baseline(loss, 1 / 4, 7 / 144)
