"""RMSProp."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import OPTIMIZER, Kernel, Step
from bptt.core.optimizers.noise import AddsNoise
from bptt.core.optimizers.weight_decay import ShrinksWeights
from bptt.core.simd import inline, load, select, splat, sqrt, store


@inline
def rmsprop_step(theta, g, before, alpha, decay, small):
    square = decay * before + (1.0 - decay) * (g * g)
    return theta - alpha * g / (sqrt(square) + small), square


@OPTIMIZER("alpha", "decay", "small_constant")
def rmsprop(parameters, gradient, slots, count, hyper, live, update):
    alpha, decay, small = hyper.alpha, hyper.decay, hyper.small_constant
    moves = load(live, 0) > splat(0.0)
    for p in range(count):
        theta = load(parameters, p)
        moved, square = rmsprop_step(theta, load(gradient, p), load(slots, p), alpha, decay, small)
        store(slots, p, square)
        store(parameters, p, select(moves, moved, theta))


@dataclass(frozen=True, kw_only=True)
class Rmsprop(ShrinksWeights, AddsNoise):
    """v ← ρ·v + (1 − ρ)·g²;  θ ← θ − α·g / (√v + c);  v = 0 at the start.

    Tieleman & Hinton 2012 (lecture 6.5). ρ is `decay`; the small constant c stands outside the root and inside the
    division, as in torch.optim.RMSprop.
    """

    alpha: Annotated[PerLane, Range(at_least=0)]
    decay: Annotated[PerLane, Range(at_least=0, below=1)]
    small_constant: Annotated[PerLane, Range(above=0)]

    kernel: ClassVar[Kernel] = rmsprop
    step: ClassVar[Step] = Step(rmsprop_step)
    slots: ClassVar[int] = 1
