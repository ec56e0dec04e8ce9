"""MLflow's tables in a database: found, checked for being the known ones, written to and deleted from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bptt.tracking.store.address import Address, StoreError
from bptt.tracking.store.connecting import summarize

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from sqlalchemy import Connection, Engine, Table, TableClause

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
    """The database of a store."""

    engine: "Engine"
    runs: "TableClause"
    metrics: "TableClause"
    latest_metrics: "TableClause"
    params: "TableClause"
    tags: "TableClause"

    @classmethod
    def of(cls, client: "MlflowClient") -> "Database | None":
        """The client's database; None where it has none, or where MLflow's tables are no longer those known here."""
        engine = getattr(getattr(getattr(client, "_tracking_client", None), "store", None), "engine", None)
        if engine is None:
            return None
        from mlflow.store.tracking.dbmodels.models import SqlRun

        tables = SqlRun.metadata.tables
        if not all(name in tables and _is_known(tables[name], columns) for name, columns in _COLUMNS.items()):
            return None
        return cls(engine, *(tables[name] for name in _COLUMNS))

    @classmethod
    def at(cls, address: Address) -> "Database":
        """The database at an address, to be read without importing MLflow, which takes seconds."""
        import sqlalchemy as sa

        try:
            engine = sa.create_engine(address.uri)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise StoreError(f"{address.shown}: the database can't be opened: {summarize(error)}") from error
        return cls(engine, *(sa.table(name, *map(sa.column, columns)) for name, columns in _COLUMNS.items()))

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

    def read_statuses(self, run_ids: Sequence[str], connection: "Connection | None" = None) -> dict[str, str]:
        """The status of each of these runs that the store holds, in MLflow's bin or not."""
        from sqlalchemy import select

        if connection is None:
            with self.engine.connect() as own:
                return self.read_statuses(run_ids, own)
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


def insert(connection: "Connection", table: "TableClause", rows: Sequence[tuple[Any, ...]]) -> None:
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


@dataclass(frozen=True)
class LoggedModel:
    """A model in a store, and where its files are."""

    model_id: str
    artifact_uri: str


def find_models(database: Database, run_ids: Sequence[str]) -> list[LoggedModel]:
    """The models that were logged from these runs."""
    from mlflow.store.tracking.dbmodels.models import SqlLoggedModel
    from sqlalchemy import select

    models = SqlLoggedModel.__table__.c
    with database.engine.connect() as connection:
        return [
            LoggedModel(str(model_id), str(uri))
            for part in split_values(run_ids)
            for model_id, uri in connection.execute(
                select(models.model_id, models.artifact_location).where(models.source_run_id.in_(part))
            )
        ]


def delete_models(connection: "Connection", models: Sequence[LoggedModel]) -> None:
    """Delete models from a database for good."""
    from mlflow.store.tracking.dbmodels.models import SqlInput, SqlLoggedModel
    from sqlalchemy import delete, or_

    tables = SqlLoggedModel.metadata.tables
    ids = [model.model_id for model in models]
    for part in split_values(ids):
        ends = SqlInput.__table__.c
        connection.execute(delete(SqlInput).where(or_(ends.source_id.in_(part), ends.destination_id.in_(part))))
        # The table of the models last: the others refer to it.
        for name in ("logged_model_metrics", "logged_model_params", "logged_model_tags", "logged_models"):
            connection.execute(delete(tables[name]).where(tables[name].c.model_id.in_(part)))


def _is_known(table: "Table", columns: Sequence[str]) -> bool:
    """Whether a table has these columns, and none besides that has to be filled."""
    others = [column for column in table.columns if column.name not in columns]
    optional = all(column.nullable or column.server_default is not None for column in others)
    return set(columns) <= set(table.columns.keys()) and optional
