"""Gradient descent with classical momentum."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import OPTIMIZER, Kernel, Step
from bptt.core.optimizers.noise import AddsNoise
from bptt.core.optimizers.weight_decay import ShrinksWeights
from bptt.core.simd import inline, load, select, splat, store


@inline
def momentum_step(theta, g, before, alpha, epsilon):
    change = alpha * g + epsilon * before
    return theta - change, change


@OPTIMIZER("alpha", "epsilon")
def momentum(parameters, gradient, slots, count, hyper, live, update):
    alpha, epsilon = hyper.alpha, hyper.epsilon
    moves = load(live, 0) > splat(0.0)
    for p in range(count):
        theta = load(parameters, p)
        moved, change = momentum_step(theta, load(gradient, p), load(slots, p), alpha, epsilon)
        store(slots, p, change)
        store(parameters, p, select(moves, moved, theta))


@dataclass(frozen=True, kw_only=True)
class Momentum(ShrinksWeights, AddsNoise):
    """change_u = α·g + ε·change_{u−1};  θ ← θ − change_u;  change_0 = 0.

    Rumelhart, Hinton & Williams 1986, equation 9 (α is the learning rate, ε the momentum rate).
    """

    alpha: Annotated[PerLane, Range(at_least=0)]
    epsilon: Annotated[PerLane, Range(at_least=0, below=1)]

    kernel: ClassVar[Kernel] = momentum
    step: ClassVar[Step] = Step(momentum_step)
    slots: ClassVar[int] = 1
