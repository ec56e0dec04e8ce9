"""Kernels are compiled once per machine, however many processes need them at the same time."""

from collections.abc import Sequence

from bptt.core.kernel import Kernel, cache_folder, source_hash
from bptt.core.run import Run
from bptt.core.training import kernels_of, needs_compiling
from bptt.tracking.lock import LockedError, file_lock


def compile_kernels(runs: Sequence[Run]) -> None:
    """Compile what training these runs side by side calls and nobody has compiled yet.

    Processes that do so at the same time share the work: each takes the next kernel that no other one is at, and in the
    end waits for theirs.
    """
    if not needs_compiling([runs]):
        return
    modes: dict[Kernel, set[str]] = {}
    for kernel, mode in kernels_of(runs):
        modes.setdefault(kernel, set()).add(mode)
    folder = cache_folder() / source_hash()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # nothing can be kept, so nothing can be shared
        return
    for wait in (False, True):
        for kernel in list(modes):
            try:
                with file_lock(folder / f".{kernel.__module__}.{kernel.dispatcher.__name__}.lock", wait):
                    for mode in sorted(modes.pop(kernel)):
                        kernel.compile(mode)
            except LockedError:
                continue
