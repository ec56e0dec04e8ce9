"""The one thread that writes a sweep's runs into the store, block after block, while others are trained."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Final

from bptt.tracking.folder.block import ArchiveError, RunResult
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.sweep import SweepFolder, SweepJournal
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.logs import SweepLog, pack_begin, pack_end
from bptt.tracking.store.runs import make_run, make_run_key, write_setting
from bptt.tracking.store.tags import Flattener

_log = logging.getLogger(__name__)

_SECONDS_AFTER_A_FAILURE: Final = 30.0
_SECONDS_TO_BE_TOLD_OF: Final = 2.0
_MOST_HELD: Final = 8  # blocks that wait for the store in memory; what comes beside them is read from the folder again


class Writer:
    """The one thread that writes a sweep's runs into the store.

    The archive has every block before it comes here, so what the store doesn't take is not lost: it is tried again
    after a while and at the end, and by `bptt sync`.
    """

    def __init__(
        self,
        archive: SweepFolder,
        journal: SweepJournal,
        jobs: Sequence[SweepJob],
        record: SweepLog,
        tags: Mapping[str, str],
    ) -> None:
        self._archive, self._journal, self._jobs, self._record, self.tags = archive, journal, jobs, record, tags
        #: Why the store did not take a block, as long as it did not; None: it took all.
        self.trouble: str | None = None
        self._flatten = Flattener()
        self._error: BaseException | None = None
        self._late: list[int] = []
        self._refused: set[int] = set()  # of these
        self._described = 0  # jobs, of which the store has the list
        self._next = 0.0
        self._queue: SimpleQueue[int | None] = SimpleQueue()
        self._held: dict[int, Sequence[RunResult]] = {}
        self._unreadable: str | None = None
        # From now on only blocks that are held in memory are written, or none.
        self._hurries = self._gives_up = False
        #: Whether blocks were left out for that.
        self.left_out = False
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    def put(self, number: int, results: Sequence[RunResult]) -> None:
        """Take a block that the archive has. Raises what the thread ended with, should it have.

        It never waits: joblib would go on, and what is trained meanwhile would pile up in its memory.
        """
        if self._error is not None:
            raise self._error
        if len(self._held) < _MOST_HELD:
            self._held[number] = results
        self._queue.put(number)

    def give_up(self) -> None:
        """Write no more than what is being written."""
        self._gives_up = True

    def finish(self, say: Callable[[str], None], hurry: bool = False) -> None:
        """Wait until all is written, or was refused once more: `trouble` says. A long wait is told to `say`.

        hurry: leave out what waits in the folder alone, of which there may be much
        """
        self._hurries |= hurry
        if self._thread.is_alive():
            self._queue.put(None)
        self._thread.join(_SECONDS_TO_BE_TOLD_OF)
        if self._thread.is_alive():
            say("waiting for the store; Ctrl-C gives it up")
            began = time.monotonic()
            self._thread.join()
            _log.warning("waited %.1f s for the store at the end", time.monotonic() - began + _SECONDS_TO_BE_TOLD_OF)
        if self._error is not None:
            raise self._error
        self._write_late()
        if self.trouble is None:
            self.trouble = self._unreadable
        if self.trouble is None and not self.left_out:
            self._keep_results()

    def _work(self) -> None:
        try:
            while (number := self._queue.get()) is not None:
                results = self._held.pop(number, None)
                if self._gives_up or (self._hurries and results is None):
                    self.left_out = True
                    continue
                self._late.append(number)
                if self.trouble is None:
                    self._write(number, results)
                elif time.monotonic() >= self._next:
                    self._write_late()
        except BaseException as error:
            self._error = error

    def _write_late(self) -> None:
        self.trouble = None
        for number in list(self._late):
            if self.trouble is None:
                self._write(number)

    def _read(self, number: int) -> Sequence[RunResult] | None:
        """What a block's runs left; None where it can't be read, which is told at the end and holds up no other."""
        try:
            return self._archive.results(number)
        except ArchiveError as error:
            self._unreadable = str(error)
            self._late.remove(number)
            _log.warning("block %d can't be sent to the store: %s", number, error)
            return None

    def _write(self, number: int, results: Sequence[RunResult] | None = None) -> None:
        """results: of the block; None: they are read."""
        if results is None and (results := self._read(number)) is None:
            return
        runs = [
            make_run(self._journal, self._jobs[result.job], result, self.tags, flatten=self._flatten)
            for result in results
            if result.reused is None and self._journal.detail != "sweep"
        ]
        try:
            if self._described < len(self._jobs):
                self._described = len(self._jobs)
                self._record.keep(pack_begin(self._archive, self._journal))
            run_ids = self._record.write(runs)
            taken = {result.reused: write_setting(self._jobs[result.job]) for result in results if result.reused}
            if taken and self._journal.detail != "sweep":
                self._record.adopt(taken, self._journal.tags)
        except StoreError as error:
            self._described = 0
            self.trouble, self._next = str(error), time.monotonic() + _SECONDS_AFTER_A_FAILURE
            self._refused.add(number)
            again = f"asked again after {_SECONDS_AFTER_A_FAILURE:g} s, or at the end"
            _log.warning("the store did not take block %d: %s; %s", number, error, again)
        else:
            if number in self._refused:
                self._refused.remove(number)
                _log.warning("the store took block %d after all", number)
            with suppress(OSError):  # of a full disk: without the mark the block is sent again, which adds nothing
                self._archive.mark_stored(number, run_ids)
            self._late.remove(number)

    def _keep_results(self) -> None:
        """Have the store keep the tables of all runs together, from which they are read back at once."""

        def find_ids(numbers: Sequence[int]) -> dict[int, str]:
            keys = {make_run_key(self._journal, self._jobs[number]): number for number in numbers}
            return {keys[key]: run_id for key, run_id in self._record.find_ids(list(keys)).items()}

        try:
            self._record.keep(pack_begin(self._archive, self._journal) | pack_end(self._archive, find_ids))
        except StoreError as error:
            self.trouble = str(error)
            _log.warning("the store did not take the tables of all runs: %s", error)
