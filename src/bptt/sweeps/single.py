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
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

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
    write_record,
    write_text,
)
from bptt.tracking.folder.lock import file_lock
from bptt.tracking.folder.run import (
    Journal,
    ResumeError,
    check_program,
    forget_checkpoint,
    make_single_key,
    read_checkpoint,
    read_config,
    read_journal,
    write_checkpoint,
    write_journal,
)
from bptt.tracking.provenance.digest import compute_digest, compute_version
from bptt.tracking.provenance.environment import (
    make_provenance_tags,
    note_resumption,
    pack_provenance,
    write_provenance,
)
from bptt.tracking.store.address import StoreError, recall_uri
from bptt.tracking.store.base import Store
from bptt.tracking.store.opening import open_store
from bptt.tracking.store.params import flatten_config, hide_secrets, name_run
from bptt.tracking.store.run_log import RunLog
from bptt.tracking.store.tags import DIGEST_TAG, KEY_TAG, OUTCOME_TAG

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
    unstored  why the store did not take it; None: it did, or there is none
    seconds   of training, in this process
    """

    status: Status
    record: Record | None
    error: str | None
    unstored: str | None
    seconds: float


def execute(job: SingleRun, tracker: RunLog | None, interrupts: Interrupts) -> Ended:
    """Train the run, write its files into its folder, and record it in the store where there is a tracker."""
    began = time.monotonic()
    training: Training | None = None
    error: str | None = None
    status: Status = "KILLED"
    try:
        # The number of BLAS threads decides the last bits of large matrices' eigenvalues.
        with threadpool_limits(1, user_api="blas"):
            training = _prepare(job)
            if job.start is not None and tracker is not None:
                _log_again(training, tracker)
            if _advance(training, job, tracker, interrupts):
                status = "FINISHED"
            else:
                _save(training, job)
    except KeyboardInterrupt:
        pass
    except Exception:
        status, error = "FAILED", traceback.format_exc()
    interrupts.settle()
    seconds = time.monotonic() - began
    from bptt.core.training import rescue_record  # here, where Ctrl-C can't come before it is waited for

    record = rescue_record(training)
    artifacts, unstored = _kept_files(job, record, error)
    tags = {OUTCOME_TAG: record.outcome} if status == "FINISHED" and record is not None else {}
    if tracker is not None and unstored is None:
        if tracker.trouble is not None:
            job.reporter.say("waiting for the store to answer; Ctrl-C gives it up")
            _log.warning("waiting for the store: %s", tracker.trouble)
        try:
            tracker.close(status, tags, artifacts)
        except (StoreError, KeyboardInterrupt) as trouble:
            unstored = str(trouble) or "interrupted while it was being recorded"
    if unstored is not None and status == "FINISHED" and training is not None:
        _save(training, job)
    if status == "FINISHED" and unstored is None:
        forget_checkpoint(job.folder)
    outcome = record.outcome if status == "FINISHED" and record is not None else None
    with suppress(OSError):  # of a full disk, of which was told: the journal says that the run goes on
        write_journal(job.folder, replace(job.journal, status="RUNNING" if unstored else status, outcome=outcome))
    return Ended(status=status, record=record, error=error, unstored=unstored, seconds=seconds)


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


def _advance(training: "Training", job: SingleRun, tracker: RunLog | None, interrupts: Interrupts) -> bool:
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
    folder = job.folder / "figures"
    paths = [folder / "loss.png", folder / "gradient_flow.png"]
    try:
        from bptt.analysis.figures import draw_gradient_flow, draw_loss_curve, save_figure

        folder.mkdir(exist_ok=True)
        save_figure(
            draw_loss_curve(tabulate_history(record), job.journal.name, record.once.get("baseline")), paths[0], "png"
        )
        save_figure(draw_gradient_flow(tabulate_flow(record), job.journal.name), paths[1], "png")
    except Exception as error:
        # A trained run is worth more than its picture.
        job.reporter.say(f"the figures can't be drawn: {error!r}")
    return [path for path in paths if path.exists()]


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
    """Train a run in a folder of its own, and record it.

    Raises ConfigurationError where the folder can't be written and StoreError where there is no store; then the folder
    of a run that never began is removed.
    """
    try:
        return _train(configuration, folder, reporter)
    except (ConfigurationError, StoreError):
        _remove_unused(folder)
        raise


def _train(configuration: Configuration, folder: Path, reporter: RunReporter) -> Trained:
    from bptt.sweeps.workers.kernels import check_address_space

    check_address_space()
    tracking, recorded = configuration.tracking, hide_secrets(configuration.resolved)
    version = compute_version()
    store = open_store(tracking.uri, tracking.experiment) if tracking.enabled else None
    with Interrupts() as interrupts, file_lock(folder / LOCK):
        journal = Journal(
            run_id=None,
            uri=None if store is None else store.address.shown,
            experiment=None if store is None else store.experiment,
            name=name_run(configuration.resolved),
            digest=compute_digest(configuration.resolved, version),
            numerical_version=version,
            current_folder=str(Path.cwd()),
        )
        try:
            write_text(folder / CONFIG, dump_config(recorded), durable=True)
            write_provenance(folder)
            write_journal(folder, journal)
        except OSError as error:
            says = f"hydra.run.dir={folder}: can't be written: {error.strerror or error}"
            raise ConfigurationError([says]) from error
        tracker = None
        if store is not None:
            tracker = _begin(store, folder, journal, recorded)
            journal = replace(journal, run_id=tracker.run_id)
            with suppress(OSError):  # of a disk that is full by now: the run is found again by its key
                write_journal(folder, journal)
        return _execute(configuration, journal, folder, tracker, interrupts, reporter)


def resume_single(folder: Path, allow: Collection[str], reporter: RunReporter) -> Trained:
    """Go on with the run in this folder, from its last checkpoint or its first update.

    allow  see `check_configuration`

    Raises ResumeError, LockedError, StoreError, ConfigurationError.
    """
    journal = read_journal(folder)
    with file_lock(folder / LOCK, wait=False):
        return _resume(folder, journal, allow, reporter)


def _resume(folder: Path, journal: Journal, allow: Collection[str], reporter: RunReporter) -> Trained:
    if journal.status == "FINISHED":
        raise ResumeError(f"{folder}: its run has finished; there is nothing to go on with")
    check_program(journal, compute_version())
    start = read_checkpoint(folder, journal)
    if not Path(journal.current_folder).is_dir():
        raise ResumeError(
            f"{journal.current_folder}: is gone; the run was begun there, and its files are looked for there"
        )
    os.chdir(journal.current_folder)
    configuration = check_configuration(read_config(folder), allow)
    if compute_digest(configuration.resolved, journal.numerical_version) != journal.digest:
        told = "its config.yaml, or a data file or a package that it names, was changed since the run began"
        raise ResumeError(f"{folder}: {told}")
    with Interrupts() as interrupts:
        tracker = _reopen(folder, journal)
        journal = journal if tracker is None else replace(journal, run_id=tracker.run_id)
        write_journal(folder, journal)
        note_resumption(folder)
        return _execute(configuration, journal, folder, tracker, interrupts, reporter, start)


def _execute(
    configuration: Configuration,
    journal: Journal,
    folder: Path,
    tracker: RunLog | None,
    interrupts: Interrupts,
    reporter: RunReporter,
    start: tuple[int, Mapping[str, NDArray[Any]]] | None = None,
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
    ended = execute(job, tracker, interrupts)
    _log.info("%s: %s after %.1f s", journal.name, ended.status, ended.seconds)
    return Trained(
        run=configuration.run,
        journal=journal,
        folder=folder,
        tracker=tracker,
        ended=ended,
        interrupted=bool(interrupts.requested),
    )


def _begin(store: Store, folder: Path, journal: Journal, recorded: Mapping[str, Any]) -> RunLog:
    """The run in the store, begun with the configuration that is recorded. Raises StoreError."""
    tags = make_provenance_tags() | {DIGEST_TAG: journal.digest, KEY_TAG: make_single_key(folder, journal)}
    return RunLog.begin(store, journal.name, flatten_config(recorded), tags)


def _reopen(folder: Path, journal: Journal) -> RunLog | None:
    """The run in the store that it was begun in; None where it is not tracked."""
    if journal.experiment is None:
        return None
    store = open_store(recall_uri(journal.uri), journal.experiment)
    # Who began it may have been stopped before it noted which run it is, or before there was one.
    run_id = journal.run_id or store.find_by_key(make_single_key(folder, journal))
    if run_id is None:
        return _begin(store, folder, journal, read_config(folder))
    params = {} if journal.run_id is not None else flatten_config(read_config(folder))  # which it may not have got yet
    return RunLog.reopen(store, run_id, params)


def _remove_unused(folder: Path) -> None:
    """Remove the folder of a run that never began."""
    if {path.name for path in folder.glob("*")} <= {".hydra", LOCK, CONFIG, PROVENANCE, PATCH, JOURNAL}:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # one that holds something stays
            for parent in folder.parents[:2]:
                if parent.is_relative_to(Path.cwd()) and parent != Path.cwd():
                    parent.rmdir()
