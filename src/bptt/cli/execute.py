"""Trains one run and records it: the loop around `Training`, and what becomes of results, errors and Ctrl-C."""

import gc
import importlib
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bptt.cli.progress import progress
from bptt.cli.saying import say
from bptt.core.run import Record, Run
from bptt.sweeps.interrupts import Interrupts
from bptt.sweeps.partial import recorded
from bptt.tracking.address import StoreError
from bptt.tracking.environment import provenance_files
from bptt.tracking.files import CONFIG, flow_table, history_table, write_record, write_text
from bptt.tracking.journal import Journal, forget_checkpoint, write_checkpoint, write_journal
from bptt.tracking.record import RunRecord, Status

if TYPE_CHECKING:
    from bptt.core.training import Training

TRACEBACK = "traceback.txt"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run with where it leaves its files.

    checkpoint_seconds  how often a checkpoint is written; None: never
    start               the update and the arrays of a checkpoint to go on from; None: from the beginning
    """

    run: Run
    journal: Journal
    folder: Path
    checkpoint_seconds: float | None
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


def execute(job: Job, tracker: RunRecord | None, interrupts: Interrupts) -> Ended:
    """Train the run, write its files into its folder, and record it in the store where there is a tracker."""
    began = time.monotonic()
    training: Training | None = None
    error: str | None = None
    status: Status = "KILLED"
    try:
        # The number of BLAS threads decides the last bits of large matrices' eigenvalues.
        with threadpool_limits(1, user_api="blas"):
            training = _prepared(job)
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
    record = recorded(training)
    artifacts, unstored = _kept_files(job, record, error)
    tags = {"bptt.outcome": record.outcome} if status == "FINISHED" and record is not None else {}
    if tracker is not None and unstored is None:
        if tracker.trouble is not None:
            say("waiting for the store to answer; Ctrl-C gives it up")
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


def _prepared(job: Job) -> "Training":
    from bptt.core.kernel import compiling_notice
    from bptt.core.training import Training, needs_compiling

    if needs_compiling([[job.run]]):
        say(compiling_notice())
    training = Training([job.run], job.start[1] if job.start else None)
    # What was imported stays; see `train.main`.
    gc.freeze()
    gc.enable()
    # Compiled training leaves the interpreter free for the import, which takes half a second.
    threading.Thread(target=importlib.import_module, args=("matplotlib.figure",), daemon=True).start()
    return training


def _log_again(training: "Training", tracker: RunRecord) -> None:
    """Give the store the points before a checkpoint: whoever wrote that may have died before they were sent."""
    history = training.records()[0].history
    for place, update in enumerate(history["update"]):
        tracker.log(int(update), {name: float(values[place]) for name, values in history.items() if name != "update"})


def _advance(training: "Training", job: Job, tracker: RunRecord | None, interrupts: Interrupts) -> bool:
    """Train to the end (True), or to the recorded update at which an interruption was asked for (False)."""
    saved = time.monotonic()
    warned = False
    with progress(job.journal.name, job.run.train.updates, job.start[0] if job.start else 0) as shown:
        while not interrupts.requested:
            points = training.advance()
            if points is None:
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
                    say(f"the store doesn't answer, and the run goes on without it for now: {tracker.trouble}")
            if job.checkpoint_seconds is not None and time.monotonic() > saved + job.checkpoint_seconds:
                _keep(training, job, update)
                saved = time.monotonic()
    return False


def _save(training: "Training", job: Job) -> None:
    history = training.records()[0].history["update"]
    _keep(training, job, int(history[-1]) if len(history) else 0)


def _keep(training: "Training", job: Job, update: int) -> None:
    """Write a checkpoint. A full disk must not fail a run."""
    try:
        write_checkpoint(job.folder, job.journal, update, training.checkpoint())
    except OSError as error:
        say(f"update {update:,} has no checkpoint: {job.folder}: {error.strerror or error}")


def _kept_files(job: Job, record: Record | None, error: str | None) -> tuple[dict[Path, str | None], str | None]:
    """See `_files`; and why they could not be written, else None."""
    try:
        return _files(job, record, error), None
    except OSError as trouble:
        return {}, f"{job.folder}: can't be written: {trouble.strerror or trouble}"


def _files(job: Job, record: Record | None, error: str | None) -> dict[Path, str | None]:
    """Write the run's files; each with its folder among the artifacts."""
    files: dict[Path, str | None] = {job.folder / CONFIG: None}
    files |= dict.fromkeys(job.folder / name for name in provenance_files(job.folder))
    if record is not None:
        files |= dict.fromkeys(write_record(job.folder, record))
        files |= dict.fromkeys(_figures(job, record), "figures")
    if error is not None:
        files[write_text(job.folder / TRACEBACK, error)] = None
    return files


def _figures(job: Job, record: Record) -> list[Path]:
    folder = job.folder / "figures"
    paths = [folder / "loss.png", folder / "gradient_flow.png"]
    try:
        from bptt.analysis.figures import gradient_flow, loss_curve, save

        folder.mkdir(exist_ok=True)
        save(loss_curve(history_table(record), job.journal.name), paths[0], "png")
        save(gradient_flow(flow_table(record), job.journal.name), paths[1], "png")
    except Exception as error:
        # A trained run is worth more than its picture.
        say(f"the figures can't be drawn: {error!r}")
    return [path for path in paths if path.exists()]
