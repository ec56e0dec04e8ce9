"""Stochastic gradient descent."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import OPTIMIZER, Kernel, Step
from bptt.core.optimizers.noise import AddsNoise
from bptt.core.optimizers.weight_decay import ShrinksWeights
from bptt.core.simd import inline, load, select, splat, store


@inline
def sgd_step(theta, g, alpha):
    return (theta - alpha * g,)


@OPTIMIZER("alpha")
def sgd(parameters, gradient, slots, count, hyper, live, update):
    alpha = hyper.alpha
    moves = load(live, 0) > splat(0.0)
    for p in range(count):
        theta = load(parameters, p)
        (moved,) = sgd_step(theta, load(gradient, p), alpha)
        store(parameters, p, select(moves, moved, theta))


@dataclass(frozen=True, kw_only=True)
class Sgd(ShrinksWeights, AddsNoise):
    """θ ← θ − α·g (Robbins & Monro 1951)."""

    alpha: Annotated[PerLane, Range(at_least=0)]

    kernel: ClassVar[Kernel] = sgd
    step: ClassVar[Step] = Step(sgd_step)
    slots: ClassVar[int] = 0
