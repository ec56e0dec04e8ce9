"""What viewers of a page are told: a sweep's folder is looked at once for all of them, and only while there are any."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bptt.printable import make_printable
from bptt.tracking.folder.block import ArchiveError
from bptt.watch.shown import ShownSweep

_SECONDS_BETWEEN: Final = 2.0
_SECONDS_BETWEEN_OF_ENDED: Final = 10.0  # it may be gone on with, or sent to the store
#: Where a look takes long, as at 100,000 runs, the pause is so many times as long.
_PAUSE_BY_LOOK: Final = 10.0

_METRIC: Final = "loss/eval"


@dataclass
class Viewer:
    """One that is told; what it knows.

    metric  whose curves it wants
    """

    metric: str = _METRIC
    source: object = None
    renewal: int = 0
    said: int = 0
    first: bool = True


class Feed:
    """Looks at a sweep's folder while there are viewers, and tells them.

    find  says which folder it is now; None: there is none yet
    note  what is said as long as there is none
    """

    def __init__(self, find: Callable[[], Path | None], note: str) -> None:
        self._find, self._note = find, note
        self._changed = threading.Condition()
        self._viewers = 0
        self._over = False
        self._sweep: ShownSweep | None = None
        self._folder: Path | None = None
        self._trouble: str | None = None
        self._looks = 0
        self._looked = -float("inf")
        self._took = 0.0
        self._thread = threading.Thread(target=self._work, name="live", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._thread.join()

    @property
    def is_over(self) -> bool:
        """Whether nobody is told any more."""
        return self._over

    def enter(self, viewer: Viewer, most: int) -> bool:
        """One more is told, unless there are too many already: False."""
        with self._changed:
            if self._viewers >= most:
                return False
            if time.monotonic() > self._looked + self._pause:  # nobody has looked for some time
                viewer.said = self._looks
            self._viewers += 1
            self._changed.notify_all()
            return True

    def leave(self) -> None:
        """One is told no more."""
        with self._changed:
            self._viewers -= 1

    def tell(self, viewer: Viewer, seconds: float) -> dict[str, Any] | None:
        """What has changed for a viewer, waited for so long; None: nothing."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._looks > viewer.said, seconds)
            if self._over or self._looks == viewer.said:
                return None
            first = viewer.first or viewer.source is not self._sweep
            viewer.said, viewer.source, viewer.first = self._looks, self._sweep, False
            if self._sweep is None or not self._sweep.summary:
                waits = {"name": "", "folder": "", "state": self._note, "wrong": False, "at_work": False}
                return {"first": first, "metric": viewer.metric, "summary": waits | self._tell_trouble(), "curves": {}}
            names = [name for name, _, _ in self._sweep.summary["metrics"]]
            metric = viewer.metric if viewer.metric in names else next(iter(names), viewer.metric)
            viewer.renewal, curves = self._sweep.list_curves(metric, 0 if first else viewer.renewal)
            summary = self._sweep.summary | self._tell_trouble()
            return {"first": first, "metric": metric, "summary": summary, "curves": curves}

    def look(self) -> None:
        """Look at the folder now."""
        began = time.thread_time()
        with self._changed:
            self._trouble = None
            try:
                folder = self._find()
                if folder is None:
                    self._sweep = self._folder = None
                else:
                    if self._sweep is None or folder != self._folder:
                        self._sweep, self._folder = ShownSweep(folder), folder
                    self._sweep.renew()
            except ArchiveError as error:
                self._trouble = str(error)
            except (OSError, ValueError, TypeError, KeyError) as error:  # whatever a damaged file leads to
                self._trouble = make_printable(f"{self._folder}: can't be read: {' '.join(str(error).split())}")
            self._looks += 1
            self._looked, self._took = time.monotonic(), time.thread_time() - began
            self._changed.notify_all()

    def _tell_trouble(self) -> dict[str, str]:
        return {} if self._trouble is None else {"trouble": self._trouble}

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._over or self._viewers > 0)
                if self._over:
                    return
            if (left := self._looked + self._pause - time.monotonic()) > 0:
                with self._changed:
                    self._changed.wait_for(lambda: self._over, left)
                continue
            with suppress(MemoryError):  # of a moment
                self.look()

    @property
    def _pause(self) -> float:
        ended = self._sweep is not None and not self._sweep.at_work and self._trouble is None
        return max(_SECONDS_BETWEEN_OF_ENDED if ended else _SECONDS_BETWEEN, _PAUSE_BY_LOOK * self._took)
