"""Adam."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import OPTIMIZER, Kernel
from bptt.core.simd import integer_power, load, select, splat, sqrt, store


@OPTIMIZER("alpha", "beta1", "beta2", "small_constant")
def adam(parameters, gradient, slots, count, hyper, live, update):
    alpha, beta1, beta2, small = hyper.alpha, hyper.beta1, hyper.beta2, hyper.small_constant
    moves = load(live, 0) > splat(0.0)
    rate = alpha / (1.0 - integer_power(beta1, update))
    root = sqrt(1.0 - integer_power(beta2, update))
    for p in range(count):
        theta, g = load(parameters, p), load(gradient, p)
        mean = beta1 * load(slots, p) + (1.0 - beta1) * g
        square = beta2 * load(slots, count + p) + (1.0 - beta2) * (g * g)
        store(slots, p, mean)
        store(slots, count + p, square)
        store(parameters, p, select(moves, theta - rate * mean / (sqrt(square) / root + small), theta))


@dataclass(frozen=True, kw_only=True)
class Adam:
    """m ← β₁·m + (1 − β₁)·g;  v ← β₂·v + (1 − β₂)·g²;  θ ← θ − α·m̂ / (√v̂ + c), with m̂ = m/(1 − β₁ᵘ), v̂ = v/(1 − β₂ᵘ).

    Kingma & Ba 2015, algorithm 1: the small constant c is added to the root of the corrected v̂, as in torch.optim.Adam.
    """

    alpha: Annotated[PerLane, Range(at_least=0)]
    beta1: Annotated[PerLane, Range(at_least=0, below=1)]
    beta2: Annotated[PerLane, Range(at_least=0, below=1)]
    small_constant: Annotated[PerLane, Range(above=0)]

    kernel: ClassVar[Kernel] = adam
    slots: ClassVar[int] = 2
