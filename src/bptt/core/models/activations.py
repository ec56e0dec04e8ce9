"""Activation functions, and their derivatives from the function's value."""

from bptt.core.layout import ACTIVATIONS
from bptt.core.simd import inline, select, sigmoid, splat, tanh

_TANH, _SIGMOID, _RELU = ACTIVATIONS["tanh"], ACTIVATIONS["sigmoid"], ACTIVATIONS["relu"]


@inline
def activate(kind, x):
    """f(x): x, tanh x, 1/(1 + e^(−x)), or max(x, 0) (NaN stays NaN)."""
    if kind == _TANH:
        return tanh(x)
    if kind == _SIGMOID:
        return sigmoid(x)
    if kind == _RELU:
        return select(x < splat(0.0), splat(0.0), x)
    return x


@inline
def slope(kind, h):
    """f′(x) where h = f(x): 1, 1 − h², h(1 − h), or 1 where h > 0 and 0 elsewhere."""
    if kind == _TANH:
        return 1.0 - h * h
    if kind == _SIGMOID:
        return h * (1.0 - h)
    if kind == _RELU:
        return select(h > splat(0.0), splat(1.0), splat(0.0))
    return splat(1.0)
