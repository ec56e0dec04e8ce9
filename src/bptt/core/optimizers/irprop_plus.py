"""Improved resilient propagation with weight-backtracking, iRprop⁺."""

from dataclasses import dataclass
from typing import ClassVar

from bptt.core.kernel import BATCH_LOSS, OPTIMIZER, Kernel
from bptt.core.optimizers.rprop import BoundedSteps, next_delta, sign
from bptt.core.simd import load, select, splat, store


@OPTIMIZER("eta_plus", "eta_minus", "delta_zero", "delta_min", "delta_max", BATCH_LOSS)
def irprop_plus(parameters, gradient, slots, count, hyper, live, update):
    moves, zero, loss = load(live, 0) > splat(0.0), splat(0.0), hyper.loss
    for p in range(count):
        theta, now, before = load(parameters, p), sign(load(gradient, p)), load(slots, p)
        step = hyper.delta_zero if update == 1 else load(slots, count + p)
        agreement = now * before
        delta = next_delta(step, agreement, hyper.eta_plus, hyper.eta_minus, hyper.delta_min, hyper.delta_max)
        turned = agreement < zero
        back = select(loss > load(slots, 2 * count + p), theta + before * step, theta)
        store(slots, p, select(turned, zero, now))
        store(slots, count + p, delta)
        store(slots, 2 * count + p, loss)
        store(parameters, p, select(moves, select(turned, back, theta - now * delta), theta))


@dataclass(frozen=True, kw_only=True)
class IrpropPlus(BoundedSteps):
    """Rprop⁺ that takes the last step back, where g·g_before < 0, only if the loss has grown: L_u > L_{u−1}.

    Igel & Hüsken 2003, "Empirical evaluation of the improved Rprop learning algorithms", algorithm iRprop⁺; all else
    is as in `rprop_plus`. L is the loss of the update's batch, without what a regularizer stands for: it is made for
    batches of all sequences, whose losses can be compared.
    """

    kernel: ClassVar[Kernel] = irprop_plus
    slots: ClassVar[int] = 3
