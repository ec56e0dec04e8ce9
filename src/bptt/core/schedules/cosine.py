"""A learning rate that falls along half a cosine."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import SCHEDULE, Kernel
from bptt.core.schedules.warmup import share_of_rest, share_of_warmup
from bptt.core.simd import cosine_arch


@SCHEDULE("floor", "warmup")
def anneal(hyper, update, updates):
    rest = cosine_arch(share_of_rest(hyper.warmup, update, updates))
    return share_of_warmup(hyper.warmup, update) * (hyper.floor + (1.0 - hyper.floor) * rest)


@dataclass(frozen=True, kw_only=True)
class CosineSchedule:
    """s(u) = floor + (1 − floor)·(1 + cos πx)/2 with x = (u − p)/(U − p), from 1 at update p to `floor` at the last, U.

    p = max(warmup, 1); up to there s(u) = u/p, as in `schedule=warmup`. Loshchilov & Hutter 2017, "SGDR: Stochastic
    Gradient Descent with Warm Restarts", equation 5, of one period and without restarts. Without a warm-up it is
    torch.optim.lr_scheduler.CosineAnnealingLR with T_max = U − 1 and eta_min = floor·α.
    """

    floor: Annotated[PerLane, Range(at_least=0, at_most=1)]
    warmup: Annotated[PerLane, Range(at_least=0)]

    kernel: ClassVar[Kernel] = anneal
