"""A sweep from the command line: launched or gone on with, shown while it trains, ended, and told of."""

import gc
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bptt.cli.hydra_app import Ended
from bptt.cli.sweep_progress import SweepProgress
from bptt.cli.sweep_summary import summary_lines
from bptt.sweeps.finish import Summary, finish
from bptt.sweeps.hydra_task import SweepTask
from bptt.sweeps.reopen import missing, reopened
from bptt.sweeps.search import STUDY
from bptt.sweeps.session import Session, Stopped
from bptt.tracking.environment import note_resumption


class SweepCommand:
    """The sweep that a command asks for; `command` is what repeats it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._task = SweepTask(command, _Progress())

    def sweep(self, *arguments: Any) -> Any:
        """See `SweepTask.sweep`."""
        with _stopping():
            return self._task.sweep(*arguments)

    def search(self, *arguments: Any) -> Any:
        """See `SweepTask.search`."""
        with _stopping():
            return self._task.search(*arguments)

    def close(self, interrupted: bool) -> int:
        """End the sweep; returns the exit code."""
        summary = self._task.finish(interrupted)
        return 0 if summary is None or self._task.session is None else _told(self._task.session, summary)


class _Progress(SweepProgress):
    def begin(self, runs: int) -> None:
        # What was imported and composed stays; see `train.main`.
        gc.freeze()
        gc.enable()
        super().begin(runs)


@contextmanager
def _stopping() -> Iterator[None]:
    try:
        yield
    except Stopped as trouble:
        print(trouble, file=sys.stderr)
        raise Ended(1) from trouble


def resume_sweep(folder: Path, settings: Mapping[str, Any]) -> int:
    """Train what a sweep's archive lacks, and end the sweep; returns the exit code. Raises what `reopened` does."""
    session = reopened(folder, SweepProgress(), settings)
    if session.journal.search:  # which asks for other runs when it goes on
        return _end(session, interrupted=True)
    runs, blocks = missing(session)
    if runs:
        note_resumption(session.archive.folder)
    session.note(status="RUNNING")
    try:
        session.train(runs, blocks)
    except Stopped as trouble:
        print(trouble, file=sys.stderr)
    except KeyboardInterrupt:
        _end(session, interrupted=True)
        return 130
    return _end(session, interrupted=False)


def sync_sweep(folder: Path) -> int:
    """Send to the store what it lacks; returns the exit code. Raises what `reopened` does."""
    return _end(reopened(folder, SweepProgress()), interrupted=False)


def _end(session: Session, interrupted: bool) -> int:
    return _told(session, finish(session, interrupted))


def _told(session: Session, summary: Summary) -> int:
    """Tell of a sweep that was ended; 1 where a run failed or is missing, or the store doesn't have all."""
    print("\n".join(summary_lines(session, summary)), flush=True)
    folder = shlex.quote(str(session.archive.folder))
    if session.journal.search and summary.status == "KILLED":
        study = session.archive.folder.absolute() / STUDY
        again = shlex.join([*session.journal.command, f"hydra.sweeper.storage={study}"])
        print(f"go on with: {again}", file=sys.stderr)
    elif len(session.results) < len(session.jobs):
        print(f"go on with: bptt resume {folder}", file=sys.stderr)
    elif summary.unstored is not None:
        print(f"the store doesn't have all of it: {summary.unstored}\nlater: bptt sync {folder}", file=sys.stderr)
    return int(summary.status != "FINISHED" or summary.unstored is not None)
