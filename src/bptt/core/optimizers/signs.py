"""The sign of a gradient."""

from bptt.core.simd import inline, select, splat


@inline
def sign(x):
    """−1, 0 or 1 (0 for NaN)."""
    return select(x > splat(0.0), splat(1.0), select(x < splat(0.0), splat(-1.0), splat(0.0)))
