"""Worker processes of this machine, which joblib runs with loky, and what happens when one of them dies.

They stop not by the Ctrl-C that they see, but when whoever waits for their results says so, or is gone.
"""

import logging
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, suppress
from typing import Any, Final

from bptt.configuration.errors import explain_shortage
from bptt.sweeps.workers.calls import Answer, Retry, WorkersError, answer, quietly_closed

_log = logging.getLogger(__name__)


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


_RETRIES: Final = 2


_SECONDS_BETWEEN_LOOKS: Final = 0.5


# loky has one set of processes for all threads, and who is done with them ends them: one thread has them at a time.
_LOKY: Final = threading.RLock()


def open_processes(_address: str | None, workers: int | None, most: int | None) -> "Processes":
    """See `backends.Backend`."""
    from joblib import cpu_count

    wanted = workers or cpu_count()
    return Processes(min(wanted, most or wanted))


class Processes:
    """A pool of worker processes; a single worker is this process.

    A process that dies takes the pool with it, and which task was its end can't be told from those that were computed
    beside it. Those tasks wait until all others are done, and are then computed again: once more in company, at last
    each by itself. One whose process dies even then is lost.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._started = False
        self._warming: Generator[Any] | None = None

    def warm(self) -> None:
        """Let the processes start and import what training needs."""
        if self.count > 1:
            self._warming = self._outputs((os.getpid, (), {}) for _ in range(self.count))

    def answers(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> Generator[Answer | Retry]:
        """See `backends.WorkerPool`. Closing the iterator kills the processes that still compute."""
        deaths = dict.fromkeys(range(len(tasks)), 0)  # of processes, by the place of each task that has no answer yet
        while deaths:
            fewest = min(deaths.values())
            places = [place for place, seen in deaths.items() if seen == fewest]
            handed_out: set[int] = set()
            try:
                calls = _calls(function, tasks, places[:1] if fewest == _RETRIES else places, handed_out)
                with _threads_watched(), quietly_closed(self._outputs(calls)) as outputs:
                    for found in outputs:
                        if found.refused is not None:
                            raise WorkersError(found.refused)
                        del deaths[found.place]
                        yield found
            except BrokenExecutor as error:
                how, again = _how(error), sorted(handed_out & deaths.keys())
                _log.warning("a worker process died, %s; what the others were at is lost with it", how)
                for place in again:
                    deaths[place] += 1
                    if deaths[place] > _RETRIES:
                        del deaths[place]
                        yield Answer(place, lost=f"its worker process died, {_RETRIES + 1} times, at last by {how}")
                    else:
                        yield Retry(place, how)
            except (OSError, MemoryError, RuntimeError) as error:
                if (says := explain_shortage(error)) is None:
                    raise
                raise WorkersError(f"worker processes can't be had: {says}") from error

    def close(self) -> None:
        """Kill the processes."""
        if self._warming is not None:
            with quietly_closed(self._warming):
                self._warming = None
        if self._started:
            from joblib.externals.loky import get_reusable_executor

            # Without memory there may be none to get; the processes end when this one does.
            with suppress(OSError, MemoryError, RuntimeError):
                get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)
            self._started = False
            _LOKY.release()

    def _outputs(self, calls: Iterator[tuple[Any, ...]]) -> Generator[Any]:
        from joblib import Parallel, parallel_config

        # A process that has grown by 300 MB is replaced when it is done with a task, which is as it should be.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given to the executor")
        with parallel_config(backend="loky", inner_max_num_threads=1, initializer=_begin, initargs=(os.getpid(),)):
            parallel = Parallel(n_jobs=self.count, return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs")
        if self.count > 1:
            if not self._started:
                _LOKY.acquire()
            self._started = True
            from multiprocessing import resource_tracker

            resource_tracker.ensure_running()  # which, beside the first worker, would let go of a signal that is held
        with interrupts_held():
            return parallel(calls)


def _calls(
    function: Callable[[Any], Any], tasks: Sequence[Any], places: Sequence[int], handed_out: set[int]
) -> Iterator[tuple[Any, ...]]:
    """The calls that joblib hands out, each noted when it takes it."""
    for place in places:
        handed_out.add(place)
        yield answer, (place, function, tasks[place], None), {}


def _how(error: BrokenExecutor) -> str:
    """How a process ended, of all that loky says of it."""
    codes = re.search(r"exit codes of the workers are \{(.+?)\}", str(error))
    how = codes[1] if codes else str(error).partition("\n")[0]
    return f"{how}, as the system ends what takes too much memory" if "SIGKILL" in how else how


_LOKYS_THREADS: Final = ("ExecutorManagerThread", "QueueFeederThread")


@contextmanager
def _threads_watched() -> Iterator[None]:
    """Should a thread of loky's end with an error, as without memory, give it to who waits for results: loky itself
    would let them wait for ever.
    """
    before = threading.excepthook

    def tell(ended: threading.ExceptHookArgs) -> None:
        if ended.thread is None or ended.thread.name not in _LOKYS_THREADS or ended.exc_value is None:
            before(ended)
            return
        from joblib.externals.loky import reusable_executor

        executor = reusable_executor._executor
        why = explain_shortage(ended.exc_value) or repr(ended.exc_value)
        error = WorkersError(f"worker processes can't be had: {why}")
        with suppress(Exception):
            executor._flags.flag_as_broken(error)
        for item in list(getattr(executor, "_pending_work_items", {}).values()):
            with suppress(Exception):  # it has its result
                item.future.set_exception(error)

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = before


def _begin(parent: int) -> None:
    """The first thing that a worker process does."""
    # What starts beside the first one, loky's resource tracker, lets go of a signal that was held.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with suppress(ImportError):
        import bptt.core.training  # noqa: F401


def _end_with(parent: int) -> None:
    """End this process when its parent has ended, however that ended: nobody would take its results."""
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)
