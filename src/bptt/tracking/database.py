"""MLflow's tables, where the store is a database: hundreds of runs are written, found and deleted in one statement."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
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
            for part in parts(run_ids)
            for run_id, status in connection.execute(select(runs.run_uuid, runs.status).where(runs.run_uuid.in_(part)))
        }

    def delete(self, connection: "Connection", run_ids: Sequence[str]) -> None:
        """Delete runs for good."""
        from sqlalchemy import delete

        for part in parts(run_ids):
            # The table of the runs last: the others refer to it.
            for table in (self.metrics, self.latest_metrics, self.params, self.tags, self.runs):
                connection.execute(delete(table).where(table.c.run_uuid.in_(part)))


def parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
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
