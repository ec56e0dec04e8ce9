"""Sends finished blocks to the store, one after the other, while others are trained."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Queue
from typing import Final

from bptt.tracking.address import StoreError
from bptt.tracking.archive import Archive, SweepJob, SweepJournal
from bptt.tracking.block_files import RunResult
from bptt.tracking.stored_run import run_key, stored_run
from bptt.tracking.sweep_files import begun_files, ended_files
from bptt.tracking.sweep_record import SweepRecord

_SECONDS_AFTER_A_FAILURE: Final = 30.0
_SECONDS_TO_BE_TOLD_OF: Final = 2.0
_MOST_WAITING: Final = 8  # blocks; training waits for the store rather than fill the memory


class Writer:
    """The one thread that writes a sweep's runs into the store.

    The archive has every block before it comes here, so what the store doesn't take is not lost: it is tried again
    after a while and at the end, and by `bptt sync`.
    """

    def __init__(
        self,
        archive: Archive,
        journal: SweepJournal,
        jobs: Sequence[SweepJob],
        record: SweepRecord,
        tags: Mapping[str, str],
    ) -> None:
        self._archive, self._journal, self._jobs, self._record, self.tags = archive, journal, jobs, record, tags
        #: Why the store did not take a block, as long as it did not; None: it took all.
        self.trouble: str | None = None
        self._error: BaseException | None = None
        self._late: list[int] = []
        self._described = 0  # jobs, of which the store has the list
        self._next = 0.0
        self._queue: Queue[tuple[int, Sequence[RunResult]] | None] = Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def put(self, number: int, results: Sequence[RunResult]) -> None:
        """Take a block that the archive has. Raises what the thread ended with, should it have."""
        if self._error is not None:
            raise self._error
        self._queue.put((number, results))

    def finish(self, say: Callable[[str], None]) -> None:
        """Wait until all is written, or was refused once more: `trouble` says. A long wait is told to `say`."""
        if self._thread.is_alive():
            self._queue.put(None)
        self._thread.join(_SECONDS_TO_BE_TOLD_OF)
        if self._thread.is_alive():
            say("waiting for the store; Ctrl-C gives it up")
        self._thread.join()
        if self._error is not None:
            raise self._error
        self._write_late()
        if self.trouble is None:
            self._keep_results()

    def _work(self) -> None:
        try:
            while (block := self._queue.get()) is not None:
                number, results = block
                self._late.append(number)
                if self.trouble is None:
                    self._write(number, results)
                elif time.monotonic() >= self._next:
                    self._write_late()
        except BaseException as error:
            self._error = error
            # Who waits for room in the queue must not wait for ever.
            while self._queue.get() is not None:
                pass

    def _write_late(self) -> None:
        self.trouble = None
        for number in list(self._late):
            if self.trouble is None:
                self._write(number, self._archive.results(number))

    def _write(self, number: int, results: Sequence[RunResult]) -> None:
        runs = [
            stored_run(self._journal, self._jobs[result.job], result, self.tags)
            for result in results
            if result.reused is None
        ]
        try:
            if self._described < len(self._jobs):
                self._described = len(self._jobs)
                self._record.keep(begun_files(self._archive, self._journal))
            run_ids = self._record.write(runs)
        except StoreError as error:
            self._described = 0
            self.trouble, self._next = str(error), time.monotonic() + _SECONDS_AFTER_A_FAILURE
        else:
            with suppress(OSError):  # of a full disk: without the mark the block is sent again, which adds nothing
                self._archive.mark_stored(number, run_ids)
            self._late.remove(number)

    def _keep_results(self) -> None:
        """Have the store keep the tables of all runs together, from which they are read back at once."""
        keys = {run_key(self._journal, job): job.number for job in self._jobs}
        try:
            run_ids = {keys[key]: run_id for key, run_id in self._record.run_ids(list(keys)).items()}
            self._record.keep(begun_files(self._archive, self._journal) | ended_files(self._archive, run_ids))
        except StoreError as error:
            self.trouble = str(error)
