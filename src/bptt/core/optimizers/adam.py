"""Adam."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import OPTIMIZER, Kernel, Step
from bptt.core.optimizers.noise import AddsNoise
from bptt.core.simd import inline, integer_power, load, select, splat, sqrt, store


@inline
def adam_rates(hyper, update):
    """β₁, β₂, c, and what holds for all parameters of an update: α/(1 − β₁ᵘ), √(1 − β₂ᵘ)."""
    beta1, beta2 = hyper.beta1, hyper.beta2
    rate = hyper.alpha / (1.0 - integer_power(beta1, update))
    root = sqrt(1.0 - integer_power(beta2, update))
    return beta1, beta2, hyper.small_constant, rate, root


@inline
def adam_step(theta, g, mean, square, beta1, beta2, small, rate, root):
    mean = beta1 * mean + (1.0 - beta1) * g
    square = beta2 * square + (1.0 - beta2) * (g * g)
    return theta - rate * mean / (sqrt(square) / root + small), mean, square


@OPTIMIZER("alpha", "beta1", "beta2", "small_constant")
def adam(parameters, gradient, slots, count, hyper, live, update):
    beta1, beta2, small, rate, root = adam_rates(hyper, update)
    moves = load(live, 0) > splat(0.0)
    for p in range(count):
        theta, g, mean, square = load(parameters, p), load(gradient, p), load(slots, p), load(slots, count + p)
        moved, mean, square = adam_step(theta, g, mean, square, beta1, beta2, small, rate, root)
        store(slots, p, mean)
        store(slots, count + p, square)
        store(parameters, p, select(moves, moved, theta))


@dataclass(frozen=True, kw_only=True)
class Adam(AddsNoise):
    """m ← β₁·m + (1 − β₁)·g;  v ← β₂·v + (1 − β₂)·g²;  θ ← θ − α·m̂ / (√v̂ + c), with m̂ = m/(1 − β₁ᵘ), v̂ = v/(1 − β₂ᵘ).

    Kingma & Ba 2015, algorithm 1: the small constant c is added to the root of the corrected v̂, as in torch.optim.Adam.
    """

    alpha: Annotated[PerLane, Range(at_least=0)]
    beta1: Annotated[PerLane, Range(at_least=0, below=1)]
    beta2: Annotated[PerLane, Range(at_least=0, below=1)]
    small_constant: Annotated[PerLane, Range(above=0)]

    kernel: ClassVar[Kernel] = adam
    step: ClassVar[Step] = Step(adam_step, adam_rates)
    slots: ClassVar[int] = 2
