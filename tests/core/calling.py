"""Kernels called on plain arrays, through their address as the driver calls them."""

from typing import Any

import numba
import numpy as np

from bptt.core.kernel import LANES, call_clip, call_loss, call_optimizer, call_schedule
from bptt.core.sequences import Floats
from bptt.core.simd import WIDTH, aligned_zeros, pointer_to, store
from bptt.core.workspace import Workspace, as_mode


@numba.njit(nogil=True, error_model="numpy")
def _optimize(address: Any, parameters: Any, gradient: Any, slots: Any, hyper: Any, live: Any, update: Any) -> None:
    changing = pointer_to(parameters), pointer_to(gradient), pointer_to(slots)
    call_optimizer(address, (*changing, parameters.shape[0], pointer_to(hyper), pointer_to(live), update))


@numba.njit(nogil=True, error_model="numpy")
def _clip(address: Any, gradient: Any, count: Any, hyper: Any, clipped: Any) -> None:
    store(pointer_to(clipped), 0, call_clip(address, (pointer_to(gradient), count, pointer_to(hyper))))


@numba.njit(nogil=True, error_model="numpy")
def _loss(address: Any, sizes: Any, memory: Any) -> None:
    call_loss(address, (pointer_to(sizes), pointer_to(memory), 0))


@numba.njit(nogil=True, error_model="numpy")
def _schedule(address: Any, hyper: Any, update: Any, updates: Any, share: Any) -> None:
    store(pointer_to(share), 0, call_schedule(address, (pointer_to(hyper), update, updates)))


def vectors_of(numbers: Any) -> Floats:
    """Aligned memory that holds these numbers (n, WIDTH), or (n,) the same in every lane."""
    array = np.asarray(numbers, np.float64)
    memory = aligned_zeros(len(array), WIDTH)
    memory[:] = array if array.ndim == 2 else array[:, None]
    return memory


class Steps:
    """An optimizer's steps on parameters (P, WIDTH), lanes side by side; `hyper` (K,) or (K, WIDTH) is its kernel's."""

    def __init__(self, component: Any, hyper: Any, parameters: Any) -> None:
        self.parameters = vectors_of(parameters)
        self.slots = aligned_zeros(max(component.slots, 1) * len(self.parameters), WIDTH)
        self.live = vectors_of(np.ones(1))
        self.update = 0
        self._hyper, self._names = vectors_of(hyper), component.kernel.hyper
        self._address = component.kernel.address(LANES)

    def change(self, name: str, value: Any) -> None:
        """Let a hyperparameter be this from the next step on, one number or one of each lane."""
        self._hyper[self._names.index(name)] = value

    def step(self, gradient: Any) -> Floats:
        """The parameters after one more step."""
        self.update += 1
        _optimize(self._address, self.parameters, vectors_of(gradient), self.slots, self._hyper, self.live, self.update)
        return self.parameters.copy()


def clip(component: Any, mode: str, gradient: Any, hyper: Any) -> tuple[Floats, Floats]:
    """(gradient, whether it was clipped (WIDTH,)) for gradients (P, WIDTH) of lanes, or one run's (P,)."""
    given = np.asarray(gradient, np.float64)
    count = len(given) if mode == LANES else -(-len(given) // WIDTH)
    flat = as_mode(aligned_zeros(count, WIDTH), mode)
    flat[: len(given)] = given
    clipped = aligned_zeros(1, WIDTH)
    _clip(component.kernel.address(mode), flat, count, vectors_of(hyper), clipped)
    assert (flat[len(given) :] == 0.0).all()
    return flat[: len(given)].copy(), clipped[0].copy()


def loss(component: Any, space: Workspace) -> None:
    """Let a loss write into a working memory."""
    _loss(component.kernel.address(space.mode), space.sizes, space.memory)


def scheduled(component: Any, hyper: Any, update: int, updates: int) -> Floats:
    """s (WIDTH,) of an update, with the kernel's hyperparameters (K,) or (K, WIDTH)."""
    share = aligned_zeros(1, WIDTH)
    _schedule(component.kernel.address(LANES), vectors_of(hyper), update, updates, share)
    return share[0].copy()
