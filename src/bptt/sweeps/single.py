"""One run on its own: begun in a folder, or gone on with; see `bptt.sweeps.execution`."""

import logging
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.configuration.build import Configuration, check_configuration, locate_files
from bptt.configuration.errors import ConfigurationError
from bptt.core.run import Record, Run
from bptt.printable import make_printable
from bptt.sweeps.execution import Ended, RunReporter, SingleRun, execute
from bptt.sweeps.workers.interrupts import Interrupts
from bptt.tracking.folder.files import (
    CONFIG,
    JOURNAL,
    LOCK,
    OWN_FOLDERS,
    PATCH,
    PREDICTIONS,
    PREPARATION,
    PROVENANCE,
    dump_config,
    list_flow_columns,
    list_history_columns,
    write_files,
    write_text,
)
from bptt.tracking.folder.lock import LockedError, file_lock, find_why_taken
from bptt.tracking.folder.run import (
    GIVEN,
    Journal,
    ResumeError,
    check_program,
    compute_digests,
    read_checkpoint,
    read_config,
    read_journal,
    write_journal,
)
from bptt.tracking.provenance.digest import compute_digest, compute_version
from bptt.tracking.provenance.environment import (
    note_resumption,
    write_provenance,
)
from bptt.tracking.store.address import StoreError, recall_uri, resolve_address
from bptt.tracking.store.logs import RunLog, begin_recorded, reopen_recorded
from bptt.tracking.store.opening import WantedExperiment, choose_experiment, open_store
from bptt.tracking.store.tags import hide_secrets, name_run
from bptt.tracking.store.whereabouts import describe_lost, find_whereabouts, note_place, note_store

_log = logging.getLogger(__name__)

_FIGURES: Final = ("figures/loss.png", "figures/gradient_flow.png")


@contextmanager
def hold_run_folder(folder: Path) -> Iterator[None]:
    """Hold a folder for a new run, before anything is written into it; one that nothing came into is removed.

    Raises ConfigurationError where it holds a run or a sweep, or something that would be written over.
    """

    def refuse_taken(held: bool) -> None:
        if (why := find_why_taken(folder, held)) is not None:
            raise ConfigurationError([f"hydra.run.dir={folder}: {why}"])

    refuse_taken(held=False)
    try:
        with file_lock(folder / LOCK, wait=False):
            refuse_taken(held=True)
            yield
            if {path.name for path in folder.glob("*")} <= {".hydra", LOCK}:
                remove_unused(folder)
    except LockedError as error:
        raise ConfigurationError([f"hydra.run.dir={folder}: something is being trained there"]) from error


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
    for line in getattr(configuration.run.task, "remarks", ()):
        reporter.say(make_printable(line))
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
            if (preparation := getattr(configuration.run.task, "preparation", None)) is not None:
                write_text(folder / PREPARATION, preparation.to_json(), durable=True)
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


def resume_single(
    folder: Path, allow: Collection[str], reporter: RunReporter, uri: str | None = None
) -> Trained | None:
    """Go on with the run in this folder, from its last checkpoint or its first update, whatever the store says.

    None: it had finished, and only its figures were lacking, which are drawn.

    allow  see `check_configuration`
    uri    of the store; None: the one that it was begun in

    Raises ResumeError, LockedError, ConfigurationError, and StoreError where it may not be sent there.
    """
    journal = read_journal(folder)
    with file_lock(folder / LOCK, wait=False):
        if journal.status == "FINISHED":
            _complete_figures(folder, journal, allow, reporter, uri)
            return None
        return _resume(folder, journal, allow, reporter, uri)


def _complete_figures(
    folder: Path, journal: Journal, allow: Collection[str], reporter: RunReporter, uri: str | None
) -> None:
    """Draw the figures of a run that was killed when all else of it was done; raises ResumeError where they are there.

    See `illustrate_run`.
    """
    from bptt.sweeps.restoring import Patience, restore_run
    from bptt.tracking.history.from_folder import RunFolderHistory

    predicted = not (folder / PREPARATION).is_file() or (folder / PREDICTIONS).is_file()
    if predicted and all((folder / name).is_file() for name in _FIGURES):
        raise ResumeError(f"{folder}: its run has finished; there is nothing to go on with")
    record = RunFolderHistory(folder).record(1)
    if record is None:
        raise ResumeError(f"{folder}: its run has finished, and what it recorded is not there")
    files = _draw_figures(record, journal.name, reporter)
    if not predicted:
        home = find_whereabouts(folder, journal, journal.run_id).home
        configuration = check_configuration(locate_files(read_config(folder, journal), home), allow)
        files |= make_predictions(configuration.run, record, reporter)
    write_files(folder, files)
    reporter.say("the run had finished; its figures were lacking")
    if journal.uri is not None and (trouble := restore_run(folder, journal, uri, Patience(reporter.say)).trouble):
        reporter.say(trouble)


def _resume(folder: Path, journal: Journal, allow: Collection[str], reporter: RunReporter, uri: str | None) -> Trained:
    check_program(journal, compute_version())
    start = read_checkpoint(folder, journal)
    where = find_whereabouts(folder, journal, journal.run_id)
    if where.home is None or not where.home.is_dir():
        raise ResumeError(describe_lost(folder, journal))
    to_open = recall_uri(where.uri, uri, folder)
    for remark in where.list_remarks(folder):
        reporter.say(remark)
    configuration = check_configuration(locate_files(read_config(folder, journal), where.home), allow)
    if compute_digest(configuration.resolved, journal.numerical_version) != journal.digest:
        told = "its config.yaml, or a data file or a package that it names, was changed since the run began"
        raise ResumeError(f"{folder}: {told}")
    with Interrupts() as interrupts:
        tracker, away = None, None
        try:
            tracker = reopen_recorded(folder, journal, to_open, where.home)
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
    if {path.name for path in folder.glob("*")} <= {".hydra", LOCK, CONFIG, PREPARATION, PROVENANCE, PATCH, JOURNAL}:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # one that holds something stays
            for parent in folder.parents[:2]:
                if parent.is_relative_to(Path.cwd()) and parent != Path.cwd():
                    parent.rmdir()


def illustrate_run(trained: Trained, reporter: RunReporter) -> None:
    """Draw what a run recorded, into its folder and among its artifacts in the store; what can't be drawn is told.

    This comes last, when the run is recorded and told of: it takes as long as all the rest of a short one. The folder
    gets them when the store has them, so that `bptt resume` knows from the folder whether any are lacking.
    """
    record = trained.ended.record
    if record is None or trained.ended.unwritten is not None:
        return
    try:
        files = _draw_figures(record, trained.journal.name, reporter) | make_predictions(trained.run, record, reporter)
        if trained.tracker is not None and trained.ended.unstored is None:
            try:
                trained.tracker.keep(files)
            except StoreError as error:
                reporter.say(f"the store doesn't have the figures: {error}; later: bptt sync {trained.folder}")
        write_files(trained.folder, files)
    except OSError as error:
        reporter.say(f"the figures can't be drawn: {error}")
    except KeyboardInterrupt:
        reporter.say(f"the figures are not drawn; later: bptt resume {trained.folder}")


def make_predictions(run: Run, record: Record, reporter: RunReporter) -> dict[str, bytes]:
    """What a network says of its evaluation and test sets, and figures of that, by place in its run's folder; nothing
    where its task's data are not the user's own: they can be drawn again.
    """
    if getattr(run.task, "preparation", None) is None or not all(map(_is_finite, record.parameters.values())):
        return {}
    try:
        from bptt.analysis.figures import save_figure
        from bptt.analysis.figures.predictions import draw_predictions
        from bptt.predictions.sets import predict_sets

        predictions = predict_sets(run, record)
        if predictions is None:
            return {}
        files = {PREDICTIONS: predictions.pack()}
        for drawn in draw_predictions(predictions):
            content = BytesIO()
            save_figure(drawn.figure, content, "png")
            files[f"{OWN_FOLDERS[0]}/{drawn.name}.png"] = content.getvalue()
    except Exception as error:
        # As with figures.
        reporter.say(f"the evaluation and test sets can't be predicted: {error!r}")
        return {}
    return files


def _is_finite(array: NDArray[Any]) -> bool:
    return bool(np.isfinite(array).all())


def _draw_figures(record: Record, name: str, reporter: RunReporter) -> dict[str, bytes]:
    """The figures of a run as PNG, by place in its folder; none, and why is told, where they can't be drawn."""
    try:
        from bptt.analysis.figures import draw_gradient_flow, draw_loss_curve, save_figure

        drawn = (
            draw_loss_curve(
                list_history_columns(record), name, record.once.get("baseline"), record.once.get("kept/update")
            ),
            draw_gradient_flow(list_flow_columns(record), name),
        )
        files = {}
        for path, figure in zip(_FIGURES, drawn, strict=True):
            content = BytesIO()
            save_figure(figure, content, "png")
            files[path] = content.getvalue()
    except Exception as error:
        # A trained run is worth more than its picture.
        reporter.say(f"the figures can't be drawn: {error!r}")
        return {}
    return files
