"""The flip-flop task (Sussillo & Barak 2013, "Opening the Black Box")."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import Integers, Shares, find_baseline
from bptt.tasks.drawn import DrawnByLength


@dataclass(frozen=True, kw_only=True)
class FlipFlop(DrawnByLength):
    """Remember, of each of several channels, the sign of the last pulse.

    At every timestep each channel has a pulse with probability p, +1 or −1 with equal chance, and 0 otherwise; at the
    first one every channel has a pulse. The target of each channel is the sign of its last pulse, as in the program of
    Golub & Sussillo (2018), "FixedPointFinder", whose values are 3 bits, 64 timesteps and p = 1/2. A network that has
    learned it has a stable fixed point for each of the 2ᵇ memories. Accuracy: the share of the output numbers whose
    sign is the target's.

    length     timesteps
    bits       b, the channels
    pulse      p

    x (N, length, bits), y (N, length, bits).
    """

    everywhere: ClassVar[bool] = True

    length: Annotated[int, Range(at_least=1)]
    bits: Annotated[int, Range(at_least=1)]
    pulse: Annotated[float, Range(at_least=0, at_most=1)]

    @property
    def inputs(self) -> int:
        return self.bits

    @property
    def outputs(self) -> int:
        return self.bits

    def make_of(self, rng: Generator, lengths: Integers) -> Sequences:
        count = len(lengths)
        shape = count, self.length, self.bits
        pulses = np.where(rng.random(shape) < self.pulse, 2 * rng.integers(2, size=shape) - 1, 0)
        pulses[:, 0] = 2 * rng.integers(2, size=(count, self.bits)) - 1
        last = np.maximum.accumulate(np.where(pulses != 0, np.arange(self.length)[:, None], 0), axis=1)
        return Sequences(pulses * 1.0, np.take_along_axis(pulses, last, axis=1) * 1.0)

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        right: Shares = (output * sequences.y > 0).mean(axis=(-3, -2, -1))
        return right

    def all_right(self, output: Floats, sequences: Sequences) -> Shares:
        """The share of the sequences in which every sign is right."""
        right: Shares = (output * sequences.y > 0).all(axis=(-2, -1)).mean(axis=-1)
        return right

    def baseline(self, loss: Any) -> float | None:
        """Of 0, the mean of the two signs, at every timestep."""
        return find_baseline(loss, np.zeros(self.bits), np.ones(self.bits), self.length)
