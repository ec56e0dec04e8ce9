"""Nesterov's accelerated gradient."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import OPTIMIZER, Kernel, Step
from bptt.core.optimizers.noise import AddsNoise
from bptt.core.optimizers.weight_decay import ShrinksWeights
from bptt.core.simd import inline, load, select, splat, store


@inline
def nesterov_step(theta, g, before, alpha, epsilon):
    step = alpha * g
    change = step + epsilon * before
    return theta - (step + epsilon * change), change


@OPTIMIZER("alpha", "epsilon")
def nesterov(parameters, gradient, slots, count, hyper, live, update):
    alpha, epsilon = hyper.alpha, hyper.epsilon
    moves = load(live, 0) > splat(0.0)
    for p in range(count):
        theta = load(parameters, p)
        moved, change = nesterov_step(theta, load(gradient, p), load(slots, p), alpha, epsilon)
        store(slots, p, change)
        store(parameters, p, select(moves, moved, theta))


@dataclass(frozen=True, kw_only=True)
class Nesterov(ShrinksWeights, AddsNoise):
    """change_u = α·g + ε·change_{u−1};  θ ← θ − (α·g + ε·change_u);  change_0 = 0.

    The form of Sutskever, Martens, Dahl & Hinton 2013 (equations 3 and 4), written for the point at which the gradient
    is taken (Bengio, Boulanger-Lewandowski & Pascanu 2013, equation 7), so that θ is what is stored and evaluated. With
    a constant α it equals torch.optim.SGD(nesterov=True).
    """

    alpha: Annotated[PerLane, Range(at_least=0)]
    epsilon: Annotated[PerLane, Range(at_least=0, below=1)]

    kernel: ClassVar[Kernel] = nesterov
    step: ClassVar[Step] = Step(nesterov_step)
    slots: ClassVar[int] = 1
