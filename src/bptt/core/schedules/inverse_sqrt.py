"""A learning rate that falls with the root of the update's number."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import SCHEDULE, Kernel
from bptt.core.schedules.warmup import end_of_warmup, share_of_warmup
from bptt.core.simd import select, splat, sqrt


@SCHEDULE("warmup")
def fall_by_root(hyper, update, updates):
    share = end_of_warmup(hyper.warmup) / splat(update)
    return share_of_warmup(hyper.warmup, update) * sqrt(select(share < splat(1.0), share, splat(1.0)))


@dataclass(frozen=True, kw_only=True)
class InverseSqrtSchedule:
    """s(u) = √(p/u) from update p = max(warmup, 1) on; up to there s(u) = u/p, as in `schedule=warmup`.

    Vaswani et al. 2017, "Attention Is All You Need", equation 3, min(u^−½, u·p^−³ᐟ²), in units of its largest value,
    p^−½. Without a warm-up it is 1/√u, the rate of Zinkevich 2003 for online gradient descent.
    """

    warmup: Annotated[PerLane, Range(at_least=0)]

    kernel: ClassVar[Kernel] = fall_by_root
