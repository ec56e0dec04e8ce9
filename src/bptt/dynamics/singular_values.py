"""The singular values of the Jacobian over a whole sequence: how much the best and the worst direction grow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt.core.sequences import Floats
from bptt.dynamics.networks import Networks


@dataclass(frozen=True)
class SingularValues:
    """Of each network and sequence.

    values     (lanes, N, S), the largest first
    condition  (lanes, N): the largest over the smallest, ∞ where that is 0
    """

    values: Floats
    condition: Floats

    @property
    def largest(self) -> Floats:
        """(lanes, N)."""
        return self.values[..., 0]

    @property
    def smallest(self) -> Floats:
        """(lanes, N)."""
        return self.values[..., -1]


def jacobian_singular_values(
    model: Any, parameters: Mapping[str, Any], x: Any, *, state: Any = None, lengths: Any = None
) -> SingularValues:
    """The singular values of ∂s_T/∂s_0 = J_T … J_1 along each sequence.

    All near 1: dynamical isometry, gradients neither vanish nor explode whatever their direction (Saxe, McClelland &
    Ganguli 2014; Pennington, Schoenholz & Ganguli 2017). model, parameters, x, state and lengths are as for
    `lyapunov_spectrum`; T is what x has, or a sequence's own length.

    The product is scaled by powers of two along the way, so that it neither overflows nor underflows; a singular value
    is right to some 2⁻⁵² of the largest, and smaller ones, or a condition above 10¹⁵, are rounding. The Lyapunov
    exponents tell such directions apart. Cost: lanes · N · (T S³ + 10 S³). A network's numbers are the same to the bit
    alone and among others. Raises ValueError with one line where shapes do not fit.
    """
    networks = Networks(model, parameters)
    inputs = networks.read_inputs(x)
    product, exponents = np.eye(networks.size), np.zeros(inputs.shape[:2], np.int64)
    start, ends = networks.read_state(state, inputs.shape[1]), networks.read_lengths(lengths, inputs)
    for _, jacobian in networks.follow(inputs, start, ends):
        product = jacobian @ product
        largest = np.abs(product).max(axis=(-2, -1))
        exponent = np.where(np.isfinite(largest), np.frexp(largest)[1], 0)
        product, exponents = np.ldexp(product, -exponent[..., None, None]), exponents + exponent
    found = np.full(product.shape[:-1], np.nan)
    sound = np.isfinite(product).all(axis=(-2, -1))
    found[sound] = np.linalg.svd(product[sound], compute_uv=False)
    with np.errstate(divide="ignore", invalid="ignore"):
        condition = found[..., 0] / found[..., -1]
    return SingularValues(np.ldexp(found, np.clip(exponents, -5000, 5000)[..., None]), condition)
