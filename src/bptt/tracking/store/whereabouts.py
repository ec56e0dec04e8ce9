"""Where a sweep's or a run's folder belongs now: the project that it lies in, and the store that has its runs.

A project is the folder that `bptt train` was started in: relative paths are meant from there, and its store lies in it
unless another one was named. It may have been copied or moved since. So a sweep's and a run's journal notes its own
place within the project and the store's, relative to it; whole paths only of what lies elsewhere. Earlier versions
noted whole paths alone: there the project is known by its store, which has the sweep's run.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from bptt.tracking.folder.files import JOURNAL, MULTIRUN, SINGLE_RUNS, SWEEP
from bptt.tracking.store.address import Address, hide_passwords, resolve_address, split_sqlite_uri, write_sqlite_uri


class Noted(Protocol):
    """What a journal notes of where its folder was begun; see `SweepJournal`."""

    @property
    def current_folder(self) -> str: ...
    @property
    def place(self) -> str | None: ...
    @property
    def uri(self) -> str | None: ...


@dataclass(frozen=True, kw_only=True)
class Whereabouts:
    """Where a folder belongs.

    home      the project; None: the folder no longer lies in it, and where it is can't be told
    uri       of the store, to be resolved from there; None: it is not recorded
    outside   whether it was, but not in the project, which is another folder than it was begun in
    original  a folder that has the same runs in the same store, which this one is a copy of; None: there is none
    """

    home: Path | None
    uri: str | None
    outside: bool
    original: Path | None

    def list_remarks(self, folder: Path) -> list[str]:
        """What whoever goes on with the folder is told."""
        if self.original is not None:
            return [f"{folder}: is a copy of {self.original}, and has the same runs in the same store"]
        if self.outside:
            shown = hide_passwords(str(self.uri))
            return [f"{folder}: its store is outside of {self.home}, and the one that it had before: {shown}"]
        return []

    @property
    def address(self) -> Address | None:
        """Of the store. Raises StoreError where that can't be used."""
        return None if self.uri is None or self.home is None else resolve_address(self.uri, self.home)


def note_place(folder: Path, project: Path) -> str:
    """What a journal notes as the place of its folder."""
    folder, project = folder.resolve(), project.resolve()
    return folder.relative_to(project).as_posix() if folder.is_relative_to(project) else str(folder)


def note_store(address: Address, project: Path) -> str:
    """What a journal notes as its store: without a password, and relative where that lies in the project."""
    project = project.resolve()
    if address.database is None or not address.database.is_relative_to(project):
        return address.shown
    return write_sqlite_uri(address.database.relative_to(project), address.query)


def find_whereabouts(folder: Path, noted: Noted, run_id: str | None) -> Whereabouts:
    """Where a folder with this journal belongs; run_id: of its own run in the store, None: it was not begun there."""
    folder = folder.resolve()
    begun, inner = Path(noted.current_folder), _find_inner(noted)
    home = _find_home(folder, noted, inner, run_id)
    uri = noted.uri
    if inner is not None and noted.uri is not None:
        uri = write_sqlite_uri(inner, split_sqlite_uri(noted.uri)[1])
    originals = [] if home is None else list(_list_originals(folder, noted, home))
    # A store in the project was copied with it, and has the copy's runs.
    shared = [one for one in originals if inner is None or (home is not None and one.is_relative_to(home))]
    return Whereabouts(
        home=home,
        uri=uri,
        outside=inner is None and uri is not None and home not in (None, begun, begun.resolve()),
        original=next(iter(shared), None),
    )


def describe_lost(folder: Path, noted: Noted) -> str:
    """Why a folder can't be gone on with, where it lies in no project."""
    if noted.place is None or Path(noted.place).is_absolute():
        return f"{noted.current_folder}: is gone; {folder.name} was begun there, its files are looked for there"
    return (
        f"{folder}: was begun as {noted.place} in the folder that has its store, and no longer lies there; put it back,"
        " or copy or move that whole folder"
    )


def find_home_of_stored(address: Address, noted: Noted) -> Path:
    """The project of a sweep whose journal a store has: the one that the store lies in now, where it lay in it."""
    inner = _find_inner(noted)
    if inner is not None and address.database is not None:
        above = address.database.parents[len(inner.parts) - 1]
        if above / inner == address.database:
            return above
    return Path(noted.current_folder)


def _find_inner(noted: Noted) -> Path | None:
    """The store's file, relative to the project; None: it lies elsewhere."""
    path, _ = (None, "") if noted.uri is None else split_sqlite_uri(noted.uri)
    if path is None or ".." in path.parts:
        return None
    if not path.is_absolute():
        return path
    begun = Path(noted.current_folder)
    return path.relative_to(begun) if path.is_relative_to(begun) else None


def _find_home(folder: Path, noted: Noted, inner: Path | None, run_id: str | None) -> Path | None:
    if noted.place is not None and not Path(noted.place).is_absolute():
        above = _strip(folder, PurePosixPath(noted.place).parts[:-1])
        return above if above is not None else _find_holding(folder, inner, run_id)
    found = _find_holding(folder, inner, run_id)
    begun = Path(noted.current_folder)
    if found is not None or folder.is_relative_to(begun):
        return found or begun
    for within in ((MULTIRUN, SINGLE_RUNS), (MULTIRUN,)):
        above = _strip(folder, within)
        if above is not None and (not begun.is_dir() or _is_same(folder, begun / folder.relative_to(above))):
            return above
    return begun


def _strip(folder: Path, within: tuple[str, ...]) -> Path | None:
    """The folder in which a folder lies within these others; None: it does not."""
    if len(folder.parents) <= len(within):
        return None
    above = folder.parents[len(within)]
    return above if folder.parent == above.joinpath(*within) else None


def _find_holding(folder: Path, inner: Path | None, run_id: str | None) -> Path | None:
    """The next folder above this one whose store has the run."""
    if inner is None or run_id is None:
        return None
    return next((above for above in folder.parents if _has_run(above / inner, run_id)), None)


def _has_run(database: Path, run_id: str) -> bool:
    if not database.is_file():
        return False
    try:
        # Opened for writing and closed again, it leaves no files of its own; opened for reading alone it would.
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=1)) as connection:
            found = connection.execute("SELECT 1 FROM runs WHERE run_uuid = ?", (run_id,)).fetchone()
            return found is not None
    except sqlite3.Error:
        return False


def _list_originals(folder: Path, noted: Noted, home: Path) -> Iterator[Path]:
    """The other folders in which the same journal lies, of those in which it may have been begun."""
    begun = Path(noted.current_folder)
    place = noted.place
    if place is None:
        place = str(folder.relative_to(home)) if folder.is_relative_to(home) else str(folder)
    for one in dict.fromkeys((home / place, begun / place)):
        if _is_same(folder, one):
            yield one


def _is_same(folder: Path, other: Path) -> bool:
    """Whether another folder has the same sweep or run."""
    try:
        if not other.is_dir() or other.samefile(folder):
            return False
        return any(
            (other / name).is_file() and _read_identity(folder / name) == _read_identity(other / name)
            for name in (SWEEP, JOURNAL)
        )
    except OSError:
        return False


def _read_identity(journal: Path) -> tuple[object, ...] | None:
    try:
        noted = json.loads(journal.read_text(encoding="utf-8"))
        return tuple(noted.get(key) for key in ("name", "began", "digest", "current_folder"))
    except (OSError, ValueError, AttributeError):
        return None
