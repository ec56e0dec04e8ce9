"""A single run that was broken off: on from its last checkpoint, or from its first update."""

import os
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bptt.cli.saying import say

if TYPE_CHECKING:
    from bptt.tracking.journal import Journal
    from bptt.tracking.record import RunRecord


def resume_single(folder: Path, allow: Collection[str] = ()) -> int:
    """Go on with the run in this folder; returns the exit code. `allow`: see `checked`.

    Raises ResumeError, LockedError, StoreError.
    """
    from bptt.tracking.journal import LOCK, read_journal
    from bptt.tracking.lock import file_lock

    journal = read_journal(folder)
    with file_lock(folder / LOCK, wait=False):
        return _go_on(folder, journal, allow)


def _go_on(folder: Path, journal: "Journal", allow: Collection[str]) -> int:
    from bptt.cli.execute import Job, execute
    from bptt.cli.summary import remedies, result, whereabouts
    from bptt.configuration.build import checked
    from bptt.sweeps.interrupts import Interrupts
    from bptt.tracking.digest import current_version, digest
    from bptt.tracking.environment import note_resumption
    from bptt.tracking.journal import ResumeError, read_checkpoint, read_config, same_program, write_journal

    if journal.status == "FINISHED":
        raise ResumeError(f"{folder}: its run has finished; there is nothing to go on with")
    same_program(journal, current_version())
    start = read_checkpoint(folder, journal)
    if not Path(journal.current_folder).is_dir():
        raise ResumeError(
            f"{journal.current_folder}: is gone; the run was begun there, and its files are looked for there"
        )
    os.chdir(journal.current_folder)
    configuration = checked(read_config(folder), allow)
    if digest(configuration.resolved, journal.numerical_version) != journal.digest:
        told = "its config.yaml, or a data file or a package that it names, was changed since the run began"
        raise ResumeError(f"{folder}: {told}")
    with Interrupts() as interrupts:
        tracker = _reopened(folder, journal)
        journal = journal if tracker is None else replace(journal, run_id=tracker.run_id)
        write_journal(folder, journal)
        note_resumption(folder)
        job = Job(
            run=configuration.run,
            journal=journal,
            folder=folder,
            checkpoint_seconds=configuration.tracking.checkpoint_seconds,
            start=start,
        )
        ended = execute(job, tracker, interrupts)
    say("\n".join([*result(configuration.run, journal, ended), *whereabouts(tracker, folder)]), sys.stdout)
    for line in remedies(ended, folder):
        say(line)
    if interrupts.requested:
        return 130
    return 1 if ended.status == "FAILED" or ended.unstored is not None else 0


def _reopened(folder: Path, journal: "Journal") -> "RunRecord | None":
    """The run in the store that it was begun in; None where it is not tracked."""
    from bptt.cli.single import begun
    from bptt.tracking.journal import key_of_run, read_config
    from bptt.tracking.keyed_run import run_with_key
    from bptt.tracking.parameters import flattened
    from bptt.tracking.record import RunRecord
    from bptt.tracking.store import open_store

    if journal.experiment is None:
        return None
    # A password was never written down: MLFLOW_TRACKING_URI has to say it again.
    uri = None if journal.uri and "***" in journal.uri else journal.uri
    store = open_store(uri, journal.experiment)
    # Who began it may have been stopped before it noted which run it is, or before there was one.
    run_id = journal.run_id or run_with_key(store, key_of_run(folder, journal))
    if run_id is None:
        return begun(store, folder, journal, read_config(folder))
    params = {} if journal.run_id is not None else flattened(read_config(folder))  # which it may not have got yet
    return RunRecord.reopen(store, run_id, params)
