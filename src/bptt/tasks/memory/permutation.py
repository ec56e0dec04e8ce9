"""The random permutation problem (Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", experiment 2b)."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import Integers, Shares, find_baseline, one_hot, score_classes
from bptt.tasks.drawn import DrawnByLength, mark_inside

_KEYS = 2  # symbols of which one comes first


@dataclass(frozen=True, kw_only=True)
class Permutation(DrawnByLength):
    """Remember the first symbol of a long sequence of random ones.

    The first timestep holds one of two symbols, with equal chance; all others hold one of the remaining symbols, all
    equally likely. The target, at the last timestep, is the symbol that came first, as in the program of Pascanu,
    Mikolov & Bengio (2013), "On the difficulty of training recurrent neural networks", which has 100 symbols.
    Accuracy: the share of the sequences whose symbol has the largest output (guessing between the two: 1/2).

    length     T; or the least and the greatest, of which one is drawn for each update
    symbols    how many there are, the two among them

    x (N, T, symbols), y (N, symbols).
    """

    everywhere: ClassVar[bool] = False

    symbols: Annotated[int, Range(at_least=_KEYS + 1)]

    @property
    def inputs(self) -> int:
        return self.symbols

    @property
    def outputs(self) -> int:
        return self.symbols

    def make_of(self, rng: Generator, lengths: Integers) -> Sequences:
        count = len(lengths)
        shown = rng.integers(_KEYS, self.symbols, size=(count, self.timesteps))
        key = rng.integers(_KEYS, size=count)
        shown[:, 0] = key
        x = one_hot(shown, self.symbols) * mark_inside(lengths, self.timesteps)[:, :, None]
        return Sequences(x, one_hot(key, self.symbols), self.say_lengths(lengths))

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_classes(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of 1/2 for each of the two symbols: a cross-entropy of ln 2."""
        share = np.where(np.arange(self.symbols) < _KEYS, 1 / _KEYS, 0.0)
        return find_baseline(loss, share, share * (1 - share))
