"""A learning rate that grows at the beginning, and how far a run is behind that."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import SCHEDULE, Kernel
from bptt.core.simd import inline, select, splat


@inline
def share_of_warmup(warmup, update):
    """min(u / warmup, 1); 1 where there is no warm-up."""
    share = splat(update) / warmup
    return select(share < splat(1.0), share, splat(1.0))


@inline
def end_of_warmup(warmup):
    """p = max(warmup, 1): the first update that is made with the whole α."""
    return select(warmup > splat(1.0), warmup, splat(1.0))


@inline
def share_of_rest(warmup, update, updates):
    """x = (u − p) / (U − p): 0 as long as α grows, then evenly to 1 at the last update U."""
    end = end_of_warmup(warmup)
    return select(splat(update) > end, (splat(update) - end) / (splat(updates) - end), splat(0.0))


@SCHEDULE("warmup")
def warm_up(hyper, update, updates):
    return share_of_warmup(hyper.warmup, update)


@dataclass(frozen=True, kw_only=True)
class Warmup:
    """s(u) = min(u / warmup, 1) at update u, counted from 1: α / warmup first, α from update `warmup` on.

    Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2, gradual warmup. 0: α from the first update on.
    """

    warmup: Annotated[PerLane, Range(at_least=0)]

    kernel: ClassVar[Kernel] = warm_up
