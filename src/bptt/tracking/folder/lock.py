"""A lock between processes of one machine, held on a file."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from filelock import lock_descriptor, unlock_descriptor


class LockedError(Exception):
    """Another process holds the lock."""


@contextmanager
def file_lock(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock of this file, made with its folders where missing.

    The system lets go of the lock when its process ends, however it ends; the empty file stays.
    A link in its place, which may lead anywhere, is taken away.
    Raises `LockedError` where another process holds it and `wait` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()
    with path.open("a+b") as file, _hold(file, wait):
        yield


#: For so long one that does not wait tries: somebody may be asking whether it is held.
_SECONDS_OF_A_LOOK: Final = 0.02


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock of this file, which is not made where it is missing."""
    try:
        with path.open("rb") as file:
            return _is_taken(file.fileno())
    except FileNotFoundError:
        return False


def _is_taken(descriptor: int) -> bool:
    if sys.platform == "win32":
        taken = not lock_descriptor(descriptor, blocking=False)
    else:
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # several may ask at once
            taken = False
        except BlockingIOError:
            taken = True
    if not taken:
        unlock_descriptor(descriptor)
    return taken


@contextmanager
def _hold(file: IO[bytes], wait: bool) -> Iterator[None]:
    # A lock of filelock's own class would make the file where it is only asked about.
    until = time.monotonic() + _SECONDS_OF_A_LOOK
    while not lock_descriptor(file.fileno(), blocking=wait):
        if time.monotonic() > until:
            raise LockedError(file.name)
        time.sleep(_SECONDS_OF_A_LOOK / 20)
    try:
        yield
    finally:
        unlock_descriptor(file.fileno())
