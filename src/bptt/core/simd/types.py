"""The vector type: `WIDTH` float64 numbers that are computed side by side, and the mask that a comparison gives.

What stands side by side is the kernel's choice: lanes (one run each) or rows of one batch.
"""

import math
import os

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import lower_cast, models, register_model
from numpy.typing import NDArray

from bptt.core.annotations import InvalidValue

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
