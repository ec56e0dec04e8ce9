"""Ctrl-C, SIGTERM and a terminal that goes away, while runs train: stop where nothing is half done, and soon."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Final, Self

_SECONDS: Final = 2.0


def stop_signals() -> list[signal.Signals]:
    """What asks a process to stop; not SIGHUP where it is ignored, as below `nohup`."""
    asked = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        asked.append(signal.SIGHUP)
    return asked


class Interrupts:
    """While it is entered, a first of `stop_signals` sets `requested` and is otherwise ignored.

    The training loop looks at `requested` at each recorded update, where a checkpoint can be written. Should the next
    one be far, KeyboardInterrupt is raised after two seconds; a second signal raises it at once. `settle` ends that
    wait, and so does leaving: what follows is left to finish, save for a further signal. Within `raising` nothing is
    half done, so the first signal raises KeyboardInterrupt at once.

    requested  whether a signal has come, be it before this was entered
    insists    whether KeyboardInterrupt is raised by itself
    """

    def __init__(self, requested: bool = False, insists: bool = True) -> None:
        self.requested = requested
        self._insists, self._insisted, self._leaves = insists, False, False
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
        self._leaves = True
        try:
            self.settle()
        finally:
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
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            # Of one that a signal was about to start, which waits for nothing any more, there is nothing to wait for.
            with suppress(RuntimeError):
                timer.join()  # from here on it sends nothing; what it has sent, `_receive` knows by `_insisted`

    def _insist(self) -> None:
        self._insisted = True
        os.kill(os.getpid(), signal.SIGINT)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        insisted, self._insisted = self._insisted, False
        if insisted and self._timer is None:
            return  # it was settled meanwhile
        if self.requested:
            self.settle()
            raise KeyboardInterrupt
        self.requested = True
        if self._raising:
            raise KeyboardInterrupt
        if self._insists and not self._leaves:
            self._timer = threading.Timer(_SECONDS, self._insist)
            self._timer.daemon = True
            self._timer.start()
