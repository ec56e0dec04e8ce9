"""A sweep that goes on: what its archive lacks is trained, and what follows it."""

import shlex
from collections.abc import Collection
from pathlib import Path
from typing import Any

from bptt.analysis.chosen import count_settings
from bptt.analysis.sweep import load_sweep
from bptt.sweeps.reopen import missing
from bptt.sweeps.search.grid_halving import train_left
from bptt.sweeps.session import Session
from bptt.sweeps.stages import train_following
from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.provenance.environment import note_resumption


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
