"""Directions in state space that Jacobians turn, and that are made orthogonal again: QR of many small matrices at once.

LAPACK's call for each 16 × 16 matrix costs more than its arithmetic. Here a vector holds one number of several systems,
as in the core, and Householder's reflections (Golub & Van Loan, "Matrix Computations", 5.2) are done to all of them; so
none depends on those beside it. It is little code, which every process that asks for it compiles for itself.
"""

import numpy as np

from bptt.core.sequences import Floats
from bptt.core.simd import (
    WIDTH,
    absolute,
    aligned_zeros,
    copysign,
    fma,
    inline,
    kernel,
    load,
    pointer_to,
    select,
    set_number,
    splat,
    sqrt,
    store,
    vectors_at,
)


@inline
def _multiply(into, left, right, size):
    """Set into = left · right, of matrices of vectors; four columns at a time, which share what they load."""
    for i in range(size):
        j = 0
        while j + 4 <= size:
            a, b, c, d = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
            for k in range(size):
                factor, row = load(left, i * size + k), k * size + j
                a = fma(factor, load(right, row), a)
                b = fma(factor, load(right, row + 1), b)
                c = fma(factor, load(right, row + 2), c)
                d = fma(factor, load(right, row + 3), d)
            place = i * size + j
            store(into, place, a)
            store(into, place + 1, b)
            store(into, place + 2, c)
            store(into, place + 3, d)
            j += 4
        while j < size:
            a = splat(0.0)
            for k in range(size):
                a = fma(load(left, i * size + k), load(right, k * size + j), a)
            store(into, i * size + j, a)
            j += 1


@inline
def _reflect(matrix, mirror, factor, size, i, first):
    """Rows i and on of a matrix's columns `first` and on, less factor · u uᵀ of them; u is column i of `mirror`."""
    j = first
    while j + 4 <= size:
        a, b, c, d = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
        for k in range(i, size):
            u, row = load(mirror, k * size + i), k * size + j
            a = fma(u, load(matrix, row), a)
            b = fma(u, load(matrix, row + 1), b)
            c = fma(u, load(matrix, row + 2), c)
            d = fma(u, load(matrix, row + 3), d)
        a, b, c, d = -(factor * a), -(factor * b), -(factor * c), -(factor * d)
        for k in range(i, size):
            u, row = load(mirror, k * size + i), k * size + j
            store(matrix, row, fma(u, a, load(matrix, row)))
            store(matrix, row + 1, fma(u, b, load(matrix, row + 1)))
            store(matrix, row + 2, fma(u, c, load(matrix, row + 2)))
            store(matrix, row + 3, fma(u, d, load(matrix, row + 3)))
        j += 4
    while j < size:
        a = splat(0.0)
        for k in range(i, size):
            a = fma(load(mirror, k * size + i), load(matrix, k * size + j), a)
        a = -(factor * a)
        for k in range(i, size):
            store(matrix, k * size + j, fma(load(mirror, k * size + i), a, load(matrix, k * size + j)))
        j += 1


@inline
def _triangulate(made, factors, lengths, size):
    """Part made = Q T: its columns become the mirrors' u, and |T_ii| goes to lengths."""
    zero, one = splat(0.0), splat(1.0)
    for i in range(size):
        top = zero
        for k in range(i, size):
            part = absolute(load(made, k * size + i))
            top = select(part <= top, top, part)  # NaN stays
        scale, square = select(top == zero, one, top), zero
        for k in range(i, size):
            part = load(made, k * size + i) / scale
            square = fma(part, part, square)
            store(made, k * size + i, part)
        length, head = sqrt(square), load(made, i * size + i)
        store(lengths, i, length * top)
        store(made, i * size + i, head + copysign(length, head))
        reach = length * (length + absolute(head))
        factor = select(reach == zero, zero, one / reach)
        store(factors, i, factor)
        _reflect(made, made, factor, size, i, i + 1)


@inline
def _form(directions, made, factors, size):
    """The orthogonal Q of which `_triangulate` left the mirrors."""
    for k in range(size * size):
        store(directions, k, splat(0.0))
    for i in range(size):
        store(directions, i * size + i, splat(1.0))
    for i in range(size - 1, -1, -1):
        _reflect(directions, made, load(factors, i), size, i, i)


@kernel
def _turn_all(jacobians, directions, lengths, room):
    count, size = jacobians.shape[0], jacobians.shape[1]
    square = size * size
    taken = pointer_to(room)
    made, factors = vectors_at(taken, square), vectors_at(taken, 2 * square)
    for first in range(0, count, WIDTH):
        for lane in range(min(WIDTH, count - first)):
            for i in range(size):
                for j in range(size):
                    set_number(taken, i * size + j, lane, jacobians[first + lane, i, j])
        block = first // WIDTH
        own = vectors_at(pointer_to(directions), block * square)
        _multiply(made, taken, own, size)
        _triangulate(made, factors, vectors_at(pointer_to(lengths), block * size), size)
        _form(own, made, factors, size)


class Directions:
    """S orthonormal directions for each of some systems, as columns of Q, and how they grow.

    `turn` with J_t makes Q_t T_t = J_t Q_{t−1}, T_t upper triangular; `growth` is Σ_t ln |T_t,ii| since `forget`.
    """

    def __init__(self, count: int, size: int) -> None:
        """Of `count` systems of `size` numbers each; Q_0 is the identity."""
        blocks = -(-count // WIDTH)
        self._count, self._size = count, size
        self._directions = aligned_zeros(blocks * size * size, WIDTH)
        self._directions.reshape(blocks, size, size, WIDTH)[:, range(size), range(size)] = 1.0
        self._lengths, self._room = aligned_zeros(blocks * size, WIDTH), aligned_zeros(2 * size * size + size, WIDTH)
        self._growth = np.zeros((count, size))

    def turn(self, jacobians: Floats) -> None:
        """jacobians: (count, S, S)."""
        _turn_all(np.ascontiguousarray(jacobians, np.float64), self._directions, self._lengths, self._room)
        lengths = self._lengths.reshape(-1, self._size, WIDTH).transpose(0, 2, 1).reshape(-1, self._size)
        with np.errstate(divide="ignore"):
            self._growth += np.log(lengths[: self._count])

    def forget(self) -> None:
        """Let the growth be 0, and keep the directions."""
        self._growth[:] = 0.0

    @property
    def growth(self) -> Floats:
        """(count, S)."""
        return self._growth.copy()

    @property
    def orthonormal(self) -> Floats:
        """Q, (count, S, S)."""
        of_lanes = self._directions.reshape(-1, self._size, self._size, WIDTH).transpose(0, 3, 1, 2)
        return np.array(of_lanes.reshape(-1, self._size, self._size)[: self._count])
