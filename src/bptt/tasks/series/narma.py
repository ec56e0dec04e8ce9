"""NARMA-10 (Atiya & Parlos 2000, "New results on recurrent network training")."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import Integers, find_baseline_of
from bptt.tasks.drawn import DrawnByLength

_ORDER = 10
_MANY = 2**21  # timesteps of which the mean is taken


@dataclass(frozen=True, kw_only=True)
class Narma(DrawnByLength):
    """Follow a nonlinear system of order ten that is driven by noise.

    u_t is uniform on [0, 1/2), y_{t+1} = 0.3 y_t + 0.05 y_t Σ_{i=0..9} y_{t−i} + 1.5 u_{t−9} u_t + 0.1, from y = 0 and
    u = 0 on, and never above 1, where the system would run away. The input at t is u_t, the target y_{t+1}, which a
    network has to know ten inputs for; all timesteps from the tenth on are scored. There is no accuracy, as no output
    is exactly right.

    length     timesteps

    x (N, length, 1), y (N, length, 1).
    """

    everywhere: ClassVar[bool] = True
    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 1

    length: Annotated[int, Range(at_least=_ORDER)]

    @property
    def shortest(self) -> int:
        return _ORDER

    def make_of(self, rng: Generator, lengths: Integers) -> Sequences:
        count = len(lengths)
        u = np.zeros((self.length + _ORDER - 1, count))
        u[_ORDER - 1 :] = rng.uniform(0.0, 0.5, size=(count, self.length)).T
        y = np.zeros((self.length + _ORDER, count))
        for t in range(self.length):
            now = t + _ORDER - 1
            total = y[now - 9]
            for i in range(now - 8, now + 1):
                total = total + y[i]
            y[now + 1] = np.minimum(0.3 * y[now] + 0.05 * y[now] * total + 1.5 * u[t] * u[now] + 0.1, 1.0)
        x, targets = u[_ORDER - 1 :].T, y[_ORDER:].T
        scored = np.arange(self.length) >= _ORDER - 1
        return Sequences(np.ascontiguousarray(x)[:, :, None], np.ascontiguousarray(targets)[:, :, None], scored=scored)

    def accuracy(self, output: Floats, sequences: Sequences) -> None:  # noqa: ARG002 (no notion of right)
        return None

    def baseline(self, loss: Any) -> float | None:
        """Of the mean target of many sequences, drawn once: of as many as have some million timesteps together."""
        return find_baseline_of(loss, self.make(Generator(np.random.SeedSequence(0)), -(-_MANY // self.length)))
