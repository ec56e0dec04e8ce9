"""A sweep while it is trained: blocks go to the workers, their results to the archive first, then to the store."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from bptt.core.kernel import compiling_notice
from bptt.core.run import Run
from bptt.core.training import needs_compiling
from bptt.sweeps.block_training import BlockTask, train_block
from bptt.sweeps.calls import WorkersError
from bptt.sweeps.conduct import Conduct
from bptt.sweeps.early_imports import import_what_a_report_needs
from bptt.sweeps.interrupts import Interrupts
from bptt.sweeps.workers import Lost, Workers
from bptt.sweeps.writer import Writer
from bptt.tracking.address import StoreError
from bptt.tracking.archive import Archive, SweepJob, SweepJournal
from bptt.tracking.block_files import RunResult
from bptt.tracking.keyed_run import KEY, run_with_key
from bptt.tracking.provenance import provenance
from bptt.tracking.store import Store
from bptt.tracking.stored_run import sweep_key
from bptt.tracking.sweep_record import SweepRecord

T = TypeVar("T")
R = TypeVar("R")


class Reporter(Protocol):
    """Who is told how a sweep goes on."""

    def say(self, text: str) -> None:
        """A line about what goes on."""

    def begin(self, runs: int) -> None:
        """So many runs are trained now."""

    def ended(self, results: Sequence[RunResult]) -> None:
        """These have ended."""

    def end(self) -> None:
        """Nothing is trained any more."""


class Stopped(Exception):
    """Training was given up; the message is one line for the user."""


class Session:
    """A sweep from the first run that is trained to the last that is recorded.

    results  of the runs that have ended, by job number, without what they recorded
    last     of each run that has ended: `update` and metrics as they were recorded last
    no_store why the store that was being made could not be; None: it could, or is there
    """

    def __init__(
        self,
        archive: Archive,
        jobs: list[SweepJob],
        store: Store | Future[Store] | None,
        how: Conduct,
        reporter: Reporter,
        workers: Workers | None = None,
    ) -> None:
        """Store    one that is still being made is waited for when the first block has ended
        workers  that were entered already, and are left by who did; None: they are entered when they are needed
        """
        self.archive, self.jobs, self.reporter = archive, jobs, reporter
        self._opening = store if isinstance(store, Future) else None
        self.store = None if isinstance(store, Future) else store
        self.no_store: str | None = None
        self.journal: SweepJournal = archive.journal
        self.record: SweepRecord | None = None
        self.began = time.time()
        self._how = how
        self.results: dict[int, RunResult] = {}
        self.last: dict[int, dict[str, float]] = {}
        self.writer: Writer | None = None
        self._stack = ExitStack()
        self._workers = workers
        self._importing = False
        self._asked_to_record = False

    @property
    def failed(self) -> bool:
        """Whether a run FAILED."""
        return any(result.status == "FAILED" for result in self.results.values())

    def train(self, runs: Mapping[int, Run], blocks: Sequence[tuple[int, Sequence[int]]]) -> None:
        """Train blocks, each given by its number and its jobs; the run of each job stands in `runs`.

        Raises KeyboardInterrupt, and Stopped where on_error=stop or where the disk takes no more; what has ended until
        then is kept.
        """
        tasks = [self._task(number, jobs, runs) for number, jobs in blocks]
        if not tasks:
            return
        if needs_compiling([runs[job] for job in jobs] for _, jobs in blocks):
            self.reporter.say(compiling_notice())
        self.begin(sum(len(task.jobs) for task in tasks))
        for outcome in self.computed(train_block, tasks, most=len(tasks)):
            if isinstance(outcome, Lost):
                self.take(outcome.task.number, _lost(outcome))
            else:
                self.take(outcome.number, outcome.results)
        self.reporter.end()

    def begin(self, runs: int) -> None:
        """So many runs are trained now."""
        if self.store is not None:
            self.begin_recording(self.store)
        self.reporter.begin(runs)

    def computed(
        self, function: Callable[[T], R], tasks: Sequence[T], most: int | None = None
    ) -> Iterator[R | Lost[T]]:
        """function(task) of every task, by the workers, as they come. Ctrl-C is heard while it waits for one.

        most: how many tasks there will ever be, where that is known
        """
        try:
            with Interrupts() as interrupts:
                with interrupts.raising():
                    if self._workers is None:
                        self._workers = self._stack.enter_context(Workers(self._how.workers, tasks=most))
                    outcomes = self._workers.run(function, tasks)
                while True:
                    with interrupts.raising():
                        outcome = next(outcomes, None)
                    if outcome is None:
                        return
                    yield outcome
        except WorkersError as error:
            raise Stopped(str(error)) from error

    def take(self, number: int, results: Sequence[RunResult]) -> None:
        """Keep the results of a block that was trained, and tell of them. Raises Stopped."""
        try:
            self.keep(number, results)
        except OSError as error:
            raise Stopped(f"{self.archive.folder}: can't be written: {error.strerror or error}") from error
        self.reporter.ended(results)
        if self.journal.report and not self._importing:
            self._importing = True
            threading.Thread(target=import_what_a_report_needs, name="imports", daemon=True).start()
        if self._how.on_error == "stop" and any(result.status == "FAILED" for result in results):
            raise Stopped("a run failed, and on_error=stop gives up the others")

    def keep(self, number: int, results: Sequence[RunResult]) -> None:
        """Write the results of a block into the archive, and hand them to the store's writer."""
        self.archive.write_block(number, results)
        self._ended_now(results)
        self.wait_for_store()
        if all(result.reused for result in results):
            self.archive.mark_stored(number)
        elif self.store is not None:
            self.begin_recording(self.store).put(number, results)

    def wait_for_store(self) -> None:
        """Have the store, where there is one. Raises Stopped where it could not be made."""
        if self._opening is not None:
            opening, self._opening = self._opening, None
            try:
                self.store = opening.result()
            except StoreError as error:
                self.no_store = str(error)
                raise Stopped(self.no_store) from error

    def begin_recording(self, store: Store) -> Writer:
        """The writer to the store, in which the sweep's own run is begun, or opened again."""
        if self.writer is None:
            tags = provenance()
            self.record = self._own_run(store, tags)
            self.writer = Writer(self.archive, self.journal, self.jobs, self.record, tags)
        return self.writer

    def _own_run(self, store: Store, tags: Mapping[str, str]) -> SweepRecord:
        """The sweep's own run: begun, or opened again."""
        key, parent = sweep_key(self.journal), self.journal.parent
        if parent is None and self._asked_to_record:
            parent = run_with_key(store, key)  # who began it was stopped before that was noted
        self._asked_to_record = True
        if parent is None:
            record = SweepRecord.begin(store, self.journal.name, {**tags, KEY: key}, "")
        else:
            record = SweepRecord.reopen(store, parent, self.journal.name)
        if record.parent != self.journal.parent:
            self.note(parent=record.parent)
        return record

    def recall(self) -> None:
        """Take what the archive has as ended, and let the writer send what the store did not get."""
        self._asked_to_record = True
        self.results |= {result.job: result for result in self.archive.ended()}
        unsent = sorted(self.archive.blocks() - self.archive.stored())
        if self.store is not None and (unsent or self.journal.parent is not None):
            writer = self.begin_recording(self.store)  # even if only the end of the sweep's own run is missing
            for number in unsent:
                writer.put(number, self.archive.results(number))

    def note(self, **changes: Any) -> None:
        """Change the sweep's journal."""
        self.journal = replace(self.journal, **changes)
        self.archive.write_journal(self.journal)

    def stop_workers(self) -> None:
        """Nothing is trained any more."""
        self.reporter.end()
        self._stack.close()
        self._workers = None

    def _ended_now(self, results: Sequence[RunResult]) -> None:
        self.results |= {result.job: replace(result, record=None) for result in results}
        for result in results:
            if result.record is not None:
                self.last[result.job] = {name: float(values[-1]) for name, values in result.record.history.items()}

    def _task(self, number: int, jobs: Sequence[int], runs: Mapping[int, Run]) -> BlockTask:
        return BlockTask(
            number=number,
            jobs=tuple(jobs),
            runs=tuple(runs[job] for job in jobs),
            checkpoint=self.archive.checkpoint(number).absolute(),
            checkpoint_seconds=self._how.checkpoint_seconds,
            identity=" ".join(self.jobs[job].digest for job in jobs),
        )


def _lost(lost: Lost[BlockTask]) -> list[RunResult]:
    now = time.time()
    return [
        RunResult(job=job, status="FAILED", record=None, error=lost.reason, began=now, ended=now)
        for job in lost.task.jobs
    ]
