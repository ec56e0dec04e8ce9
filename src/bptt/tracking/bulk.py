"""Runs written straight into the tables of MLflow's database, a batch in one transaction.

What stands in the tables afterwards is what MLflow's client would leave, at a tenth of the time.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from bptt.tracking.artifacts import put_files
from bptt.tracking.database import Database, insert
from bptt.tracking.store import Store
from bptt.tracking.stored_run import StoredRun

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LARGEST = sys.float_info.max


class BulkWriter:
    """Writes runs into a database store. A run's id is its key."""

    def __init__(self, store: Store, database: Database, location: str) -> None:
        self._store, self._database, self._location = store, database, location

    def write(self, runs: Sequence[StoredRun]) -> dict[str, str]:
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

    def _wanted(self, runs: Sequence[StoredRun], connection: "Connection | None" = None) -> list[StoredRun]:
        held = self._database.statuses([run.key for run in runs], connection)
        return [run for run in {run.key: run for run in runs}.values() if supersedes(run, held.get(run.key))]

    def _insert(self, connection: "Connection", runs: Sequence[StoredRun]) -> None:
        database = self._database
        insert(connection, database.runs, [self._row(run) for run in runs])
        for run in runs:
            insert(connection, database.tags, [(name, value, run.key) for name, value in run.tags.items()])
            insert(connection, database.params, [(name, value, run.key) for name, value in run.params.items()])
            series = [_rows(run.key, *metric) for metric in points(run)]
            insert(connection, database.metrics, [row for rows in series for row in rows])
            insert(connection, database.latest_metrics, [rows[-1] for rows in series])

    def _row(self, run: StoredRun) -> tuple[Any, ...]:
        return (
            run.key,
            run.name,
            "UNKNOWN",
            "",
            "",
            run.tags.get("mlflow.user", "unknown"),
            run.status,
            milliseconds(run.began),
            milliseconds(run.ended),
            "",
            "active",
            self._artifact_uri(run),
            int(self._store.experiment_id),
        )

    def _artifact_uri(self, run: StoredRun) -> str:
        from mlflow.utils.uri import append_to_uri_path

        return str(append_to_uri_path(self._location, run.key, "artifacts"))  # type: ignore[no-untyped-call]


def supersedes(run: StoredRun, held: str | None) -> bool:
    """Whether a run is written where the store has it with this status (None: it has not).

    What a run came to stays, until a later attempt came to something else: one that was interrupted may finish.
    """
    return held not in ("FINISHED", run.status)


def points(run: StoredRun) -> Iterator[tuple[str, list[float], list[int], list[int]]]:
    """Name, values, timestamps and steps of each metric; the timestamps go evenly from `began` to `ended`."""
    if not len(run.history.get("update", ())):
        return
    updates = np.asarray(run.history["update"], np.int64)
    began, ended = milliseconds(run.began), milliseconds(run.ended)
    times = began + ((ended - began) * (updates / max(updates[-1], 1))).astype(np.int64)
    for name, values in run.history.items():
        if name != "update":
            yield name, np.asarray(values, np.float64).tolist(), times.tolist(), updates.tolist()


def milliseconds(seconds: float) -> int:
    """MLflow's time."""
    return int(seconds * 1000)


def _checked(run: StoredRun) -> StoredRun:
    """The run as MLflow's client would take it: the same names are refused, the same values cut."""
    from mlflow.utils import validation

    check: Any = validation
    for name in run.history:
        check._validate_metric_name(name)
    tags = [check._validate_tag(name, value) for name, value in {**run.tags, "mlflow.runName": run.name}.items()]
    params = [check._validate_param(name, value) for name, value in run.params.items()]
    return replace(run, tags={tag.key: tag.value for tag in tags}, params={one.key: one.value for one in params})


def _rows(key: str, name: str, values: list[float], times: list[int], steps: list[int]) -> list[tuple[Any, ...]]:
    """The rows of a metric; as MLflow has it, NaN is 0 with a mark and an infinity is the largest number."""
    missing = np.isnan(values)
    stored = np.nan_to_num(values, nan=0.0, posinf=_LARGEST, neginf=-_LARGEST).tolist()
    return list(zip(repeat(name), stored, times, steps, missing.tolist(), repeat(key), strict=False))
