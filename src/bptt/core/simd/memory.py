"""Between memory and vectors. Memory is a C-contiguous float64 array of shape (n, WIDTH) at a multiple of the vector's
size (`aligned_zeros`); a vector's address is its row. Kernels check nothing: `kernel.check_memory` does, before.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from bptt.core.simd.arithmetic import folded
from bptt.core.simd.types import I64, VECTOR, VECTOR_BYTES, WIDTH, splat_value, vector


def _pointer(context, builder, sig, args, numbers):
    """The address of element `args[1]` of array `args[0]`, an element being so many numbers."""
    array = context.make_array(sig.args[0])(context, builder, args[0])
    index = context.cast(builder, args[1], sig.args[1], types.intp)
    return builder.gep(array.data, [builder.mul(index, ir.Constant(I64, numbers))])


def _load(builder, pointer):
    value = builder.load(builder.bitcast(pointer, VECTOR.as_pointer()))
    value.align = VECTOR_BYTES
    return value


def _store(builder, pointer, value):
    builder.store(value, builder.bitcast(pointer, VECTOR.as_pointer())).align = VECTOR_BYTES


@intrinsic
def load(typingctx, memory, index):
    """The vector memory[index]."""

    def codegen(context, builder, sig, args):
        return _load(builder, _pointer(context, builder, sig, args, WIDTH))

    return vector(memory, index), codegen


@intrinsic
def store(typingctx, memory, index, value):
    """memory[index] = value."""

    def codegen(context, builder, sig, args):
        _store(builder, _pointer(context, builder, sig, args, WIDTH), args[2])
        return context.get_dummy_value()

    return types.void(memory, index, vector), codegen


@intrinsic
def weight(typingctx, theta, p):
    """Parameter p: theta[p], a number of each lane's (P, WIDTH); or one run's theta[p] for all rows (P,)."""
    lanes = theta.ndim == 2

    def codegen(context, builder, sig, args):
        pointer = _pointer(context, builder, sig, args, WIDTH if lanes else 1)
        return _load(builder, pointer) if lanes else splat_value(builder, builder.load(pointer))

    return vector(theta, p), codegen


@intrinsic
def set_gradient(typingctx, gradient, p, value):
    """Parameter p's gradient: each number to its lane (P, WIDTH), or their sum over the rows to the one run's (P,)."""
    lanes = gradient.ndim == 2

    def codegen(context, builder, sig, args):
        pointer = _pointer(context, builder, sig, args, WIDTH if lanes else 1)
        if lanes:
            _store(builder, pointer, args[2])
        else:
            builder.store(folded(builder, args[2], builder.fadd), pointer)
        return context.get_dummy_value()

    return types.void(gradient, p, vector), codegen


@intrinsic
def per_run(typingctx, theta, value):
    """What a sum over vectors means for each run: as it is where lanes stand side by side, folded where rows do."""
    lanes = theta.ndim == 2

    def codegen(context, builder, sig, args):
        return args[1] if lanes else splat_value(builder, folded(builder, args[1], builder.fadd))

    return vector(theta, vector), codegen
