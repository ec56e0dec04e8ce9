"""Kernels: compiled functions that a driver calls through their address, so that components combine without compiling.

A kernel is compiled at its first use, once per machine: the result is kept on disk under a key that holds what the
whole core computes (`source_hash`), because Numba's own key would hold the defining file alone and run stale code after
a helper was edited. A kernel of another package is kept under a hash of that package's sources too.
"""

import functools
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray
from platformdirs import user_cache_path

from bptt.core.compiler import address_of, call_at, disk_cache, lacking
from bptt.core.simd import (
    LANES_MEMORY,
    UNITS_MEMORY,
    VECTOR_BYTES,
    VECTORS,
    WIDTH,
    NamedVectors,
    kernel,
    vector,
)
from bptt.core.sources import hash_sources, package_hash, read_modules

SIZES = types.CPointer(types.int64)  # a `layout.Net`
LANES = "lanes"  # runs stand side by side
UNITS = "units"  # neighbouring numbers of one run do
#: What fills a vector, and the type of memory that says so; see `bptt.core.simd.memory`. Both give the same bits.
MODES = {LANES: LANES_MEMORY, UNITS: UNITS_MEMORY}
#: The same memory as an array, for kernels that are called from Python: (n, WIDTH), or a single run's (n,).
VECTOR_ARRAY, NUMBER_ARRAY = (types.Array(types.float64, dimensions, "C") for dimensions in (2, 1))
ARRAYS = {LANES: VECTOR_ARRAY, UNITS: NUMBER_ARRAY}
SIZES_ARRAY = types.Array(types.int64, 1, "C")
_ONCE = "compiling the kernels, once per machine: about half a minute, longer where the cores are busy"


@functools.cache
def source_hash() -> str:
    """What the bits hang on: the core's sources."""
    return hash_sources(read_modules(Path(__file__).parent, "bptt.core"), known=cache_folder() / "sources")


@functools.cache
def kernel_hash() -> str:
    """What machine code hangs on: the core's sources, Numba's and NumPy's versions and the vector width.

    Numba notes modules by their names, so that code that was kept is of no use once one of them is called otherwise.
    """
    folder = Path(__file__).parent
    modules = " ".join(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py")))
    text = f"numba {numba.__version__} numpy {np.__version__} width {WIDTH} {source_hash()} {modules}"
    return hashlib.sha256(text.encode()).hexdigest()


def cache_folder() -> Path:
    """Where compiled kernels are kept: $BPTT_CACHE_DIR, or the user's cache folder."""
    chosen = os.environ.get("BPTT_CACHE_DIR")
    return Path(chosen) if chosen else user_cache_path("bptt", appauthor=False) / "kernels"


def kernel_folder() -> Path:
    """Where those are that this program can use."""
    return cache_folder() / kernel_hash()[:16]


class _Place:
    """Where a function's kernels are kept, and when they are of today's sources."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._module = function.__module__

    def folder(self) -> Path:
        return kernel_folder()

    def stamp(self) -> str:
        return kernel_hash()

    def name(self) -> str:
        package = self._module.partition(".")[0]
        # `source_hash` says nothing of other packages, and Numba's own key holds no constant of a function.
        return self._module if package == "bptt" else f"{self._module}-{package_hash(package)}"


_DiskCache = disk_cache(_Place)


def compiling_notice() -> str:
    """What a user is told before kernels are compiled: how long it takes, or what makes it take longer."""
    return "\n".join([*lacking, "compiling the kernels"] if lacking else [_ONCE])


class Kernel:
    """A function with a fixed signature per mode, compiled when first asked for.

    kind   the kind that it is of, None: one by itself
    hyper  the names of the hyperparameters that it reads
    """

    def __init__(
        self,
        function: Callable[..., Any],
        signatures: dict[str, Any],
        kind: "Kind | None" = None,
        hyper: tuple[str, ...] = (),
    ) -> None:
        self.signatures, self.kind, self.hyper = signatures, kind, hyper
        self.dispatcher = kernel(function)
        functools.update_wrapper(self, function)
        self._compiled: dict[str, Any] = {}
        self._addresses: dict[str, int] = {}

    @property
    def reads_hyper(self) -> bool:
        """Whether it is of a kind that is given hyperparameters."""
        return isinstance(self.kind, HyperKind)

    @functools.cached_property
    def _cache(self) -> Any:
        return None if _DiskCache is None else _DiskCache(self.dispatcher.py_func)

    def compile(self, mode: str) -> Any:
        """Numba's compile result for this mode."""
        if mode not in self._compiled:
            if self._cache is not None:
                self.dispatcher._cache = self._cache
            signature = self.signatures[mode]
            self.dispatcher.compile(signature)
            self._compiled[mode] = self.dispatcher.overloads[signature.args]
        return self._compiled[mode]

    def address(self, mode: str) -> int:
        """Where the machine code of this mode begins."""
        if mode not in self._addresses:
            self._addresses[mode] = address_of(self.compile(mode))
        return self._addresses[mode]

    def is_ready(self, mode: str) -> bool:
        """Whether it is compiled already, in this process or on disk."""
        return mode in self._compiled or self.is_kept(mode)

    def is_kept(self, mode: str) -> bool:
        """Whether it is found on disk."""
        return self._cache is not None and bool(self._cache.holds(self.signatures[mode], self.dispatcher))

    def __call__(self, *args: Any) -> Any:
        for mode in self.signatures:
            self.compile(mode)
        return self.dispatcher(*args)


class Kind:
    """What kernels of one kind take: `@KIND` makes a kernel of a function, `KIND.call` calls one by its address."""

    def __init__(self, name: str, signature: Callable[[Any], Any]) -> None:
        self.name = name
        self.signatures = {mode: signature(memory) for mode, memory in MODES.items()}
        self.call = caller_of(self.signatures.values())

    def __call__(self, function: Callable[..., Any]) -> Kernel:
        return Kernel(function, self.signatures, self)


class HyperKind(Kind):
    """Kinds whose kernels read hyperparameters: `@KIND("alpha", "epsilon")` makes one that reads these by name."""

    def __init__(self, name: str, signature: Callable[[Any, Any], Any]) -> None:
        super().__init__(name, lambda memory: signature(memory, VECTORS))
        self._signature = signature

    def __call__(self, *names: str) -> Callable[[Callable[..., Any]], Kernel]:  # type: ignore[override]
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f'@{self.name.upper()}("alpha", …) says which hyperparameters a kernel reads; none: ()')
        signatures = {mode: self._signature(memory, NamedVectors(names)) for mode, memory in MODES.items()}
        return lambda function: Kernel(function, signatures, self, names)


def caller_of(signatures: Iterable[Any]) -> Any:
    """An intrinsic that calls the kernel at an address, with whichever of these signatures its arguments have."""
    every = list(signatures)

    @intrinsic
    def call(typingctx, address, arguments):
        """Call the kernel at this address with a tuple of arguments."""
        found = [s for s in every if s.args == tuple(arguments.types)]
        if not found:
            raise TypeError(f"a kernel that takes {every} was called with {arguments}")
        signature = found[0]

        def codegen(context, builder, sig, args):
            return call_at(context, builder, args[0], signature, args[1])

        return signature.return_type(address, arguments), codegen

    return call


@dataclass(frozen=True)
class Step:
    """An optimizer's equation for one parameter, such that it can be applied as a gradient comes about.

    equation  (θ, g, each slot, each rate) → (θ, each slot) after the update, of vectors
    rates     (hyper, update) → what holds for all parameters of an update; None: the hyperparameters, in their order
    """

    equation: Callable[..., Any]
    rates: Callable[..., Any] | None = None


_INTEGER = types.int64
#: product(result, row, step, left, row, step, right, row, step, rows, terms, columns, onto): see `bptt.core.products`.
PRODUCT = Kind(
    "product",
    lambda memory: types.void(
        *(VECTORS, _INTEGER, _INTEGER),
        *(memory, _INTEGER, _INTEGER),
        *(VECTORS, _INTEGER, _INTEGER),
        *[_INTEGER] * 3,
        types.boolean,
    ),
)
#: forward(sizes, theta, memory, begin): the timesteps of a batch from `begin` on; writes states and outputs.
FORWARD = Kind("forward", lambda memory: types.void(SIZES, memory, memory, _INTEGER))
#: backward(sizes, theta, gradient, memory, begin, truncation, flow): the gradient of what the loss wrote; truncation 0:
#: of all timesteps, −1: of these and of what stands at ∂loss/∂state already.
BACKWARD = Kind("backward", lambda memory: types.void(SIZES, memory, memory, memory, _INTEGER, _INTEGER, types.boolean))
#: loss(sizes, memory, begin): each place's loss from timestep `begin` on, and ∂loss/∂output.
LOSS = Kind("loss", lambda memory: types.void(SIZES, memory, _INTEGER))
#: tangent(sizes, trial, theta, direction, memory, begin): how states, logits and outputs change as theta moves along
#: direction, written to the same regions of `layout.lay_out_trial`.
TANGENT = Kind("tangent", lambda memory: types.void(SIZES, SIZES, memory, memory, memory, _INTEGER))
#: curvature(sizes, trial, memory, begin): ∂²loss/∂output² times the change of the outputs that a tangent left, written
#: to where the loss writes ∂loss/∂output; of logits, where the loss writes that of logits.
CURVATURE = Kind("curvature", lambda memory: types.void(SIZES, SIZES, memory, _INTEGER))
#: clip(gradient, count, hyper) → 1 where the gradient, so many vectors, was clipped.
CLIP = HyperKind("clip", lambda memory, hyper: vector(memory, _INTEGER, hyper))
#: What an optimizer may name beside its hyperparameters: the loss of the update's batch, as one of each run.
BATCH_LOSS = "loss"
#: optimizer(parameters, gradient, slots, count, hyper, live, update): a step, counted from 1, of so many vectors of
#: parameters where live is not 0. What they hold is all the same to it: no parameter's step asks for another parameter.
OPTIMIZER = HyperKind("optimizer", lambda _, hyper: types.void(*[VECTORS] * 3, _INTEGER, hyper, VECTORS, _INTEGER))
#: solver(curved, attempt, tangent, curvature, forward, backward, loss, sizes, trial, theta, weights, gradient, memory,
#: begin, value, slots, kept, room, count, hyper, live, update, trained, partly, iterations) → work: a step that
#: asks for more than the gradient, and what it took, in gradients. It has the addresses of the two kernels of
#: `bptt.core.optimizers.gauss_newton` and of what these call, the loss at theta, and a number of each run that is kept
#: from update to update; see `bptt.core.optimizers.hessian_free`.
SOLVER = HyperKind(
    "solver",
    lambda memory, hyper: vector(
        *[_INTEGER] * 7,
        *(SIZES, SIZES, memory, memory, memory, memory, _INTEGER, vector),
        *(VECTORS, memory, memory, _INTEGER, hyper, VECTORS, _INTEGER, VECTORS, types.boolean, _INTEGER),
    ),
)
#: schedule(hyper, update, updates) → s(u), what α is multiplied by at an update, counted from 1, of so many.
SCHEDULE = HyperKind("schedule", lambda _, hyper: vector(hyper, _INTEGER, _INTEGER))
#: regularizer(sizes, theta, gradient, memory, begin, hyper): what it adds to the gradient that `backward` left, of the
#: timesteps from `begin` on; theta and gradient lie as `bptt.core.layout` says of weights.
REGULARIZER = HyperKind("regularizer", lambda memory, hyper: types.void(SIZES, memory, memory, memory, _INTEGER, hyper))
#: omega(sizes, theta, memory, begin) → Ω of the gradients that flowed back to the timesteps from `begin` on, of which
#: ∂loss/∂state stands at `state_delta` and ∂loss/∂pre-activation at `delta`.
OMEGA = Kind("omega", lambda memory: vector(SIZES, memory, memory, _INTEGER))
#: constraint(sizes, theta, before, factors, live, lanes, update, product): the recurrent weights of theta, which an
#: optimizer made of those that stand at `before`, as `factors` let them be, where live is not 0; both lie as
#: parameters do. product: the address of `products.product` over one run's numbers.
CONSTRAINT = Kind(
    "constraint", lambda memory: types.void(SIZES, memory, memory, UNITS_MEMORY, VECTORS, *[_INTEGER] * 3)
)

call_product = PRODUCT.call
call_forward, call_backward, call_loss = FORWARD.call, BACKWARD.call, LOSS.call
call_tangent, call_curvature = TANGENT.call, CURVATURE.call
call_clip, call_optimizer, call_solver = CLIP.call, OPTIMIZER.call, SOLVER.call
call_schedule, call_regularizer = SCHEDULE.call, REGULARIZER.call
call_omega, call_constraint = OMEGA.call, CONSTRAINT.call


def check_memory(**arrays: NDArray[Any]) -> None:
    """Raise ValueError unless every array is what kernels assume: float64, C-contiguous and aligned to a vector."""
    for name, array in arrays.items():
        if array.dtype != np.float64 or not array.flags.c_contiguous or array.ctypes.data % VECTOR_BYTES:
            raise ValueError(f"{name}: kernels need C-contiguous float64 memory aligned to {VECTOR_BYTES} bytes")
