"""Runs and sweeps that go on, from Python: quietly, and with exceptions where the command line has lines."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from bptt.analysis.sweep import Sweep
from bptt.configuration.owners import check_kernel_folder
from bptt.sweeps.finish import Summary, finish
from bptt.sweeps.reopen import asks_again, check_confirmable, reopen_sweep, train_missing
from bptt.sweeps.session import Session, SweepReporter
from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.files import LOCK
from bptt.tracking.folder.lock import LockedError, file_lock
from bptt.tracking.folder.sweep import going_on, is_sweep
from bptt.tracking.history.find import SourceError, find_folder
from bptt.tracking.history.from_folder import is_run

_NO_SETTINGS: Final[Mapping[str, Any]] = {}


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Hold a run's or a sweep's folder. Raises ArchiveError where another process, or thread, does."""
    try:
        with file_lock(folder / LOCK, wait=False):
            yield
    except LockedError:
        raise ArchiveError(f"{folder}: is still being trained") from None


def choose_folder(source: "str | Path | Sweep | Any") -> Path:
    """The folder that is meant, in full: of what was trained or loaded, or as `bptt.load` finds it here.

    Raises SourceError where it is not here, or where a part of a sweep is meant.
    """
    if isinstance(source, str | Path):
        folder = Path(source)
        return (folder if is_sweep(folder) or is_run(folder) else find_folder(str(source))).absolute()
    found: Path | None = source.folder
    if found is None:
        raise SourceError(f"{source.name}: read from a store; its folder is not here")
    return found.absolute()


def find_sweep_folder(source: "str | Path | Sweep | Any") -> Path:
    """The same of a whole sweep. Raises SourceError."""
    folder = choose_folder(source)
    if not is_sweep(folder):
        raise SourceError(f"{folder}: a single run, and no sweep")
    return folder


def resume_kept(
    folder: Path,
    reporter: SweepReporter,
    settings: Mapping[str, Any],
    allow: Collection[str],
    uri: str | None,
) -> Summary:
    """Train what a sweep's folder lacks. Raises ArchiveError and what `reopen_sweep` and `Session.train` do."""
    check_kernel_folder()
    with hold_folder(folder):
        session = reopen_sweep(folder, reporter, settings, allow, uri)
        if asks_again(session):
            finish(session, interrupted=True)
            words = " ".join(going_on(session.journal.command, folder))
            raise ArchiveError(f"{folder}: a search goes on by the command that began it: {words}")
        return _go_on(session, allow)


def confirm_best(folder: Path, seeds: int, reporter: SweepReporter, allow: Collection[str]) -> Summary:
    """Train the best setting of each condition on so many fresh seeds. Raises what `resume_kept` does."""
    check_kernel_folder()
    if seeds < 1:
        raise ArchiveError(f"seeds={seeds}: must be at least 1")
    with hold_folder(folder):
        check_confirmable(folder)
        session = reopen_sweep(folder, reporter, _NO_SETTINGS, allow)
        return _go_on(session, allow, confirm=max(seeds, session.journal.confirm or 0))


def end_kept(folder: Path, reporter: SweepReporter, allow: Collection[str], uri: str | None) -> Summary:
    """End a sweep whose runs the store has by now."""
    return finish(reopen_sweep(folder, reporter, _NO_SETTINGS, allow, uri), interrupted=False)


def _go_on(session: Session, allow: Collection[str], **noted: Any) -> Summary:
    """Train what is missing, and end the sweep; interrupted, it is ended too."""
    ending = partial(finish, session)
    try:
        train_missing(session, allow, **noted)
    except KeyboardInterrupt:
        return ending(True)
    except Exception:
        ending(False)
        raise
    return ending(False)
