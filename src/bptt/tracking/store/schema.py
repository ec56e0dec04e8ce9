"""The version of MLflow's tables in a database: read, compared with the installed MLflow's, and known here or not.

And the database of a new store, copied from one that MLflow made once: its migrations take most of a second. There is
one for each version of MLflow, beside the kernels. It holds no run, but what stands in it ends up in users' stores, so
nobody else may have been able to write it.
"""

import ast
import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bptt.core.sources import parse_source
from bptt.tracking.store.address import Address, StoreError

#: The version of a database that has tables, but says of none.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Revisions:
    """The versions that an MLflow knows: `heads` are those that it works with, of the others it can upgrade."""

    heads: frozenset[str]
    known: frozenset[str]


@cache
def read_revisions() -> Revisions:
    """Those of the installed MLflow. Its migrations are read, not run: importing them takes seconds."""
    spec = find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None
    known: set[str] = set()
    before: set[str] = set()
    for path in (Path(spec.origin).parent / "store" / "db_migrations" / "versions").glob("*.py"):
        names = dict(_read_constants(path))
        if isinstance(revision := names.get("revision"), str):
            known.add(revision)
        down = names.get("down_revision")
        before |= {down} if isinstance(down, str) else {*down} if isinstance(down, tuple) else set()
    return Revisions(frozenset(known - before), frozenset(known))


def _read_constants(path: Path) -> Iterator[tuple[str, object]]:
    """What a module's names are, as far as they stand for constants."""
    for node in parse_source(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                yield node.targets[0].id, ast.literal_eval(node.value)
            except ValueError:
                continue


#: The versions of MLflow's tables whose rows are known here, so that they can be written without MLflow.
KNOWN_REVISIONS: Final = frozenset({"dc11669786a5"})  # MLflow 3.17


def read_schema(database: Path) -> str | None:
    """The version of MLflow's tables in the file; None: it holds none."""
    try:
        with closing(sqlite3.connect(database, timeout=20)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "alembic_version" not in tables:
                return UNKNOWN if tables else None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{database}: can't be used as an SQLite database: {error}") from error
    return row[0] if row else UNKNOWN


def check_schema(address: Address, found: str | None) -> None:
    """Raise StoreError where the installed MLflow needs another version than was found; None: there are no tables."""
    # MLflow by itself upgrades some old databases unasked, and answers others with a page of text.
    revisions = read_revisions()
    if found is None or found in revisions.heads:
        return
    installed = version("mlflow")
    remedy = (
        f"make a copy of it, then: mlflow db upgrade {address.shown}"
        if found in revisions.known
        else f"install the newer MLflow that wrote it; `mlflow db upgrade` of {installed} can't read it"
    )
    raise StoreError(f"{address.shown}: its tables have version {found}, MLflow {installed} needs another: {remedy}")


def _find_place() -> Path:
    from bptt.core.kernel import cache_folder

    return cache_folder() / "stores" / f"mlflow-{version('mlflow')}.db"


def copy_template(database: Path, revision: str) -> bool:
    """Make a database out of the template, if there is one whose tables have this revision; whether there was."""
    place = _find_place()
    try:
        if not (_is_own(place.parent) and _is_own(place)):
            return False
        database.write_bytes(place.read_bytes())
        with closing(sqlite3.connect(database)) as connection, connection:
            whole = connection.execute("PRAGMA quick_check").fetchone()[0] == "ok"
            found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
            empty = connection.execute("SELECT count(*) FROM experiments").fetchone()[0] == 1
            # By this time two files are told to be the same store, or not.
            now = time.time_ns() // 1_000_000
            connection.execute("UPDATE experiments SET creation_time = ?, last_update_time = ?", (now, now))
            return whole and empty and found == [(revision,)]
    except (OSError, sqlite3.Error):
        return False


def keep_template(database: Path) -> None:
    """Keep a database that MLflow has just made, and nobody has written to, as the template. That may fail."""
    place = _find_place()
    with suppress(OSError, sqlite3.Error):
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_own(place.parent):
            return
        with tempfile.NamedTemporaryFile(dir=place.parent, suffix=".part", delete=False) as part:
            name = Path(part.name)
        try:
            with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(name)) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE").fetchone()
            name.replace(place)
        finally:
            name.unlink(missing_ok=True)


def _is_own(path: Path) -> bool:
    """Whether a file or folder is the user's or root's, and no one else's to write to; a link is not."""
    status = path.lstat()
    if os.name != "posix":
        return True
    kind = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return kind and status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
