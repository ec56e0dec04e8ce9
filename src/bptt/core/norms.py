"""Euclidean norms that neither overflow nor lose small numbers: vanishing and exploding gradients are the subject."""

from bptt.core.simd import absolute, fma, inline, largest, load, per_run, select, splat, sqrt

_LARGE, _SMALL = 2.0**500, 2.0**-500  # beyond these squares may leave the range of float64
_DOWN, _UP = 2.0**-700, 2.0**700  # back into it, exactly, from the largest number and from the smallest


@inline
def norm(memory, place, count, theta):
    """‖v‖ of `count` vectors from `place`: of each lane, or of all rows together, as theta's shape says (`per_run`)."""
    top = splat(0.0)
    for i in range(place, place + count):
        size = absolute(load(memory, i))
        top = select(size > top, size, top)
    if theta.ndim == 1:
        top = splat(largest(top))
    down = select(top > splat(_LARGE), splat(_DOWN), select(top < splat(_SMALL), splat(_UP), splat(1.0)))
    a, b, c, d = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    i = place
    while i + 4 <= place + count:
        v = load(memory, i) * down
        a = fma(v, v, a)
        v = load(memory, i + 1) * down
        b = fma(v, v, b)
        v = load(memory, i + 2) * down
        c = fma(v, v, c)
        v = load(memory, i + 3) * down
        d = fma(v, v, d)
        i += 4
    while i < place + count:
        v = load(memory, i) * down
        a = fma(v, v, a)
        i += 1
    return sqrt(per_run(theta, (a + b) + (c + d))) / down
