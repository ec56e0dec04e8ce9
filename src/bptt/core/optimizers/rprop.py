"""Resilient propagation in the counting article's variant, and what all variants have in common."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import InvalidValue, PerLane, Range
from bptt.core.kernel import OPTIMIZER, Kernel
from bptt.core.optimizers.noise import AddsNoise
from bptt.core.simd import inline, load, select, splat, store


@inline
def sign(x):
    """−1, 0 or 1 (0 for NaN)."""
    return select(x > splat(0.0), splat(1.0), select(x < splat(0.0), splat(-1.0), splat(0.0)))


@OPTIMIZER("eta_plus", "eta_minus", "delta_zero")
def rprop(parameters, gradient, slots, count, hyper, live, update):
    eta_plus, eta_minus, delta_zero = hyper.eta_plus, hyper.eta_minus, hyper.delta_zero
    moves = load(live, 0) > splat(0.0)
    for p in range(count):
        theta, now, before = load(parameters, p), sign(load(gradient, p)), load(slots, p)
        step = delta_zero if update == 1 else load(slots, count + p)
        step = step * select(now == before, eta_plus, eta_minus)
        store(slots, p, now)
        store(slots, count + p, step)
        moved = select(now == splat(0.0), theta, theta - now * step)  # else 0 · ∞, where Δ grew without bound
        store(parameters, p, select(moves, moved, theta))


@dataclass(frozen=True, kw_only=True)
class Rprop(AddsNoise):
    """Δ ← Δ·η⁺ where the gradient's sign equals the previous one's, else Δ·η⁻;  θ ← θ − sign(g)·Δ.

    At the first update the previous sign is 0, so Δ = Δ₀·η⁻ wherever g ≠ 0. No bounds on Δ, no backtracking: this is
    the variant of P. Roelants' counting tutorial, not that of Riedmiller & Braun 1993 (see `irprop_minus`).
    """

    eta_plus: Annotated[PerLane, Range(at_least=1)]
    eta_minus: Annotated[PerLane, Range(above=0, at_most=1)]
    delta_zero: Annotated[PerLane, Range(above=0)]

    kernel: ClassVar[Kernel] = rprop
    slots: ClassVar[int] = 2


@inline
def next_delta(step, agreement, eta_plus, eta_minus, delta_min, delta_max):
    """Δ after an update whose gradient has, times that before, the sign of `agreement`."""
    grown, shrunk = step * eta_plus, step * eta_minus
    grown = select(grown > delta_max, delta_max, grown)
    shrunk = select(shrunk < delta_min, delta_min, shrunk)
    return select(agreement > splat(0.0), grown, select(agreement < splat(0.0), shrunk, step))


@dataclass(frozen=True, kw_only=True)
class BoundedSteps(AddsNoise):
    """What the variants with bounds take: Δ_min ≤ Δ ≤ Δ_max."""

    eta_plus: Annotated[PerLane, Range(at_least=1)]
    eta_minus: Annotated[PerLane, Range(above=0, at_most=1)]
    delta_zero: Annotated[PerLane, Range(above=0)]
    delta_min: Annotated[PerLane, Range(at_least=0)]
    delta_max: Annotated[PerLane, Range(above=0)]

    def __post_init__(self) -> None:
        if self.delta_min > self.delta_max:
            raise InvalidValue("delta_min", self.delta_min, f"at most delta_max={self.delta_max}")
