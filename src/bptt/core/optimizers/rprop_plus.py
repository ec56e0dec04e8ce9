"""Resilient propagation with weight-backtracking, Rprop⁺."""

from dataclasses import dataclass
from typing import ClassVar

from bptt.core.kernel import OPTIMIZER, Kernel
from bptt.core.optimizers.rprop import BoundedSteps, next_delta, sign
from bptt.core.simd import load, select, splat, store


@OPTIMIZER("eta_plus", "eta_minus", "delta_zero", "delta_min", "delta_max")
def rprop_plus(parameters, gradient, slots, count, hyper, live, update):
    moves, zero = load(live, 0) > splat(0.0), splat(0.0)
    for p in range(count):
        theta, now, before = load(parameters, p), sign(load(gradient, p)), load(slots, p)
        step = hyper.delta_zero if update == 1 else load(slots, count + p)
        agreement = now * before
        delta = next_delta(step, agreement, hyper.eta_plus, hyper.eta_minus, hyper.delta_min, hyper.delta_max)
        turned = agreement < zero
        store(slots, p, select(turned, zero, now))
        store(slots, count + p, delta)
        moved = select(turned, theta + before * step, theta - now * delta)
        store(parameters, p, select(moves, moved, theta))


@dataclass(frozen=True, kw_only=True)
class RpropPlus(BoundedSteps):
    """Where g·g_before > 0: Δ ← min(Δ·η⁺, Δ_max). Where < 0: Δ ← max(Δ·η⁻, Δ_min), the last step is taken back,
    θ ← θ + sign(g_before)·Δ_before, and g ← 0. Everywhere else θ ← θ − sign(g)·Δ.

    Riedmiller & Braun 1993, "A Direct Adaptive Method for Faster Backpropagation Learning: The RPROP Algorithm", with
    weight-backtracking, as Igel & Hüsken 2003 write it down, algorithm Rprop⁺; Δ starts at Δ₀ and the gradient before
    the first at 0. It is made for the gradient of all sequences: that of few turns by chance.
    """

    kernel: ClassVar[Kernel] = rprop_plus
    slots: ClassVar[int] = 2
