"""exp, log, logistic function and tanh of vectors, without branches; NaN and infinities come out as they should."""

from collections.abc import Sequence
from decimal import Decimal, localcontext

from llvmlite import ir
from numba.extending import intrinsic

from bptt.core.compiler import constant_table, declare, inline
from bptt.core.simd.vectors import (
    F64,
    I64,
    INTEGERS,
    VECTOR,
    WIDTH,
    absolute,
    any_of,
    copysign,
    floor,
    fma,
    select,
    splat,
    vector,
)

_STEPS = 16  # of the table of 2^(k/16)


def _of_step(values: Sequence[float]):
    """An intrinsic: of `_STEPS` values the one whose number stands in the lowest four bits of a number's mantissa."""

    @intrinsic
    def look_up(typingctx, shifted):
        def codegen(context, builder, sig, args):
            places = builder.bitcast(args[0], INTEGERS)
            if WIDTH == 8:  # two registers hold all values, and AVX-512 has an instruction for it
                kind = ir.FunctionType(VECTOR, [VECTOR, INTEGERS, VECTOR])
                permute = declare(builder, kind, "llvm.x86.avx512.vpermi2var.pd.512")
                return builder.call(permute, [ir.Constant(VECTOR, values[:8]), places, ir.Constant(VECTOR, values[8:])])
            table = constant_table(builder, "table", ir.Constant(ir.ArrayType(F64, _STEPS), values))
            places = builder.and_(places, ir.Constant(INTEGERS, [_STEPS - 1] * WIDTH))
            found = ir.Constant(VECTOR, ir.Undefined)
            for i in range(WIDTH):
                number = ir.Constant(ir.IntType(32), i)
                place = builder.extract_element(places, number)
                value = builder.load(builder.gep(table, [ir.Constant(I64, 0), place]))
                found = builder.insert_element(found, value, number)
            return found

        return vector(vector), codegen

    return look_up


def _two_to_the(builder, n):
    """2ⁿ for integers −1022 ≤ n ≤ 1023 held as float64: the exponent bits are written directly."""
    # Adding 1.5·2⁵² puts the integer into the lowest bits; shifting by 52 drops all others.
    shifted = builder.fadd(n, ir.Constant(VECTOR, [6755399441055744.0] * WIDTH))
    biased = builder.add(builder.bitcast(shifted, INTEGERS), ir.Constant(INTEGERS, [1023] * WIDTH))
    return builder.bitcast(builder.shl(biased, ir.Constant(INTEGERS, [52] * WIDTH)), VECTOR)


def _floor(builder, value):
    kind = ir.FunctionType(VECTOR, [VECTOR])
    return builder.call(declare(builder, kind, f"llvm.floor.v{WIDTH}f64"), [value])


@intrinsic
def _power_of_two(typingctx, n):
    """2ⁿ for integers −1022 ≤ n ≤ 1023 held as float64."""

    def codegen(context, builder, sig, args):
        return _two_to_the(builder, args[0])

    return vector(vector), codegen


@intrinsic
def _times_power_of_two(typingctx, x, n):
    """x·2^⌊n⌋ for 1 ≤ x ≤ 2 and −1100 ≤ n ≤ 1100, rounded once where the result is subnormal."""

    def codegen(context, builder, sig, args):
        if WIDTH == 8:  # AVX-512 has an instruction for it
            mask, rounding = ir.IntType(8), ir.IntType(32)
            kind = ir.FunctionType(VECTOR, [VECTOR, VECTOR, VECTOR, mask, rounding])
            scale = declare(builder, kind, "llvm.x86.avx512.mask.scalef.pd.512")
            return builder.call(scale, [args[0], args[1], args[0], ir.Constant(mask, 255), ir.Constant(rounding, 4)])
        # Two steps: 2ⁿ itself would leave the range of exponents where the result is subnormal.
        whole = _floor(builder, args[1])
        half = _floor(builder, builder.fmul(whole, ir.Constant(VECTOR, [0.5] * WIDTH)))
        once = builder.fmul(args[0], _two_to_the(builder, half))
        return builder.fmul(once, _two_to_the(builder, builder.fsub(whole, half)))

    return vector(vector, vector), codegen


@intrinsic
def _exponent(typingctx, x):
    """floor(log2 x) of a positive normal number, as float64."""

    def codegen(context, builder, sig, args):
        bits = builder.lshr(builder.bitcast(args[0], INTEGERS), ir.Constant(INTEGERS, [52] * WIDTH))
        # Written into the mantissa of 2⁵² the integer becomes a float64 by one subtraction.
        packed = builder.or_(bits, ir.Constant(INTEGERS, [0x4330000000000000] * WIDTH))
        return builder.fsub(builder.bitcast(packed, VECTOR), ir.Constant(VECTOR, [4503599627370496.0 + 1023.0] * WIDTH))

    return vector(vector), codegen


def _parts_of_power(k: int) -> tuple[float, float]:
    """2^(k/16) as a float64, and what is missing to it, relative to it."""
    with localcontext(prec=60):
        exact = Decimal(2) ** (Decimal(k) / _STEPS)
        rounded = Decimal(float(exact))
        return float(rounded), float((exact - rounded) / rounded)


_power, _power_rest = (_of_step(column) for column in zip(*map(_parts_of_power, range(_STEPS)), strict=True))
_SHIFT = 1.5 * 2.0**52 / _STEPS  # a number added to it is rounded to a multiple of 1/16, its sixteenths lowest
_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01  # ln 2 in two parts (fdlibm): n·high is exact for 16n < 2²⁰
_LN2_LOW = 1.90821492927058770002e-10


@inline
def _reduced(x):
    """(s, n, e^r − 1) with x = n·ln 2 + r, n a multiple of 1/16 and |r| ≤ ln 2 / 32; `_power(s)` is 2^(n − ⌊n⌋).

    Taylor's series to r⁷, whose remainder is below 2⁻⁵³ |r|.
    """
    shifted = fma(x, splat(_LOG2_E), splat(_SHIFT))
    n = shifted - _SHIFT
    r = fma(n, splat(-_LN2_LOW), fma(n, splat(-_LN2_HIGH), x))
    square = r * r  # Estrin's scheme: short chains, so that neighbouring elements overlap
    c23, c45 = fma(r, splat(1.0 / 6.0), splat(0.5)), fma(r, splat(1.0 / 120.0), splat(1.0 / 24.0))
    c67 = fma(r, splat(1.0 / 5040.0), splat(1.0 / 720.0))
    return shifted, n, fma(square, fma(square, fma(square, c67, c45), c23), r)


@inline
def exp(x):
    """e^x within 1.1 ulp; 0 and ∞ where it under- or overflows, NaN for NaN."""
    x = select(x > splat(710.0), splat(710.0), x)  # comparisons with NaN are false, so NaN passes
    x = select(x < splat(-746.0), splat(-746.0), x)
    shifted, n, p = _reduced(x)
    power = _power(shifted)
    return _times_power_of_two(fma(power, p, power), n)


@inline
def sigmoid(x):
    """1 / (1 + e^(−x)), within 3 ulp for x ≥ −708; 0 further down, where the result would be subnormal."""
    return 1.0 / (exp(-x) + 1.0)


@inline
def tanh(x):
    """(e^(2x) − 1) / (e^(2x) + 1) within 3 ulp, from e^(2|x|) − 1 so that small arguments keep all their digits."""
    size = absolute(x)
    size = select(size > splat(20.0), splat(20.0), size)
    shifted, n, p = _reduced(size + size)
    power = _times_power_of_two(_power(shifted), n)
    less_one = fma(power, p + _power_rest(shifted), power - 1.0)
    return copysign(less_one / (less_one + 2.0), x)


@inline
def split(x):
    """(k, m) with x = 2^k·m, k an integer and √½ ≤ m < √2, for positive normal x below 2¹⁰²²."""
    k = _exponent(x * 1.4142135623730951)
    return k, x * _power_of_two(-k)


@inline
def log(x):
    """ln x for positive normal x below 2¹⁰²² within 1 ulp or so."""
    k, m = split(x)
    return scaled_log(k, m)


@inline
def scaled_log(k, m):
    """ln(2^k·m) for k and m as `split` gives them (fdlibm's way)."""
    f = m - 1.0
    s = f / (m + 1.0)
    z = s * s
    p = fma(z, splat(1.0 / 19.0), splat(1.0 / 17.0))
    p = fma(z, p, splat(1.0 / 15.0))
    p = fma(z, p, splat(1.0 / 13.0))
    p = fma(z, p, splat(1.0 / 11.0))
    p = fma(z, p, splat(1.0 / 9.0))
    p = fma(z, p, splat(1.0 / 7.0))
    p = fma(z, p, splat(1.0 / 5.0))
    p = fma(z, p, splat(1.0 / 3.0))
    # ln m = 2·artanh(s) = f − s·(f − 2z·p): f itself carries the leading digits
    tail = fma(s, f - (z + z) * p, k * -_LN2_LOW)
    return fma(k, splat(_LN2_HIGH), f - tail)


@inline
def log1p(x):
    """ln(1 + x) for 0 ≤ x ≤ 1 within 2 ulp: 2·artanh(s) with s = x / (2 + x) ≤ 1/3, written so that x leads.

    2s = x − s·x, and p is (artanh(s)/s − 1)/s² as a polynomial in s², interpolated at Chebyshev's points on [0, 1/9]
    within 2⁻⁵³.
    """
    s = x / (x + 2.0)
    z = s * s
    square = z * z
    c01 = fma(z, splat(0.20000000000007292), splat(1.0 / 3.0))
    c23 = fma(z, splat(0.11111111358713932), splat(0.1428571428355438))
    c45 = fma(z, splat(0.07692785032479312), splat(0.09090894718066429))
    c67 = fma(z, splat(0.06000536404795356), splat(0.06657072104827468))
    c89 = fma(z, splat(0.08082022805971766), splat(0.04400369243072337))
    fourth = square * square
    p = fma(fourth, fma(fourth, c89, fma(square, c67, c45)), fma(square, c23, c01))
    return fma(-s, x - (z + z) * p, x)


@inline
def integer_power(x, n):
    """xⁿ for n ≥ 0, by squaring."""
    result = splat(1.0)
    while n > 0:
        if n % 2 == 1:
            result = result * x
        x = x * x
        n //= 2
    return result


@inline
def whole_power(x, n):
    """xⁿ for whole numbers 0 ≤ n ≤ 2⁵³, one of each lane, by squaring; larger ones count as 2⁵³."""
    result = splat(1.0)
    n = select(n < splat(2.0**53), n, splat(2.0**53))  # ∞, as where a lane is not there, would never become 0
    while any_of(n > splat(0.0)):  # a lane whose n has become 0 keeps its result
        half = floor(n * 0.5)
        result = select(n > half + half, result * x, result)
        x = x * x
        n = half
    return result


@inline
def cosine_arch(x):
    """(1 + cos πx) / 2 for 0 ≤ x ≤ 1 within 2 ulp of 1: 1 − q or q, with q = sin²(πy/2) of y = min(x, 1 − x) ≤ ½.

    The sine is Taylor's series to z¹⁵ of z ≤ π/4, whose remainder is below 10⁻¹⁶ z.
    """
    first = x <= splat(0.5)
    z = 1.5707963267948966 * select(first, x, 1.0 - x)
    square = z * z
    p = fma(square, splat(-1.0 / 1307674368000.0), splat(1.0 / 6227020800.0))
    p = fma(square, p, splat(-1.0 / 39916800.0))
    p = fma(square, p, splat(1.0 / 362880.0))
    p = fma(square, p, splat(-1.0 / 5040.0))
    p = fma(square, p, splat(1.0 / 120.0))
    p = fma(square, p, splat(-1.0 / 6.0))
    sine = fma(square * p, z, z)
    q = sine * sine
    return select(first, 1.0 - q, q)
