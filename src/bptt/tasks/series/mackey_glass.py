"""The Mackey–Glass series (Mackey & Glass 1977, "Oscillation and Chaos in Physiological Control Systems")."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.sequences import Floats
from bptt.tasks.series.windows import Windowed

_STEPS = 10  # of Euler's method for a unit of time
_UNSEEN = 1000  # units of time until the series has forgotten how it began


@dataclass(frozen=True, kw_only=True)
class MackeyGlass(Windowed):
    """Foretell a chaotic series with a delay.

    dx/dt = 0.2 x(t − τ) / (1 + x(t − τ)¹⁰) − 0.1 x(t), by Euler's method in steps of 1/10, one value for each unit of
    time from 1000 on, and 1.2 before 0; τ = 17 is the usual one, with mild chaos. Of every value 0.9 is subtracted, so
    that they lie on both sides of 0. The target at each timestep is the value `horizon` units later.

    tau        τ, units of time
    horizon    how far ahead the target is, units of time; 84 is usual in the literature

    x (N, window, 1), y (N, window, 1).
    """

    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 1

    tau: Annotated[int, Range(at_least=1, at_most=1000)]

    def compute_series(self, steps: int) -> Floats:
        # Python's numbers, as each hangs on the one before; a tenth power of products has the same bits everywhere.
        late, values = self.tau * _STEPS, [1.2] * (self.tau * _STEPS + 1)
        for _ in range((_UNSEEN + steps - 1) * _STEPS):
            delayed, now = values[-1 - late], values[-1]
            second = delayed * delayed
            fourth = second * second
            tenth = fourth * fourth * second
            values.append(now + (0.2 * delayed / (1.0 + tenth) - 0.1 * now) / _STEPS)
        return np.array(values[late + _UNSEEN * _STEPS :: _STEPS])[:, None] - 0.9
