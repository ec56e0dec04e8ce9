"""Ctrl-C and SIGTERM while a run trains: stop where nothing is half done, and soon."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Final, Self

_SECONDS: Final = 2.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def _insist() -> None:
    os.kill(os.getpid(), signal.SIGINT)


class Interrupts:
    """While it is entered, a first SIGINT or SIGTERM sets `requested` and is otherwise ignored.

    The training loop looks at `requested` at each recorded update, where a checkpoint can be written. Should the next
    one be far, KeyboardInterrupt is raised after two seconds; a second signal raises it at once. `settle` ends that
    wait: what follows is left to finish, save for a further signal.
    """

    def __init__(self) -> None:
        self.requested = False
        self._timer: threading.Timer | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._receive) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.settle()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def settle(self) -> None:
        """Don't raise KeyboardInterrupt by itself any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._timer = threading.Timer(_SECONDS, _insist)
        self._timer.daemon = True
        self._timer.start()
