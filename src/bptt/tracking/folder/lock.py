"""A lock between processes of one machine, held on a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

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


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock of this file, which is not made where it is missing."""
    try:
        with path.open("rb") as file, _hold(file, wait=False):
            return False
    except LockedError:
        return True
    except FileNotFoundError:
        return False


@contextmanager
def _hold(file: IO[bytes], wait: bool) -> Iterator[None]:
    # A lock of filelock's own class would make the file where it is only asked about.
    if not lock_descriptor(file.fileno(), blocking=wait):
        raise LockedError(file.name)
    try:
        yield
    finally:
        unlock_descriptor(file.fileno())
