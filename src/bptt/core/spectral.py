"""The spectral radius of small matrices, by squaring."""

import math

import numpy as np
from numba import types

from bptt.core.kernel import NUMBER_ARRAY, UNITS, Kernel, call_product
from bptt.core.products import product
from bptt.core.sequences import Floats
from bptt.core.simd import (
    WIDTH,
    absolute,
    aligned_zeros,
    elements_at,
    inline,
    largest,
    load,
    number_of,
    pointer_to,
    select,
    set_number,
    splat,
    store,
    vectors_at,
)

_SQUARINGS = 50  # of ‖A^m‖ ≤ c·ρ^m, the m-th root of c is then below 1 + 10⁻¹⁵ ln c
_MATRICES = types.Array(types.float64, 3, "C")


@inline
def _largest(matrix, count):
    """The largest |a| of `count` vectors, none of which is NaN."""
    top = splat(0.0)
    for i in range(count):
        size = absolute(load(matrix, i))
        top = select(size > top, size, top)
    return largest(top)


@inline
def _norm(matrix, size, span):
    """‖A‖∞, the largest sum of a row's |a|."""
    result = 0.0
    for i in range(size):
        total = 0.0
        for j in range(size):
            total += abs(number_of(matrix, i * span + j, 0))
        result = max(result, total)
    return result


def _radii(multiply, matrices, room, more_room, result):
    size, power, square = matrices.shape[1], pointer_to(room), pointer_to(more_room)
    units = (size + WIDTH - 1) // WIDTH
    span, count = units * WIDTH, size * units
    for n in range(matrices.shape[0]):
        for i in range(size):
            for j in range(size):
                set_number(power, i * span + j, 0, matrices[n, i, j])
        level, weight = 0.0, 1.0
        for _ in range(_SQUARINGS):
            top = _largest(power, count)
            if top == 0.0:
                break
            _, exponent = math.frexp(top)
            scale = splat(math.ldexp(1.0, -exponent))
            for i in range(count):
                store(power, i, load(power, i) * scale)
            call_product(
                multiply,
                (
                    vectors_at(square, 0),
                    units,
                    1,
                    elements_at(power, 0),
                    span,
                    1,
                    vectors_at(power, 0),
                    units,
                    1,
                    size,
                    size,
                    units,
                    False,
                ),
            )
            level += weight * exponent
            weight *= 0.5
            power, square = square, power
        norm = _norm(power, size, span)
        result[n] = 0.0 if norm == 0.0 else 2.0 ** (level + weight * math.log2(norm))


radii_of = Kernel(_radii, {UNITS: types.void(types.int64, _MATRICES, *[NUMBER_ARRAY] * 3)})


def spectral_radii(matrices: Floats) -> Floats:
    """(N,): the largest |eigenvalue| of each matrix (N, n, n); NaN where it is not finite.

    lim ‖A^m‖^(1/m) (Gelfand 1941, "Normierte Ringe") at m = 2⁵⁰: the matrix is squared and scaled by a power of two,
    again and again.
    """
    finite = np.isfinite(matrices).all(axis=(1, 2))
    sound, found = np.ascontiguousarray(matrices[finite]), np.full(len(matrices), np.nan)
    size = matrices.shape[1]
    room = [aligned_zeros(size * -(-size // WIDTH) * WIDTH) for _ in range(2)]
    radii = np.empty(len(sound))
    radii_of.compile(UNITS)
    radii_of.dispatcher(product.address(UNITS), sound, *room, radii)
    found[finite] = radii
    return found
