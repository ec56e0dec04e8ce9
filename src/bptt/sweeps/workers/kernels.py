"""Kernels: compiled once per machine, however many processes need them, on demand or ahead of time."""

import importlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

import bptt.core
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.owners import check_kernel_folder
from bptt.core.kernel import MODES, Kernel, cache_folder, kernel_folder
from bptt.core.lanes import fusing_key
from bptt.core.run import Run
from bptt.core.shapes.training import deciding_run
from bptt.core.training import (
    count_updates,
    general_kernels_of,
    kernels_in,
    kernels_of,
    made_kernels_of,
    needs_compiling,
)
from bptt.sweeps.workers.calls import TooLittleMemory
from bptt.sweeps.workers.measurements import add_still_runs
from bptt.tracking.folder.lock import LockedError, file_lock

_LEAST: Final = 200 * 2**20  # bytes; what LLVM takes for a sweep's kernels is less


def check_address_space() -> None:
    """Raise TooLittleMemory where a limit leaves this process too little for LLVM, which would end the whole of it."""
    memory = Path("/proc/self/statm")
    if not memory.is_file():
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return
    left = limit - int(memory.read_text().split()[0]) * resource.getpagesize()
    if left < _LEAST:
        raise TooLittleMemory(f"out of memory: of {limit / 2**20:,.0f} MiB (ulimit -v) {left / 2**20:,.0f} are left")


def compile_kernels(runs: Sequence[Run]) -> None:
    """Compile what training these runs side by side calls and nobody has compiled yet.

    Processes that do so at the same time share the work: each takes the next kernel that no other one is at, and in the
    end waits for theirs. Raises ConfigurationError where they could be another user's, and
    TooLittleMemory.
    """
    check_address_space()
    check_kernel_folder()
    every = add_still_runs(runs)
    if not needs_compiling(every):
        return
    try:
        for find in (general_kernels_of, made_kernels_of):
            for some in every:
                _share(find(some))
    except OSError:  # nothing can be kept, so nothing can be shared
        return


def _share(kernels: Iterable[tuple[Kernel, str]]) -> None:
    """Compile kernels, save those that another process is at. Raises OSError where nothing can be kept."""
    modes: dict[Kernel, set[str]] = {}
    for kernel, mode in kernels:
        modes.setdefault(kernel, set()).add(mode)
    for wait in (False, True):
        for kernel in list(modes):
            try:
                compile_kernel(kernel, modes[kernel], wait)
            except LockedError:
                continue
            del modes[kernel]


def compile_kernel(kernel: Kernel, modes: Iterable[str], wait: bool = True) -> None:
    """Compile a kernel, or take it from the disk where another process has compiled it meanwhile.

    Raises LockedError where another process is at it and `wait` is False, and OSError where nothing can be kept.
    """
    kernel_folder().mkdir(parents=True, exist_ok=True)
    with file_lock(kernel_folder() / f".{kernel.__module__}.{kernel.dispatcher.__name__}.lock", wait):
        for mode in sorted(modes):
            kernel.compile(mode)


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


def list_shipped_kernels() -> list[Recipe]:
    """All that ships with bptt, in all modes."""
    return [Recipe(None, place, tuple(kernel.signatures)) for place, kernel in enumerate(_load_shipped())]


def of_sweep(runs: Iterable[Run]) -> list[Recipe]:
    """What a sweep of these runs calls; those that fuse stand side by side, which decides the modes."""
    lanes: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        lanes.setdefault(fusing_key(run), []).append(run)
    every = [some for runs in lanes.values() for some in add_still_runs(runs)]
    called = ((deciding_run(runs), kernels_of(runs)) for runs in every)
    return _recipes((run, kernel, mode) for run, some in called for kernel, mode in some)


def of_search(runs: Iterable[Run]) -> list[Recipe]:
    """What a search calls that has such trials: in all modes, as how many stand side by side is decided on the way."""
    every = (some for run in runs for (some,) in add_still_runs([run]))
    called = ((run, kernels_in(run, MODES, count_updates([run]))) for run in every)
    return _recipes((run, kernel, mode) for run, some in called for kernel, _ in some for mode in kernel.signatures)


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
    """Each kernel that training a run may call, or all that ship with bptt, once; in the same order everywhere."""
    if run is None:
        return _load_shipped()
    return list(dict.fromkeys(kernel for kernel, _ in kernels_in(run, MODES, sys.maxsize)))


@cache
def _load_shipped() -> tuple[Kernel, ...]:
    folder = Path(next(iter(bptt.core.__path__)))
    places = [path.relative_to(folder).with_suffix("") for path in folder.rglob("*.py") if path.stem != "__init__"]
    names = sorted(".".join((bptt.core.__name__, *place.parts)) for place in places)
    members = [member for name in names for member in vars(importlib.import_module(name)).values()]
    return tuple(dict.fromkeys(member for member in members if isinstance(member, Kernel)))
