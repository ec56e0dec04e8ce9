"""aⁿbⁿ (Gers & Schmidhuber 2001, "LSTM recurrent networks learn simple context-free … languages")."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import Shares, find_baseline, one_hot, score_bits, score_sequences
from bptt.tasks.drawn import Drawn

_START, _A, _B = range(3)


@dataclass(frozen=True, kw_only=True)
class Anbn(Drawn):
    """Say what may come next in a string of the language aⁿbⁿ.

    A sequence is a start symbol, n times a, n times b, with n uniform from 1..`most`. The target at every timestep is
    the set of symbols that may follow what has come: a alone after the start, a or b after an a, but b alone after
    `most` of them, b after a b but the last, and the end after that one. To know the end, a network has to count.
    Accuracy: the share of the output numbers that round right; of sequences with all of them right,
    `accuracy/all_right`.

    most       the greatest n

    x (N, 2·most + 1, 3): start, a, b; y (N, 2·most + 1, 3): a, b, end.
    """

    everywhere: ClassVar[bool] = True
    inputs: ClassVar[int] = 3
    outputs: ClassVar[int] = 3

    most: Annotated[int, Range(at_least=1)]

    @property
    def timesteps(self) -> int:
        return 2 * self.most + 1

    def make(self, rng: Generator, count: int) -> Sequences:
        n = rng.integers(1, self.most + 1, size=count)[:, None]
        t = np.arange(self.timesteps)
        symbols = np.where(t == 0, _START, np.where(t <= n, _A, _B))
        may = np.stack([(t <= n) & (t < self.most), (t > 0) & (t < 2 * n), t == 2 * n], axis=-1)
        inside = (t <= 2 * n)[:, :, None]
        return Sequences(one_hot(symbols, 3) * inside, may * inside * 1.0, 2 * n[:, 0] + 1)

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_bits(output, sequences)

    def all_right(self, output: Floats, sequences: Sequences) -> Shares:
        """The share of the sequences in which at every timestep the right symbols are said to be allowed."""
        return score_sequences(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of the shares of timesteps after which each symbol may come: of 2n + 1 a after n + 1, b after 2n − 1.

        Of n = `most` a may come after n.
        """
        n = (1 + self.most) / 2  # on average
        timesteps = 2 * n + 1
        share = np.array([n + 1 - 1 / self.most, 2 * n - 1, 1.0]) / timesteps
        return find_baseline(loss, share, share * (1 - share), timesteps)
