"""Where a sweep's or a run's folder belongs now: the project that it lies in, and the store that has its runs.

A project is the folder that `bptt train` was started in: relative paths are meant from there, and its store lies in it
unless another one was named. It may have been copied or moved since. So a sweep's and a run's journal notes its own
place within the project and the store's, relative to it; whole paths only of what lies elsewhere. Earlier versions
noted whole paths alone: there the project is known by its store, which has the sweep's run.

MLflow notes each experiment's, run's and model's place as a path. In a copy such a path leads to the original, whose
artifacts would then be read, added to and deleted; where the original is gone, it would be made anew. So the places
that lie in the store's folder are noted relative to it where the store is the one of the current folder: MLflow looks
for those from the folder that it is started in, bptt from the store's. Where the store is named by its whole path, so
that MLflow can use it from any folder, they are whole paths, which are rewritten once the store lies elsewhere.
"""

import json
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Protocol
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from bptt.tracking.folder.files import JOURNAL, MULTIRUN, SINGLE_RUNS, SWEEP
from bptt.tracking.store.address import (
    ARTIFACTS,
    Address,
    StoreError,
    hide_passwords,
    resolve_address,
    split_sqlite_uri,
    write_sqlite_uri,
)


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


# Each of these begins with the place of its experiment: table, column, and a further condition.
_PLACES: Final = (
    ("runs", "artifact_uri", ""),
    ("logged_models", "artifact_location", ""),
    ("model_versions", "source", ""),
    ("model_versions", "storage_location", ""),
    ("trace_tags", "value", "key = 'mlflow.artifactLocation' AND "),
)


_SECONDS_FOR_TABLES: Final = 20


@dataclass(frozen=True)
class Move:
    """Artifacts of an experiment that are to be looked for in another place.

    noted  as the tables have it
    place  as they are to have it
    left   the folder that the store lay in
    """

    experiment: str
    noted: str
    place: str
    left: Path


def find_moves(address: Address, relative: bool = True) -> list[Move]:
    """What has to be put right in a store's tables; empty where nothing has, or it is no SQLite file with tables.

    relative: whether places in a store that was not moved are among them, which are to be relative
    """
    database = address.database
    if database is None or not database.is_file():
        return []
    try:
        with closing(sqlite3.connect(database, timeout=_SECONDS_FOR_TABLES)) as connection:
            return list(_find_moves(connection, address, database, relative))
    except sqlite3.Error:
        return []  # whoever opens it next says what is wrong


def settle_artifacts(address: Address, relative: bool = True, tell: bool = True) -> None:
    """Put right where a store looks for its artifacts, and say so in a line on stderr.

    relative: as for `find_moves`; tell: False where nobody has to know, as of what was made just now. Raises StoreError
    where a store that was moved can't be written.
    """
    moves = find_moves(address, relative)
    if not moves or address.database is None:
        return
    try:
        with closing(sqlite3.connect(address.database, timeout=_SECONDS_FOR_TABLES)) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            _rewrite(connection, moves)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        if all(move.left == address.database.parent for move in moves):
            return  # they are found all the same
        raise StoreError(
            f"{address.database}: was copied or moved from {moves[0].left}, and looks for its artifacts there; that"
            f" can't be put right: {error}"
        ) from error
    if tell:
        with suppress(OSError, ValueError):  # nobody reads any more
            sys.stderr.write(f"{_describe(address.database, moves)}\n")


def place_first_experiment(address: Address, made: Path) -> None:
    """In a store that is being made, in the file `made`: MLflow's own experiment has its artifacts beside the store,
    as all others, rather than in the current folder.
    """
    assert address.database is not None
    place = _write_place(address, address.database.parent / ARTIFACTS / "0")
    with closing(sqlite3.connect(made)) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", (place,))


def _describe(database: Path, moves: Sequence[Move]) -> str:
    left = {move.left: None for move in moves if move.left != database.parent}
    names = ", ".join(dict.fromkeys(move.experiment for move in moves))
    if not left:
        return f"{database}: the artifacts of {names} are now addressed relative to it, so that its folder can be moved"
    came = ", ".join(map(str, left))
    return f"{database}: was copied or moved from {came}; the artifacts of {names} are now looked for beside it"


def _find_moves(connection: sqlite3.Connection, address: Address, database: Path, relative: bool) -> Iterator[Move]:
    home = database.parent
    noted = [
        (name, place, folder)
        for name, place in _list_places(connection)
        if (folder := _read_folder(place)) is not None and folder.parent.name == ARTIFACTS
    ]
    moved = _find_left(connection, database, {name: folder for name, _, folder in noted})
    for name, place, folder in noted:
        left = folder.parent.parent
        if left in moved or (relative and address.at_home and left == home):
            yield Move(name, place, _write_place(address, home / ARTIFACTS / folder.name), left)


def _list_places(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Experiments' names, and the places that the tables have for them."""
    found = connection.execute("SELECT experiment_id, name, artifact_location FROM experiments").fetchall()
    yield from ((str(name), str(place)) for _, name, place in found if place is not None)
    # A sweep that was being trained when its experiment's place was rewritten goes on with the former one.
    tail = "'/' || run_uuid || '/artifacts'"
    stale = connection.execute(
        f"SELECT DISTINCT experiment_id, substr(artifact_uri, 1, length(artifact_uri) - length({tail})) FROM runs"
        f" WHERE (artifact_uri LIKE 'file:%' OR artifact_uri LIKE '/%') AND artifact_uri LIKE '%' || {tail}"
        f" AND experiment_id IN ({', '.join(str(int(one)) for one, _, place in found if _is_relative(place))})"
    )
    names = {number: str(name) for number, name, _ in found}
    yield from ((names[number], str(place)) for number, place in stale)


def _find_left(connection: sqlite3.Connection, database: Path, noted: dict[str, Path]) -> set[Path]:
    """The folders that the store lay in once; another one was chosen by someone for artifacts alone."""
    # An experiment that bptt made lies beside its store, by its name; the first one of MLflow's by its number.
    own = [folder for name, folder in noted.items() if folder.name == quote(name, safe=" ")]
    first = [] if own else [folder for name, folder in noted.items() if (name, folder.name) == ("Default", "0")]
    return {
        folder.parent.parent
        for folder in own + first
        if folder.parent.parent != database.parent
        and (
            not folder.exists()
            or (database.parent / ARTIFACTS / folder.name).exists()
            or (
                (there := folder.parent.parent / database.name).is_file()
                and (own or _has_same_tables(connection, there))
            )
        )
    }


def _has_same_tables(connection: sqlite3.Connection, other: Path) -> bool:
    """Whether another file is the same store, before or after it was copied."""
    began = "SELECT creation_time FROM experiments WHERE experiment_id = 0"
    try:
        with closing(sqlite3.connect(f"{other.as_uri()}?mode=ro", uri=True, timeout=1)) as beside:
            return beside.execute(began).fetchone() == connection.execute(began).fetchone()
    except sqlite3.Error:
        return False


def _is_relative(place: str | None) -> bool:
    return place is not None and place.startswith(f"{ARTIFACTS}/")


def _read_folder(place: str | None) -> Path | None:
    """The folder that a whole path is of; None: it is none on this machine, or is relative."""
    if place is None or not place.startswith(("file:///", "/")):
        return None
    return Path(url2pathname(urlsplit(place).path if place.startswith("file:") else place))


def _write_place(address: Address, folder: Path) -> str:
    if address.at_home and address.database is not None:
        return quote(folder.relative_to(address.database.parent).as_posix())
    return folder.as_uri()


def _rewrite(connection: sqlite3.Connection, moves: Sequence[Move]) -> None:
    there = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for move in moves:
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?", (move.place, move.noted)
        )
        before = f"{move.noted}/"
        for table, column, condition in _PLACES:
            if table in there:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
                    f" WHERE {condition}substr({column}, 1, ?) = ?",
                    (f"{move.place}/", len(before) + 1, len(before), before),
                )
