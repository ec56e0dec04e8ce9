"""Random labels to be memorised (Collins, Sohl-Dickstein & Sussillo 2017, "Capacity and Trainability in …")."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator, make_generator
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.tasks.common import Readout, Shares, find_baseline_of, score_bits


@dataclass(frozen=True, kw_only=True)
class RandomLabels:
    """Learn by heart the labels of random sequences: how much a network can store in its parameters.

    A fixed set of sequences of fair bits, +1 and −1, has fair random labels, which nothing but memory can give; the
    target stands at the last timestep. The evaluation is on the same sequences. A network that has a share q of n
    labels right has stored n·(1 − H(q)) bits of them, with H(q) = −q log₂ q − (1 − q) log₂(1 − q). Accuracy: q.

    patterns  n
    length    timesteps of a sequence
    channels  bits that arrive at each timestep
    draw      which set it is: another number is another set, the same for all runs

    x (n, length, channels), y (n, 1).
    """

    outputs: ClassVar[int] = 1

    patterns: Annotated[int, Range(at_least=1)]
    length: Annotated[int, Range(at_least=1)]
    channels: Annotated[int, Range(at_least=1, at_most=10**4)]
    draw: Annotated[int, Range(at_least=0)] = 0
    readout: Readout

    @property
    def inputs(self) -> int:
        return self.channels

    @property
    def timesteps(self) -> int:
        return self.length

    @cached_property
    def _set(self) -> Sequences:
        rng = make_generator(np.random.SeedSequence(self.draw))
        x = 2.0 * rng.integers(2, size=(self.patterns, self.length, self.channels)) - 1
        return Sequences(x, rng.integers(2, size=(self.patterns, 1)) * 1.0)

    def training(self) -> Pool:
        return Pool(self._set, "shuffled")

    def evaluation(self, rng: Generator) -> Sequences:  # noqa: ARG002 (always the same set)
        return self._set

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_bits(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of the mean of the labels."""
        return find_baseline_of(loss, self._set)
