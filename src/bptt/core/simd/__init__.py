"""The vector vocabulary in which the kernels are written, so that they read like scalar mathematics."""

from bptt.core.simd.arithmetic import absolute, any_of, copysign, fma, largest, nearest, select, splat, sqrt, total
from bptt.core.simd.elementary import exp, integer_power, log, log1p, sigmoid, tanh
from bptt.core.simd.inlining import inline
from bptt.core.simd.memory import load, per_run, set_gradient, store, weight
from bptt.core.simd.types import ALIGNMENT, VECTOR_BYTES, WIDTH, aligned_zeros, mask, vector

__all__ = [
    "ALIGNMENT",
    "VECTOR_BYTES",
    "WIDTH",
    "absolute",
    "aligned_zeros",
    "any_of",
    "copysign",
    "exp",
    "fma",
    "inline",
    "integer_power",
    "largest",
    "load",
    "log",
    "log1p",
    "mask",
    "nearest",
    "per_run",
    "select",
    "set_gradient",
    "sigmoid",
    "splat",
    "sqrt",
    "store",
    "tanh",
    "total",
    "vector",
    "weight",
]
