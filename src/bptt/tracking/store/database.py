"""A store that is a database: hundreds of runs are written, found and deleted in one statement."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from bptt.tracking.folder.files import OWN_FOLDERS
from bptt.tracking.store.address import Address
from bptt.tracking.store.artifacts import find_local_folder, list_all_names, remove_artifacts
from bptt.tracking.store.base import (
    Experiment,
    RunWriter,
    Store,
    StoredRow,
    SweepPlace,
    SweepToRemove,
    restore_infinities,
    sort_rows,
)
from bptt.tracking.store.client import ClientStore
from bptt.tracking.store.connecting import explain_query, explain_refusal, set_environment
from bptt.tracking.store.runs import Holding
from bptt.tracking.store.tables import Database, delete_models, find_models, split_values, write_places
from bptt.tracking.store.tags import (
    DETAIL_TAG,
    DIGEST_TAG,
    OUTCOME_TAG,
    PARENT_TAG,
    SETTING_TAG,
    SWEEP_TAG,
    VIEW_TAG,
)
from bptt.tracking.store.writers import DatabaseWriter

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from sqlalchemy import Connection, Engine

# What is read of a run from the table of runs.
_ROW: Final = ("run_uuid", "name", "status", "start_time", "end_time", "artifact_uri")

_AT_ONCE: Final = 100  # runs deleted; other writers to the database wait for so many


class DatabaseStore(Store):
    """A database with MLflow's tables, as they are known here."""

    def __init__(
        self,
        address: Address,
        database: Database,
        client: "MlflowClient | None" = None,
        into: Experiment | None = None,
    ) -> None:
        super().__init__(address, client, into)
        self._database = database

    def close(self) -> None:
        """See `Store.close`."""
        self._database.close()

    def find_sweeps(self, name: str) -> list[StoredRow]:
        """See `Store.find_sweeps`."""
        return self.find_runs(self.list_sweeps(name))

    def find_run(self, run_id: str) -> StoredRow | None:
        """See `Store.find_run`."""
        return next(iter(self.find_runs([run_id])), None)

    def find_below(self, parent: StoredRow) -> list[StoredRow]:
        """See `Store.find_below`."""
        from sqlalchemy import select

        tags = self._database.tags.c
        statement = select(tags.run_uuid).where(tags.key == PARENT_TAG, tags.value == parent.run_id)
        with self._connection() as connection:
            run_ids = [str(run_id) for run_id in connection.scalars(statement)]
        return self.find_runs(run_ids)

    def search(self, query: str) -> list[StoredRow]:
        """See `Store.search`."""
        set_environment()
        with explain_refusal(self.address):
            run_ids = find_matching(self._database.engine, query)
        if run_ids is None:
            return ClientStore(self.address, self.client).search(query)
        return [row for row in self.find_runs(run_ids) if not row.is_sweep]

    def read_histories(self, rows: Mapping[int, StoredRow]) -> "pd.DataFrame":
        """See `Store.read_histories`; the database sets the points of an update side by side."""
        import pandas as pd
        from sqlalchemy import case, func, not_, select

        number = {row.run_id: run for run, row in rows.items()}
        database = self._database
        latest, points = database.latest_metrics.c, database.metrics.c
        with self._connection() as connection:
            found = self._of_runs(connection, select(latest.key).distinct(), database.latest_metrics, list(number))
            names = list(dict.fromkeys(name for (name,) in found))
            values = (func.max(case(((points.key == name) & not_(points.is_nan), points.value))) for name in names)
            wanted = select(points.run_uuid, points.step, *values).group_by(points.run_uuid, points.step)
            recorded = self._of_runs(connection, wanted, database.metrics, list(number))
        table = pd.DataFrame(recorded, columns=["run", "update", *names])
        table["run"] = table["run"].map(number).astype("int64")
        return restore_infinities(table, names)

    def find_runs(self, run_ids: Sequence[str]) -> list[StoredRow]:
        """See `Store.find_runs`."""
        from sqlalchemy import select

        database, runs = self._database, self._database.runs.c
        columns = (runs[name] for name in _ROW)
        with self._connection() as connection:
            found = select(*columns).where(runs.lifecycle_stage == "active")
            rows = self._of_runs(connection, found, database.runs, run_ids)
            tags, params = (
                _group_by_run(
                    self._of_runs(connection, select(table.c.run_uuid, table.c.key, table.c.value), table, run_ids)
                )
                for table in (database.tags, database.params)
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
        with explain_refusal(self.address), self._database.engine.connect() as connection:
            yield connection

    def has_at_hand(self, row: StoredRow) -> bool:
        """See `Store.has_at_hand`."""
        return find_local_folder(self.address, row.artifact_uri) is not None

    def find_newest_sweep(self) -> SweepPlace | None:
        """See `Store.find_newest_sweep`."""
        from sqlalchemy import select

        runs, tags = self._database.runs.c, self._database.tags

        def tag(key: str) -> Any:
            of_the_run = (tags.c.run_uuid == runs.run_uuid) & (tags.c.key == key)
            return select(tags.c.value).where(of_the_run).correlate(self._database.runs).scalar_subquery()

        newest = (
            select(runs.run_uuid, runs.experiment_id, tag(SWEEP_TAG), tag(VIEW_TAG))
            .where(runs.lifecycle_stage == "active", tag(SWEEP_TAG).is_not(None), tag(PARENT_TAG).is_(None))
            .order_by(runs.start_time.desc())
            .limit(1)
        )
        with self._connection() as connection:
            row = connection.execute(newest).first()
        if row is None:
            return None
        return SweepPlace(parent=str(row[0]), experiment_id=str(row[1]), name=row[2], view=row[3])

    def find_finished(self, digests: Collection[str]) -> dict[str, str]:
        """See `Store.find_finished`."""
        found: list[tuple[int, str, str]] = []
        with explain_refusal(self.address), self._database.connection() as connection:
            for part in split_values([*digests]):
                found += connection.read(
                    "SELECT start_time, tags.value, runs.run_uuid FROM tags JOIN runs ON tags.run_uuid = runs.run_uuid"
                    " WHERE tags.\"key\" = ? AND status = 'FINISHED' AND lifecycle_stage = 'active'"
                    f" AND experiment_id = ? AND tags.value IN {write_places(part)}"
                    " AND NOT EXISTS (SELECT 1 FROM tags less"
                    " WHERE less.run_uuid = runs.run_uuid AND less.\"key\" = ? AND less.value = 'last')",
                    (DIGEST_TAG, int(self.experiment_id), *part, DETAIL_TAG),
                )
        return {str(digest): str(run_id) for _, digest, run_id in sorted(found, key=lambda row: row[0])}

    def read_holdings(self, wanted: Mapping[str, str | None], sweep: str | None) -> dict[str, Holding]:  # noqa: ARG002
        """See `Store.read_holdings`; a run that was written here has its key for its id."""
        from sqlalchemy import func, select

        database, runs, points = self._database, self._database.runs.c, self._database.metrics.c
        ids = list(dict.fromkeys([*wanted, *(run_id for run_id in wanted.values() if run_id is not None)]))
        with self._connection() as connection:
            of_runs = select(runs.run_uuid, runs.status, runs.lifecycle_stage, runs.artifact_uri)
            rows = {str(row[0]): row[1:] for row in self._of_runs(connection, of_runs, database.runs, ids)}
            counted = select(points.run_uuid, points.key, func.count()).group_by(points.run_uuid, points.key)
            counts = _group_by_run(self._of_runs(connection, counted, database.metrics, ids))
            latest, params, tags = (
                _group_by_run(
                    self._of_runs(connection, select(table.c.run_uuid, table.c.key, table.c.value), table, ids)
                )
                for table in (database.latest_metrics, database.params, database.tags)
            )
        found = {}
        for key, noted in wanted.items():
            run_id = noted if noted in rows else key
            if run_id in rows:
                status, stage, artifact_uri = rows[run_id]
                found[key] = Holding(
                    run_id=run_id,
                    status=status,
                    deleted=stage != "active",
                    artifact_uri=artifact_uri,
                    points={name: int(count) for name, count in counts[run_id].items() if name in latest[run_id]},
                    params=frozenset(params[run_id]),
                    tags=tags[run_id],
                    files=list_all_names(self.address, artifact_uri, OWN_FOLDERS),
                )
        return found

    def count_active(self, parent: str, run_ids: Collection[str]) -> int:  # noqa: ARG002 (all are found alike)
        """See `Store.count_active`."""
        from sqlalchemy import func, select

        runs = self._database.runs
        active = select(func.count()).select_from(runs).where(runs.c.lifecycle_stage == "active")
        with self._connection() as connection:
            return sum(
                int(connection.execute(active.where(runs.c.run_uuid.in_(part))).scalar_one())
                for part in split_values([*run_ids])
            )

    def open_writer(self, parent: str | None, fresh: bool) -> RunWriter:  # noqa: ARG002 (a tag names each run's parent)
        """See `Store.open_writer`."""
        with explain_refusal(self.address), self._database.connection() as connection:
            where = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
            ((location,),) = connection.read(where, (int(self.experiment_id),))
        return DatabaseWriter(self, self._database, str(location))

    def adopt(self, parent: str, settings: Mapping[str, str], tags: Mapping[str, str] | None = None) -> None:
        """See `Store.adopt`."""
        wanted = {SETTING_TAG + parent: settings} | {
            name: dict.fromkeys(settings, text) for name, text in (tags or {}).items()
        }
        with explain_refusal(self.address), self._database.transaction() as connection:
            for part in split_values([*settings]):
                among = f"run_uuid IN {write_places(part)}"
                there = {run_id for (run_id,) in connection.read(f"SELECT run_uuid FROM runs WHERE {among}", part)}
                for key, texts in wanted.items():
                    has_it = connection.read(f'SELECT run_uuid FROM tags WHERE {among} AND "key" = ?', (*part, key))
                    lacking = there - {run_id for (run_id,) in has_it}
                    connection.insert("tags", [(key, texts[run_id], run_id) for run_id in lacking])

    def list_sweeps(self, name: str) -> list[str]:
        """See `Store.list_sweeps`."""
        from sqlalchemy import exists, select

        tags, nesting = self._database.tags.c, self._database.tags.alias().c
        below = exists().where(nesting.run_uuid == tags.run_uuid, nesting.key == PARENT_TAG)
        named = select(tags.run_uuid).where(tags.key == SWEEP_TAG, tags.value == name, ~below)
        with self._connection() as connection:
            return [str(run_id) for run_id in connection.scalars(named)]

    @property
    def empties_bin(self) -> bool:
        """See `Store.empties_bin`."""
        return True

    def _find_outcome(self, run_id: str) -> tuple[str, str] | None:
        from sqlalchemy import select

        database, runs, tags = self._database, self._database.runs.c, self._database.tags.c
        statement = (
            select(runs.artifact_uri, tags.value)
            .join_from(database.runs, database.tags, tags.run_uuid == runs.run_uuid)
            .where(runs.run_uuid == run_id, tags.key == OUTCOME_TAG)
        )
        with self._connection() as connection:
            row = connection.execute(statement).first()
        return None if row is None else (row[0], row[1])

    def _list_members(
        self,
        parent: str,
        experiment_id: str,  # noqa: ARG002 (ids are unique)
    ) -> tuple[dict[str, str], list[str]]:
        from sqlalchemy import func, or_, select

        runs, tags = self._database.runs, self._database.tags
        key, other, own = SETTING_TAG + parent, tags.alias().c, runs.alias().c
        begins = len(SETTING_TAG) + 1
        elsewhere = (
            select(other.run_uuid)
            .where(other.run_uuid == runs.c.run_uuid, other.key.startswith(SETTING_TAG), other.key != key)
            .where(func.substr(other.key, begins).in_(select(own.run_uuid).where(own.lifecycle_stage == "active")))
        )
        # A run whose own sweep was deleted goes with the last of those that have it.
        trained_in = select(other.value).where(other.run_uuid == runs.c.run_uuid, other.key == PARENT_TAG)
        orphan = trained_in.where(other.value.not_in(select(own.run_uuid))).exists()
        below = trained_in.where(other.value == parent).exists()
        statement = (
            select(runs.c.run_uuid, runs.c.artifact_uri, (below | orphan) & ~elsewhere.exists())
            .join_from(runs, tags, tags.c.run_uuid == runs.c.run_uuid)
            .where(or_((tags.c.key == PARENT_TAG) & (tags.c.value == parent), tags.c.key == key))
            .distinct()
        )
        with self._connection() as connection:
            rows = [tuple(row) for row in connection.execute(statement)]
        gone = {str(run_id): str(uri) for run_id, uri, its in rows if its}
        return gone, sorted(str(run_id) for run_id, _, its in rows if not its)

    def _disown(self, parent: str, run_ids: Sequence[str]) -> None:
        with self._database.transaction() as connection:
            for part in split_values(run_ids):
                gone = f'DELETE FROM tags WHERE run_uuid IN {write_places(part)} AND "key" = ?'
                connection.run(gone, (*part, SETTING_TAG + parent))

    def _delete(self, sweep: SweepToRemove) -> list[str]:
        run_ids = list(sweep.runs)
        portions = (run_ids[start : start + _AT_ONCE] for start in range(0, len(run_ids), _AT_ONCE))
        return [note for portion in portions for note in self._delete_runs(sweep, portion)]

    def _delete_runs(self, sweep: SweepToRemove, run_ids: Sequence[str]) -> list[str]:
        # The rows last: they are what says where the files are.
        models = find_models(self._database, run_ids)
        folders = {run_id: sweep.runs[run_id] for run_id in run_ids}
        folders |= {model.model_id: model.artifact_uri for model in models}
        notes = [
            f"{uri}: lies outside the experiment's artifacts, and is left there"
            for owner, uri in folders.items()
            if not remove_artifacts(self.address, uri, owner, sweep.location)
        ]
        with self._database.transaction() as connection:
            delete_models(connection, models)
            self._database.delete(connection, run_ids)
        return notes


def find_matching(engine: "Engine", query: str) -> list[str] | None:
    """The ids of the active runs; None: this MLflow makes its conditions in a way that isn't known here.

    Raises SourceError where the query can't be understood.
    """
    # MLflow's own search reads all that there is of each run, and opens the store in its own way first: seconds for a
    # thousand runs, and for none. The conditions here are MLflow's own; only what is selected is less.
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


def _group_by_run(rows: Sequence[tuple[str, str, str]]) -> "defaultdict[str, dict[str, str]]":
    values: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for run_id, key, value in rows:
        values[run_id][key] = value
    return values
