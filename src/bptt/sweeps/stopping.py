"""How workers stop: not by the Ctrl-C that they see, but when whoever waits for their results says so, or is gone."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Unwanted(Exception):
    """Nobody waits any more for what is computed."""


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let a Ctrl-C wait until this is left; threads and processes that are started inside never see one.

    A terminal sends it to all processes, and each worker would print a traceback of its own.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def check_wanted() -> None:
    """Raise Unwanted in a Dask worker whose task was given up, or whose client died; all other workers are killed."""
    if "distributed" not in sys.modules:
        return
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:  # this is none
        return
    task = worker.state.tasks.get(worker.get_current_task())
    if task is None or task.state == "cancelled":
        raise Unwanted
