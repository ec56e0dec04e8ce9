"""A sweep that was broken off, from its archive alone: what it has, what the store did not get; and how it goes on."""

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from bptt.analysis.chosen import count_settings
from bptt.analysis.sweep import load_sweep
from bptt.configuration.build import check_configuration, locate_files
from bptt.configuration.measuring import read_measuring
from bptt.core.run import Run
from bptt.sweeps.search.grid_halving import train_left
from bptt.sweeps.session import Session, SweepReporter
from bptt.sweeps.stages import train_following
from bptt.sweeps.workers.pool import Conduct, read_worker_settings
from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.files import SWEEP
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.provenance.digest import compute_digest, compute_version
from bptt.tracking.provenance.environment import note_resumption
from bptt.tracking.store.address import StoreError, recall_uri
from bptt.tracking.store.opening import WantedExperiment, open_store
from bptt.tracking.store.whereabouts import describe_lost, find_whereabouts


def reopen_sweep(
    folder: Path,
    reporter: SweepReporter,
    settings: Mapping[str, Any] | None = None,
    allow: Collection[str] = (),
    uri: str | None = None,
) -> Session:
    """The session of the sweep in this folder, with what has ended.

    settings  of the launcher, where they are to be others than the sweep was begun with
    allow     packages whose classes its configurations may name
    uri       of the store; None: the one that it was begun in

    A store that can't be opened is told of, and done without. Raises ArchiveError, ConfigurationError, and StoreError
    where nothing may be sent there, see `recall_uri`.
    """
    archive = SweepFolder.open(folder.absolute())
    journal, jobs = archive.journal, archive.jobs()
    if not jobs:
        raise ArchiveError(f"{folder}: the sweep has no runs")
    problems: list[str] = []
    read_measuring(journal.measure, problems)
    if problems:  # before anything is trained, as where the sweep was begun
        raise ArchiveError(f"{folder / SWEEP}: {problems[0]}")
    where = find_whereabouts(archive.folder, journal, journal.parent)
    if where.home is None or not where.home.is_dir():
        raise ArchiveError(describe_lost(folder, journal))
    to_open = None if where.uri is None else recall_uri(where.uri, uri, folder)
    for remark in where.list_remarks(folder):
        reporter.say(remark)
    first = check_configuration(locate_files(jobs[0].config, where.home), allow)
    how = Conduct(
        workers=read_worker_settings({**journal.settings, **(settings or {})}, allow),
        on_error=journal.on_error,
        checkpoint_seconds=first.tracking.checkpoint_seconds,
        allow=tuple(allow),
    )
    store, away = None, None
    if where.uri is not None:
        try:
            store = open_store(to_open, find_recorded_experiment(archive), folder=where.home)
        except StoreError as error:
            away = str(error)
            reporter.say(f"{away}; it goes on without the store, and `bptt sync` sends what it lacks")
    session = Session(archive, jobs, store, how, reporter, no_store=away, home=where.home)
    try:
        session.recall()
    except ArchiveError:
        session.close_log()
        raise
    return session


def missing(session: Session, allow: Collection[str] = ()) -> tuple[dict[int, Run], list[tuple[int, list[int]]]]:
    """What has not ended: the runs by job, and the blocks, each its number and its jobs.

    Raises ArchiveError where this program, a data file or a package of the user's would give other bits than the sweep
    was begun with.
    """
    version = session.journal.numerical_version
    if version != compute_version():
        raise ArchiveError(
            f"{session.journal.name}: begun with another numerical version ({version}, not {compute_version()}): it"
            " can't go on to the same bits; train it anew, or send what it has to the store with `bptt sync`"
        )
    runs, blocks = {}, dict[int, list[int]]()
    for job in session.jobs:
        if job.number in session.results:
            continue
        runs[job.number] = _run(session, job, allow)
        blocks.setdefault(job.block, []).append(job.number)
    return runs, sorted(blocks.items())


def _run(session: Session, job: SweepJob, allow: Collection[str]) -> Run:
    configuration = check_configuration(locate_files(job.config, session.home), allow)
    if compute_digest(configuration.resolved, session.journal.numerical_version) != job.digest:
        told = f"a data file or a package of run {job.name} was changed since the sweep began"
        raise ArchiveError(f"{session.archive.folder}: {told}")
    return configuration.run


def find_recorded_experiment(archive: SweepFolder) -> WantedExperiment:
    """The experiment that has a sweep: by the runs that it had there, should it be called something else by now."""
    journal = archive.journal
    own = [] if journal.parent is None else [journal.parent]
    return WantedExperiment(journal.experiment, journal.experiment_id, [*own, *list(archive.run_ids().values())[:3]])


def train_missing(session: Session, allow: Collection[str], **noted: Any) -> None:
    """Train what a reopened sweep lacks, and what follows; noted: changes of its journal.

    Raises what `Session.train` does.
    """
    runs, blocks = missing(session, allow)
    if runs or noted:
        note_resumption(session.archive.folder)
    session.note(status="RUNNING", **noted)
    train_left(session, runs, blocks)
    train_following(session, allow)


def check_confirmable(folder: Path) -> None:
    """Raise ArchiveError where a sweep's best setting can't be confirmed: it has not ended, or nothing was picked."""
    archive = SweepFolder.open(folder)
    ended = {result.job for result in archive.ended()}
    if any(job.number not in ended for job in archive.jobs() if job.stage != "confirming"):
        raise ArchiveError(f"{folder}: has not ended; go on with it first: bptt resume {shlex.quote(str(folder))}")
    if count_settings(load_sweep(folder)) < 2:
        raise ArchiveError(f"{folder}: there are no two settings of which one is picked as the best")


def asks_again(session: Session) -> bool:
    """Whether it is a search, which asks for other runs when it goes on, by the command that began it."""
    return session.journal.search and not any(job.stage == "confirming" for job in session.jobs)
