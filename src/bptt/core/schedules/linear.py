"""A learning rate that falls along a line."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import SCHEDULE, Kernel
from bptt.core.schedules.warmup import share_of_rest, share_of_warmup


@SCHEDULE("floor", "warmup")
def fall(hyper, update, updates):
    rest = share_of_rest(hyper.warmup, update, updates)
    return share_of_warmup(hyper.warmup, update) * (1.0 - (1.0 - hyper.floor) * rest)


@dataclass(frozen=True, kw_only=True)
class LinearSchedule:
    """s(u) = 1 − (1 − floor)·x with x = (u − p)/(U − p), from 1 at update p to `floor` at the last, U.

    p = max(warmup, 1); up to there s(u) = u/p, as in `schedule=warmup`. Without a warm-up it is
    torch.optim.lr_scheduler.LinearLR with start_factor = 1, end_factor = floor and total_iters = U − 1.
    """

    floor: Annotated[PerLane, Range(at_least=0, at_most=1)]
    warmup: Annotated[PerLane, Range(at_least=0)]

    kernel: ClassVar[Kernel] = fall
