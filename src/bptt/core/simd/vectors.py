"""The vector type: `WIDTH` float64 numbers that are computed side by side, the mask that a comparison gives, and
arithmetic on both.

What stands side by side is the kernel's choice: lanes (one run each) or rows of one batch. No operation but `total` and
`largest` mixes the numbers of a vector, none is contracted or reordered, and `fma` rounds once; so an element's bits
never depend on its neighbours.
"""

import math
import operator
import os

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, lower_cast, models, register_model
from numpy.typing import NDArray

from bptt.core.annotations import InvalidValue
from bptt.core.compiler import declare, define_operator

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


_WIDTHS = (2, 4, 8)


def _widest() -> int:
    """Numbers in a vector: 8 with AVX-512 and 4 without, or what `BPTT_SIMD_WIDTH` asks for and the processor has."""
    widest = 8 if llvmlite.binding.get_host_cpu_features().get("avx512f", False) else 4
    asked = os.environ.get("BPTT_SIMD_WIDTH", "") or str(widest)
    allowed = [str(width) for width in _WIDTHS if width <= widest]
    if asked not in allowed:
        raise InvalidValue("BPTT_SIMD_WIDTH", asked, f"this processor allows {' and '.join(allowed)}")
    return int(asked)


WIDTH = _widest()
VECTOR_BYTES = 8 * WIDTH


def aligned_zeros(*shape: int) -> NDArray[np.float64]:
    """Zeros, float64, C-contiguous, whose first element lies on a multiple of `ALIGNMENT` bytes."""
    size = math.prod(shape) * 8
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(np.float64).reshape(shape)


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"Vector({WIDTH})")


class _Mask(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"Mask({WIDTH})")


vector = _Vector()
mask = _Mask()
F64 = ir.DoubleType()
I64 = ir.IntType(64)
VECTOR = ir.VectorType(F64, WIDTH)
INTEGERS = ir.VectorType(I64, WIDTH)
BITS = ir.VectorType(ir.IntType(1), WIDTH)


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, VECTOR)


@register_model(_Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, BITS)


def splat_value(builder, number, kind=VECTOR):
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(first, undefined, zeros)


@lower_cast(types.Float, vector)
@lower_cast(types.Integer, vector)
def _number_to_vector(context, builder, fromty, toty, value):
    return splat_value(builder, context.cast(builder, value, fromty, types.float64))


def _define_operators(python_operators, instruction, result):
    """Give Python operators a meaning for vectors, and for a vector beside a number (which is broadcast)."""

    def typer(args):
        if len(args) == 2 and vector in args and all(a == vector or isinstance(a, types.Number) for a in args):
            return result(vector, vector)
        return None

    def lower(context, builder, sig, args):
        return instruction(builder, *args)

    for op in python_operators:
        define_operator(op, (vector, vector), typer, lower)


_define_operators((operator.add, operator.iadd), lambda b, x, y: b.fadd(x, y), vector)
_define_operators((operator.sub, operator.isub), lambda b, x, y: b.fsub(x, y), vector)
_define_operators((operator.mul, operator.imul), lambda b, x, y: b.fmul(x, y), vector)
_define_operators((operator.truediv, operator.itruediv), lambda b, x, y: b.fdiv(x, y), vector)
for _sign, _op in (
    ("<", operator.lt),
    ("<=", operator.le),
    (">", operator.gt),
    (">=", operator.ge),
    ("==", operator.eq),
):
    _define_operators((_op,), lambda b, x, y, sign=_sign: b.fcmp_ordered(sign, x, y), mask)


def _define_operator(python_operator, arguments, result, instruction):
    """Give a Python operator a meaning for just these arguments."""

    def typer(given):
        return result(*arguments) if given == arguments else None

    def lower(context, builder, sig, args):
        return instruction(builder, *args)

    define_operator(python_operator, arguments, typer, lower)


_define_operator(operator.neg, (vector,), vector, lambda b, x: b.fneg(x))
_define_operator(operator.and_, (mask, mask), mask, lambda b, x, y: b.and_(x, y))


def _pointwise(name: str, arity: int):
    """An intrinsic that applies LLVM's vector instruction `name` to `arity` vectors."""

    def codegen(context, builder, sig, args):
        kind = ir.FunctionType(VECTOR, [VECTOR] * arity)
        function = declare(builder, kind, f"llvm.{name}.v{WIDTH}f64")
        return builder.call(
            function, [context.cast(builder, a, t, vector) for a, t in zip(args, sig.args, strict=True)]
        )

    return codegen


@intrinsic
def fma(typingctx, x, y, z):
    """x·y + z, rounded once."""
    return vector(vector, vector, vector), _pointwise("fma", 3)


@intrinsic
def sqrt(typingctx, x):
    """The square root, correctly rounded."""
    return vector(vector), _pointwise("sqrt", 1)


@intrinsic
def floor(typingctx, x):
    """The largest whole number that is not above x."""
    return vector(vector), _pointwise("floor", 1)


@intrinsic
def absolute(typingctx, x):
    """|x|."""
    return vector(vector), _pointwise("fabs", 1)


@intrinsic
def copysign(typingctx, magnitude, sign):
    """The first argument's size with the second's sign."""
    return vector(vector, vector), _pointwise("copysign", 2)


@intrinsic
def select(typingctx, condition, yes, no):
    """`yes` where the condition holds, `no` elsewhere; the other side's NaN does not leak."""

    def codegen(context, builder, sig, args):
        return builder.select(*args)

    return vector(mask, vector, vector), codegen


@intrinsic
def splat(typingctx, number):
    """A vector of one number."""

    def codegen(context, builder, sig, args):
        return splat_value(builder, args[0])

    return vector(types.float64), codegen


def folded(builder, value, combine):
    """One number out of a vector, always in the same order: the upper half onto the lower, until one is left."""
    count = WIDTH
    while count > 1:
        count //= 2
        undefined = ir.Constant(value.type, ir.Undefined)
        half = ir.VectorType(ir.IntType(32), count)
        low = builder.shuffle_vector(value, undefined, ir.Constant(half, list(range(count))))
        high = builder.shuffle_vector(value, undefined, ir.Constant(half, list(range(count, 2 * count))))
        value = combine(low, high)
    return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))


@intrinsic
def total(typingctx, x):
    """The sum of a vector's numbers."""

    def codegen(context, builder, sig, args):
        return folded(builder, args[0], builder.fadd)

    return types.float64(vector), codegen


@intrinsic
def largest(typingctx, x):
    """The largest of a vector's numbers, none of which may be NaN."""

    def codegen(context, builder, sig, args):
        def larger(left, right):
            return builder.select(builder.fcmp_ordered(">", right, left), right, left)

        return folded(builder, args[0], larger)

    return types.float64(vector), codegen


@intrinsic
def any_of(typingctx, condition):
    """Whether the condition holds for at least one number of the vector."""

    def codegen(context, builder, sig, args):
        packed = builder.bitcast(args[0], ir.IntType(WIDTH))
        return builder.icmp_unsigned("!=", packed, ir.Constant(ir.IntType(WIDTH), 0))

    return types.boolean(mask), codegen
