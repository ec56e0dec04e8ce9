"""The adding problem (Hochreiter & Schmidhuber 1997, "Long Short-Term Memory")."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Generated, Sequences
from bptt.tasks.common import Readout, Shares, find_baseline, score_close


@dataclass(frozen=True, kw_only=True)
class Adding:
    """Add two marked numbers of a long sequence.

    At every timestep arrive a number uniform on [0, 1) and a mark, 1 at two timesteps and 0 elsewhere. The target, at
    the last timestep, is half the sum of the two marked numbers. The sizes are those of Pascanu, Mikolov & Bengio
    (2013), "On the difficulty of training recurrent neural networks", as in their program: with T' timesteps in a
    sequence, drawn uniformly from T..⌊11T/10⌋ for each, the marks fall, counted from 0, on one timestep drawn uniformly
    from 0 ≤ t < ⌊T'/10⌋ and one from ⌊T'/10⌋ ≤ t < ⌊T'/2⌋. Half the sum equals Hochreiter & Schmidhuber's target 0.5 +
    (X₁ + X₂)/4 for their numbers in [−1, 1].

    Accuracy: the share of the sequences with an error below 0.04, their criterion; the problem counts as solved where
    fewer than 1 % of the sequences fail it. Always to answer 1/2 has the squared error 1/24 and an accuracy of 0.15.

    length     T
    eval_size  sequences of the evaluation, drawn once
    test_size  those of the test, likewise; 0: there is none

    x (N, ⌊11T/10⌋, 2): the number, the mark; y (N, 1).
    """

    inputs: ClassVar[int] = 2
    outputs: ClassVar[int] = 1

    length: Annotated[int, Range(at_least=10)]
    eval_size: Annotated[int, Range(at_least=1)]
    test_size: Annotated[int, Range(at_least=0)] = 0
    readout: Readout

    @property
    def timesteps(self) -> int:
        return self.length + self.length // 10

    def make(self, rng: Generator, count: int) -> Sequences:
        """`count` fresh sequences."""
        lengths = rng.integers(self.length, self.timesteps + 1, size=count)
        numbers = rng.random((count, self.timesteps))
        marks = np.stack([rng.integers(lengths // 10), rng.integers(lengths // 10, lengths // 2)], axis=-1)
        x = np.zeros((count, self.timesteps, 2))
        x[:, :, 0] = np.where(np.arange(self.timesteps) < lengths[:, None], numbers, 0)
        x[np.arange(count)[:, None], marks, 1] = 1
        marked = np.take_along_axis(numbers, marks, axis=1)
        y = (marked[:, :1] + marked[:, 1:]) / 2
        return Sequences(x, y, lengths)

    def training(self) -> Generated:
        return Generated(self.make, 2 * self.timesteps + 1)

    def evaluation(self, rng: Generator) -> Sequences:
        return self.make(rng, self.eval_size)

    def test(self, rng: Generator) -> Sequences | None:
        return self.make(rng, self.test_size) if self.test_size else None

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_close(output, sequences, 0.04)

    def baseline(self, loss: Any) -> float | None:
        """Of 1/2: half the sum of two numbers uniform on [0, 1) has the variance 1/24."""
        return find_baseline(loss, 1 / 2, 1 / 24)
