"""One run on its own: trained, recorded, and gone on with; what becomes of results, errors and Ctrl-C.

Nothing is printed here: a `RunReporter` is told what goes on, and the caller gets what came out.
"""

import gc
import importlib
import logging
import os
import shutil
import threading
import time
import traceback
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bptt.configuration.build import Configuration, check_configuration
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.owners import check_kernel_folder
from bptt.core.run import Record, Run
from bptt.sweeps.workers.interrupts import Interrupts
from bptt.tracking.folder.files import (
    CONFIG,
    JOURNAL,
    LOCK,
    PATCH,
    PROVENANCE,
    TRACEBACK,
    Status,
    dump_config,
    tabulate_flow,
    tabulate_history,
    write_files,
    write_record,
    write_text,
)
from bptt.tracking.folder.lock import file_lock
from bptt.tracking.folder.progress import Beacon
from bptt.tracking.folder.run import (
    GIVEN,
    RECORDED,
    Journal,
    ResumeError,
    check_program,
    compute_digests,
    forget_checkpoint,
    read_checkpoint,
    read_config,
    read_journal,
    write_checkpoint,
    write_journal,
)
from bptt.tracking.provenance.digest import compute_digest, compute_version
from bptt.tracking.provenance.environment import (
    note_resumption,
    pack_provenance,
    write_provenance,
)
from bptt.tracking.store.address import StoreError, recall_uri, resolve_address
from bptt.tracking.store.opening import WantedExperiment, choose_experiment, open_store
from bptt.tracking.store.params import hide_secrets, name_run
from bptt.tracking.store.run_log import RunLog, begin_recorded, reopen_recorded
from bptt.tracking.store.tags import OUTCOME_TAG
from bptt.tracking.store.whereabouts import describe_lost, find_whereabouts, note_place, note_store

if TYPE_CHECKING:
    from bptt.core.training import Training

_log = logging.getLogger(__name__)


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
        with threadpool_limits(1, user_api="blas"):
            training = _prepare(job)
            if job.start is not None and tracker is not None:
                _log_again(training, tracker)
            if _advance(training, job, tracker, interrupts, beacon):
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
        ended = replace(job.journal, status=noted, outcome=outcome, recorded=unstored is None, seconds=seconds)
        write_journal(job.folder, replace(ended, files=files))
    return Ended(status=status, record=record, error=error, unwritten=unwritten, unstored=unstored, seconds=seconds)


def _prepare(job: SingleRun) -> "Training":
    from bptt.core.kernel import compiling_notice
    from bptt.core.training import Training, needs_compiling

    check_kernel_folder()
    if needs_compiling([[job.run]]):
        job.reporter.say(compiling_notice())
    training = Training([job.run], job.start[1] if job.start else None)
    # What was imported stays; see `train.main`.
    gc.freeze()
    gc.enable()
    # Compiled training leaves the interpreter free for the import, which takes half a second.
    threading.Thread(target=importlib.import_module, args=("matplotlib.figure",), daemon=True).start()
    return training


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
    files |= dict.fromkeys(job.folder / name for name in pack_provenance(job.folder))
    if record is not None:
        files |= dict.fromkeys(write_record(job.folder, record))
        files |= dict.fromkeys(_figures(job, record), "figures")
    if error is not None:
        files[write_text(job.folder / TRACEBACK, error)] = None
    return files


def _figures(job: SingleRun, record: Record) -> list[Path]:
    names = ("figures/loss.png", "figures/gradient_flow.png")
    try:
        from bptt.analysis.figures import draw_gradient_flow, draw_loss_curve, save_figure

        name, baseline = job.journal.name, record.once.get("baseline")
        drawn = (
            draw_loss_curve(tabulate_history(record), name, baseline),
            draw_gradient_flow(tabulate_flow(record), name),
        )
        for path, figure in zip(names, drawn, strict=True):
            content = BytesIO()
            save_figure(figure, content, "png")
            write_files(job.folder, {path: content.getvalue()})
    except Exception as error:
        # A trained run is worth more than its picture.
        job.reporter.say(f"the figures can't be drawn: {error!r}")
    return [job.folder / name for name in names if (job.folder / name).exists()]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What became of one run.

    tracker      of the run in the store; None where it is not tracked
    interrupted  whether Ctrl-C was pressed
    """

    run: Run
    journal: Journal
    folder: Path
    tracker: RunLog | None
    ended: Ended
    interrupted: bool


def train_single(configuration: Configuration, folder: Path, reporter: RunReporter) -> Trained:
    """Train a run in a folder of its own, which the caller holds, and record it.

    Raises ConfigurationError where the folder can't be written and StoreError where there is no store; then the folder
    of a run that never began is removed.
    """
    try:
        return _train(configuration, folder, reporter)
    except (ConfigurationError, StoreError):
        remove_unused(folder)
        raise


def _train(configuration: Configuration, folder: Path, reporter: RunReporter) -> Trained:
    from bptt.sweeps.workers.kernels import check_address_space

    check_address_space()
    tracking, recorded = configuration.tracking, hide_secrets(configuration.resolved)
    version = compute_version()
    wanted = choose_experiment(tracking.experiment) if tracking.enabled else WantedExperiment(None)
    store, away = None, None
    if tracking.enabled:
        try:
            store = open_store(tracking.uri, wanted)
        except StoreError as error:
            if not error.passing:
                raise
            away = _do_without_store(error, reporter)
    with Interrupts() as interrupts:
        journal = Journal(
            run_id=None,
            uri=note_store(resolve_address(tracking.uri), Path.cwd()) if tracking.enabled else None,
            experiment=wanted.name if store is None else store.experiment,
            experiment_id=wanted.experiment_id if store is None else None,
            recorded=not tracking.enabled,
            name=name_run(configuration.resolved),
            digest=compute_digest(configuration.resolved, version),
            numerical_version=version,
            current_folder=str(Path.cwd()),
            place=note_place(folder, Path.cwd()),
        )
        try:
            write_text(folder / CONFIG, dump_config(recorded), durable=True)
            write_provenance(folder)
            journal = replace(journal, files=compute_digests(folder, GIVEN))
            write_journal(folder, journal)
        except OSError as error:
            says = f"hydra.run.dir={folder}: can't be written: {error.strerror or error}"
            raise ConfigurationError([says]) from error
        tracker = None
        if store is not None:
            try:
                tracker = begin_recorded(store, folder, journal, recorded)
            except StoreError as error:
                away = _do_without_store(error, reporter)
            else:
                journal = replace(journal, run_id=tracker.run_id)
                with suppress(OSError):  # of a disk that is full by now: the run is found again by its key
                    write_journal(folder, journal)
        return _execute(configuration, journal, folder, tracker, interrupts, reporter, away=away)


def _do_without_store(error: StoreError, reporter: RunReporter) -> str:
    """Tell that a run is trained without a store; why."""
    _log.warning("without a store: %s", error)
    reporter.say(f"{error}; the run is trained without it, and `bptt sync` sends it")
    return str(error)


def resume_single(folder: Path, allow: Collection[str], reporter: RunReporter, uri: str | None = None) -> Trained:
    """Go on with the run in this folder, from its last checkpoint or its first update, whatever the store says.

    allow  see `check_configuration`
    uri    of the store; None: the one that it was begun in

    Raises ResumeError, LockedError, ConfigurationError, and StoreError where it may not be sent there.
    """
    journal = read_journal(folder)
    with file_lock(folder / LOCK, wait=False):
        return _resume(folder, journal, allow, reporter, uri)


def _resume(folder: Path, journal: Journal, allow: Collection[str], reporter: RunReporter, uri: str | None) -> Trained:
    if journal.status == "FINISHED":
        raise ResumeError(f"{folder}: its run has finished; there is nothing to go on with")
    check_program(journal, compute_version())
    start = read_checkpoint(folder, journal)
    where = find_whereabouts(folder, journal, journal.run_id)
    if where.home is None or not where.home.is_dir():
        raise ResumeError(describe_lost(folder, journal))
    to_open = recall_uri(where.uri, uri, folder)
    for remark in where.list_remarks(folder):
        reporter.say(remark)
    os.chdir(where.home)
    configuration = check_configuration(read_config(folder, journal), allow)
    if compute_digest(configuration.resolved, journal.numerical_version) != journal.digest:
        told = "its config.yaml, or a data file or a package that it names, was changed since the run began"
        raise ResumeError(f"{folder}: {told}")
    with Interrupts() as interrupts:
        tracker, away = None, None
        try:
            tracker = reopen_recorded(folder, journal, to_open)
        except StoreError as error:
            away = _do_without_store(error, reporter)
        if tracker is not None:
            there = tracker.store
            noted = note_store(there.address, where.home)
            journal = replace(
                journal, run_id=tracker.run_id, uri=noted, experiment=there.experiment, experiment_id=None
            )
        # What it has recorded is about to be written anew.
        given = {name: digest for name, digest in journal.files.items() if name in GIVEN}
        journal = replace(journal, files=given)
        write_journal(folder, journal)
        note_resumption(folder)
        return _execute(configuration, journal, folder, tracker, interrupts, reporter, start, away)


def _execute(
    configuration: Configuration,
    journal: Journal,
    folder: Path,
    tracker: RunLog | None,
    interrupts: Interrupts,
    reporter: RunReporter,
    start: tuple[int, Mapping[str, NDArray[Any]]] | None = None,
    away: str | None = None,
) -> Trained:
    seconds = configuration.tracking.checkpoint_seconds
    job = SingleRun(
        run=configuration.run,
        journal=journal,
        folder=folder,
        checkpoint_seconds=seconds,
        reporter=reporter,
        start=start,
    )
    _log.info("%s is trained in %s, from update %d on", journal.name, folder, start[0] if start else 0)
    ended = execute(job, tracker, interrupts, away)
    _log.info("%s: %s after %.1f s", journal.name, ended.status, ended.seconds)
    return Trained(
        run=configuration.run,
        journal=journal,
        folder=folder,
        tracker=tracker,
        ended=ended,
        interrupted=bool(interrupts.requested),
    )


def remove_unused(folder: Path) -> None:
    """Remove the folder of a run that never began."""
    if {path.name for path in folder.glob("*")} <= {".hydra", LOCK, CONFIG, PROVENANCE, PATCH, JOURNAL}:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # one that holds something stays
            for parent in folder.parents[:2]:
                if parent.is_relative_to(Path.cwd()) and parent != Path.cwd():
                    parent.rmdir()
