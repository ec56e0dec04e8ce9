"""`bptt resume FOLDER`: goes on with what was broken off, to the same bits and in the same MLflow runs."""

import shlex
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bptt.analysis.chosen import count_settings
from bptt.analysis.sweep import load_sweep
from bptt.cli.common import (
    Parser,
    add_allow,
    add_store,
    add_workers,
    call_on_folder,
    read_workers,
    say,
    write_allow_options,
    write_store_option,
)
from bptt.cli.progress import SweepProgress
from bptt.cli.summary import summary_lines
from bptt.sweeps.finish import Summary, finish
from bptt.sweeps.reopen import missing, reopen_sweep
from bptt.sweeps.restoring import Patience
from bptt.sweeps.session import Session
from bptt.sweeps.stages import train_following
from bptt.sweeps.workers.calls import Stopped
from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.sweep import SweepFolder, going_on
from bptt.tracking.provenance.environment import note_resumption
from bptt.tracking.store.address import StoreError


def resume_run(folder: Path, allow: Collection[str] = (), uri: str | None = None) -> int:
    """Go on with the single run in this folder; returns the exit code. Raises what `resume_single` does."""
    from bptt.cli.progress import RunProgress
    from bptt.cli.summary import tell, tell_interruption
    from bptt.sweeps.single import resume_single

    try:
        trained = resume_single(folder, allow, RunProgress(), uri)
    except KeyboardInterrupt:  # a second one
        tell_interruption(folder)
        raise
    tell(trained)
    if trained.interrupted:
        return 130
    return int(trained.ended.status == "FAILED" or trained.ended.unstored is not None)


def main(argv: Sequence[str]) -> int:
    """Go on with the run or sweep in this folder. 0: all went well, 1: a run failed, 2: it can't, 130: interrupted."""
    parser = Parser(
        prog="bptt resume",
        description="Goes on with a run or a sweep that was interrupted or killed, as if nothing had happened. A run"
        " goes on from its last checkpoint; a sweep trains what is missing. The configuration is the one it was begun"
        " with.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="the folder of the run or the sweep, or latest")
    add_workers(
        parser.add_argument_group("for a sweep, where it is to go on with other workers than it was begun with")
    )
    add_store(parser, "the one that it was begun in")
    add_allow(parser)
    args = parser.parse_args(argv)
    from bptt.tracking.history.find import LATEST, SourceError, find_newest_folder

    folder = Path(args.folder)
    if args.folder == LATEST:
        try:
            folder = find_newest_folder()
        except SourceError as error:
            print(error, file=sys.stderr)
            return 2
    folder = folder.resolve()
    return call_on_folder(str(folder), partial(_resume, folder, read_workers(args), args.allow, args.uri))


def _resume(folder: Path, settings: dict[str, object], allow: Sequence[str], uri: str | None) -> int:
    from bptt.configuration.owners import check_kernel_folder
    from bptt.tracking.folder.files import LOCK
    from bptt.tracking.folder.lock import file_lock
    from bptt.tracking.folder.sweep import is_sweep
    from bptt.tracking.store.address import resolve_address

    check_kernel_folder()
    uri = None if uri is None else resolve_address(uri).uri  # as seen from here
    if not is_sweep(folder):
        return resume_run(folder, allow, uri)
    with file_lock(folder / LOCK, wait=False):
        return resume_sweep(folder, settings, allow, uri)


def resume_sweep(folder: Path, settings: Mapping[str, Any], allow: Collection[str] = (), uri: str | None = None) -> int:
    """Train what a sweep's archive lacks, and end the sweep; returns the exit code. Raises what `reopen_sweep` does."""
    session = reopen_sweep(folder, SweepProgress(), settings, allow, uri)
    if session.journal.search and not any(job.stage == "confirming" for job in session.jobs):
        return _tell(session, finish(session, interrupted=True))  # it asks for other runs when it goes on
    return _go_on(session, allow)


def confirm_sweep(
    folder: Path, seeds: int, settings: Mapping[str, Any], allow: Collection[str] = (), uri: str | None = None
) -> int:
    """Train the best setting of each condition on so many fresh seeds; returns the exit code.

    Raises ArchiveError where the sweep has not ended or nothing was picked, and what `reopen_sweep` does.
    """
    archive = SweepFolder.open(folder)
    ended = {result.job for result in archive.ended()}
    if any(job.number not in ended for job in archive.jobs() if job.stage != "confirming"):
        raise ArchiveError(f"{folder}: has not ended; go on with it first: bptt resume {shlex.quote(str(folder))}")
    if count_settings(load_sweep(folder)) < 2:
        raise ArchiveError(f"{folder}: there are no two settings of which one is picked as the best")
    session = reopen_sweep(folder, SweepProgress(), settings, allow, uri)
    return _go_on(session, allow, confirm=max(seeds, session.journal.confirm or 0))


def _go_on(session: Session, allow: Collection[str], **noted: Any) -> int:
    """Train what is missing and what follows, and end the sweep; noted: changes of its journal."""
    ending = partial(finish, session)
    try:
        runs, blocks = missing(session, allow)
        if runs or noted:
            note_resumption(session.archive.folder)
        session.note(status="RUNNING", **noted)
        session.train(runs, blocks)
        train_following(session, allow)
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
    say("\n".join(summary_lines(session, summary)), sys.stdout)
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
