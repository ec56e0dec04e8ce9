"""Runs written straight into a database's tables, a batch in one transaction."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from bptt.tracking.store.artifacts import put_files
from bptt.tracking.store.base import RunWriter, Store
from bptt.tracking.store.runs import Holding, RunToWrite, find_lack, list_points, supersedes, to_milliseconds
from bptt.tracking.store.tables import Database, insert
from bptt.tracking.store.tags import NAME_TAG, USER_TAG

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LARGEST = sys.float_info.max


class DatabaseWriter(RunWriter):
    """Writes runs straight into the tables, a batch in one transaction: what MLflow's client would leave there, at a
    tenth of the time. A run's id is its key.
    """

    def __init__(self, store: Store, database: Database, location: str) -> None:
        self._store, self._database, self._location = store, database, location

    def write(self, runs: Sequence[RunToWrite]) -> dict[str, str]:
        """See `RunWriter.write`; all that the store lacks is written, or nothing."""
        if self._store.address.database is not None:
            # A connection outlives its file, and takes rows that nobody will see.
            self._store.address.database.stat()
        new = [_check(run) for run in self._wanted(runs)]
        for run in new:
            put_files(self._store.address, self._artifact_uri(run), run.files)
        if new:
            with self._database.transaction() as connection:
                wanted = self._wanted(new, connection)
                self._database.delete(connection, [run.key for run in wanted])
                self._insert(connection, wanted)
        return {run.key: run.key for run in runs}

    def find_ids(self, keys: Sequence[str]) -> dict[str, str]:
        """See `RunWriter.find_ids`."""
        return {key: key for key in self._database.read_statuses(keys)}  # one in MLflow's bin, too: it may come back

    def complete(self, run: RunToWrite, held: Holding) -> None:
        """See `RunWriter.complete`."""
        from sqlalchemy import delete, update

        run = _check(run)
        lack, database, run_id = find_lack(run, held), self._database, held.run_id
        put_files(self._store.address, held.artifact_uri, {name: run.files[name] for name in lack.files})
        if held.deleted:
            self._store.client.restore_run(run_id)
        series = [_make_rows(run_id, *metric) for metric in list_points(run) if metric[0] in lack.metrics]
        with database.transaction() as connection:
            for table, names in (
                (database.metrics, lack.metrics),
                (database.latest_metrics, lack.metrics),
                (database.tags, lack.tags),
            ):
                connection.execute(delete(table).where(table.c.run_uuid == run_id, table.c.key.in_(names)))
            insert(connection, database.metrics, [row for rows in series for row in rows])
            insert(connection, database.latest_metrics, [rows[-1] for rows in series])
            insert(connection, database.params, [(name, run.params[name], run_id) for name in lack.params])
            insert(connection, database.tags, [(name, run.tags[name], run_id) for name in lack.tags])
            if lack.ended:
                ended = update(database.runs).where(database.runs.c.run_uuid == run_id)
                connection.execute(ended.values(status=run.status, end_time=to_milliseconds(run.ended)))

    def _wanted(self, runs: Sequence[RunToWrite], connection: "Connection | None" = None) -> list[RunToWrite]:
        held = self._database.read_statuses([run.key for run in runs], connection)
        return [run for run in {run.key: run for run in runs}.values() if supersedes(run, held.get(run.key))]

    def _insert(self, connection: "Connection", runs: Sequence[RunToWrite]) -> None:
        database = self._database
        insert(connection, database.runs, [self._row(run) for run in runs])
        for run in runs:
            insert(connection, database.tags, [(name, value, run.key) for name, value in run.tags.items()])
            insert(connection, database.params, [(name, value, run.key) for name, value in run.params.items()])
            series = [_make_rows(run.key, *metric) for metric in list_points(run)]
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


def _check(run: RunToWrite) -> RunToWrite:
    """The run as MLflow's client would take it: the same names are refused, the same values cut."""
    from mlflow.utils import validation

    check: Any = validation
    for name in (*run.history, *run.once):
        check._validate_metric_name(name)
    tags = [check._validate_tag(name, value) for name, value in {**run.tags, NAME_TAG: run.name}.items()]
    params = [check._validate_param(name, value) for name, value in run.params.items()]
    return replace(run, tags={tag.key: tag.value for tag in tags}, params={one.key: one.value for one in params})


def _make_rows(key: str, name: str, values: list[float], times: list[int], steps: list[int]) -> list[tuple[Any, ...]]:
    """The rows of a metric; as MLflow has it, NaN is 0 with a mark and an infinity is the largest number."""
    missing = np.isnan(values)
    stored = np.nan_to_num(values, nan=0.0, posinf=_LARGEST, neginf=-_LARGEST).tolist()
    return list(zip(repeat(name), stored, times, steps, missing.tolist(), repeat(key), strict=False))
