"""Clipping by value."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import CLIP, Kernel
from bptt.core.simd import has_units, largest, load, select, splat, store


@CLIP("threshold")
def clip_value(gradient, count, hyper):
    threshold = hyper.threshold
    clipped = splat(0.0)
    for p in range(count):
        g = load(gradient, p)
        above, below = g > threshold, g < -threshold
        clipped = select(above, splat(1.0), select(below, splat(1.0), clipped))
        store(gradient, p, select(above, threshold, select(below, -threshold, g)))
    if has_units(gradient):
        return splat(largest(clipped))
    return clipped


@dataclass(frozen=True, kw_only=True)
class Value:
    """g_p ← min(max(g_p, −threshold), threshold), each element for itself. NaN passes."""

    threshold: Annotated[PerLane, Range(above=0)]

    kernel: ClassVar[Kernel] = clip_value
