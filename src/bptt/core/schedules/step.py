"""A learning rate that falls by steps."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import SCHEDULE, Kernel
from bptt.core.schedules.warmup import end_of_warmup, share_of_warmup
from bptt.core.simd import floor, select, splat, whole_power


@SCHEDULE("every", "factor", "warmup")
def step_down(hyper, update, updates):
    behind = splat(update) - end_of_warmup(hyper.warmup)
    steps = floor(select(behind > splat(0.0), behind, splat(0.0)) / hyper.every)
    return share_of_warmup(hyper.warmup, update) * whole_power(hyper.factor, steps)


@dataclass(frozen=True, kw_only=True)
class StepSchedule:
    """s(u) = factor^⌊(u − p)/every⌋: from update p on, α is multiplied by `factor` after each `every` updates.

    p = max(warmup, 1); up to there s(u) = u/p, as in `schedule=warmup`. Without a warm-up it is
    torch.optim.lr_scheduler.StepLR with step_size = every and gamma = factor; every = 1 is exponential decay.
    """

    every: Annotated[PerLane, Range(at_least=1)]
    factor: Annotated[PerLane, Range(at_least=0, at_most=1)]
    warmup: Annotated[PerLane, Range(at_least=0)]

    kernel: ClassVar[Kernel] = step_down
