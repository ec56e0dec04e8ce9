"""Improved resilient propagation without weight-backtracking, iRprop⁻."""

from dataclasses import dataclass
from typing import ClassVar

from bptt.core.kernel import OPTIMIZER, Kernel
from bptt.core.optimizers.rprop import BoundedSteps, sign
from bptt.core.simd import load, select, splat, store


@OPTIMIZER("eta_plus", "eta_minus", "delta_zero", "delta_min", "delta_max")
def irprop_minus(parameters, gradient, slots, count, hyper, live, update):
    eta_plus, eta_minus, delta_zero = hyper.eta_plus, hyper.eta_minus, hyper.delta_zero
    delta_min, delta_max = hyper.delta_min, hyper.delta_max
    moves = load(live, 0) > splat(0.0)
    zero = splat(0.0)
    for p in range(count):
        theta, now, before = load(parameters, p), sign(load(gradient, p)), load(slots, p)
        step = delta_zero if update == 1 else load(slots, count + p)
        agreement = now * before
        grown, shrunk = step * eta_plus, step * eta_minus
        grown = select(grown > delta_max, delta_max, grown)
        shrunk = select(shrunk < delta_min, delta_min, shrunk)
        step = select(agreement > zero, grown, select(agreement < zero, shrunk, step))
        now = select(agreement < zero, zero, now)
        store(slots, p, now)
        store(slots, count + p, step)
        store(parameters, p, select(moves, theta - now * step, theta))


@dataclass(frozen=True, kw_only=True)
class IrpropMinus(BoundedSteps):
    """Where g·g_before > 0: Δ ← min(Δ·η⁺, Δ_max). Where < 0: Δ ← max(Δ·η⁻, Δ_min) and g ← 0. Then θ ← θ − sign(g)·Δ.

    Igel & Hüsken 2000, "Improving the Rprop Learning Algorithm", algorithm iRprop⁻; Δ starts at Δ₀ and the gradient
    before the first at 0.
    """

    kernel: ClassVar[Kernel] = irprop_minus
    slots: ClassVar[int] = 2
