"""A store's database, read with a few statements over all runs."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from bptt.tracking.access import asking, gist
from bptt.tracking.address import Address, StoreError
from bptt.tracking.database import parts
from bptt.tracking.reading import PARENT_TAG, SWEEP_TAG, StoredRow, StoreReader, in_order, infinite
from bptt.tracking.run_filter import matching_ids
from bptt.tracking.store import set_environment

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Connection

_COLUMNS: Final = {
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
            sa.table(name, *map(sa.column, columns)) for name, columns in _COLUMNS.items()
        )
        try:
            self._engine = sa.create_engine(address.uri)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise StoreError(f"{address.shown}: the database can't be opened: {gist(error)}") from error

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
        from bptt.tracking.reading_client import ClientReader

        set_environment()
        with asking(self.address):
            run_ids = matching_ids(self._engine, query)
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
        return infinite(table, names)

    def runs(self, run_ids: Sequence[str]) -> list[StoredRow]:
        """See `StoreReader.runs`."""
        from sqlalchemy import select

        runs = self._runs.c
        columns = (runs[name] for name in _COLUMNS["runs"][:-1])
        with self._connection() as connection:
            found = select(*columns).where(runs.lifecycle_stage == "active")
            rows = self._of_runs(connection, found, self._runs, run_ids)
            tags, params = (
                _by_run(self._of_runs(connection, select(*table.c), table, run_ids))
                for table in (self._tags, self._params)
            )
        return in_order(
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
        statements = (wanted.where(table.c.run_uuid.in_(part)) for part in parts(run_ids))
        return [tuple(row) for statement in statements for row in connection.execute(statement)]

    @contextmanager
    def _connection(self) -> Iterator["Connection"]:
        with asking(self.address), self._engine.connect() as connection:
            yield connection


def _by_run(rows: Sequence[tuple[str, str, str]]) -> "defaultdict[str, dict[str, str]]":
    values: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for run_id, key, value in rows:
        values[run_id][key] = value
    return values
