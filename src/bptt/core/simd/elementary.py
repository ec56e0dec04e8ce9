"""exp, log, logistic function and tanh of vectors, without branches; NaN and infinities come out as they should."""

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from bptt.core.simd.arithmetic import absolute, copysign, fma, nearest, select, splat
from bptt.core.simd.inlining import inline
from bptt.core.simd.types import INTEGERS, VECTOR, WIDTH, vector


def _two_to_the(builder, n):
    """2ⁿ for integers −1022 ≤ n ≤ 1023 held as float64: the exponent bits are written directly."""
    # Adding 1.5·2⁵² puts the integer into the lowest bits; shifting by 52 drops all others.
    shifted = builder.fadd(n, ir.Constant(VECTOR, [6755399441055744.0] * WIDTH))
    biased = builder.add(builder.bitcast(shifted, INTEGERS), ir.Constant(INTEGERS, [1023] * WIDTH))
    return builder.bitcast(builder.shl(biased, ir.Constant(INTEGERS, [52] * WIDTH)), VECTOR)


@intrinsic
def _power_of_two(typingctx, n):
    """2ⁿ for integers −1022 ≤ n ≤ 1023 held as float64."""

    def codegen(context, builder, sig, args):
        return _two_to_the(builder, args[0])

    return vector(vector), codegen


@intrinsic
def times_power_of_two(typingctx, x, n):
    """x·2ⁿ for 1 ≤ x ≤ 2 and integers −1100 ≤ n ≤ 1100 held as float64, rounded once where the result is subnormal."""

    def codegen(context, builder, sig, args):
        if WIDTH == 8:  # AVX-512 has an instruction for it
            mask, rounding = ir.IntType(8), ir.IntType(32)
            kind = ir.FunctionType(VECTOR, [VECTOR, VECTOR, VECTOR, mask, rounding])
            scale = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.mask.scalef.pd.512")
            return builder.call(scale, [args[0], args[1], args[0], ir.Constant(mask, 255), ir.Constant(rounding, 4)])
        # Two steps: 2ⁿ itself would leave the range of exponents where the result is subnormal.
        floor = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(VECTOR, [VECTOR]), f"llvm.floor.v{WIDTH}f64"
        )
        half = builder.call(floor, [builder.fmul(args[1], ir.Constant(VECTOR, [0.5] * WIDTH))])
        once = builder.fmul(args[0], _two_to_the(builder, half))
        return builder.fmul(once, _two_to_the(builder, builder.fsub(args[1], half)))

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


_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01  # ln 2 in two parts (fdlibm): n·high is exact for |n| < 2²⁰
_LN2_LOW = 1.90821492927058770002e-10
_C = [1.0]
for _k in range(1, 14):
    _C.append(_C[-1] * _k)
_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13 = (1.0 / c for c in _C[2:])


@inline
def _exp_reduced(x):
    """(n, e^r − 1) with x = n·ln 2 + r and |r| ≤ ln 2 / 2; Taylor's series to r¹³, whose remainder is below 2⁻⁵⁷."""
    n = nearest(x * _LOG2_E)
    r = fma(n, splat(-_LN2_LOW), fma(n, splat(-_LN2_HIGH), x))
    square = r * r  # Estrin's scheme: short chains, so that neighbouring elements overlap
    fourth = square * square
    c23, c45 = fma(r, splat(_C3), splat(_C2)), fma(r, splat(_C5), splat(_C4))
    c67, c89 = fma(r, splat(_C7), splat(_C6)), fma(r, splat(_C9), splat(_C8))
    c1011, c1213 = fma(r, splat(_C11), splat(_C10)), fma(r, splat(_C13), splat(_C12))
    low, middle, high = fma(square, c45, c23), fma(square, c89, c67), fma(square, c1213, c1011)
    return n, fma(square, fma(fourth, fma(fourth, high, middle), low), r)


@inline
def exp(x):
    """e^x within 1 ulp or so; 0 and ∞ where it under- or overflows, NaN for NaN."""
    x = select(x > splat(710.0), splat(710.0), x)  # comparisons with NaN are false, so NaN passes
    x = select(x < splat(-746.0), splat(-746.0), x)
    n, p = _exp_reduced(x)
    return times_power_of_two(p + 1.0, n)


@inline
def sigmoid(x):
    """1 / (1 + e^(−x)), within 3 ulp for x ≥ −708; 0 further down, where the result would be subnormal."""
    x = select(x > splat(746.0), splat(746.0), x)
    x = select(x < splat(-710.0), splat(-710.0), x)
    n, p = _exp_reduced(-x)
    return 1.0 / (times_power_of_two(p + 1.0, n) + 1.0)


@inline
def tanh(x):
    """(e^(2x) − 1) / (e^(2x) + 1), from e^(2|x|) − 1 so that small arguments keep all their digits."""
    size = absolute(x)
    size = select(size > splat(20.0), splat(20.0), size)
    n, p = _exp_reduced(size * 2.0)
    scale = _power_of_two(n)
    less_one = fma(scale, p, scale - 1.0)
    return copysign(less_one / (less_one + 2.0), x)


@inline
def log(x):
    """ln x for positive normal x below 2¹⁰²² within 1 ulp or so (fdlibm's reduction, to 2^k·m with √½ ≤ m < √2)."""
    k = _exponent(x * 1.4142135623730951)
    m = x * _power_of_two(-k)
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
    """ln(1 + x) for 0 ≤ x ≤ 1; what rounding took from 1 + x is put back to first order."""
    u = x + 1.0
    return log(u) + (x - (u - 1.0)) / u


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
