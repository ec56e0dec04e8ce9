"""The database of a new store, copied from one that MLflow made once: its migrations take most of a second.

There is one for each version of MLflow, beside the kernels. It holds no run, but what stands in it ends up in users'
stores, so nobody else may have been able to write it.
"""

import os
import sqlite3
import stat
import tempfile
import time
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path


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
