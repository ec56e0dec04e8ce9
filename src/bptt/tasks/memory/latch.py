"""The latch (Bengio, Simard & Frasconi 1994, "Learning long-term dependencies with gradient descent is difficult")."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import InvalidValue, Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import FAIR_BIT, Integers, Shares, find_baseline, score_bits
from bptt.tasks.drawn import DrawnByLength, mark_inside


@dataclass(frozen=True, kw_only=True)
class Latch(DrawnByLength):
    """Remember, through noise, the bit with which a sequence began.

    The first `shown` timesteps hold +1 or −1, with equal chance and the same in all of them; the others hold noise,
    N(0, noise²), and so do those, beside it. The target, at the last timestep, is 1 for +1 and 0 for −1: one bit,
    which has to be latched. In Bengio, Simard & Frasconi the inputs of the first timesteps are learned, too; here they
    are given, and weights alone are learned. Accuracy: the share of the sequences whose output rounds right.

    length     timesteps; or the least and the greatest, of which one is drawn for each update
    shown      timesteps that hold the bit
    noise      its standard deviation

    x (N, length, 1), y (N, 1).
    """

    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 1

    shown: Annotated[int, Range(at_least=1)]
    noise: Annotated[float, Range(at_least=0)]

    def __post_init__(self) -> None:
        super().__post_init__()
        shortest = min(*self._bounds, *self.eval_lengths, self.timesteps)
        if self.shown > shortest:
            raise InvalidValue("shown", self.shown, f"at most {shortest}, as a sequence may be that short")

    def make_of(self, rng: Generator, lengths: Integers) -> Sequences:
        bits = rng.integers(2, size=(len(lengths), 1))
        x = self.noise * rng.standard_normal((len(lengths), self.timesteps))
        x[:, : self.shown] += 2 * bits - 1
        x = np.where(mark_inside(lengths, self.timesteps), x, 0)
        return Sequences(x[:, :, None], bits * 1.0, self.say_lengths(lengths))

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_bits(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of 1/2: the bit is fair."""
        return find_baseline(loss, *FAIR_BIT)
