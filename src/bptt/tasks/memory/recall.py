"""What tasks share in which symbols are shown, kept through a pause, and repeated."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import Integers, Shares, find_baseline, one_hot, score_class_sequences, score_classes
from bptt.tasks.drawn import DrawnByLength


@dataclass(frozen=True, kw_only=True)
class Recall(DrawnByLength):
    """Keep k symbols of v kinds in memory and repeat them when asked.

    Of T + 2k timesteps the first k hold symbols drawn uniformly from the kinds, all others a blank, but for a delimiter
    that asks for them. The target is blank for T + k timesteps, then the symbols in their order. Every timestep is
    scored, so always to say blank and then to guess has a cross-entropy of k ln v per sequence. Accuracy: the share of
    the k last timesteps' symbols that have the largest output (guessing: 1/v).

    length  T

    x (N, T + 2k, v + 2): the kinds, blank, delimiter; y (N, T + 2k, v + 1): the kinds, blank.
    """

    everywhere: ClassVar[bool] = True
    #: Timesteps from the delimiter to the end, itself included, beyond k.
    early: ClassVar[int] = 0

    length: Annotated[int, Range(at_least=1)]

    @property
    @abstractmethod
    def kinds(self) -> int:
        """V"""

    @property
    @abstractmethod
    def recalled(self) -> int:
        """K"""

    @property
    def inputs(self) -> int:
        return self.kinds + 2

    @property
    def outputs(self) -> int:
        return self.kinds + 1

    @property
    def timesteps(self) -> int:
        return self.length + 2 * self.recalled

    def make_of(self, rng: Generator, lengths: Integers) -> Sequences:
        symbols = rng.integers(self.kinds, size=(len(lengths), self.recalled))
        fed = np.full((len(lengths), self.timesteps), self.kinds)
        asked = fed.copy()
        fed[:, : self.recalled] = symbols
        fed[:, -self.recalled - self.early] = self.kinds + 1
        asked[:, -self.recalled :] = symbols
        return Sequences(one_hot(fed, self.inputs), one_hot(asked, self.outputs))

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_classes(output[..., -self.recalled :, :], self._select_recalled(sequences))

    def all_right(self, output: Floats, sequences: Sequences) -> Shares:
        """The share of the sequences of which all symbols are recalled."""
        return score_class_sequences(output[..., -self.recalled :, :], self._select_recalled(sequences))

    def baseline(self, loss: Any) -> float | None:
        """Of blank for T + k timesteps, and then 1/v for each kind: a cross-entropy of k ln v."""
        share = np.append(np.full(self.kinds, 1 / self.kinds), 0)
        return find_baseline(loss, share, share * (1 - share), self.recalled)

    def _select_recalled(self, sequences: Sequences) -> Sequences:
        return Sequences(sequences.x[..., -self.recalled :, :], sequences.y[..., -self.recalled :, :])
