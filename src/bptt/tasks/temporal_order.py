"""The temporal-order problem (Hochreiter & Schmidhuber 1997, "Long Short-Term Memory")."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Generated, Sequences
from bptt.tasks.common import Readout, Shares, find_baseline, one_hot, score_classes


@dataclass(frozen=True, kw_only=True)
class TemporalOrder:
    """Say in which order two symbols, each A or B, came in a long sequence of others.

    One of six symbols arrives per timestep, one-hot: A, B, c, d, e, f. Two timesteps hold A or B, with equal chance;
    all others one of c, d, e, f, with equal chance. The target, at the last timestep, is one of four classes: AA, AB,
    BA, BB. The sizes are those of Pascanu, Mikolov & Bengio (2013), "On the difficulty of training recurrent neural
    networks", as in their program: of T timesteps, counted from 0, the first of the two is drawn uniformly from ⌊T/10⌋
    ≤ t < ⌊2T/10⌋, the second from ⌊5T/10⌋ ≤ t < ⌊6T/10⌋ (Hochreiter & Schmidhuber's 10 to 20 and 50 to 60 of some 100).
    Accuracy: the share of the sequences whose class has the largest output; the problem counts as solved where fewer
    than 1 % are wrong.

    length     T
    eval_size  sequences of the evaluation, drawn once
    test_size  those of the test, likewise; 0: there is none

    x (N, T, 6), y (N, 4).
    """

    inputs: ClassVar[int] = 6
    outputs: ClassVar[int] = 4

    length: Annotated[int, Range(at_least=10)]
    eval_size: Annotated[int, Range(at_least=1)]
    test_size: Annotated[int, Range(at_least=0)] = 0
    readout: Readout

    @property
    def timesteps(self) -> int:
        return self.length

    def make(self, rng: Generator, count: int) -> Sequences:
        """`count` fresh sequences."""
        tenths = [part * self.length // 10 for part in (1, 2, 5, 6)]
        symbols = rng.integers(2, 6, size=(count, self.length))
        places = rng.integers(tenths[0::2], tenths[1::2], size=(count, 2))
        pair = rng.integers(2, size=(count, 2))
        np.put_along_axis(symbols, places, pair, axis=1)
        return Sequences(one_hot(symbols, 6), one_hot(2 * pair[:, 0] + pair[:, 1], 4))

    def training(self) -> Generated:
        return Generated(self.make, 6 * self.length + 4)

    def evaluation(self, rng: Generator) -> Sequences:
        return self.make(rng, self.eval_size)

    def test(self, rng: Generator) -> Sequences | None:
        return self.make(rng, self.test_size) if self.test_size else None

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_classes(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of 1/4 for each of the four equally frequent classes: a cross-entropy of ln 4."""
        return find_baseline(loss, np.full(4, 1 / 4), np.full(4, 1 / 4 * 3 / 4))
