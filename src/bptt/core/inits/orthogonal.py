"""Orthogonal initialisation."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numba import types

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import NUMBER_ARRAY, UNITS, Kernel
from bptt.core.parameters import Parameter
from bptt.core.random import Generator
from bptt.core.sequences import Floats
from bptt.core.simd import WIDTH, aligned_zeros, fma, inline, load, pointer_to, splat, store


@dataclass(frozen=True, kw_only=True)
class Orthogonal:
    """θ = scale · Q with orthonormal rows or columns, each gate's matrix for itself; biases 0.

    Q is uniform over the orthogonal matrices: the QR decomposition of a Gaussian matrix with R's diagonal made positive
    (Saxe, McClelland & Ganguli 2014; Mezzadri 2007). All singular values, so for a square matrix the spectral radius,
    are `scale`.
    """

    scale: Annotated[PerLane, Range(at_least=0)]

    def values(self, rng: Generator, block: Parameter) -> Floats:
        if block.is_bias:
            return np.zeros(block.shape)
        rows, columns = block.shape[0], block.shape[1] // block.gates
        return self.scale * np.concatenate([_draw_orthogonal(rng, rows, columns) for _ in range(block.gates)], axis=1)


@inline
def _reflect(matrix, units, v, first, factor, weights):
    """H·A onto A, of so many vectors a row, with H = I − factor·v·vᵀ and v = 0 above row `first`."""
    for u in range(units):
        store(weights, u, splat(0.0))
    for i in range(first, v.shape[0]):
        for u in range(units):
            store(weights, u, fma(splat(v[i]), load(matrix, i * units + u), load(weights, u)))
    for u in range(units):
        store(weights, u, load(weights, u) * factor)
    for i in range(first, v.shape[0]):
        for u in range(units):
            store(matrix, i * units + u, fma(splat(-v[i]), load(weights, u), load(matrix, i * units + u)))


def _orthonormalize(matrix, reflectors, factors, room, q):
    rows, columns = reflectors.shape[1], reflectors.shape[0]
    units = (columns + WIDTH - 1) // WIDTH
    span, memory, result, weights = units * WIDTH, pointer_to(matrix), pointer_to(q), pointer_to(room)
    for k in range(columns):
        total = 0.0
        for i in range(k, rows):
            reflectors[k, i] = matrix[i * span + k]
            total += reflectors[k, i] * reflectors[k, i]
        diagonal, size = reflectors[k, k], math.sqrt(total)
        end = -size if diagonal > 0.0 else size
        reflectors[k, k] = diagonal - end
        factors[k] = 0.0 if total == 0.0 else 1.0 / (total - end * diagonal)
        _reflect(memory, units, reflectors[k], k, factors[k], weights)
    for k in range(columns):
        q[k * span + k] = 1.0 if matrix[k * span + k] >= 0.0 else -1.0
    for k in range(columns - 1, -1, -1):
        _reflect(result, units, reflectors[k], k, factors[k], weights)


orthonormalize = Kernel(
    _orthonormalize,
    {UNITS: types.void(NUMBER_ARRAY, types.Array(types.float64, 2, "C"), *[NUMBER_ARRAY] * 3)},
)


def find_orthonormal(matrix: Floats) -> Floats:
    """Q (rows, columns) of the QR decomposition of a matrix with no more columns than rows, with R's diagonal positive.

    By Householder's reflections, each of whose sums runs in the order of the rows. Q is orthonormal even where the
    matrix's columns are not independent.
    """
    high, wide = matrix.shape
    span = -(-wide // WIDTH) * WIDTH
    given, q = aligned_zeros(high * span), aligned_zeros(high * span)
    given.reshape(high, span)[:, :wide] = matrix
    orthonormalize(given, np.zeros((wide, high)), np.empty(wide), aligned_zeros(span), q)
    return np.ascontiguousarray(q.reshape(high, span)[:, :wide])


def _draw_orthogonal(rng: Generator, rows: int, columns: int) -> Floats:
    found = find_orthonormal(rng.standard_normal((max(rows, columns), min(rows, columns))))
    return found if rows >= columns else found.T
