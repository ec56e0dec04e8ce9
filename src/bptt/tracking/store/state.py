"""A store looked at: what state it is in, without making or changing anything in it."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from bptt.tracking.store.address import Address
from bptt.tracking.store.connecting import has_timeout, set_environment, shorten, summarize
from bptt.tracking.store.schema import UNKNOWN

_SECONDS: Final = 2


#: A server that doesn't answer is given up within the seconds that a look at everything may take.
_PATIENCE: Final = {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(_SECONDS), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


_MOST_EXPERIMENTS: Final = 1000  # in one answer of a server


Trouble = Literal["none", "unreachable", "damaged", "locked", "read-only"]


@dataclass(frozen=True, kw_only=True)
class StoreState:
    """What was found out about a store.

    trouble      none; unreachable: it does not answer, or refuses; damaged: it is no database; locked: another process
                 holds it; read-only: runs can't be recorded in it
    says         what it answered where there is trouble
    revision     of its tables; None: it has none yet, or is a server, which sees to that by itself
    experiments  how many there are, deleted ones left out; None, like runs: not known
    journal_mode of SQLite
    """

    trouble: Trouble = "none"
    says: str = ""
    revision: str | None = None
    experiments: int | None = None
    runs: int | None = None
    journal_mode: str | None = None


def examine_store(address: Address) -> StoreState:
    """Look at a store; of a SQLite file, which there must be, whether it could be written too."""
    if address.database is not None:
        return _examine_file(address.database)
    return _examine_server(address) if address.is_server else _examine_database(address)


def _examine_file(database: Path) -> StoreState:
    try:
        # Opened for writing and closed again, it leaves no files of its own; opened for reading alone it would.
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=1)) as connection:
            connection.isolation_level = None
            found = _read_tables(lambda statement: connection.execute(statement).fetchone())
            mode = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
            if not os.access(database, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
                return StoreState(**found, journal_mode=mode, trouble="read-only", says="its file can't be written")
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                return StoreState(**found, journal_mode=mode, trouble=_name_trouble(error), says=str(error))
            return StoreState(**found, journal_mode=mode)
    except (sqlite3.Error, OSError) as error:
        return StoreState(trouble=_name_trouble(error), says=str(error))


def _name_trouble(error: Exception) -> Trouble:
    name = getattr(error, "sqlite_errorname", "")
    kinds: dict[str, Trouble] = {"BUSY": "locked", "LOCKED": "locked", "READONLY": "read-only", "NOTADB": "damaged"}
    return next((kinds[word] for word in name.split("_") if word in kinds), "unreachable")


def _examine_database(address: Address) -> StoreState:
    import sqlalchemy

    patient = {"connect_timeout": _SECONDS} if has_timeout(address) else {}
    try:
        engine = sqlalchemy.create_engine(address.uri, connect_args=patient)
        try:
            with engine.connect() as connection:
                names = sqlalchemy.inspect(engine).get_table_names()
                if "alembic_version" not in names:
                    return StoreState(revision=UNKNOWN if names else None)
                return StoreState(**_count(lambda text: connection.execute(sqlalchemy.text(text)).fetchone()))
        finally:
            engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        return StoreState(trouble="unreachable", says=summarize(error))


def _examine_server(address: Address) -> StoreState:
    set_environment()
    with _limit_patience():
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            found = MlflowClient(address.uri).search_experiments(max_results=_MOST_EXPERIMENTS)
        except (MlflowException, OSError, ImportError) as error:
            return StoreState(trouble="unreachable", says=shorten(error))
    return StoreState(experiments=len(found))


def _read_tables(ask: Callable[[str], Any]) -> dict[str, Any]:
    names = "SELECT count(*), sum(name = 'alembic_version') FROM sqlite_master WHERE type = 'table'"
    count, has_version = ask(names)
    if not count:
        return {}
    return _count(ask) if has_version else {"revision": UNKNOWN}


def _count(ask: Callable[[str], Any]) -> dict[str, Any]:
    version = ask("SELECT version_num FROM alembic_version")
    counts = {
        name: int(ask(f"SELECT count(*) FROM {name} WHERE lifecycle_stage = 'active'")[0])
        for name in ("experiments", "runs")
    }
    return {"revision": str(version[0]) if version else UNKNOWN, **counts}


@contextmanager
def _limit_patience() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _PATIENCE}
    os.environ.update(_PATIENCE)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
