"""Clipping by norm."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import CLIP, Kernel
from bptt.core.simd import elements, load, select, splat, store
from bptt.core.simd.sums import norm


@CLIP("threshold")
def clip_norm(gradient, count, hyper):
    threshold = hyper.threshold
    size = norm(gradient, 0, elements(gradient, count))
    above = size > threshold
    scale = select(above, threshold / size, splat(1.0))
    for p in range(count):
        store(gradient, p, load(gradient, p) * scale)
    return select(above, splat(1.0), splat(0.0))


@dataclass(frozen=True, kw_only=True)
class Norm:
    """g ← g · threshold / ‖g‖ where ‖g‖ > threshold, with ‖·‖ the Euclidean norm over all parameters.

    Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks", algorithm 1.
    """

    threshold: Annotated[PerLane, Range(above=0)]

    kernel: ClassVar[Kernel] = clip_norm
