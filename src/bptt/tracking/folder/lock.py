"""A lock between processes of one machine, held on a file; and whether a folder is free for a new run or sweep."""

import json
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from filelock import lock_descriptor, unlock_descriptor

from bptt.tracking.folder.files import (
    CHECKPOINT,
    CONFIG,
    FLOW,
    HISTORY,
    JOBS,
    JOURNAL,
    LOCK,
    PATCH,
    PREPARATION,
    PROVENANCE,
    STUDY,
    SWEEP,
    TRACEBACK,
    WEIGHTS,
)


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


_WRITTEN: Final = (
    *(CONFIG, JOBS, HISTORY, FLOW, WEIGHTS, CHECKPOINT, PREPARATION, PROVENANCE, PATCH, TRACEBACK, STUDY),
    *("blocks", "stored", "report", "figures", ".hydra"),
)


def find_why_taken(folder: Path, held: bool = False) -> str | None:
    """Why nothing new can be written into a folder, in words; None: it can. The folder need not be there.

    held  whether this process holds its lock
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        return "is not UTF-8, and can't be recorded; name another folder"
    try:
        if not held and is_locked(folder / LOCK):
            return "something is being trained there"
        return _find_what_is_there(folder)
    except OSError as error:
        return f"can't be written: {error.strerror or error}"


def _find_what_is_there(folder: Path) -> str | None:
    for name, kind in ((SWEEP, "sweep"), (JOURNAL, "run")):
        if (folder / name).exists():
            if _is_finished(folder / name):
                return f"holds a {kind} that has finished; name another folder (`bptt resume` is for one that has not)"
            again = f"bptt resume {shlex.quote(str(folder))}"
            return f"holds a {kind} that has not finished; name another folder, or go on with it: {again}"
    inside = [f".hydra/{path.name}" for path in (folder / ".hydra").glob("*")]
    if found := [name for name in (*_WRITTEN, LOCK, *inside) if (folder / name).is_symlink()]:
        return f"{found[0]} in it is a link; name a folder of its own"
    # What a process has left that was killed before it had written its journal is begun anew.
    begun = (folder / LOCK).exists() and not any(folder.glob("blocks/[0-9]*"))
    if not begun and (found := [name for name in _WRITTEN if (folder / name).exists()]):
        return f"holds {found[0]}, which would be written over; name a folder of its own"
    return None


def _is_finished(journal: Path) -> bool:
    try:
        return bool(json.loads(journal.read_text(encoding="utf-8"))["status"] == "FINISHED")
    except (OSError, ValueError, KeyError, TypeError):
        return False
