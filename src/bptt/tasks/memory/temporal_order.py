"""The temporal-order problem (Hochreiter & Schmidhuber 1997, "Long Short-Term Memory")."""

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np

from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import Integers, Shares, find_baseline, one_hot, score_classes
from bptt.tasks.drawn import DrawnByLength, mark_inside

#: Tenths of a sequence in which each of the symbols stands: from, and up to.
_TENTHS: Final = {2: np.array([[1, 2], [5, 6]]), 3: np.array([[1, 2], [3, 4], [6, 7]])}


@dataclass(frozen=True, kw_only=True)
class TemporalOrder(DrawnByLength):
    """Say in which order two symbols, each A or B, came in a long sequence of others.

    One of six symbols arrives per timestep, one-hot: A, B, c, d, e, f. Two timesteps hold A or B, with equal chance;
    all others one of c, d, e, f, with equal chance. The target, at the last timestep, is one of four classes: AA, AB,
    BA, BB. The sizes are those of Pascanu, Mikolov & Bengio (2013), "On the difficulty of training recurrent neural
    networks", as in their program: of T timesteps, counted from 0, the first of the two is drawn uniformly from ⌊T/10⌋
    ≤ t < ⌊2T/10⌋, the second from ⌊5T/10⌋ ≤ t < ⌊6T/10⌋ (Hochreiter & Schmidhuber's 10 to 20 and 50 to 60 of some 100).
    With three symbols there are eight classes, and as in their program they stand in ⌊T/10⌋ ≤ t < ⌊2T/10⌋, ⌊3T/10⌋ ≤ t
    < ⌊4T/10⌋ and ⌊6T/10⌋ ≤ t < ⌊7T/10⌋ (Hochreiter & Schmidhuber: 10 to 20, 33 to 43 and 66 to 76).
    Accuracy: the share of the sequences whose class has the largest output; the problem counts as solved where fewer
    than 1 % are wrong.

    length     T; or the least and the greatest, of which one is drawn for each update
    symbols    whose order is asked for: 2, 3

    x (N, T, 6), y (N, 4) or (N, 8).
    """

    inputs: ClassVar[int] = 6

    symbols: Literal[2, 3] = 2

    @property
    def shortest(self) -> int:
        return 10

    @property
    def outputs(self) -> int:
        return 2**self.symbols

    def make_of(self, rng: Generator, lengths: Integers) -> Sequences:
        count = len(lengths)
        bounds = _TENTHS[self.symbols] * lengths[:, None, None] // 10
        shown = rng.integers(2, 6, size=(count, self.timesteps))
        places = rng.integers(bounds[..., 0], bounds[..., 1])
        asked = rng.integers(2, size=(count, self.symbols))
        np.put_along_axis(shown, places, asked, axis=1)
        x = one_hot(shown, 6) * mark_inside(lengths, self.timesteps)[:, :, None]
        classes = (asked * 2 ** np.arange(self.symbols)[::-1]).sum(axis=1)
        return Sequences(x, one_hot(classes, self.outputs), self.say_lengths(lengths))

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_classes(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of equally frequent classes: a cross-entropy of ln 4, or ln 8."""
        share = np.full(self.outputs, 1 / self.outputs)
        return find_baseline(loss, share, share * (1 - share))
