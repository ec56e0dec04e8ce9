"""Sums over many numbers, in an order that depends neither on what fills a vector nor on how many numbers fit in.

A number's place in memory decides which of 16 sums it is added to; the second half of these is then added to the first,
and so on until one is left. With UNITS, numbers of a first or last vector that do not belong to the sum must be 0.
"""

from bptt.core.simd import WIDTH, absolute, fma, has_units, inline, largest, load, one_run, select, splat, sqrt

_LARGE, _SMALL = 2.0**500, 2.0**-500  # beyond these squares may leave the range of float64
_DOWN, _UP = 2.0**-700, 2.0**700  # back into it, exactly, from the largest number and from the smallest


@inline
def _value(total, v, scale):
    return total + v


@inline
def _square(total, v, scale):
    v = v * scale
    return fma(v, v, total)


@inline
def _two(add, memory, first, start, stop, part, apart, step, scale):
    """The vectors i ≡ part (mod step) added up, plus those i ≡ part + apart, for start ≤ i < stop."""
    a, b = splat(0.0), splat(0.0)
    i = start - start % step + part
    while i < stop:
        if i >= start:
            a = add(a, load(memory, first + i), scale)
        if start <= i + apart < stop:
            b = add(b, load(memory, first + i + apart), scale)
        i += step
    return a + b


@inline
def _four(add, memory, first, start, stop, part, step, scale):
    low = _two(add, memory, first, start, stop, part, step // 2, step, scale)
    return low + _two(add, memory, first, start, stop, part + step // 4, step // 2, step, scale)


@inline
def _folded(add, memory, first, start, stop, scale):
    if not has_units(memory):
        even = _four(add, memory, first, start, stop, 0, 16, scale) + _four(
            add, memory, first, start, stop, 2, 16, scale
        )
        odd = _four(add, memory, first, start, stop, 1, 16, scale) + _four(
            add, memory, first, start, stop, 3, 16, scale
        )
        result = even + odd
    elif WIDTH == 8:
        result = _two(add, memory, first, start, stop, 0, 1, 2, scale)
    elif WIDTH == 4:
        result = _four(add, memory, first, start, stop, 0, 4, scale)
    else:
        result = _four(add, memory, first, start, stop, 0, 8, scale) + _four(
            add, memory, first, start, stop, 1, 8, scale
        )
    return one_run(memory, result)


@inline
def sum_vectors(memory, first, start, stop):
    """The sum of the vectors first + start … first + stop − 1, for each run."""
    return _folded(_value, memory, first, start, stop, splat(1.0))


@inline
def norm(memory, first, count):
    """‖v‖ of the `count` elements from vector `first` on, for each run.

    It neither overflows nor loses small numbers: vanishing and exploding gradients are the subject.
    """
    vectors = (count + WIDTH - 1) // WIDTH if has_units(memory) else count
    top = splat(0.0)
    for i in range(first, first + vectors):
        size = absolute(load(memory, i))
        top = select(size > top, size, top)
    if has_units(memory):
        top = splat(largest(top))
    down = select(top > splat(_LARGE), splat(_DOWN), select(top < splat(_SMALL), splat(_UP), splat(1.0)))
    return sqrt(_folded(_square, memory, first, 0, vectors, down)) / down
