"""Ctrl-C, SIGTERM and a terminal that goes away, while runs train: stop where nothing is half done, and soon."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Final, Self

_SECONDS: Final = 2.0


def stop_signals() -> list[signal.Signals]:
    """What asks a process to stop; not SIGHUP where it is ignored, as below `nohup`."""
    asked = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        asked.append(signal.SIGHUP)
    return asked


def _insist() -> None:
    os.kill(os.getpid(), signal.SIGINT)


class Interrupts:
    """While it is entered, a first of `stop_signals` sets `requested` and is otherwise ignored.

    The training loop looks at `requested` at each recorded update, where a checkpoint can be written. Should the next
    one be far, KeyboardInterrupt is raised after two seconds; a second signal raises it at once. `settle` ends that
    wait: what follows is left to finish, save for a further signal. Within `raising` nothing is half done, so the first
    signal raises KeyboardInterrupt at once.
    """

    def __init__(self) -> None:
        self.requested = False
        self._raising = False
        self._timer: threading.Timer | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._receive) for number in stop_signals()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.settle()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def raising(self) -> Iterator[None]:
        """A place that may be left at any moment. A signal that came before it raises KeyboardInterrupt here."""
        self._raising = True
        try:
            if self.requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._raising = False

    def settle(self) -> None:
        """Don't raise KeyboardInterrupt by itself any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        if self._raising:
            raise KeyboardInterrupt
        self._timer = threading.Timer(_SECONDS, _insist)
        self._timer.daemon = True
        self._timer.start()
