"""How one run on its own is carried out: trained, its files written, recorded; and how it ended.

Nothing is printed here: a `RunReporter` is told what goes on, and the caller gets what came out.
"""

import importlib
import logging
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from numpy.typing import NDArray

from bptt.configuration.owners import check_kernel_folder
from bptt.core.run import Record, Run
from bptt.sweeps.workers.interrupts import Interrupts
from bptt.sweeps.workers.measurements import add_still_runs, choose_measurements
from bptt.tracking.folder.files import (
    CONFIG,
    PREPARATION,
    TRACEBACK,
    Status,
    write_record,
    write_text,
)
from bptt.tracking.folder.progress import Beacon
from bptt.tracking.folder.run import (
    RECORDED,
    Journal,
    compute_digests,
    forget_checkpoint,
    write_checkpoint,
    write_journal,
)
from bptt.tracking.provenance.blas import use_one_blas_thread
from bptt.tracking.provenance.environment import (
    pack_provenance,
)
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.logs import RunLog
from bptt.tracking.store.tags import OUTCOME_TAG

if TYPE_CHECKING:
    from bptt.core.training import Training

_log = logging.getLogger(__name__)

_SECONDS_TO_IMPORT_IN: Final = 1.0


class Progress(Protocol):
    """Is told of every recorded update."""

    def point(self, update: int, metrics: Mapping[str, float]) -> None: ...


class RunReporter(Protocol):
    """Is told of one run."""

    def say(self, text: str) -> None:
        """A line about what goes on."""
        ...

    def progress(self, name: str, updates: int, done: int) -> AbstractContextManager[Progress]:
        """Training begins, of so many updates, `done` of which were made by an earlier process."""
        ...


@dataclass(frozen=True, kw_only=True)
class SingleRun:
    """A run with where it leaves its files.

    checkpoint_seconds  how often a checkpoint is written; None: never
    reporter            is told what goes on
    start               the update and the arrays of a checkpoint to go on from; None: from the beginning
    """

    run: Run
    journal: Journal
    folder: Path
    checkpoint_seconds: float | None
    reporter: RunReporter
    start: tuple[int, Mapping[str, NDArray[Any]]] | None = None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended.

    record    what was recorded so far, where it did not finish; None: nothing
    error     the traceback of a run that FAILED
    unwritten why its files could not be written; None: they were
    unstored  why the store did not take it; None: it did, or there is to be none
    seconds   how long commands have trained it
    """

    status: Status
    record: Record | None
    error: str | None
    unwritten: str | None
    unstored: str | None
    seconds: float


def execute(job: SingleRun, tracker: RunLog | None, interrupts: Interrupts, away: str | None = None) -> Ended:
    """Train the run, write its files into its folder, and record it in the store where there is a tracker.

    away: why there is none, though there should be
    """
    done = job.start[0] if job.start else 0
    with Beacon(job.folder, worked=job.journal.seconds, update=done, last=job.run.train.updates) as beacon:
        return _execute_seen(job, tracker, interrupts, away, beacon)


def _execute_seen(
    job: SingleRun, tracker: RunLog | None, interrupts: Interrupts, away: str | None, beacon: Beacon
) -> Ended:
    training: Training | None = None
    error: str | None = None
    status: Status = "KILLED"
    try:
        # The number of BLAS threads decides the last bits of large matrices' eigenvalues.
        with use_one_blas_thread():
            training = _prepare(job)
            if job.start is not None and tracker is not None:
                _log_again(training, tracker)
            with _importing_figures():
                ended = _advance(training, job, tracker, interrupts, beacon)
            if ended:
                status = "FINISHED"
            else:
                _save(training, job)
    except KeyboardInterrupt:
        pass
    except Exception:
        status, error = "FAILED", traceback.format_exc()
    interrupts.settle()
    seconds = beacon.seconds
    from bptt.core.training import rescue_record  # here, where Ctrl-C can't come before it is waited for

    record = rescue_record(training)
    artifacts, unwritten = _kept_files(job, record, error)
    unstored = unwritten or away
    tags = {OUTCOME_TAG: record.outcome} if status == "FINISHED" and record is not None else {}
    if tracker is not None and unwritten is None:
        if tracker.trouble is not None:
            job.reporter.say("waiting for the store to answer; Ctrl-C gives it up")
            _log.warning("waiting for the store: %s", tracker.trouble)
        try:
            tracker.close(status, tags, artifacts)
        except (StoreError, KeyboardInterrupt) as trouble:
            unstored = str(trouble) or "interrupted while it was being recorded"
    if unwritten is not None and status == "FINISHED" and training is not None:
        _save(training, job)
    if status == "FINISHED" and unwritten is None:
        forget_checkpoint(job.folder)
    outcome = record.outcome if status == "FINISHED" and record is not None else None
    noted: Literal["RUNNING", "FINISHED", "FAILED", "KILLED"] = "RUNNING" if unwritten else status
    with suppress(OSError):  # of a full disk, of which was told: the journal says that the run goes on
        files = compute_digests(job.folder, RECORDED) | job.journal.files
        last = replace(job.journal, status=noted, outcome=outcome, recorded=unstored is None, seconds=seconds)
        write_journal(job.folder, replace(last, files=files))
    return Ended(status=status, record=record, error=error, unwritten=unwritten, unstored=unstored, seconds=seconds)


def _prepare(job: SingleRun) -> "Training":
    from bptt.core.kernel import compiling_notice
    from bptt.core.training import Training, needs_compiling

    check_kernel_folder()
    if needs_compiling(add_still_runs([job.run])):
        from bptt.sweeps.workers.kernels import compile_kernels

        job.reporter.say(compiling_notice())
        # Those too that this run does not come to call: else the next one would tell of compiling again.
        compile_kernels([job.run])
    return Training([job.run], job.start[1] if job.start else None, choose_measurements(job.run))


@contextmanager
def _importing_figures() -> Iterator[None]:
    """Import what draws figures beside a training, which leaves the interpreter free for it; not where that ends sooner
    than the import, by which it would only be held up.
    """
    timer = threading.Timer(_SECONDS_TO_IMPORT_IN, importlib.import_module, ("matplotlib.figure",))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _log_again(training: "Training", tracker: RunLog) -> None:
    """Give the store the points before a checkpoint: whoever wrote that may have died before they were sent."""
    history = training.records()[0].history
    for place, update in enumerate(history["update"]):
        tracker.log(int(update), {name: float(values[place]) for name, values in history.items() if name != "update"})


def _advance(
    training: "Training", job: SingleRun, tracker: RunLog | None, interrupts: Interrupts, beacon: Beacon
) -> bool:
    """Train to the end (True), or to the recorded update at which an interruption was asked for (False)."""
    saved = time.monotonic()
    warned = False
    done = job.start[0] if job.start else 0
    with job.reporter.progress(job.journal.name, job.run.train.updates, done) as shown:
        while not interrupts.requested:
            points = training.advance()
            if points is None:
                if tracker is not None:
                    record = training.records()[0]
                    tracker.log(int(record.history["update"][-1]), record.once)
                return True
            if not points.recorded[0]:
                continue
            update = int(points.lane_update[0])
            if beacon.sign.since is None:  # whatever was compiled is
                beacon.tell(first=update, since=time.time())
            beacon.tell(update=update)
            metrics = {name: float(values[0]) for name, values in points.metrics.items()}
            shown.point(update, metrics)
            if tracker is not None:
                tracker.log(update, metrics)
                if tracker.trouble is not None and not warned:
                    warned = True
                    job.reporter.say(
                        f"the store doesn't answer, and the run goes on without it for now: {tracker.trouble}"
                    )
            if job.checkpoint_seconds is not None and time.monotonic() > saved + job.checkpoint_seconds:
                _keep(training, job, update)
                saved = time.monotonic()
    return False


def _save(training: "Training", job: SingleRun) -> None:
    history = training.records()[0].history["update"]
    _keep(training, job, int(history[-1]) if len(history) else 0)


def _keep(training: "Training", job: SingleRun, update: int) -> None:
    """Write a checkpoint. A full disk must not fail a run."""
    try:
        write_checkpoint(job.folder, job.journal, update, training.checkpoint())
    except OSError as error:
        job.reporter.say(f"update {update:,} has no checkpoint: {job.folder}: {error.strerror or error}")


def _kept_files(job: SingleRun, record: Record | None, error: str | None) -> tuple[dict[Path, str | None], str | None]:
    """See `_files`; and why they could not be written, else None."""
    try:
        return _files(job, record, error), None
    except OSError as trouble:
        return {}, f"{job.folder}: can't be written: {trouble.strerror or trouble}"


def _files(job: SingleRun, record: Record | None, error: str | None) -> dict[Path, str | None]:
    """Write the run's files; each with its folder among the artifacts."""
    files: dict[Path, str | None] = {job.folder / CONFIG: None}
    if (job.folder / PREPARATION).is_file():
        files[job.folder / PREPARATION] = None
    files |= dict.fromkeys(job.folder / name for name in pack_provenance(job.folder))
    if record is not None:
        files |= dict.fromkeys(write_record(job.folder, record))
    if error is not None:
        files[write_text(job.folder / TRACEBACK, error)] = None
    return files
