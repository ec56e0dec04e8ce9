"""MLflow's client for a store: its database made where missing, its version looked at, the environment set; how long
it is waited for, and what a store refuses, in one line for the user.
"""

import logging
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from bptt.printable import OneLineError
from bptt.tracking.store.address import Address, StoreError, hide_passwords, write_sqlite_uri
from bptt.tracking.store.schema import (
    KNOWN_REVISIONS,
    check_schema,
    copy_template,
    keep_template,
    read_revisions,
    read_schema,
)
from bptt.tracking.store.whereabouts import place_first_experiment, settle_artifacts

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# What MLflow is told unless the user said otherwise: no telemetry, no lines of its own among the program's, and in a
# model no project files of whatever folder it is started in.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",
}


#: What a server answers whom it does not know, or does not let do something; by MLflow's names.
REFUSALS = {
    "UNAUTHENTICATED": "the server wants a user and a password that it knows: set MLFLOW_TRACKING_USERNAME and"
    " MLFLOW_TRACKING_PASSWORD",
    "PERMISSION_DENIED": "the server does not let this user do that",
}


#: What a store answers that has no run, or no experiment, with an id; by MLflow's names.
UNKNOWN_RUN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


# What says that a store may come right by itself: nobody answered, or the server is not itself for now.
_PASSING = re.compile(
    r"connection (to .* )?(was )?(refused|reset|aborted|timed out)|connection (is|was) (bad|closed)|remote end closed|"
    r"timed?[ -]?out|timeout expired|max retries exceeded|server closed the connection|can't connect|lost connection|"
    r"gone away|is (starting|shutting) (up|down)|too many (clients|connections)|unreachable|no route to host|"
    r"name or service not known|(failure in|failed) .*name resolution|getaddrinfo|database is locked|"
    r"error code (429|5\d\d)|\b(429|5\d\d) (client|server) error",
    re.IGNORECASE,
)


# What never does, though it may stand among those words.
_LASTING = re.compile(r"certificate|ssl|no connection adapters|failed to parse|invalid url", re.IGNORECASE)


_ANSWERED = frozenset(("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"))


#: Seconds in which a server that doesn't answer at the start is given up; MLflow's import is to fit in before ten.
SECONDS_AT_THE_START = 6


def set_environment() -> None:
    """Set MLflow's environment variables that the user left unset; to be called before mlflow is imported."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # They tell of every retry, and print what a database refuses with its traceback; it is told once, here.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


@contextmanager
def limit_patience(seconds: int = 10, retries: int = 1) -> Iterator[None]:
    """Within it MLflow gives up on a silent server after seconds, not minutes, where the user set no patience."""
    limits = {"MLFLOW_HTTP_REQUEST_TIMEOUT": seconds, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": retries}
    unset = {name: str(value) for name, value in limits.items() if name not in os.environ}
    os.environ.update(unset)
    try:
        yield
    finally:
        for name in unset:
            os.environ.pop(name, None)


def shorten(error: BaseException) -> str:
    """The gist of an exception, without a password; of a failed connection its cause alone."""
    if refusal := REFUSALS.get(getattr(error, "error_code", "")):
        return refusal
    if cause := re.search(r"\[Errno -?\d+\] [^'\")]*|[Tt]imed out", str(error)):
        return cause[0]
    if answer := re.search(r"too many (\d+) error responses", str(error)):
        return f"it answers with error {answer[1]}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return hide_passwords(lines[0] if lines else type(error).__name__)


def is_passing(error: BaseException) -> bool:
    """Whether what a store refused with may come right by itself: it is away, or busy, or has an error of its own."""
    code = getattr(error, "error_code", "")
    if code in REFUSALS or _LASTING.search(str(error)):
        return False
    answer = getattr(error, "json", None)
    if isinstance(answer, Mapping):  # MLflow takes a code that it does not know for one of these
        return answer.get("error_code") in _ANSWERED
    return _PASSING.search(str(error)) is not None


def make_ready(address: Address) -> bool:
    """Make a database in a file that is not there, and put right what is to be put right in one; whether its tables are
    known here, so that MLflow is not needed. Raises StoreError, with one line, where it can't be.
    """
    if address.database is None:
        return False
    if not address.database.exists():
        _make(address, address.database)
        _forget_earlier_stores()
    # Before anything is written to it: what is refused stays as it is.
    found = read_schema(address.database)
    check_schema(address, found)
    if found is None:
        _forget_earlier_stores()
    _prepare(address.database)
    check_reading(address)
    settle_artifacts(address)
    otherwise = address.query or os.environ.get(_WORKSPACES)
    return found in KNOWN_REVISIONS and not otherwise


def connect(address: Address) -> "MlflowClient":
    """MLflow's client; a database that is not there is made. Raises StoreError, with one line, where it can't be."""
    make_ready(address)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    if address.database is None and not address.is_server:
        _check_connection(address)
    try:
        client = MlflowClient(address.uri)
        if address.database is not None:
            # MLflow keeps connections from earlier; they would lead to a file that was replaced since.
            client._tracking_client.store.engine.dispose()
        return client
    except (MlflowException, ImportError) as error:
        raise StoreError(f"{address.shown}: MLflow can't open it: {shorten(error)}", is_passing(error)) from error


_WORKSPACES: Final = "MLFLOW_ENABLE_WORKSPACES"  # experiments belong to one each then


_LONGEST_PATH: Final = 480  # bytes; with what SQLite sets behind it, and stands before it, 512


def try_to_make(address: Address) -> None:
    """Raise StoreError where a SQLite file that is not there can't be made; nothing of it is left."""
    if address.database is None:
        return
    part = address.database.with_name(f".{address.database.name}.{os.getpid()}.part")
    try:
        _prepare(part)
    finally:
        _remove(part)


def _make(address: Address, database: Path) -> None:
    """Make a database with all tables, whole or not at all: MLflow can't go on with one that has half of them."""
    database.parent.mkdir(parents=True, exist_ok=True)
    part = database.with_name(f".{database.name}.part")
    _remove(part)
    try:
        _prepare(part)
        heads = read_revisions().heads
        if not (len(heads) == 1 and copy_template(part, *heads)):
            _remove(part)
            _prepare(part)
            _make_tables(address, part)
            keep_template(part)
        try:
            place_first_experiment(address, part)
            with closing(sqlite3.connect(part)) as connection:
                connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"{address.shown}: can't be made: {shorten(error)}") from error
        part.rename(database)
    finally:
        _remove(part)


def _make_tables(address: Address, part: Path) -> None:
    """Have MLflow make its tables in an empty file."""
    import sqlalchemy
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    _forget_earlier_stores()
    try:
        made = MlflowClient(write_sqlite_uri(part, address.query))
        made._tracking_client.store.engine.dispose()
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise StoreError(f"{address.shown}: can't be made: {shorten(error)}") from error


def _forget_earlier_stores() -> None:
    """Have MLflow look at a database anew: once it has made tables in a file, it makes none in another by that name."""
    if "mlflow.store.tracking.sqlalchemy_store" not in sys.modules:
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.tracking._tracking_service.registry import TrackingStoreRegistry

    for engine in getattr(SqlAlchemyStore, "_engine_map", {}).values():
        engine.dispose()
    kept: Any = getattr(TrackingStoreRegistry, "_get_store_with_resolved_uri", None)
    if hasattr(kept, "cache_clear"):
        kept.cache_clear()


def _remove(database: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def _prepare(database: Path) -> None:
    """Make the SQLite file where missing, and have it write ahead (WAL), so that readers and writers don't wait."""
    database.parent.mkdir(parents=True, exist_ok=True)
    if (length := len(os.fsencode(database))) > _LONGEST_PATH and not database.exists():
        raise StoreError(f"{database}: its path has {length} bytes, and SQLite takes no more than {_LONGEST_PATH}")
    try:
        with closing(sqlite3.connect(database, timeout=20)) as connection:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{database}: can't be used as an SQLite database: {error}") from error


def check_reading(address: Address) -> None:
    """Raise StoreError where SQLAlchemy would open another file than the one that is meant."""
    if not address.uri.startswith("sqlite+pysqlite:"):
        return
    import sqlalchemy

    if sqlalchemy.make_url(address.uri).database != str(address.database):
        raise StoreError(
            f"{address.shown}: SQLAlchemy {version('sqlalchemy')} can't open a path with % or ?; install 2.1 or newer,"
            " or rename the folder"
        )


def _check_connection(address: Address) -> None:
    # MLflow would try for minutes, with a warning each time.
    import sqlalchemy

    patient = {"connect_timeout": SECONDS_AT_THE_START} if has_timeout(address) else {}
    try:
        engine = sqlalchemy.create_engine(address.uri, connect_args=patient)
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    except ImportError as error:
        brought = "bptt[server] brings psycopg, for postgresql+psycopg://"
        raise StoreError(f"{address.shown}: the database's driver is missing: {error} ({brought})") from error
    except sqlalchemy.exc.SQLAlchemyError as error:
        says = f"{address.shown}: the database can't be reached: {shorten(error)}"
        raise StoreError(says, is_passing(error)) from error


def has_timeout(address: Address) -> bool:
    """Whether a database can be told how long to wait for a connection."""
    return address.uri.startswith(("postgresql", "mysql", "mariadb"))


class RefusalError(OneLineError):
    """What a store says no with that is written here, without MLflow; the message is one line."""


_log = logging.getLogger(__name__)

P = ParamSpec("P")


T = TypeVar("T")


_LOCKED: Final = "database is locked"


_SECONDS_OF_PATIENCE: Final = 60.0


_PAGE: Final = 250  # runs in one answer: for seconds of patience, also where the server is slow


@contextmanager
def explain_refusal(address: Address) -> Iterator[None]:
    """Within it a store that refuses, or that doesn't answer for seconds, raises StoreError with one line."""
    try:
        with limit_patience():
            yield
    except Exception as error:
        if not isinstance(error, list_refusals()):
            raise
        raise StoreError(f"{address.shown}: {summarize(error)}", is_passing(error)) from error


def wait_while_locked(ask: Callable[P, T]) -> Callable[P, T]:
    """Make what asks a store wait, for a minute, for another process that holds its database; MLflow waits for less."""

    @wraps(ask)
    def asked(*args: P.args, **kwargs: P.kwargs) -> T:
        until = time.monotonic() + _SECONDS_OF_PATIENCE
        while True:
            try:
                return ask(*args, **kwargs)
            except StoreError as error:
                # It was rolled back, so that nothing is done twice.
                if _LOCKED not in str(error) or time.monotonic() > until:
                    raise
                _log.warning("waiting for another process that holds the database: %s", error)

    return asked


def list_refusals() -> tuple[type[Exception], ...]:
    """What a store refuses with; of packages that were not imported, which takes seconds, nothing can come."""
    kinds = {"mlflow.exceptions": "MlflowException", "sqlalchemy.exc": "SQLAlchemyError"}
    return (
        OSError,
        sqlite3.Error,
        RefusalError,
        *(getattr(sys.modules[module], kind) for module, kind in kinds.items() if module in sys.modules),
    )


def search_runs(
    client: "MlflowClient", experiment_ids: Sequence[str], matching: str, deleted: bool = False
) -> Iterator["Run"]:
    """The runs that a filter in MLflow's words finds, the newest first; with those in MLflow's bin where `deleted`."""
    from mlflow.entities import ViewType

    view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    token: str | None = None
    while True:
        page = client.search_runs([*experiment_ids], matching, view, _PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def summarize(error: Exception) -> str:
    """What went wrong, in one line without a password."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    # A database's own words stand behind the class of its error, in the midst of SQLAlchemy's.
    told = re.search(r"\(\w+(?:\.\w+)*Error\) (.+)", str(error))
    return shorten(error) if told is None else hide_passwords(told[1].strip())


class SourceError(OneLineError):
    """What was named can't be found, or is not clear; the message is one line for the user."""


@contextmanager
def explain_query(query: str) -> Iterator[None]:
    """Within it MLflow's complaint about a query raises SourceError, with one line."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        raise SourceError(f"{query}: not a query that MLflow understands: {shorten(error)}") from None


def can_be_made(address: Address) -> bool:
    """Whether the store is a file that is not there, in a folder where it may be."""
    file = address.database
    return (
        file is not None
        and address.uri.startswith("sqlite:///")
        and not file.exists()
        and file.parent.is_dir()
        and os.access(file.parent, os.W_OK)
    )
