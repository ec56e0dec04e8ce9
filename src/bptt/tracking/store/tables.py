"""MLflow's tables in a database: found, checked for being the known ones, written to and deleted from.

And what is recorded as their rows: what MLflow's client refuses is refused, what it cuts is cut.
"""

import re
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from bptt.tracking.store.address import Address, StoreError
from bptt.tracking.store.connecting import summarize
from bptt.tracking.store.runs import RunToWrite
from bptt.tracking.store.tags import NAME_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from sqlalchemy import Connection as SqlalchemyConnection
    from sqlalchemy import Engine, Table, TableClause

T = TypeVar("T")


# How many values one statement names: fewer than any database's limit.
_MOST_VALUES: Final = 900


# Another process's transaction may take a while; its end is waited for.
_MILLISECONDS_OF_PATIENCE: Final = 60_000


_KIBIBYTES_OF_CACHE: Final = 65_536


# The tables that hold a run, with the columns that are filled here.
_COLUMNS: Final = {
    "runs": (
        "run_uuid",
        "name",
        "source_type",
        "source_name",
        "entry_point_name",
        "user_id",
        "status",
        "start_time",
        "end_time",
        "source_version",
        "lifecycle_stage",
        "artifact_uri",
        "experiment_id",
    ),
    "metrics": ("key", "value", "timestamp", "step", "is_nan", "run_uuid"),
    "latest_metrics": ("key", "value", "timestamp", "step", "is_nan", "run_uuid"),
    "params": ("key", "value", "run_uuid"),
    "tags": ("key", "value", "run_uuid"),
}


class Connection:
    """A connection to a database. In a statement ? stands for a value, and "key" is a column's name."""

    def __init__(self, ask: Callable[[str, Any], Any], ask_often: Callable[[str, Any], Any]) -> None:
        self._ask, self._ask_often = ask, ask_often

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows that a statement finds."""
        return list(self._ask(statement, tuple(values)).fetchall())

    def run(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Carry a statement out that finds nothing."""
        self._ask(statement, tuple(values))

    def run_for_each(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Carry a statement out once for each row of values."""
        if rows:
            self._ask_often(statement, rows)

    def insert(self, table: str, rows: Sequence[Sequence[Any]], otherwise: str = "") -> None:
        """Add rows to a table, with the values in the order of `_COLUMNS`; otherwise: what is done with one that is
        there, in SQL.
        """
        columns = _COLUMNS[table]
        names, places = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
        self.run_for_each(f"INSERT INTO {table} ({names}) VALUES ({places}) {otherwise}", rows)


class Database:
    """The database of a store.

    A SQLite file is opened by Python's own sqlite3, for as long as it is asked: SQLAlchemy takes a quarter of a second
    to import, and as much again for each row as SQLite itself. Where there is an engine, or another database,
    statements go through that.
    """

    def __init__(self, address: Address, engine: "Engine | None" = None) -> None:
        self._address = address
        self._file = address.database if engine is None and not address.query else None
        if engine is not None:
            self.engine = engine

    @classmethod
    def of(cls, address: Address, client: "MlflowClient") -> "Database | None":
        """The client's database; None where it has none, or where MLflow's tables are no longer those known here."""
        engine = getattr(getattr(getattr(client, "_tracking_client", None), "store", None), "engine", None)
        if engine is None:
            return None
        from mlflow.store.tracking.dbmodels.models import SqlRun

        tables = SqlRun.metadata.tables
        if not all(name in tables and _is_known(tables[name], columns) for name, columns in _COLUMNS.items()):
            return None
        return cls(address, engine)

    @cached_property
    def engine(self) -> "Engine":
        """SQLAlchemy's way to the database, made when it is first needed."""
        import sqlalchemy as sa

        try:
            return sa.create_engine(self._address.uri)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise StoreError(f"{self._address.shown}: the database can't be opened: {summarize(error)}") from error

    def close(self) -> None:
        """Let go of what is held open."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    @cached_property
    def runs(self) -> "TableClause":
        """The table of the runs, for SQLAlchemy; so are the others."""
        return _describe_table("runs")

    @cached_property
    def metrics(self) -> "TableClause":
        """All points of the runs' metrics."""
        return _describe_table("metrics")

    @cached_property
    def latest_metrics(self) -> "TableClause":
        """The last point of each of a run's metrics."""
        return _describe_table("latest_metrics")

    @cached_property
    def params(self) -> "TableClause":
        """The runs' params."""
        return _describe_table("params")

    @cached_property
    def tags(self) -> "TableClause":
        """The runs' tags."""
        return _describe_table("tags")

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection to read by."""
        with self._open() as (connection, _):
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection all of whose changes are made when the block ends, or none."""
        with self._open() as (connection, commit):
            if self._file is not None or self.engine.dialect.name == "sqlite":
                connection.run(f"PRAGMA busy_timeout = {_MILLISECONDS_OF_PATIENCE}")
                # A block's metrics, which the usual 2 MB would write to the disk twice.
                connection.run(f"PRAGMA cache_size = -{_KIBIBYTES_OF_CACHE}")
                # One that begins by reading is refused at once, not after the patience, when others have written since.
                connection.run("BEGIN IMMEDIATE")
            yield connection
            commit()

    @contextmanager
    def _open(self) -> Iterator[tuple[Connection, Callable[[], None]]]:
        if self._file is not None:
            # Closed with a transaction that has not ended, it takes that back. One for good would outlive its file.
            with closing(sqlite3.connect(f"{self._file.as_uri()}?mode=rw", uri=True, isolation_level=None)) as opened:
                yield Connection(opened.execute, opened.executemany), opened.commit
            return
        with self.engine.connect() as connection:
            ask = partial(_ask_engine, connection)
            yield Connection(ask, ask), connection.commit

    def read_statuses(self, run_ids: Sequence[str], connection: Connection | None = None) -> dict[str, str]:
        """The status of each of these runs that the store holds, in MLflow's bin or not."""
        if connection is None:
            with self.connection() as own:
                return self.read_statuses(run_ids, own)
        return {
            str(run_id): str(status)
            for part in split_values(run_ids)
            for run_id, status in connection.read(
                f"SELECT run_uuid, status FROM runs WHERE run_uuid IN {write_places(part)}", part
            )
        }

    def delete(self, connection: Connection, run_ids: Sequence[str]) -> None:
        """Delete runs for good."""
        for part in split_values(run_ids):
            given = f"destination_type = 'RUN' AND destination_id IN {write_places(part)}"
            connection.run(
                f"DELETE FROM input_tags WHERE input_uuid IN (SELECT input_uuid FROM inputs WHERE {given})", part
            )
            connection.run(f"DELETE FROM inputs WHERE {given}", part)
            # The table of the runs last: the others refer to it.
            for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
                connection.run(f"DELETE FROM {table} WHERE run_uuid IN {write_places(part)}", part)


def _describe_table(name: str) -> "TableClause":
    import sqlalchemy as sa

    return sa.table(name, *map(sa.column, _COLUMNS[name]))


def _ask_engine(connection: "SqlalchemyConnection", statement: str, values: Any) -> Any:
    dialect = connection.dialect
    if dialect.name != "sqlite":
        # How a value's place and a name are written differs between databases.
        statement = statement.replace("?", "%s").replace('"', dialect.identifier_preparer.initial_quote)
    return connection.exec_driver_sql(statement, values)


def write_places(values: Sequence[Any]) -> str:
    """The places of so many values, for IN."""
    return f"({', '.join('?' * len(values))})"


def split_values(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values in portions that one statement can name."""
    for start in range(0, len(values), _MOST_VALUES):
        yield values[start : start + _MOST_VALUES]


@dataclass(frozen=True)
class LoggedModel:
    """A model in a store, and where its files are."""

    model_id: str
    artifact_uri: str


def find_models(database: Database, run_ids: Sequence[str]) -> list[LoggedModel]:
    """The models that were logged from these runs."""
    found = "SELECT model_id, artifact_location FROM logged_models WHERE source_run_id IN"
    with database.connection() as connection:
        return [
            LoggedModel(str(model_id), str(uri))
            for part in split_values(run_ids)
            for model_id, uri in connection.read(f"{found} {write_places(part)}", part)
        ]


def delete_models(connection: Connection, models: Sequence[LoggedModel]) -> None:
    """Delete models from a database for good."""
    for part in split_values([model.model_id for model in models]):
        places = write_places(part)
        connection.run(f"DELETE FROM inputs WHERE source_id IN {places}", part)
        connection.run(f"DELETE FROM inputs WHERE destination_id IN {places}", part)
        # The table of the models last: the others refer to it.
        for table in ("logged_model_metrics", "logged_model_params", "logged_model_tags", "logged_models"):
            connection.run(f"DELETE FROM {table} WHERE model_id IN {places}", part)


def _is_known(table: "Table", columns: Sequence[str]) -> bool:
    """Whether a table has these columns, and none besides that has to be filled."""
    others = [column for column in table.columns if column.name not in columns]
    optional = all(column.nullable or column.server_default is not None for column in others)
    return set(columns) <= set(table.columns.keys()) and optional


_LARGEST: Final = sys.float_info.max


# MLflow takes whatever is of these. Of the rest its own check decides, which takes seconds to import.
_PLAIN_NAME: Final = re.compile(r"\w[\w-]*(\.[\w-]+)*(/\w[\w-]*(\.[\w-]+)*)*", re.ASCII)


_LONGEST_NAME: Final = 250


_LONGEST_VALUE: Final = {"params": 6000, "tags": 8000}


_PLAIN_PLACE: Final = re.compile(r"[^?#;]+")


def check_run(run: RunToWrite) -> RunToWrite:
    """The run as MLflow's client would take it. Raises its MlflowException for a name that it refuses."""
    check_names((*run.history, *run.once))
    tags = check_values("tags", {**run.tags, NAME_TAG: run.name})
    return replace(run, tags=tags, params=check_values("params", run.params))


def check_names(metrics: Iterable[str]) -> None:
    """Raise MlflowException for a metric's name that MLflow refuses."""
    for name in metrics:
        if not _is_plain(name):
            from mlflow.utils import validation

            validation._validate_metric_name(name)  # type: ignore[no-untyped-call]


def check_values(kind: str, values: Mapping[str, str]) -> dict[str, str]:
    """Params or tags as MLflow's client would take them. Raises MlflowException for a name that it refuses."""
    longest = _LONGEST_VALUE[kind]
    if all(_is_plain(name) and len(value) <= longest for name, value in values.items()):
        return dict(values)
    from mlflow.utils import validation

    check: Any = validation
    take = check._validate_tag if kind == "tags" else check._validate_param
    taken = [take(name, value) for name, value in values.items()]
    return {one.key: one.value for one in taken}


@lru_cache(4096)
def _is_plain(name: str) -> bool:
    return len(name) <= _LONGEST_NAME and _PLAIN_NAME.fullmatch(name) is not None


def make_rows(run_id: str, name: str, values: Sequence[float], times: Sequence[int], steps: Sequence[int]) -> list[Any]:
    """The rows of a metric's points; as MLflow has it, NaN is 0 with a mark and an infinity is the largest number."""
    if len(values) == 1:  # as a run has of most metrics where only what it recorded last is kept
        value = float(values[0])
        stored = 0.0 if value != value else min(max(value, -_LARGEST), _LARGEST)
        return [(name, stored, times[0], steps[0], value != value, run_id)]
    missing = np.isnan(values)
    numbers = np.nan_to_num(values, nan=0.0, posinf=_LARGEST, neginf=-_LARGEST).tolist()
    return list(zip(repeat(name), numbers, times, steps, missing.tolist(), repeat(run_id), strict=False))


def make_run_row(
    run_id: str, name: str, user: str, status: str, began: int, ended: int | None, artifact_uri: str, experiment_id: str
) -> tuple[Any, ...]:
    """The row of a run; times in milliseconds since 1970."""
    return (
        run_id,
        name,
        "UNKNOWN",
        "",
        "",
        user,
        status,
        began,
        ended,
        "",
        "active",
        artifact_uri,
        int(experiment_id),
    )


def make_artifact_uri(location: str, run_id: str) -> str:
    """Where a run of the experiment at `location` keeps its artifacts."""
    if _PLAIN_PLACE.fullmatch(location):
        return f"{location.rstrip('/')}/{run_id}/artifacts"
    from mlflow.utils.uri import append_to_uri_path

    return str(append_to_uri_path(location, run_id, "artifacts"))  # type: ignore[no-untyped-call]
