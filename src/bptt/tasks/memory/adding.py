"""The adding problem (Hochreiter & Schmidhuber 1997, "Long Short-Term Memory")."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import Integers, Shares, find_baseline, score_close
from bptt.tasks.drawn import DrawnByLength, mark_inside


@dataclass(frozen=True, kw_only=True)
class Adding(DrawnByLength):
    """Add two marked numbers of a long sequence.

    At every timestep arrive a number and a mark, 1 at two timesteps; the target, at the last timestep, is made of the
    sum of the two marked numbers. Timesteps are counted from 0. Three forms are in use:

    pascanu     Numbers uniform on [0, 1), marks 0 elsewhere; half the sum. The sizes are those of Pascanu, Mikolov &
                Bengio (2013), "On the difficulty of training recurrent neural networks", as in their program: with T'
                timesteps in a sequence, drawn uniformly from T..⌊11T/10⌋ for each, the marks fall on one timestep drawn
                uniformly from 0 ≤ t < ⌊T'/10⌋ and one from ⌊T'/10⌋ ≤ t < ⌊T'/2⌋. Half the sum equals Hochreiter &
                Schmidhuber's target for their numbers.
    le          Numbers uniform on [0, 1), marks 0 elsewhere, on any two of T timesteps; the sum. Le, Jaitly & Hinton
                (2015), "A simple way to initialize recurrent networks of rectified linear units".
    hochreiter  Numbers uniform on [−1, 1), marks −1 at the first and the last timestep; 1/2 + (X₁ + X₂)/4, with T' as
                above. One of the first ten timesteps is marked, then one of the first ⌊T'/2⌋ − 1 others; where the
                first timestep is a marked one, its number is 0.

    Accuracy: the share of the sequences with an error below 0.04, Hochreiter & Schmidhuber's criterion; the problem
    counts as solved where fewer than 1 % of the sequences fail it. Always to answer 1/2, of pascanu, has the squared
    error 1/24 and an accuracy of 0.15; to answer 1, of le, 1/6.

    length     T; or the least and the greatest T', of which one is drawn for each update
    form       pascanu, le, hochreiter

    x (N, ⌊11T/10⌋, 2), of le (N, T, 2): the number, the mark; y (N, 1).
    """

    inputs: ClassVar[int] = 2
    outputs: ClassVar[int] = 1

    form: Literal["pascanu", "le", "hochreiter"] = "pascanu"

    @property
    def shortest(self) -> int:
        return {"pascanu": 10, "le": 2, "hochreiter": 22}[self.form]

    @property
    def timesteps(self) -> int:
        return self._span(self._bounds[-1]) if isinstance(self.length, int) else self.length[-1]

    def _span(self, length: int) -> int:
        """The greatest length of a sequence, where each has one of its own."""
        return length if self.form == "le" else length + length // 10

    def make(self, rng: Generator, count: int) -> Sequences:
        if isinstance(self.length, int):
            return self.make_of(rng, rng.integers(self.length, self._span(self.length) + 1, size=count))
        return super().make(rng, count)

    def make_of(self, rng: Generator, lengths: Integers) -> Sequences:
        every = np.arange(len(lengths))[:, None]
        numbers = rng.random((len(lengths), self.timesteps))
        marks = self._place_marks(rng, lengths)
        x = np.zeros((*numbers.shape, 2))
        if self.form == "hochreiter":
            numbers = 2 * numbers - 1
            numbers[:, 0] = np.where((marks == 0).any(axis=1), 0, numbers[:, 0])
            x[:, 0, 1] = x[every[:, 0], lengths - 1, 1] = -1
        x[:, :, 0] = np.where(mark_inside(lengths, self.timesteps), numbers, 0)
        x[every, marks, 1] = 1
        marked = np.take_along_axis(numbers, marks, axis=1)
        total = marked[:, :1] + marked[:, 1:]
        y = {"pascanu": total / 2, "le": total, "hochreiter": 0.5 + total / 4}[self.form]
        return Sequences(x, y, lengths)

    def _place_marks(self, rng: Generator, lengths: Integers) -> Integers:
        """(N, 2): which timesteps are marked, two of each sequence."""
        if self.form == "pascanu":
            return np.stack([rng.integers(lengths // 10), rng.integers(lengths // 10, lengths // 2)], axis=-1)
        whole = self.form == "le"
        first = rng.integers(lengths) if whole else rng.integers(10, size=len(lengths))
        second = rng.integers(lengths - 1 if whole else lengths // 2 - 1)
        # Of those that are left, the ones behind the first mark are one further.
        return np.stack([first, second + (second >= first)], axis=-1)

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_close(output, sequences, 0.04)

    def baseline(self, loss: Any) -> float | None:
        """Of the mean target: the sum of two numbers uniform on an interval of length 1 has the variance 1/6.

        Of hochreiter, whose first number may be 0, it is a little less than the 1/24 that is given.
        """
        return find_baseline(loss, 1.0, 1 / 6) if self.form == "le" else find_baseline(loss, 1 / 2, 1 / 24)
