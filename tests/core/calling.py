"""Kernels called on plain arrays, through their address as the driver calls them."""

from typing import Any

import numba
import numpy as np

from bptt.core.kernel import LANES, call_clip, call_loss, call_optimizer
from bptt.core.layout import Net
from bptt.core.sequences import Floats
from bptt.core.simd import WIDTH, aligned_zeros, store


@numba.njit(nogil=True, error_model="numpy")
def _optimize(address: Any, parameters: Any, gradient: Any, slots: Any, hyper: Any, live: Any, update: Any) -> None:
    call_optimizer(address, (parameters, gradient, slots, hyper, live, update))


@numba.njit(nogil=True, error_model="numpy")
def _clip(address: Any, gradient: Any, vectors: Any, hyper: Any, clipped: Any) -> None:
    store(clipped, 0, call_clip(address, (gradient, vectors, hyper)))


@numba.njit(nogil=True, error_model="numpy")
def _loss(address: Any, sizes: Any, memory: Any, values: Any) -> None:
    store(values, 0, call_loss(address, (sizes, memory, 0)))


def vectors_of(numbers: Any) -> Floats:
    """Aligned memory that holds these numbers (n, WIDTH), or (n,) the same in every lane."""
    array = np.asarray(numbers, np.float64)
    memory = aligned_zeros(len(array), WIDTH)
    memory[:] = array if array.ndim == 2 else array[:, None]
    return memory


class Steps:
    """An optimizer's steps on parameters (P, WIDTH), lanes side by side, with hyperparameters (K,) or (K, WIDTH)."""

    def __init__(self, component: Any, hyper: Any, parameters: Any) -> None:
        self.parameters = vectors_of(parameters)
        self.slots = aligned_zeros(max(component.slots, 1) * len(self.parameters), WIDTH)
        self.live = vectors_of(np.ones(1))
        self.update = 0
        self._hyper, self._address = vectors_of(hyper), component.kernel.address(LANES)

    def step(self, gradient: Any) -> Floats:
        """The parameters after one more step."""
        self.update += 1
        _optimize(self._address, self.parameters, vectors_of(gradient), self.slots, self._hyper, self.live, self.update)
        return self.parameters.copy()


def clip(component: Any, mode: str, gradient: Any, hyper: Any) -> tuple[Floats, Floats]:
    """(gradient, whether it was clipped (WIDTH,)) for gradients (P, WIDTH) of lanes, or one run's (P,)."""
    given = np.asarray(gradient, np.float64)
    count = len(given) if mode == LANES else -(-len(given) // WIDTH)
    vectors = aligned_zeros(count, WIDTH)
    flat = vectors if mode == LANES else vectors.reshape(-1)
    flat[: len(given)] = given
    clipped = aligned_zeros(1, WIDTH)
    _clip(component.kernel.address(mode), flat, vectors, vectors_of(hyper), clipped)
    assert (flat[len(given) :] == 0.0).all()
    return flat[: len(given)].copy(), clipped[0].copy()


def loss(component: Any, mode: str, net: Net, memory: Floats) -> Floats:
    """(WIDTH,): what a loss returns for a working memory; it writes its derivative there."""
    values = aligned_zeros(1, WIDTH)
    _loss(component.kernel.address(mode), np.array(net, np.int64), memory, values)
    return values[0].copy()
