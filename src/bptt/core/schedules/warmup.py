"""A learning rate that grows at the beginning."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import SCHEDULE, Kernel
from bptt.core.simd import select, splat


@SCHEDULE("warmup")
def warm_up(hyper, update, updates):
    share = splat(update) / hyper.warmup
    return select(share < splat(1.0), share, splat(1.0))


@dataclass(frozen=True, kw_only=True)
class Warmup:
    """s(u) = min(u / warmup, 1) at update u, counted from 1: α / warmup first, α from update `warmup` on.

    Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2, gradual warmup. 0: α from the first update on.
    """

    warmup: Annotated[PerLane, Range(at_least=0)]

    kernel: ClassVar[Kernel] = warm_up
