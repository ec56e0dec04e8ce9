"""Stochastic gradient descent."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import OPTIMIZER, Kernel
from bptt.core.simd import load, select, splat, store


@OPTIMIZER("alpha")
def sgd(parameters, gradient, slots, count, hyper, live, update):
    alpha = hyper.alpha
    moves = load(live, 0) > splat(0.0)
    for p in range(count):
        theta = load(parameters, p)
        store(parameters, p, select(moves, theta - alpha * load(gradient, p), theta))


@dataclass(frozen=True, kw_only=True)
class Sgd:
    """θ ← θ − α·g (Robbins & Monro 1951)."""

    alpha: Annotated[PerLane, Range(at_least=0)]

    kernel: ClassVar[Kernel] = sgd
    slots: ClassVar[int] = 0
