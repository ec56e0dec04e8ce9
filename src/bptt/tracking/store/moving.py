"""Where a SQLite store's artifacts are, after its folder was copied or moved: what its tables say is put right.

MLflow notes each experiment's, run's and model's place as a path. In a copy such a path leads to the original, whose
artifacts would then be read, added to and deleted; where the original is gone, it would be made anew. So the places
that lie in the store's folder are noted relative to it where the store is the one of the current folder: MLflow looks
for those from the folder that it is started in, bptt from the store's. Where the store is named by its whole path, so
that MLflow can use it from any folder, they are whole paths, which are rewritten once the store lies elsewhere.
"""

import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from bptt.tracking.store.address import ARTIFACTS, Address, StoreError

# Each of these begins with the place of its experiment: table, column, and a further condition.
_PLACES: Final = (
    ("runs", "artifact_uri", ""),
    ("logged_models", "artifact_location", ""),
    ("model_versions", "source", ""),
    ("model_versions", "storage_location", ""),
    ("trace_tags", "value", "key = 'mlflow.artifactLocation' AND "),
)


_SECONDS_OF_PATIENCE: Final = 20


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
        with closing(sqlite3.connect(database, timeout=_SECONDS_OF_PATIENCE)) as connection:
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
        with closing(sqlite3.connect(address.database, timeout=_SECONDS_OF_PATIENCE)) as connection:
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
            or ((there := folder.parent.parent / database.name).is_file() and (own or _is_same(connection, there)))
        )
    }


def _is_same(connection: sqlite3.Connection, other: Path) -> bool:
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
