"""The Lorenz system (Lorenz 1963, "Deterministic Nonperiodic Flow")."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import numpy as np

from bptt.core.annotations import Range
from bptt.core.sequences import Floats
from bptt.tasks.series.windows import Windowed

_SIGMA, _RHO, _BETA = 10.0, 28.0, 8.0 / 3.0
_STEP = 0.01
_UNSEEN = 1000  # timesteps until the state is on the attractor
_MIDDLE: Final = np.array([0.0, 0.0, 23.5])
_SIZE: Final = np.array([8.0, 9.0, 8.6])  # about the standard deviations


@dataclass(frozen=True, kw_only=True)
class Lorenz(Windowed):
    """Foretell a chaotic system from its states.

    dx/dt = σ(y − x), dy/dt = x(ρ − z) − y, dz/dt = xy − βz with σ = 10, ρ = 28 and β = 8/3, by the classic method of
    Runge and Kutta in steps of 0.01, from (1, 1, 1) on; `every` steps are one timestep, and the first 1000 timesteps
    are left out. The inputs are (x, y, z − 23.5) divided by (8, 9, 8.6), about what they deviate. The target at each
    timestep is the state `horizon` timesteps later.

    every      steps of 0.01 in one timestep
    horizon    how far ahead the target is, timesteps

    x (N, window, 3), y (N, window, 3).
    """

    inputs: ClassVar[int] = 3
    outputs: ClassVar[int] = 3

    every: Annotated[int, Range(at_least=1, at_most=100)]

    def compute_series(self, steps: int) -> Floats:
        state, kept = (1.0, 1.0, 1.0), []
        for step in range((_UNSEEN + steps) * self.every):
            if step % self.every == 0 and step >= _UNSEEN * self.every:
                kept.append(state)
            state = _advance(*state)
        return (np.array(kept) - _MIDDLE) / _SIZE


def _change(x: float, y: float, z: float) -> tuple[float, float, float]:
    return _SIGMA * (y - x), x * (_RHO - z) - y, x * y - _BETA * z


def _advance(x: float, y: float, z: float) -> tuple[float, float, float]:
    """The state one step later, in Python's numbers, as each hangs on the ones before."""
    half = _STEP / 2.0
    a = _change(x, y, z)
    b = _change(x + half * a[0], y + half * a[1], z + half * a[2])
    c = _change(x + half * b[0], y + half * b[1], z + half * b[2])
    d = _change(x + _STEP * c[0], y + _STEP * c[1], z + _STEP * c[2])
    return (
        x + _STEP / 6.0 * (a[0] + 2.0 * b[0] + 2.0 * c[0] + d[0]),
        y + _STEP / 6.0 * (a[1] + 2.0 * b[1] + 2.0 * c[1] + d[1]),
        z + _STEP / 6.0 * (a[2] + 2.0 * b[2] + 2.0 * c[2] + d[2]),
    )
