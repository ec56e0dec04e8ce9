"""A lock between processes of one machine, held on a file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class LockedError(Exception):
    """Another process holds the lock."""


@contextmanager
def file_lock(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock of this file, made with its folders where missing.

    The system lets go of the lock when its process ends, however it ends; the empty file stays.
    Raises `LockedError` where another process holds it and `wait` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        _acquire(file, wait)
        try:
            yield
        finally:
            _release(file)


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock of this file, which is not made where it is missing."""
    try:
        with path.open("rb") as file:
            _acquire(file, wait=False)
            _release(file)
    except LockedError:
        return True
    except FileNotFoundError:
        return False
    return False


if sys.platform == "win32":
    import msvcrt

    def _acquire(file: IO[bytes], wait: bool) -> None:
        while True:
            file.seek(0)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
                return
            except OSError as error:
                if not wait:
                    raise LockedError(file.name) from error

    def _release(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _acquire(file: IO[bytes], wait: bool) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise LockedError(file.name) from error

    def _release(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
