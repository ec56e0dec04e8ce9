"""A store opened: created once, under a lock, before anything is trained; or found, to read from or delete in it.

Or looked at: what state it is in, without making or changing anything in it.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from bptt.tracking.folder.lock import file_lock
from bptt.tracking.store.address import Address, StoreError, resolve_address
from bptt.tracking.store.base import Experiment, Store
from bptt.tracking.store.client import ClientStore
from bptt.tracking.store.connecting import (
    SECONDS_AT_THE_START,
    check_reading,
    connect,
    explain_refusal,
    has_timeout,
    limit_patience,
    make_ready,
    set_environment,
    shorten,
    summarize,
)
from bptt.tracking.store.database import DatabaseStore
from bptt.tracking.store.experiments import ClientExperiments, TableExperiments, WantedExperiment, find_experiment
from bptt.tracking.store.schema import UNKNOWN
from bptt.tracking.store.sqlite import SqliteStore
from bptt.tracking.store.tables import Database, split_values
from bptt.tracking.store.whereabouts import settle_artifacts

if TYPE_CHECKING:
    from mlflow import MlflowClient


def open_store(uri: str | None, wanted: WantedExperiment | str, restore: bool = False) -> Store:
    """The store at `uri` (see `resolve_address`) with an experiment, both made where missing.

    wanted   the experiment, or its name
    restore  whether one that was deleted is taken out of MLflow's bin, with its runs; otherwise it is refused

    Several processes opening a fresh database at the same moment break it, so the whole happens under a lock between
    the processes of this machine. Raises StoreError, with one line for the user, for whatever stands in the way; a
    server that doesn't answer is given up within seconds.
    """
    address = resolve_address(uri)
    set_environment()
    try:
        with (
            _clean_up(address.lock),
            file_lock(address.lock),
            limit_patience(seconds=SECONDS_AT_THE_START, retries=0),
        ):
            wanted = WantedExperiment(wanted) if isinstance(wanted, str) else wanted
            if make_ready(address):
                database = Database(address)
                found = find_experiment(TableExperiments(address, database), address, wanted, uri, restore)
                return SqliteStore(address, database, None, found)
            client = connect(address)
            return _choose(address, client, find_experiment(ClientExperiments(client), address, wanted, uri, restore))
    except OSError as error:
        raise StoreError(f"{address.shown}: can't be opened: {error}") from error


@contextmanager
def _clean_up(lock: Path) -> Iterator[None]:
    """Remove the lock again, with its folder, where both are made for a store that can't be opened."""
    fresh = not lock.parent.exists()
    try:
        yield
    except BaseException:
        if fresh:
            with suppress(OSError):
                lock.unlink()
                lock.parent.rmdir()
        raise


def open_to_read(uri: str | None) -> Store:
    """The store at `uri`, see `resolve_address`, to read from. A database is asked without importing MLflow.

    Raises StoreError where there is none, or where it doesn't answer.
    """
    return open_address(find_store(uri))


def open_address(address: Address) -> Store:
    """The store at an address, to read from."""
    if not address.is_server:
        check_reading(address)
        settle_artifacts(address, relative=False)
        return DatabaseStore(address, Database(address))
    set_environment()
    with explain_refusal(address):
        return ClientStore(address, connect(address))


def open_to_delete(uri: str | None, folder: Path | None = None) -> Store:
    """The store at `uri`, see `find_store`, to delete from it. Raises StoreError where it doesn't answer too."""
    address = find_store(uri, folder)
    set_environment()
    with explain_refusal(address):
        return _choose(address, connect(address))


def find_store(uri: str | None, folder: Path | None = None) -> Address:
    """Where the store at `uri` is, as seen from a folder, see `resolve_address`.

    Raises StoreError where it is a file that is not there.
    """
    address = resolve_address(uri, folder)
    if address.is_missing:
        raise StoreError(f"{address.database}: there is no such store")
    return address


def _choose(address: Address, client: "MlflowClient", into: Experiment | None = None) -> Store:
    """What a store is, by its client: a database with the tables that are known here, or what MLflow makes of it."""
    database = Database.of(address, client)
    return ClientStore(address, client, into) if database is None else DatabaseStore(address, database, client, into)


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


def count_lost(database: Path, run_ids: Sequence[str]) -> int:
    """How many of these runs a database in a file lacks, or has in MLflow's bin. Raises StoreError."""
    if not database.is_file() or database.stat().st_size == 0:
        return len(run_ids)
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=1)) as connection:
            there = 0
            for part in split_values(run_ids):
                active = f"lifecycle_stage = 'active' AND run_uuid IN ({', '.join('?' * len(part))})"
                there += connection.execute(f"SELECT count(*) FROM runs WHERE {active}", [*part]).fetchone()[0]
            return len(run_ids) - there
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{database}: can't be read: {error}") from error


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
