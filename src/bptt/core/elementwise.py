"""Functions of every number of an array, with the same bits on every machine, which NumPy's may not have.

They are written in the vocabulary of vectors, with explicit fused multiply-adds, and so hang neither on the C library
nor on the width of a vector.
"""

import numpy as np
from numba import types
from numpy.typing import NDArray

from bptt.core.kernel import LANES, VECTOR_ARRAY, Kernel
from bptt.core.simd import (
    WIDTH,
    absolute,
    aligned_zeros,
    copysign,
    exp,
    fma,
    inline,
    load,
    log,
    pointer_to,
    scaled_log,
    select,
    splat,
    split,
    sqrt,
    store,
)

#: Above this size `compute_sine` would lose digits.
LARGEST_ANGLE = 2.0**30

_TWO_OVER_PI = 0.6366197723675814
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33)  # π/2 is their sum, to 2⁻¹⁶⁰
_TO_INTEGER = 1.5 * 2.0**52  # a number added to it is rounded to an integer
# Minimax polynomials of sin and cos over |x| ≤ π/4 (fdlibm, k_sin.c and k_cos.c), the highest power first.
_SINE = (
    *(1.58969099521155010221e-10, -2.50507602534068634195e-08, 2.75573137070700676789e-06),
    *(-1.98412698298579493134e-04, 8.33333333332248946124e-03),
)
_SINE_CUBIC = -1.66666666666666324348e-01
_COSINE = (
    *(-1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07),
    *(2.48015872894767294178e-05, -1.38888888888741095749e-03, 4.16666666666666019037e-02),
)
# Wichura 1988, "Algorithm AS 241: The Percentage Points of the Normal Distribution", PPND16: numerators and
# denominators, the highest power first, around the middle, further out, and in the tails.
_MIDDLE = (
    (
        *(2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457),
        *(13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    ),
    (
        *(5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867),
        *(5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
    ),
)
_OUTER = (
    (
        *(7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258),
        *(3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    ),
    (
        *(1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459),
        *(0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
    ),
)
_TAIL = (
    (
        *(2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093),
        *(0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    ),
    (
        *(2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4),
        *(0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
    ),
)


@inline
def _polynomial(x, coefficients):
    """Horner's scheme, the highest power's coefficient first."""
    result = splat(coefficients[0])
    for coefficient in coefficients[1:]:
        result = fma(result, x, splat(coefficient))
    return result


@inline
def _sine(x):
    """sin x within 1 ulp for |x| ≤ `LARGEST_ANGLE`: x − k·π/2 in two parts, then a polynomial."""
    k = fma(x, splat(_TWO_OVER_PI), splat(_TO_INTEGER)) - _TO_INTEGER
    first = fma(-k, splat(_HALF_PI[0]), x)  # exact: a multiple of 2⁻⁵² below 1
    second = k * _HALF_PI[1]
    rest = fma(k, splat(_HALF_PI[1]), -second)
    high = first - second
    less = high - first  # Knuth's sum: high and `lost` together are first − second
    lost = (first - (high - less)) - (second + less)
    low = fma(-k, splat(_HALF_PI[2]), lost - rest)
    square = high * high
    cube = square * high
    half = low * 0.5
    correction = square * (half - cube * _polynomial(square, _SINE)) - low
    sine = high - (correction - cube * _SINE_CUBIC)
    halved = square * 0.5
    leading = 1.0 - halved
    small = ((1.0 - leading) - halved) + (square * (square * _polynomial(square, _COSINE)) - high * low)
    cosine = leading + small
    quarter = k - ((k * 0.25 - 0.375 + _TO_INTEGER) - _TO_INTEGER) * 4.0  # of the circle: 0, 1, 2 or 3
    odd = (quarter == splat(1.0), quarter == splat(3.0))
    value = select(odd[0], cosine, select(odd[1], cosine, sine))
    value = select(absolute(x) < splat(2.0**-26), x, value)  # 0 keeps its sign
    return select(quarter >= splat(2.0), -value, value)


@inline
def _ratio(x, polynomials):
    return _polynomial(x, polynomials[0]) / _polynomial(x, polynomials[1])


@inline
def normal_quantile(p):
    """x with Φ(x) = p, for 0 < p < 1, within 4 ulp or 1e-16."""
    q = p - 0.5
    middle = q * _ratio(fma(-q, q, splat(0.180625)), _MIDDLE)
    least = select(q < splat(0.0), p, 1.0 - p)
    r = sqrt(-log(least))
    outer = select(r <= splat(5.0), _ratio(r - 1.6, _OUTER), _ratio(r - 5.0, _TAIL))
    return select(absolute(q) <= splat(0.425), middle, copysign(outer, q))


@inline
def log_of_any(x):
    """ln x within 1 ulp or so, of any number: subnormal and very large ones are moved by a power of two first."""
    low, high = x < splat(2.0**-1022), x > splat(2.0**1021)
    scaled = x * select(low, splat(2.0**54), select(high, splat(2.0**-54), splat(1.0)))
    k, m = split(scaled)
    found = scaled_log(k - select(low, splat(54.0), select(high, splat(-54.0), splat(0.0))), m)
    found = select(x == splat(np.inf), x, select(x == splat(0.0), splat(-np.inf), found))
    return select(x >= splat(0.0), found, splat(np.nan))


Numbers = NDArray[np.float64]
_SIGNATURE = {LANES: types.void(*[VECTOR_ARRAY] * 2)}


def _exp_each(given, found):
    source, target = pointer_to(given), pointer_to(found)
    for i in range(given.shape[0]):
        store(target, i, exp(load(source, i)))


def _log_each(given, found):
    source, target = pointer_to(given), pointer_to(found)
    for i in range(given.shape[0]):
        store(target, i, log_of_any(load(source, i)))


def _sine_each(given, found):
    source, target = pointer_to(given), pointer_to(found)
    for i in range(given.shape[0]):
        store(target, i, _sine(load(source, i)))


exp_each = Kernel(_exp_each, _SIGNATURE)
log_each = Kernel(_log_each, _SIGNATURE)
sine_each = Kernel(_sine_each, _SIGNATURE)


def _apply(kernel: Kernel, x: Numbers) -> Numbers:
    """What a kernel makes of each number."""
    source = aligned_zeros(-(-x.size // WIDTH), WIDTH)
    source.reshape(-1)[: x.size] = x.ravel()
    found = aligned_zeros(*source.shape)
    kernel.compile(LANES).entry_point(source, found)
    return found.reshape(-1)[: x.size].reshape(x.shape)


def add_up(numbers: Numbers) -> Numbers:
    """Sums (…) along the last axis of numbers (…, n), n ≥ 1, from the first on; ±∞ where they are too large."""
    with np.errstate(over="ignore", invalid="ignore"):
        found: Numbers = np.cumsum(numbers, axis=-1)[..., -1]
    return found


def compute_exp(x: Numbers) -> Numbers:
    """e^x, of the shape of x, within 1.1 ulp."""
    return _apply(exp_each, x)


def compute_log(x: Numbers) -> Numbers:
    """ln x, of the shape of x, within 1 ulp or so; −∞ of 0, NaN of what is below 0."""
    return _apply(log_each, x)


def compute_sine(x: Numbers) -> Numbers:
    """sin x, of the shape of x, in radians, within 1 ulp; NaN of what is not finite.

    Raises ValueError where a size is above `LARGEST_ANGLE`.
    """
    finite = np.isfinite(x)
    if (np.abs(x[finite]) > LARGEST_ANGLE).any():
        raise ValueError(f"the sine of more than {LARGEST_ANGLE:g} is not computed")
    return np.where(finite, _apply(sine_each, np.where(finite, x, 0.0)), np.nan)
