"""Kernels are compiled once per machine, however many processes need them at the same time."""

from collections.abc import Iterable, Sequence

from bptt.core.kernel import Kernel, kernel_folder
from bptt.core.run import Run
from bptt.core.training import kernels_of, needs_compiling
from bptt.sweeps.kernel_folder import check_kernel_folder
from bptt.tracking.lock import LockedError, file_lock


def compile_kernels(runs: Sequence[Run]) -> None:
    """Compile what training these runs side by side calls and nobody has compiled yet.

    Processes that do so at the same time share the work: each takes the next kernel that no other one is at, and in the
    end waits for theirs. Raises ConfigurationError where the kernels could be anybody's.
    """
    check_kernel_folder()
    if not needs_compiling([runs]):
        return
    modes: dict[Kernel, set[str]] = {}
    for kernel, mode in kernels_of(runs):
        modes.setdefault(kernel, set()).add(mode)
    for wait in (False, True):
        for kernel in list(modes):
            try:
                compile_kernel(kernel, modes[kernel], wait)
            except LockedError:
                continue
            except OSError:  # nothing can be kept, so nothing can be shared
                return
            del modes[kernel]


def compile_kernel(kernel: Kernel, modes: Iterable[str], wait: bool = True) -> None:
    """Compile a kernel, or take it from the disk where another process has compiled it meanwhile.

    Raises LockedError where another process is at it and `wait` is False, and OSError where nothing can be kept.
    """
    kernel_folder().mkdir(parents=True, exist_ok=True)
    with file_lock(kernel_folder() / f".{kernel.__module__}.{kernel.dispatcher.__name__}.lock", wait):
        for mode in sorted(modes):
            kernel.compile(mode)
