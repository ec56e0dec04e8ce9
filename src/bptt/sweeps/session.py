"""A sweep while it is trained: blocks go to the workers, their results to the archive first, then to the store.

The store gets finished blocks one after the other, by a thread of its own, while others are trained.
"""

import logging
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from bptt.configuration.owners import check_kernel_folder
from bptt.core.kernel import compiling_notice
from bptt.core.run import Run
from bptt.core.training import needs_compiling
from bptt.sweeps.inputs import collect_preparations
from bptt.sweeps.jobs.plan import pick_blocks
from bptt.sweeps.reporting import ReportProcess
from bptt.sweeps.results import RunResults
from bptt.sweeps.workers.calls import Stopped, WorkersError
from bptt.sweeps.workers.interrupts import Interrupts
from bptt.sweeps.workers.pool import Conduct, Workers
from bptt.sweeps.workers.training import LaneResult, LaneTask, hand_out
from bptt.sweeps.writer import Writer
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.jobs import SweepJob, SweepJobs
from bptt.tracking.folder.lazy import Lazy
from bptt.tracking.folder.preparations import list_data
from bptt.tracking.folder.progress import Beacon, keep_log
from bptt.tracking.folder.sweep import SweepFolder, SweepJournal
from bptt.tracking.provenance.environment import make_provenance_tags
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.base import Store
from bptt.tracking.store.logs import SweepLog
from bptt.tracking.store.runs import make_run_key, make_sweep_key, write_setting
from bptt.tracking.store.tags import KEY_TAG

_log = logging.getLogger(__name__)


class SweepReporter(Protocol):
    """Who is told how a sweep goes on."""

    def say(self, text: str) -> None:
        """A line about what goes on."""

    def begin(self, runs: int) -> None:
        """So many runs are trained now."""

    def ended(self, results: Sequence[RunResult]) -> None:
        """These have ended."""

    def end(self) -> None:
        """Nothing is trained any more."""


class Session:
    """A sweep from the first run that is trained to the last that is recorded.

    results  of the runs that have ended
    no_store why there is none, though there should be; None: there is, or should not be
    home     from which the relative paths of its configurations are meant; None: the current folder
    report   what makes the sweep's report
    conduct  by which workers it is trained, and how
    """

    def __init__(
        self,
        archive: SweepFolder,
        jobs: Sequence[SweepJob],
        store: Store | Future[Store] | None,
        how: Conduct,
        reporter: SweepReporter,
        workers: Workers | None = None,
        no_store: str | None = None,
        report: ReportProcess | None = None,
        home: Path | None = None,
    ) -> None:
        """Store    one that is still being made is waited for when the first block has ended
        workers  that were entered already, and are left by who did; None: they are entered when they are needed
        no_store why the store is away
        report   one that may have begun
        """
        self.archive, self.reporter, self.home = archive, reporter, home
        self.jobs = jobs if isinstance(jobs, SweepJobs) else SweepJobs(jobs)
        self._opening = store if isinstance(store, Future) else None
        self.store = None if isinstance(store, Future) else store
        self.no_store = no_store
        self.journal: SweepJournal = archive.journal
        self.record: SweepLog | None = None
        self.conduct = how
        self.results = RunResults()
        self.writer: Writer | None = None
        self._stack, self._log = ExitStack(), ExitStack()
        self._log.enter_context(keep_log(archive.folder))
        self._beacon = self._log.enter_context(Beacon(archive.folder, worked=self.journal.seconds))
        self._trained = False
        self._workers = workers
        self._left: int | None = None  # blocks that have not ended, where that is known
        self.report = ReportProcess() if report is None else report
        self._asked_to_record = False

    @property
    def failed(self) -> bool:
        """Whether a run FAILED."""
        return self.results.has("FAILED")

    @property
    def seconds(self) -> float:
        """How long commands have worked on the sweep until now; one that only sends it to the store is not counted."""
        return self._beacon.seconds if self._trained or not self.journal.seconds else self.journal.seconds

    @property
    def wanted(self) -> int:
        """How many workers the sweep's blocks are to keep busy."""
        return self.conduct.workers.wanted

    @property
    def checkpoint_seconds(self) -> float | None:
        """How often a checkpoint is written; None: never."""
        return self.conduct.checkpoint_seconds

    def extend(self, jobs: Sequence[SweepJob], duplicates: int = 0) -> None:
        """Take on runs beside those that the sweep has; duplicates: how many repeated another one."""
        self.jobs += jobs
        self.archive.write_jobs(self.jobs)
        new = collect_preparations(job.config for job in jobs)
        if new.keys() - self.journal.preparations.keys():
            self.note(preparations=self.journal.preparations | new)
        if duplicates:
            self.note(duplicates=self.journal.duplicates + duplicates)

    def train(self, runs: Mapping[int, Run], blocks: Sequence[tuple[int, Sequence[int]]]) -> None:
        """Train blocks, each given by its number and its jobs; the run of each job stands in `runs`.

        Raises KeyboardInterrupt, and Stopped where on_error=stop or where the disk takes no more; what has ended until
        then is kept. Raises ConfigurationError where the kernels could be another user's.
        """
        check_kernel_folder()
        tasks = Lazy(blocks, lambda block: self._task(runs, *block))
        if not tasks:
            return
        if needs_compiling(pick_blocks(runs, [jobs for _, jobs in blocks])):
            self.reporter.say(compiling_notice())
        self.begin(sum(len(jobs) for _, jobs in blocks))
        jobs_of, left = dict(blocks), len(tasks)
        if left <= self.wanted:
            self._prepare_report()
        # Left at whatever moment, signals are no longer those of the training.
        with closing(self.advance(tasks, most=len(tasks))) as outcomes:
            for result in outcomes:
                self._left = left = left - 1
                self.take(result.number, _results(jobs_of[result.number], result))
        self.reporter.end()

    def begin(self, runs: int) -> None:
        """So many runs are trained now."""
        self.begin_recording()
        self._trained = True
        self.reporter.begin(runs)

    def advance(self, tasks: Sequence[LaneTask], most: int | None = None) -> Generator[LaneResult]:
        """Train tasks by the sweep's workers, see `training.hand_out`. Raises KeyboardInterrupt and Stopped.

        most: how many tasks there will ever be, where that is known
        """
        try:
            with Interrupts() as interrupts:
                with interrupts.raising():
                    if self._workers is None:
                        self._workers = self._stack.enter_context(Workers(self.conduct.workers, tasks=most))
                yield from hand_out(tasks, self._workers, interrupts, self._note_retry)
            if interrupts.requested:
                raise KeyboardInterrupt
        except WorkersError as error:
            raise Stopped(str(error)) from error

    def _prepare_report(self) -> None:
        """No block waits for a worker any more: a core has time for what the report takes, where no stage follows."""
        journal, stages = self.journal, self.jobs.count_stages()
        tunes = journal.tuning and not stages["result"]
        if journal.report and not tunes and (journal.confirm is None or stages["confirming"]):
            self.report.begin()

    def _note_retry(self, task: LaneTask, why: str) -> None:
        """A block, or a stage of a search, is trained once more."""
        what = f"a stage of the search, to update {task.update}" if task.checkpoint is None else f"block {task.number}"
        _log.warning(
            "%s, of %d runs, is trained again: its worker died or one beside it, %s", what, len(task.runs), why
        )
        with suppress(OSError):  # of a full disk, which the block itself will tell of
            self.note(retried=self.journal.retried + 1)

    def take(self, number: int, results: Sequence[RunResult]) -> None:
        """Keep the results of a block that was trained, and tell of them. Raises Stopped."""
        try:
            self.keep(number, results)
        except OSError as error:
            raise Stopped(f"{self.archive.folder}: can't be written: {error.strerror or error}") from error
        self.reporter.ended(results)
        _log.info("block %d has ended, with %d runs", number, len(results))
        for result in results:
            if result.error is not None:
                _log.warning("run %s failed: %s", self.jobs[result.job].name, result.error.rstrip().splitlines()[-1])
        if self._left is not None and self._left <= self.wanted:
            self._prepare_report()
        if self.conduct.on_error == "stop" and any(result.status == "FAILED" for result in results):
            raise Stopped("a run failed, and on_error=stop gives up the others")

    def keep(self, number: int, results: Sequence[RunResult]) -> None:
        """Write the results of a block into the archive, and hand them to the store's writer."""
        self.archive.write_block(number, results)
        self.results.add(results)
        self.wait_for_store()
        if (writer := self.begin_recording()) is not None:
            writer.put(number, results)

    def wait_for_store(self) -> None:
        """Have the store, where there is one. One that could not be made is told of, and done without."""
        if self._opening is not None:
            opening, self._opening = self._opening, None
            try:
                self.store = opening.result()
            except StoreError as error:
                self._do_without_store(error)

    def begin_recording(self) -> Writer | None:
        """The writer to the store, in which the sweep's own run is begun, or opened again; None: there is no store,
        or it does not take that run, which is told, and the sweep goes on without it.
        """
        if self.writer is None and self.store is not None:
            tags = make_provenance_tags() | self.journal.tags
            try:
                self.record = self._own_run(self.store, tags)
            except StoreError as error:
                self._do_without_store(error)
            else:
                self.writer = Writer(self.archive, self.journal, self.jobs, self.record, tags)
        return self.writer

    def _do_without_store(self, error: StoreError) -> None:
        self.store, self.no_store = None, str(error)
        _log.warning("without a store: %s", error)
        self.reporter.say(f"{error}; it goes on without the store, and `bptt sync` sends what it lacks")

    def _own_run(self, store: Store, tags: Mapping[str, str]) -> SweepLog:
        """The sweep's own run: begun, or opened again."""
        key, parent = make_sweep_key(self.journal), self.journal.parent
        if parent is None and self._asked_to_record:
            parent = store.find_by_key(key)  # who began it was stopped before that was noted
        self._asked_to_record = True
        if parent is None:
            record = SweepLog.begin(store, self.journal.name, {**tags, KEY_TAG: key}, "")
        else:
            record = SweepLog.reopen(store, parent, self.journal.name)
        if (record.parent, store.experiment) != (self.journal.parent, self.journal.experiment):
            self.note(parent=record.parent, experiment=store.experiment)
        record.note_data(list_data(self.journal.preparations.values()))
        return record

    def recall(self) -> None:
        """Take what the archive has as ended, and let the writer send what the store did not get."""
        self._asked_to_record = True
        self.results.add(self.archive.ended())
        _log.info("%s: %d of %d runs have ended", self.archive.folder, len(self.results), len(self.jobs))
        unsent = sorted(self.archive.blocks() - self.archive.stored())
        wanted = unsent or self.journal.parent is not None  # even if only the end of the sweep's own run is missing
        if wanted and (writer := self.begin_recording()) is not None:
            try:
                if self.journal.detail != "sweep":
                    self._adopt_all()
            except StoreError as error:  # what is trained matters more than which page shows it
                _log.warning("the store did not take which runs belong to the sweep: %s", error)
            for number in unsent:
                writer.put(number, self.archive.results(number))

    def _adopt_all(self) -> None:
        """Have all runs that the store has belong to the sweep: an earlier version did not note that."""
        assert self.record is not None
        keys = {make_run_key(self.journal, self.jobs[number]): self.jobs[number] for number in self.results}
        settings = {run_id: write_setting(keys[key]) for key, run_id in self.record.find_ids([*keys]).items()}
        taken = {result.reused: self.jobs[number] for number, result in self.results.items() if result.reused}
        settings |= {run_id: write_setting(job) for run_id, job in taken.items()}
        self.record.adopt(settings, self.journal.tags)

    def note(self, **changes: Any) -> None:
        """Change the sweep's journal."""
        self.journal = replace(self.journal, **changes)
        self.archive.write_journal(self.journal)

    def stop_workers(self) -> None:
        """Nothing is trained any more."""
        self.reporter.end()
        self._stack.close()
        self._workers = None

    def close_log(self) -> None:
        """What goes wrong from now on is no longer of this sweep, and it is no longer at work."""
        self.report.close()
        self._log.close()

    def _task(self, runs: Mapping[int, Run], number: int, jobs: Sequence[int]) -> LaneTask:
        return LaneTask(
            number=number,
            update=runs[jobs[0]].train.updates,
            runs=tuple(runs[job] for job in jobs),
            checkpoint=self.archive.checkpoint(number).absolute(),
            checkpoint_seconds=self.conduct.checkpoint_seconds,
            sign=self.archive.place_sign(number),
            identity=" ".join(map(self.jobs.find_digest, jobs)),
            numbers=tuple(jobs),
        )


def _results(jobs: Sequence[int], trained: LaneResult) -> list[RunResult]:
    """How the jobs of a block ended."""
    return [
        RunResult(
            job=job,
            status="FINISHED" if lane.error is None else "FAILED",
            record=lane.record,
            error=lane.error,
            began=trained.began,
            ended=trained.ended,
        )
        for job, lane in zip(jobs, trained.lanes, strict=True)
    ]
