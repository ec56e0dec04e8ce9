"""Opening the MLflow store: created once, under a lock, before anything is trained."""

import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bptt.tracking.address import Address, StoreError, artifact_location, resolve, without_password
from bptt.tracking.lock import file_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient

# What MLflow is told unless the user said otherwise: no telemetry, no lines of its own among the program's, and in a
# model no project files of whatever folder it is started in.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",
}
# A server that doesn't answer is found out in seconds rather than in MLflow's minutes.
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


@dataclass(frozen=True, kw_only=True)
class Store:
    """An open store with the experiment that new runs go to; `asked` is the tracking.uri that it was opened with."""

    client: "MlflowClient"
    asked: str | None
    address: Address
    experiment: str
    experiment_id: str


def set_environment() -> None:
    """Set MLflow's environment variables that the user left unset; to be called before mlflow is imported."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # It tells of every retry; what comes of them is told once, here.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def open_store(uri: str | None, experiment: str) -> Store:
    """The store at `uri` (see `resolve`) with this experiment, both made where missing.

    Several processes opening a fresh database at the same moment break it, so the whole happens under a lock between
    the processes of this machine. Raises StoreError, with one line for the user, for whatever stands in the way.
    """
    address = resolve(uri)
    set_environment()
    try:
        with file_lock(address.lock), _cleared_when_half_made(address.database), impatient():
            client = _open(address)
            return Store(
                client=client,
                asked=uri,
                address=address,
                experiment=experiment,
                experiment_id=_experiment(client, address, experiment),
            )
    except OSError as error:
        raise StoreError(f"{address.shown}: can't be opened: {error}") from error


@contextmanager
def impatient() -> Iterator[None]:
    """Within it MLflow gives up on a silent server after seconds, where the user set no patience of their own."""
    unset = {name: value for name, value in _IMPATIENT.items() if name not in os.environ}
    os.environ.update(unset)
    try:
        yield
    finally:
        for name in unset:
            os.environ.pop(name, None)


def one_line(error: BaseException) -> str:
    """The gist of an exception, without a password; of a failed connection its cause alone."""
    if cause := re.search(r"\[Errno -?\d+\] [^'\")]*|[Tt]imed out", str(error)):
        return cause[0]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return without_password(lines[0] if lines else type(error).__name__)


def _open(address: Address) -> "MlflowClient":
    if address.database is not None:
        _prepare(address.database)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    if address.database is not None:
        _check_schema(address, _schema(address.database))
    elif address.artifacts is not None:
        _check_connection(address)
    try:
        return MlflowClient(address.uri)
    except (MlflowException, ImportError) as error:
        raise StoreError(f"{address.shown}: MLflow can't open it: {one_line(error)}") from error


def _prepare(database: Path) -> None:
    """Make the SQLite file where missing, and have it write ahead (WAL), so that readers and writers don't wait."""
    database.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(database, timeout=20)) as connection:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{database}: can't be used as an SQLite database: {error}") from error


def _schema(database: Path) -> str | None:
    """The version of MLflow's tables in the file; None: it holds none."""
    with closing(sqlite3.connect(database, timeout=20)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" not in tables:
            return "unknown" if tables else None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else "unknown"


def _check_schema(address: Address, found: str | None) -> None:
    # MLflow by itself upgrades some old databases unasked, and answers others with a page of text.
    if found is None:
        return
    import mlflow
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    if found not in scripts.get_heads():
        known = any(revision.revision == found for revision in scripts.walk_revisions())
        remedy = (
            f"make a copy of it, then: mlflow db upgrade {address.shown}"
            if known
            else f"install the newer MLflow that wrote it; `mlflow db upgrade` of {mlflow.__version__} can't read it"
        )
        raise StoreError(
            f"{address.shown}: its tables have version {found}, MLflow {mlflow.__version__} needs another: {remedy}"
        )


def _check_connection(address: Address) -> None:
    # MLflow would try for minutes, with a warning each time.
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(address.uri)
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise StoreError(f"{address.shown}: the database can't be reached: {one_line(error)}") from error


def _experiment(client: "MlflowClient", address: Address, name: str) -> str:
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(client.create_experiment(name, artifact_location(address, name)))
            except MlflowException:
                # Another machine's process may have been quicker.
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
    except MlflowException as error:
        trouble = "can't be reached" if address.artifacts is None else "can't be used"
        raise StoreError(f"{address.shown}: the store {trouble}: {one_line(error)}") from error
    if found.lifecycle_stage != "active":
        raise StoreError(
            f"tracking.experiment={name}: this experiment was deleted; choose another name, or restore it with:"
            f" mlflow experiments restore -x {found.experiment_id}"
        )
    return str(found.experiment_id)


@contextmanager
def _cleared_when_half_made(database: Path | None) -> Iterator[None]:
    """Delete a database whose creation was broken off: MLflow can't go on with one that has half of its tables."""
    fresh = database is not None and not database.exists()
    try:
        yield
    except BaseException:
        if fresh and database is not None:
            for suffix in ("", "-wal", "-shm"):
                database.with_name(database.name + suffix).unlink(missing_ok=True)
        raise
