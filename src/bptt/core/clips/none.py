"""No clipping."""

from dataclasses import dataclass
from typing import ClassVar

from bptt.core.kernel import CLIP, Kernel
from bptt.core.simd import splat


@CLIP()
def no_clip(gradient, count, hyper):
    return splat(0.0)


@dataclass(frozen=True, kw_only=True)
class NoClip:
    """g ← g."""

    kernel: ClassVar[Kernel] = no_clip
