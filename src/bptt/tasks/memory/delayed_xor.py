"""Delayed copy and delayed XOR (Engelken 2023, "Gradient Flossing")."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import InvalidValue, Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import FAIR_BIT, Integers, Shares, find_baseline, score_bits, score_sequences
from bptt.tasks.drawn import DrawnByLength


@dataclass(frozen=True, kw_only=True)
class DelayedXor(DrawnByLength):
    """Say the exclusive or of bits that came d, 2d, … timesteps ago.

    A fair bit b_t arrives at every timestep. With `terms` n the target is y_t = b_{t−d} ⊕ b_{t−2d} ⊕ … ⊕ b_{t−nd}: with
    1 the bit itself, Engelken's delayed copy, with 2 his delayed XOR. Timesteps before the first target are not scored.
    Accuracy: the share of the scored bits that round right.

    length     timesteps
    delay      d
    terms      n

    x (N, length, 1), y (N, length, 1).
    """

    everywhere: ClassVar[bool] = True
    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 1

    length: Annotated[int, Range(at_least=2)]
    delay: Annotated[int, Range(at_least=1)]
    terms: Annotated[int, Range(at_least=1)]

    @property
    def shortest(self) -> int:
        return self.delay * self.terms + 1

    def __post_init__(self) -> None:
        for name, value in (("delay", self.delay), ("terms", self.terms)):
            if value >= self.length:
                raise InvalidValue(name, value, f"below task.length={self.length}, so that some bit can be asked for")
        super().__post_init__()

    def make_of(self, rng: Generator, lengths: Integers) -> Sequences:
        count = len(lengths)
        bits = rng.integers(2, size=(count, self.length))
        asked = np.zeros_like(bits)
        for term in range(1, self.terms + 1):
            asked[:, term * self.delay :] ^= bits[:, : self.length - term * self.delay]
        scored = np.arange(self.length) >= self.delay * self.terms
        asked = np.where(scored, asked, 0)
        return Sequences(bits[:, :, None] * 1.0, asked[:, :, None] * 1.0, scored=scored)

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_bits(output, sequences)

    def all_right(self, output: Floats, sequences: Sequences) -> Shares:
        """The share of the sequences of which every scored bit rounds right."""
        return score_sequences(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of 1/2: the target is a fair bit at each scored timestep."""
        return find_baseline(loss, *FAIR_BIT, self.length - self.delay * self.terms)
