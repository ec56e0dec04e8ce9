"""A sweep from the command line: gone on with, ended, and told of."""

import shlex
import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bptt.cli.common import say, write_allow_options, write_store_option
from bptt.cli.progress import SweepProgress
from bptt.cli.summary import summary_lines
from bptt.printable import make_printable
from bptt.sweeps.finish import Summary, finish
from bptt.sweeps.reopen import asks_again, check_confirmable, reopen_sweep, train_missing
from bptt.sweeps.restoring import Patience
from bptt.sweeps.session import Session
from bptt.sweeps.workers.calls import Stopped
from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.sweep import going_on
from bptt.tracking.store.address import StoreError


def resume_sweep(folder: Path, settings: Mapping[str, Any], allow: Collection[str] = (), uri: str | None = None) -> int:
    """Train what a sweep's archive lacks, and end the sweep; returns the exit code. Raises what `reopen_sweep` does."""
    session = reopen_sweep(folder, SweepProgress(), settings, allow, uri)
    if asks_again(session):
        return _tell(session, finish(session, interrupted=True))
    return _go_on(session, allow)


def confirm_sweep(
    folder: Path, seeds: int, settings: Mapping[str, Any], allow: Collection[str] = (), uri: str | None = None
) -> int:
    """Train the best setting of each condition on so many fresh seeds; returns the exit code.

    Raises ArchiveError where the sweep has not ended or nothing was picked, and what `reopen_sweep` does.
    """
    check_confirmable(folder)
    session = reopen_sweep(folder, SweepProgress(), settings, allow, uri)
    return _go_on(session, allow, confirm=max(seeds, session.journal.confirm or 0))


def _go_on(session: Session, allow: Collection[str], **noted: Any) -> int:
    """Train what is missing and what follows, and end the sweep; noted: changes of its journal."""
    ending = partial(finish, session)
    try:
        train_missing(session, allow, **noted)
    except Stopped as trouble:
        say(str(trouble))
    except KeyboardInterrupt:
        return end_sweep(session, ending, interrupted=True)
    except Exception:
        session.close_log()  # as nothing ends the sweep
        raise
    return end_sweep(session, ending, interrupted=False)


def end_synced(folder: Path, allow: Collection[str], uri: str | None, patience: Patience) -> int:
    """End a sweep whose runs the store has by now, and tell of it; 1 where the store does not take its end.

    Raises what `reopen_sweep` does.
    """
    session, unstored = reopen_sweep(folder, SweepProgress(), allow=allow, uri=uri), list[str | None]()

    def end(interrupted: bool) -> Summary:
        while True:
            summary = finish(session, interrupted)
            unstored.append(summary.unstored)
            trouble = None if interrupted or session.record is None else summary.unstored
            if trouble is None or summary.interrupted or not patience.wait(StoreError(trouble, passing=True)):
                return summary

    code = end_sweep(session, end, interrupted=False)
    return code if code > 1 else int(unstored[-1] is not None)


def end_sweep(session: Session, ending: Callable[[bool], Summary | None], interrupted: bool) -> int:
    """End a sweep and tell of it; returns the exit code. Raises KeyboardInterrupt when even that is interrupted."""
    try:
        summary = ending(interrupted)
    except KeyboardInterrupt:
        if interrupted:
            say(f"interrupted; go on with: bptt resume {_quote_folder(session)}")
            raise
        return end_sweep(session, ending, interrupted=True)
    except ArchiveError as trouble:  # a disk that does not keep what it was given
        say(f"{trouble}\nthe rest is there: bptt resume {_quote_folder(session)}")
        return 1
    assert summary is not None
    code = _tell(session, summary)
    return 130 if summary.interrupted else code


def _tell(session: Session, summary: Summary) -> int:
    """Tell of a sweep that was ended; 1 where a run failed or is missing, the store doesn't have all, or the report
    that it was to end by could not be made.
    """
    say("\n".join(map(make_printable, summary_lines(session, summary))), sys.stdout)
    if session.journal.search and summary.status == "KILLED":
        say(f"go on with: {shlex.join(going_on(session.journal.command, session.archive.folder))}")
    elif len(session.results) == len(session.jobs) and summary.unstored is not None:
        say(f"the store doesn't have all of it: {summary.unstored}\nlater: bptt sync {_quote_folder(session)}")
    elif summary.status == "KILLED":
        say(f"go on with: bptt resume {_quote_folder(session)}")
    lost = session.journal.report and summary.report is None
    return int(summary.status != "FINISHED" or summary.unstored is not None or lost)


def _quote_folder(session: Session) -> str:
    """The sweep's folder, as an argument of the commands that go on with it."""
    packages = (package for job in session.jobs for package in job.config.get("allow") or ())
    options = write_allow_options(packages) + write_store_option(session.journal.uri)
    return shlex.quote(str(session.archive.folder)) + options
