"""Kernels ahead of time: which there are, which of them a sweep calls, and what compiles one in a worker."""

import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from tempfile import TemporaryFile
from typing import Any

import bptt.core
from bptt.configuration.problems import ConfigurationError
from bptt.core.kernel import Kernel, cache_folder, kernel_folder
from bptt.core.lanes import fusing_key
from bptt.core.run import Run
from bptt.core.training import kernels_of
from bptt.sweeps.compiling import compile_kernel


@dataclass(frozen=True)
class Recipe:
    """A kernel, such that another process finds it, and the modes in which it is wanted.

    run    among whose kernels it stands; None: among those that ship with bptt
    place  where it stands there
    """

    run: Run | None
    place: int
    modes: tuple[str, ...]

    @property
    def kernel(self) -> Kernel:
        return _kernels(self.run)[self.place]

    @property
    def name(self) -> str:
        return f"{self.kernel.__module__}.{self.kernel.dispatcher.__name__}"

    @property
    def is_ready(self) -> bool:
        """Whether there is nothing to compile."""
        return all(self.kernel.is_kept(mode) for mode in self.modes)


@dataclass(frozen=True)
class Compiled:
    """What became of a kernel; error: why it is not there, None: it is."""

    name: str
    error: str | None


def compiled(recipe: Recipe) -> Compiled:
    """Compile a kernel, unless another process has done so meanwhile, and keep it."""
    try:
        compile_kernel(recipe.kernel, recipe.modes)
        # Numba compiles some that it can't keep, those with an address in them for one.
        error = None if recipe.is_ready else "can't be kept, and would be compiled again by every process"
    except Exception as trouble:
        error = f"{type(trouble).__name__}: {trouble}".strip()
    return Compiled(recipe.name, error)


def shipped() -> list[Recipe]:
    """All that ships with bptt, in all modes."""
    return [Recipe(None, place, tuple(kernel.signatures)) for place, kernel in enumerate(_shipped())]


def of_sweep(runs: Iterable[Run]) -> list[Recipe]:
    """What a sweep of these runs calls; those that fuse stand side by side, which decides the modes."""
    lanes: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        lanes.setdefault(fusing_key(run), []).append(run)
    return _recipes((runs[0], kernel, mode) for runs in lanes.values() for kernel, mode in kernels_of(runs))


def of_search(runs: Iterable[Run]) -> list[Recipe]:
    """What a search calls that has such trials: in all modes, as how many stand side by side is decided on the way."""
    return _recipes((run, kernel, mode) for run in runs for kernel in _kernels(run) for mode in kernel.signatures)


def check_folder() -> None:
    """Raise ConfigurationError where no kernel can be kept."""
    folder = kernel_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        says = f"can't be written: {error.strerror or error}; BPTT_CACHE_DIR=… names another folder for the kernels"
        raise ConfigurationError([f"{cache_folder()}: {says}"]) from error


def _recipes(called: Iterable[tuple[Run, Kernel, str]]) -> list[Recipe]:
    found: dict[Kernel, tuple[Run, set[str]]] = {}
    for run, kernel, mode in called:
        found.setdefault(kernel, (run, set()))[1].add(mode)
    return [Recipe(run, _kernels(run).index(kernel), tuple(sorted(modes))) for kernel, (run, modes) in found.items()]


def _kernels(run: Run | None) -> Sequence[Kernel]:
    """Each kernel that training a run calls once, or all that ship with bptt; in an order that all processes have."""
    return _shipped() if run is None else list(dict.fromkeys(kernel for kernel, _ in kernels_of([run])))


@cache
def _shipped() -> tuple[Kernel, ...]:
    names = [found.name for found in pkgutil.walk_packages(bptt.core.__path__, f"{bptt.core.__name__}.")]
    members = [member for name in names for member in vars(importlib.import_module(name)).values()]
    return tuple(dict.fromkeys(member for member in members if isinstance(member, Kernel)))
