"""MLflow's tables, where the store is a database: hundreds of runs are written, found and deleted in one statement.

Runs that a filter in MLflow's words finds, asked of the database alone.

MLflow's own search reads all that there is of each run, and opens the store in its own way first: seconds for a
thousand runs, and for none. The conditions here are MLflow's own; only what is selected is less.

A store's database, read with a few statements over all runs.

Runs written straight into the tables of MLflow's database, a batch in one transaction.

What stands in the tables afterwards is what MLflow's client would leave, at a tenth of the time.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from bptt.tracking.store.address import Address, StoreError
from bptt.tracking.store.artifacts import put_files
from bptt.tracking.store.base import (
    RunToWrite,
    StoredRow,
    StoreReader,
    list_points,
    restore_infinities,
    sort_rows,
    supersedes,
    to_milliseconds,
)
from bptt.tracking.store.errors import explain_query, explain_refusal, summarize
from bptt.tracking.store.opening import Store, set_environment
from bptt.tracking.store.tags import NAME_TAG, PARENT_TAG, SWEEP_TAG, USER_TAG

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from sqlalchemy import Connection, Engine, Table

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


@dataclass(frozen=True)
class Database:
    """The database of a store, through MLflow's own engine."""

    engine: "Engine"
    runs: "Table"
    metrics: "Table"
    latest_metrics: "Table"
    params: "Table"
    tags: "Table"

    @classmethod
    def of(cls, client: "MlflowClient") -> "Database | None":
        """The client's database; None where it has none, or where MLflow's tables are no longer those known here."""
        engine = getattr(getattr(getattr(client, "_tracking_client", None), "store", None), "engine", None)
        if engine is None:
            return None
        from mlflow.store.tracking.dbmodels.models import SqlRun

        tables = SqlRun.metadata.tables
        if not all(name in tables and _as_known(tables[name], columns) for name, columns in _COLUMNS.items()):
            return None
        return cls(engine, *(tables[name] for name in _COLUMNS))

    @contextmanager
    def transaction(self) -> Iterator["Connection"]:
        """A connection all of whose changes are made when the block ends, or none."""
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {_MILLISECONDS_OF_PATIENCE}")
                # A block's metrics, which the usual 2 MB would write to the disk twice.
                connection.exec_driver_sql(f"PRAGMA cache_size = -{_KIBIBYTES_OF_CACHE}")
                # One that begins by reading is refused at once, not after the patience, when others have written since.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    def statuses(self, run_ids: Sequence[str], connection: "Connection | None" = None) -> dict[str, str]:
        """The status of each of these runs that the store holds, in MLflow's bin or not."""
        from sqlalchemy import select

        if connection is None:
            with self.engine.connect() as own:
                return self.statuses(run_ids, own)
        runs = self.runs.c
        return {
            str(run_id): str(status)
            for part in split_values(run_ids)
            for run_id, status in connection.execute(select(runs.run_uuid, runs.status).where(runs.run_uuid.in_(part)))
        }

    def delete(self, connection: "Connection", run_ids: Sequence[str]) -> None:
        """Delete runs for good."""
        from sqlalchemy import delete

        for part in split_values(run_ids):
            # The table of the runs last: the others refer to it.
            for table in (self.metrics, self.latest_metrics, self.params, self.tags, self.runs):
                connection.execute(delete(table).where(table.c.run_uuid.in_(part)))


def split_values(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values in portions that one statement can name."""
    for start in range(0, len(values), _MOST_VALUES):
        yield values[start : start + _MOST_VALUES]


def insert(connection: "Connection", table: "Table", rows: Sequence[tuple[Any, ...]]) -> None:
    """Add rows to one of the tables; the values stand in the order of `_COLUMNS`."""
    import sqlalchemy

    if not rows:
        return
    columns = _COLUMNS[table.name]
    if connection.dialect.name == "sqlite":
        # What SQLAlchemy does to each row costs half as much again as what SQLite does.
        places = ", ".join("?" * len(columns))
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({places})", rows)
    else:
        connection.execute(sqlalchemy.insert(table), [dict(zip(columns, row, strict=True)) for row in rows])


def _as_known(table: "Table", columns: Sequence[str]) -> bool:
    """Whether a table has these columns, and none besides that has to be filled."""
    others = [column for column in table.columns if column.name not in columns]
    optional = all(column.nullable or column.server_default is not None for column in others)
    return set(columns) <= set(table.columns.keys()) and optional


def find_matching(engine: "Engine", query: str) -> list[str] | None:
    """The ids of the active runs; None: this MLflow makes its conditions in a way that isn't known here.

    Raises SourceError where the query can't be understood.
    """
    try:
        from mlflow.store.tracking import sqlalchemy_store
        from mlflow.store.tracking.dbmodels.models import SqlRun
        from mlflow.utils.search_utils import SearchUtils
        from sqlalchemy import select
        from sqlalchemy.orm import Session

        conditions: Any = sqlalchemy_store._get_sqlalchemy_filter_clauses
        parse: Any = SearchUtils.parse_search_filter
        with explain_query(query), Session(engine) as session:
            of_runs, of_keys, of_datasets = conditions(parse(query), session, engine.dialect.name)
            found: Any = select(SqlRun.run_uuid).distinct().where(SqlRun.lifecycle_stage == "active", *of_runs)
            for one in of_keys:
                found = found.join(one)
            for one in of_datasets:
                found = found.join(one, SqlRun.run_uuid == one.c.destination_id)
            return [str(run_id) for run_id in session.scalars(found)]
    except (ImportError, AttributeError, TypeError, ValueError):
        return None


_READ_COLUMNS: Final = {
    "runs": ("run_uuid", "name", "status", "start_time", "end_time", "artifact_uri", "lifecycle_stage"),
    "tags": ("run_uuid", "key", "value"),
    "params": ("run_uuid", "key", "value"),
    "latest_metrics": ("run_uuid", "key"),
    "metrics": ("run_uuid", "key", "step", "value", "is_nan"),
}


class DatabaseReader(StoreReader):
    """A database with MLflow's tables."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        import sqlalchemy as sa

        self._runs, self._tags, self._params, self._latest, self._metrics = (
            sa.table(name, *map(sa.column, columns)) for name, columns in _READ_COLUMNS.items()
        )
        try:
            self._engine = sa.create_engine(address.uri)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise StoreError(f"{address.shown}: the database can't be opened: {summarize(error)}") from error

    def sweeps_named(self, name: str) -> list[StoredRow]:
        """See `StoreReader.sweeps_named`."""
        from sqlalchemy import exists, select

        runs, tags, nesting = self._runs.c, self._tags.c, self._tags.alias().c
        below = exists().where(nesting.run_uuid == tags.run_uuid, nesting.key == PARENT_TAG)
        named = (
            select(runs.run_uuid)
            .join_from(self._runs, self._tags, tags.run_uuid == runs.run_uuid)
            .where(tags.key == SWEEP_TAG, tags.value == name, runs.lifecycle_stage == "active", ~below)
        )
        with self._connection() as connection:
            run_ids = [str(run_id) for run_id in connection.scalars(named)]
        return self.runs(run_ids)

    def run(self, run_id: str) -> StoredRow | None:
        """See `StoreReader.run`."""
        return next(iter(self.runs([run_id])), None)

    def below(self, parent: StoredRow) -> list[StoredRow]:
        """See `StoreReader.below`."""
        from sqlalchemy import select

        tags = self._tags.c
        statement = select(tags.run_uuid).where(tags.key == PARENT_TAG, tags.value == parent.run_id)
        with self._connection() as connection:
            run_ids = [str(run_id) for run_id in connection.scalars(statement)]
        return self.runs(run_ids)

    def matching(self, query: str) -> list[StoredRow]:
        """See `StoreReader.matching`."""
        from bptt.tracking.store.server import ClientReader

        set_environment()
        with explain_refusal(self.address):
            run_ids = find_matching(self._engine, query)
        if run_ids is None:
            return ClientReader(self.address).matching(query)
        return [row for row in self.runs(run_ids) if not row.is_sweep]

    def histories(self, rows: Mapping[int, StoredRow]) -> "pd.DataFrame":
        """See `StoreReader.histories`; the database sets the points of an update side by side."""
        import pandas as pd
        from sqlalchemy import case, func, not_, select

        number = {row.run_id: run for run, row in rows.items()}
        latest, points = self._latest.c, self._metrics.c
        with self._connection() as connection:
            found = self._of_runs(connection, select(latest.key).distinct(), self._latest, list(number))
            names = list(dict.fromkeys(name for (name,) in found))
            values = (func.max(case(((points.key == name) & not_(points.is_nan), points.value))) for name in names)
            wanted = select(points.run_uuid, points.step, *values).group_by(points.run_uuid, points.step)
            recorded = self._of_runs(connection, wanted, self._metrics, list(number))
        table = pd.DataFrame(recorded, columns=["run", "update", *names])
        table["run"] = table["run"].map(number).astype("int64")
        return restore_infinities(table, names)

    def runs(self, run_ids: Sequence[str]) -> list[StoredRow]:
        """See `StoreReader.runs`."""
        from sqlalchemy import select

        runs = self._runs.c
        columns = (runs[name] for name in _READ_COLUMNS["runs"][:-1])
        with self._connection() as connection:
            found = select(*columns).where(runs.lifecycle_stage == "active")
            rows = self._of_runs(connection, found, self._runs, run_ids)
            tags, params = (
                _by_run(self._of_runs(connection, select(*table.c), table, run_ids))
                for table in (self._tags, self._params)
            )
        return sort_rows(
            [
                StoredRow(
                    run_id=row[0],
                    name=row[1],
                    status=row[2],
                    began=None if row[3] is None else row[3] / 1000,
                    ended=None if row[4] is None else row[4] / 1000,
                    artifact_uri=row[5],
                    tags=tags[row[0]],
                    params=params[row[0]],
                )
                for row in rows
            ]
        )

    def _of_runs(self, connection: "Connection", wanted: Any, table: Any, run_ids: Sequence[str]) -> list[Any]:
        statements = (wanted.where(table.c.run_uuid.in_(part)) for part in split_values(run_ids))
        return [tuple(row) for statement in statements for row in connection.execute(statement)]

    @contextmanager
    def _connection(self) -> Iterator["Connection"]:
        with explain_refusal(self.address), self._engine.connect() as connection:
            yield connection


def _by_run(rows: Sequence[tuple[str, str, str]]) -> "defaultdict[str, dict[str, str]]":
    values: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for run_id, key, value in rows:
        values[run_id][key] = value
    return values


_LARGEST = sys.float_info.max


class BulkWriter:
    """Writes runs into a database store. A run's id is its key."""

    def __init__(self, store: Store, database: Database, location: str) -> None:
        self._store, self._database, self._location = store, database, location

    def write(self, runs: Sequence[RunToWrite]) -> dict[str, str]:
        """Write all that the store lacks, or nothing; key → run id."""
        if self._store.address.database is not None:
            # A connection outlives its file, and takes rows that nobody will see.
            self._store.address.database.stat()
        new = [_checked(run) for run in self._wanted(runs)]
        for run in new:
            put_files(self._store.address, self._artifact_uri(run), run.files)
        if new:
            with self._database.transaction() as connection:
                wanted = self._wanted(new, connection)
                self._database.delete(connection, [run.key for run in wanted])
                self._insert(connection, wanted)
        return {run.key: run.key for run in runs}

    def run_ids(self, keys: Sequence[str]) -> dict[str, str]:
        """Key → id of those runs that the store has."""
        return {key: key for key in self._database.statuses(keys)}

    def _wanted(self, runs: Sequence[RunToWrite], connection: "Connection | None" = None) -> list[RunToWrite]:
        held = self._database.statuses([run.key for run in runs], connection)
        return [run for run in {run.key: run for run in runs}.values() if supersedes(run, held.get(run.key))]

    def _insert(self, connection: "Connection", runs: Sequence[RunToWrite]) -> None:
        database = self._database
        insert(connection, database.runs, [self._row(run) for run in runs])
        for run in runs:
            insert(connection, database.tags, [(name, value, run.key) for name, value in run.tags.items()])
            insert(connection, database.params, [(name, value, run.key) for name, value in run.params.items()])
            series = [_rows(run.key, *metric) for metric in list_points(run)]
            insert(connection, database.metrics, [row for rows in series for row in rows])
            insert(connection, database.latest_metrics, [rows[-1] for rows in series])

    def _row(self, run: RunToWrite) -> tuple[Any, ...]:
        return (
            run.key,
            run.name,
            "UNKNOWN",
            "",
            "",
            run.tags.get(USER_TAG, "unknown"),
            run.status,
            to_milliseconds(run.began),
            to_milliseconds(run.ended),
            "",
            "active",
            self._artifact_uri(run),
            int(self._store.experiment_id),
        )

    def _artifact_uri(self, run: RunToWrite) -> str:
        from mlflow.utils.uri import append_to_uri_path

        return str(append_to_uri_path(self._location, run.key, "artifacts"))  # type: ignore[no-untyped-call]


def _checked(run: RunToWrite) -> RunToWrite:
    """The run as MLflow's client would take it: the same names are refused, the same values cut."""
    from mlflow.utils import validation

    check: Any = validation
    for name in run.history:
        check._validate_metric_name(name)
    tags = [check._validate_tag(name, value) for name, value in {**run.tags, NAME_TAG: run.name}.items()]
    params = [check._validate_param(name, value) for name, value in run.params.items()]
    return replace(run, tags={tag.key: tag.value for tag in tags}, params={one.key: one.value for one in params})


def _rows(key: str, name: str, values: list[float], times: list[int], steps: list[int]) -> list[tuple[Any, ...]]:
    """The rows of a metric; as MLflow has it, NaN is 0 with a mark and an infinity is the largest number."""
    missing = np.isnan(values)
    stored = np.nan_to_num(values, nan=0.0, posinf=_LARGEST, neginf=-_LARGEST).tolist()
    return list(zip(repeat(name), stored, times, steps, missing.tolist(), repeat(key), strict=False))
