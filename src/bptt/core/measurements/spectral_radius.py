"""The spectral radius of the matrix that takes a state to the next: the largest |eigenvalue|.

lim ‖A^m‖^(1/m) (Gelfand 1941, "Normierte Ringe") at m = 2⁵⁰: the matrix is squared and scaled by a power of two, again
and again. A large one is squared until few of its eigenvectors are left: as soon as all rows of A^m are, to the last
bits, combinations of a few orthonormal ones Q, the largest eigenvalues of A are those of the small Q A Qᵀ (Rayleigh and
Ritz; Halko, Martinsson & Tropp 2011 on finding Q by random combinations). That is one squaring in six.
"""

import math
from functools import cache
from typing import Any, ClassVar, Final

import numpy as np
from numba import types

from bptt.core.elementwise import add_up
from bptt.core.kernel import NUMBER_ARRAY, UNITS, VECTOR_ARRAY, Kernel, call_product
from bptt.core.measurements.measurement import Measurement, Snapshot
from bptt.core.parameters import Parameter
from bptt.core.products import product
from bptt.core.random import Generator
from bptt.core.sequences import Floats
from bptt.core.simd import (
    WIDTH,
    absolute,
    aligned_zeros,
    elements_at,
    exp,
    inline,
    largest,
    load,
    log,
    number_of,
    pointer_to,
    select,
    set_number,
    splat,
    store,
    vectors_at,
)
from bptt.core.simd.sums import norm

_LN_2 = 0.6931471805599453
_SQUARINGS = 50  # of ‖A^m‖ ≤ c·ρ^m, the m-th root of c is then below 1 + 10⁻¹⁵ ln c
_SMALL = 128  # a matrix up to this size is squared to the end
_FEW = 64  # rows of Q at most
_FEW_UNITS = _FEW // WIDTH
_FIRST, _LAST = 7, 16  # squarings after which Q is looked for; with 2¹⁶ what is left is as good as of one size
_MOST_GROWTH = 12.0  # log₂ of ‖A^m‖ / ρ^m: above, eigenvalues are too sensitive for Q, whose error it magnifies
_EPSILON = 2.0**-52


@inline
def _largest(matrix, count):
    """The largest |a| of `count` vectors, none of which is NaN."""
    top, other, i = splat(0.0), splat(0.0), 0
    while i + 1 < count:  # two at a time, so that the one does not wait for the other
        first, second = absolute(load(matrix, i)), absolute(load(matrix, i + 1))
        top, other = select(first > top, first, top), select(second > other, second, other)
        i += 2
    if i < count:
        last = absolute(load(matrix, i))
        top = select(last > top, last, top)
    return largest(select(other > top, other, top))


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


@inline
def _scale(matrix, count, exponent):
    """Times 2^−exponent."""
    factor = splat(math.ldexp(1.0, -exponent))
    for i in range(count):
        store(matrix, i, load(matrix, i) * factor)


@inline
def _multiply(multiply, into, into_units, left, left_row, right, right_units, rows, terms, onto):
    """into = left · right, or onto what stands there: so many rows, `into_units` vectors each."""
    call_product(
        multiply,
        (into, into_units, 1, left, left_row, 1, right, right_units, 1, rows, terms, into_units, onto),
    )


@inline
def _limit(multiply, power, square, size, units):
    """Gelfand's limit of what stands at `power`, rows of so many vectors; `square` is room for as many."""
    span, count, level, weight = units * WIDTH, size * units, 0.0, 1.0
    for _ in range(_SQUARINGS):
        top = _largest(power, count)
        if top == 0.0:
            break
        _, exponent = math.frexp(top)
        _scale(power, count, exponent)
        left, right = elements_at(power, 0), vectors_at(power, 0)
        _multiply(multiply, vectors_at(square, 0), units, left, span, right, units, size, size, False)
        level += weight * exponent
        weight *= 0.5
        power, square = square, power
    return _root(_norm(power, size, span), level, weight)


@inline
def _root(norm_of_power, level, weight):
    """‖A^m‖^(1/m) where weight = 1/m and A^m = 2^(m·level) times what the norm is of."""
    found = 0.0
    if norm_of_power > 0.0:
        whole = math.floor(level)
        part = exp(splat((level - whole) * _LN_2) + log(splat(norm_of_power)) * weight)
        found = math.ldexp(largest(part), int(whole))
    return found


@inline
def _log2(x):
    mantissa, exponent = math.frexp(x)
    return exponent + largest(log(splat(mantissa))) / _LN_2


@inline
def _project(multiply, q, turned, factors, j, size, units):
    """Take from row j of q its part along the rows before."""
    if j > 0:
        own, columns = elements_at(q, j * units * WIDTH), vectors_at(turned, 0)
        _multiply(multiply, vectors_at(factors, 0), _FEW_UNITS, own, size, columns, _FEW_UNITS, 1, size, False)
        for i in range(_FEW_UNITS):
            store(factors, i, -load(factors, i))
        row, before = vectors_at(q, j * units), vectors_at(q, 0)
        _multiply(multiply, row, units, elements_at(factors, 0), _FEW, before, units, 1, j, True)


@inline
def _find_rows(multiply, power, size, units, signs, q, turned, factors):
    """Orthonormal rows q of which the rows of a matrix are combinations, to the last bits: how many; 0: too many.

    turned (size, _FEW): the same, transposed, and zeros. Gram and Schmidt's way, twice, of random combinations of rows.
    """
    span = units * WIDTH
    combined, rows = elements_at(signs, 0), vectors_at(power, 0)
    _multiply(multiply, vectors_at(q, 0), units, combined, size, rows, units, _FEW, size, False)
    for i in range(size * _FEW_UNITS):
        store(turned, i, splat(0.0))
    least = 0.0
    for j in range(_FEW):
        least = max(least, largest(norm(q, j * units, size)))
    least *= size * _EPSILON
    for j in range(_FEW):
        _project(multiply, q, turned, factors, j, size, units)
        for again in range(2):
            _project(multiply, q, turned, factors, j, size, units)
            length = norm(q, j * units, size)
            if again == 0 and largest(length) <= least:
                return j
            for i in range(j * units, (j + 1) * units):
                store(q, i, load(q, i) / length)
        for i in range(size):
            set_number(turned, i * _FEW + j, 0, number_of(q, j * span + i, 0))
    return 0


@inline
def _large_limit(multiply, room, size, units, signs):
    """`_limit` of a large matrix, which stands at the beginning of `room`."""
    span, count, level, weight, shift, found = units * WIDTH, size * units, 0.0, 1.0, 0, -1.0
    power, square, original = room, elements_at(room, count * WIDTH), elements_at(room, 2 * count * WIDTH)
    q = elements_at(room, 3 * count * WIDTH)
    made, turned = elements_at(q, _FEW * span), elements_at(q, 2 * _FEW * span)
    factors = elements_at(turned, size * _FEW)
    small = elements_at(factors, _FEW)
    small_square = elements_at(small, _FEW * _FEW)
    for k in range(_SQUARINGS):
        top = _largest(power, count)
        if top == 0.0 or found >= 0.0:
            break
        _, exponent = math.frexp(top)
        _scale(power, count, exponent)
        if k == 0:
            shift = exponent
            for i in range(count):
                store(original, i, load(power, i))
        left, right = elements_at(power, 0), vectors_at(power, 0)
        _multiply(multiply, vectors_at(square, 0), units, left, span, right, units, size, size, False)
        level += weight * exponent
        weight *= 0.5
        power, square = square, power
        rows = 0
        if _FIRST <= k + 1 <= _LAST:
            rows = _find_rows(multiply, power, size, units, signs, q, turned, factors)
        if rows > 0:
            left, right = elements_at(q, 0), vectors_at(original, 0)
            _multiply(multiply, vectors_at(made, 0), units, left, span, right, units, rows, size, False)
            left, right = elements_at(made, 0), vectors_at(turned, 0)
            _multiply(multiply, vectors_at(small, 0), _FEW_UNITS, left, span, right, _FEW_UNITS, rows, size, False)
            radius = _limit(multiply, small, small_square, rows, _FEW_UNITS)
            if radius > 0.0:
                growth = (level - shift - _log2(radius)) / weight + _log2(_norm(power, size, span))
                if growth <= _MOST_GROWTH:
                    found = math.ldexp(radius, shift)
    return found if found >= 0.0 else _root(_norm(power, size, span), level, weight)


@inline
def _copy(flat, n, first, row, size, span, room):
    """Write matrix n to rows of whole vectors; whether all its numbers are finite."""
    finite = True
    for i in range(size):
        for j in range(size):
            number = flat[n, first + i * row + j]
            finite = finite and number - number == 0.0
            set_number(room, i * span + j, 0, number)
    return finite


def _radii(multiply, flat, first, row, size, signs_array, room_array, result):
    room, signs = pointer_to(room_array), pointer_to(signs_array)
    units = (size + WIDTH - 1) // WIDTH
    span = units * WIDTH
    for n in range(flat.shape[0]):
        if not _copy(flat, n, first, row, size, span, room):
            result[n] = np.nan
        elif size <= _SMALL:
            result[n] = _limit(multiply, room, elements_at(room, size * span), size, units)
        else:
            result[n] = _large_limit(multiply, room, size, units, signs)


_INTEGER = types.int64
#: radii_of(product's address, numbers (N, …), where a matrix begins in a row, from row to row, its size, signs, room,
#: result (N,))
radii_of = Kernel(
    _radii, {UNITS: types.void(_INTEGER, VECTOR_ARRAY, _INTEGER, _INTEGER, _INTEGER, *[NUMBER_ARRAY] * 3)}
)


@cache
def _draw_signs(size: int) -> Floats:
    """(_FEW · size,): of random combinations, the same everywhere."""
    drawn = Generator(np.random.SeedSequence(size)).integers(2, size=_FEW * size)
    return 2.0 * drawn - 1.0


def _make_room(size: int) -> Floats:
    """What matrices of a size need, one after the other."""
    span = -(-size // WIDTH) * WIDTH
    large = 3 * size * span + 2 * _FEW * span + size * _FEW + _FEW + 2 * _FEW * _FEW
    return aligned_zeros(2 * size * span if size <= _SMALL else large)


def spectral_radii(matrices: Floats) -> Floats:
    """(N,): the largest |eigenvalue| of each matrix (N, n, n); NaN where it is not finite."""
    size = matrices.shape[1]
    flat = np.ascontiguousarray(matrices, np.float64).reshape(len(matrices), size * size)
    return _find_radii(flat, 0, size, size)


def _find_radii(flat: Floats, first: int, row: int, size: int) -> Floats:
    """(N,) of matrices that begin at place `first` of each row of flat (N, …), from row to row so many numbers."""
    radii, signs = np.empty(len(flat)), _draw_signs(size) if size > _SMALL else np.empty(0)
    radii_of.compile(UNITS).entry_point(product.address(UNITS), flat, first, row, size, signs, _make_room(size), radii)
    return radii


def spectral_radius(model: Any, blocks: tuple[Parameter, ...], flat: Floats) -> Floats:
    """weights/spectral_radius: the largest |eigenvalue| of the state-to-state matrix; of a stack's layers the largest.

    flat (lanes, P) gives (lanes,). The matrix is R (H, H); for LSTM and GRU the block of the candidate (gate g or n),
    for Jordan's network V R: from state to output and back. NaN where that is not finite.
    """
    own, hidden, largest = {block.name: block for block in blocks}, model.hidden_size, np.zeros(len(flat))
    flat = np.ascontiguousarray(flat, np.float64)
    for layer in range(model.layers):
        recurrent = own[f"cell.{layer}.recurrent"]
        if model.cell.feedback:
            radii = spectral_radii(_write_back(recurrent, own.get("readout.weight"), flat))
        else:
            gate = 2 * hidden if model.cell.gates > 1 else 0
            radii = _find_radii(flat, recurrent.first + gate, recurrent.shape[-1], hidden)
        largest = np.maximum(largest, radii)
    return largest


def _write_back(recurrent: Parameter, readout: Parameter | None, flat: Floats) -> Floats:
    """(lanes, H, H): V R of a network whose output is fed back; without a read-out R."""
    (matrices, *written) = (
        flat[:, block.first : block.first + block.size].reshape(-1, *block.shape)
        for block in (recurrent, readout)
        if block is not None
    )
    if not written:
        return matrices
    with np.errstate(over="ignore", invalid="ignore"):  # a diverging run's weights may be that large
        parts = [written[0][:, :, o, None] * matrices[:, o, None] for o in range(written[0].shape[2])]
        return add_up(np.stack(parts, -1))


class SpectralRadius:
    """weights/spectral_radius of every lane."""

    names: ClassVar[tuple[str, ...]] = ("weights/spectral_radius",)
    kernels: ClassVar[tuple[tuple[Kernel, str], ...]] = ((product, UNITS), (radii_of, UNITS))

    def measure(self, lanes: Snapshot) -> dict[str, Floats]:
        return {self.names[0]: spectral_radius(lanes.runs[0].model, lanes.blocks, lanes.parameters)}


MEASUREMENT: Final[Measurement] = SpectralRadius()
