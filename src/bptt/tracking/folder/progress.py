"""What a process tells in a folder while it trains: that it lives and how far it is, and what went wrong on the way.

    progress.json                  in a sweep's or a run's folder: who trains there, since when, when it was seen last
    blocks/block-12.progress.json  how far the block is that a worker trains, where the folder is within its reach; of
                                   a search with halving `stage-0`: runs on their way to the next comparison

What the block's runs have recorded so far lies beside its sign, see `bptt.tracking.folder.points`.
All go when what they tell of has ended, so that one which stays is of a process that was killed. Nothing depends on
them: where the disk is full there is none, or an old one.

    sweep.log                      in a sweep's folder: what was mended without a word, as retries, workers that died
                                   and waits; one in which nothing went wrong has no such file

    2026-05-01T12:00:07Z bptt.sweeps.workers.processes: a worker process died, SIGKILL(-9): 2 tasks are computed again

All of `bptt` logs through Python's `logging`, and nothing of it is on show unless that is set up; `hydra.verbose=true`
does so. Warnings of the sweep's own process are what sweep.log has.
"""

import atexit
import json
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from bptt.printable import make_printable
from bptt.tracking.folder.files import LOCK, PROGRESS, write_text
from bptt.tracking.folder.lock import is_locked
from bptt.tracking.folder.points import PointsLog, place_points
from bptt.tracking.store.address import hide_passwords

if TYPE_CHECKING:
    from bptt.core.records.history import Points

_SECONDS_BETWEEN: Final = 1.0


_SECONDS_BETWEEN_MESSAGES: Final = 5.0


_SECONDS_TO_BE_SEEN: Final = 5.0  # at the latest, where nothing has changed


# A file of another machine's may be shown as it was a minute ago.
_SECONDS_WITHOUT_A_SIGN: Final = 90.0


@dataclass(frozen=True, kw_only=True)
class Sign:
    """What a process tells of itself while it trains.

    began   when it did, in seconds since 1970
    seen    when it last said so
    worked  the seconds that earlier processes have worked on the same
    runs    how many are trained
    update  that they have reached; `first`: where this process went on from; `last`: to which they are trained
    since   when training began, that is when all kernels were compiled; None: it has not
    """

    host: str
    pid: int
    began: float
    seen: float
    worked: float = 0.0
    runs: int = 1
    update: int = 0
    first: int = 0
    last: int = 0
    since: float | None = None

    @property
    def share(self) -> float:
        """Of all updates, those that are done."""
        return min(self.update / self.last, 1.0) if self.last > 0 else 0.0

    @property
    def own_share(self) -> float:
        """Of all updates, those that this process has done."""
        return max(self.share - self.first / self.last, 0.0) if self.last > 0 else 0.0

    def count_seconds(self, at_work: bool) -> float:
        """How long was worked, by this process and those before it; at_work: it is now, else until it was seen last."""
        until = time.time() if at_work and self.host == socket.gethostname() else self.seen
        return self.worked + max(until - self.began, 0.0)


def make_sign(**values: Any) -> Sign:
    """The sign of this process, now."""
    now = time.time()
    return Sign(host=socket.gethostname(), pid=os.getpid(), began=now, seen=now, **values)


def read_sign(path: Path) -> Sign | None:
    """The sign in a file; None: there is none, or none that can be read."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        kinds = {name: str if name == "host" else float if name in _TIMES else int for name in Sign.__annotations__}
        values: dict[str, Any] = {name: kind(noted[name]) for name, kind in kinds.items() if noted[name] is not None}
        found = Sign(**values)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    numbers = [value for value in asdict(found).values() if isinstance(value, int | float)]
    sound = all(math.isfinite(value) and 0 <= value < _LARGEST for value in numbers)
    return replace(found, host="".join(filter(str.isprintable, found.host))[:100]) if sound else None


_TIMES: Final = ("began", "seen", "worked", "since")


_LARGEST: Final = 1e15


def write_sign(path: Path, sign: Sign) -> None:
    """Write a sign, whole or not at all; where that can't be, nothing."""
    with suppress(OSError):
        write_text(path, json.dumps(asdict(sign)) + "\n")


class Beacon:
    """Keeps the sign of this process in a folder, from entering to leaving: by a thread, so that training never waits.

    sign  what is told; training changes it with `tell`
    """

    def __init__(self, folder: Path, **values: Any) -> None:
        self._path = folder.absolute() / PROGRESS
        before = read_sign(self._path)  # of a process that was killed
        worked = values.pop("worked", 0.0) + (0.0 if before is None else max(before.seen - before.began, 0.0))
        self.sign = make_sign(worked=worked, **values)
        self._begun = time.monotonic()  # what the clock says may be changed meanwhile
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="beacon", daemon=True)

    def __enter__(self) -> Self:
        write_sign(self._path, self.sign)
        self._thread.start()
        atexit.register(self._remove)  # of a process that ends otherwise, but is not killed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._remove()
        atexit.unregister(self._remove)

    def tell(self, **changes: Any) -> None:
        """Change what is told."""
        self.sign = replace(self.sign, **changes)

    @property
    def seconds(self) -> float:
        """How long was worked until now, by this process and those before it."""
        return self.sign.worked + time.monotonic() - self._begun

    def _remove(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _work(self) -> None:
        told, when = self.sign, time.monotonic()
        while not self._over.wait(_SECONDS_BETWEEN):
            now = time.monotonic()
            if self.sign is not told or now >= when + _SECONDS_TO_BE_SEEN:
                told, when = self.sign, now
                write_sign(self._path, replace(told, seen=told.began + now - self._begun))


class BlockBeacon:
    """Keeps the sign of runs that are trained together, at recorded updates but not more often than once a second.

    path     of its file; None: nobody is told
    send     takes the sign where the file's folder is not there, as on a cluster's machines; None: nobody is told
    numbers  of the runs: what they record is kept beside the sign, see `bptt.tracking.folder.points`; none: it is not
    """

    def __init__(
        self,
        path: Path | None,
        runs: int,
        first: int,
        last: int,
        send: Callable[[dict[str, Any]], None] | None = None,
        numbers: Sequence[int] = (),
    ) -> None:
        here = path is not None and path.parent.is_dir()
        self._path = path if here else None
        self._points = PointsLog(place_points(path), numbers, first) if path is not None and here and numbers else None
        self._send = None if here or path is None else send
        self._sign = make_sign(runs=runs, first=first, last=last, update=first, since=time.time())
        self._begun = time.monotonic()
        self._next = 0.0
        self.tell(first)

    def tell(self, update: int, points: "Points | None" = None) -> None:
        """So many updates are done; points: what was recorded there."""
        if self._points is not None and points is not None:
            self._points.add(points)
        now = time.monotonic()
        if now < self._next or (self._path is None and self._send is None):
            return
        sign = replace(self._sign, update=update, seen=self._sign.began + now - self._begun)
        self._next = now + (_SECONDS_BETWEEN if self._send is None else _SECONDS_BETWEEN_MESSAGES)
        if self._points is not None:
            self._points.write()
        if self._path is not None:
            write_sign(self._path, sign)
        elif self._send is not None:
            self._send(asdict(sign))


def remove_sign(path: Path | None) -> None:
    """What it tells of has ended."""
    if path is not None:
        with suppress(OSError):
            path.unlink(missing_ok=True)
            place_points(path).unlink(missing_ok=True)


def is_at_work(folder: Path, sign: Sign | None) -> bool:
    """Whether a process trains in a folder now, be it on another machine that has the folder too."""
    with suppress(OSError):  # of a file system without locks
        if is_locked(folder / LOCK):
            return True
    if sign is None or sign.host == socket.gethostname():
        return False
    # Not every file system carries locks from one machine to another.
    with suppress(OSError):
        return time.time() - (folder / PROGRESS).stat().st_mtime < _SECONDS_WITHOUT_A_SIGN
    return False


def estimate_left(done: float, left: float, seconds: float) -> float | None:
    """The seconds until what is left is done, at the pace of what was done in so many seconds; None: nothing was.

    The seconds are those of training alone: kernels are compiled once, at its begin.
    """
    return max(seconds, 0.0) / done * left if done > 0 else None


def write_duration(seconds: float) -> str:
    """`8.3 s`, `1 min 32 s`, `2 h 5 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


SWEEP_LOG: Final = "sweep.log"

_LOGGER: Final = logging.getLogger("bptt")


class FolderLog(logging.Handler):
    """Appends a line to a folder's sweep.log for each warning; opened for each, as there are few. Use `keep_log`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(logging.WARNING)
        self._path = folder.absolute() / SWEEP_LOG

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record's line. A full disk must not fail a sweep."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        said = make_printable(" ".join(record.getMessage().split()))
        line = hide_passwords(f"{when} {record.name}: {said}\n")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)  # a link may lead elsewhere
        with suppress(OSError), os.fdopen(os.open(self._path, flags, 0o644), "a", encoding="utf-8") as file:
            file.write(line)


@contextmanager
def keep_log(folder: Path) -> Iterator[None]:
    """Keep the warnings of all of `bptt` in this folder, until it is left."""
    handler = FolderLog(folder)
    _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
