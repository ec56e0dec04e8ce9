"""Runs written into a store: into its tables at once, or through its client, one request after the other."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bptt.tracking.store.artifacts import put_files
from bptt.tracking.store.base import RunWriter, Store
from bptt.tracking.store.connecting import search_runs
from bptt.tracking.store.runs import Holding, RunToWrite, find_lack, list_points, supersedes, to_milliseconds
from bptt.tracking.store.tables import (
    Connection,
    Database,
    check_run,
    make_artifact_uri,
    make_rows,
    make_run_row,
    split_values,
    write_places,
)
from bptt.tracking.store.tags import KEY_TAG, PARENT_TAG, USER_TAG

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run


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
        # Of runs without files the database is asked when they are written.
        new = [check_run(run) for run in (self._wanted(runs) if any(run.files for run in runs) else runs)]
        for run in new:
            if run.files:
                put_files(self._store.address, make_artifact_uri(self._location, run.key), run.files)
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
        run = check_run(run)
        lack, run_id = find_lack(run, held), held.run_id
        put_files(self._store.address, held.artifact_uri, {name: run.files[name] for name in lack.files})
        if held.deleted:
            self._store.client.restore_run(run_id)
        series = [make_rows(run_id, *metric) for metric in list_points(run) if metric[0] in lack.metrics]
        with self._database.transaction() as connection:
            for table, names in (("metrics", lack.metrics), ("latest_metrics", lack.metrics), ("tags", lack.tags)):
                for part in split_values(names):
                    known = f'DELETE FROM {table} WHERE run_uuid = ? AND "key" IN {write_places(part)}'
                    connection.run(known, (run_id, *part))
            connection.insert("metrics", [row for rows in series for row in rows])
            connection.insert("latest_metrics", [rows[-1] for rows in series])
            connection.insert("params", [(name, run.params[name], run_id) for name in lack.params])
            connection.insert("tags", [(name, run.tags[name], run_id) for name in lack.tags])
            if lack.ended:
                ended = (run.status, to_milliseconds(run.ended), run_id)
                connection.run("UPDATE runs SET status = ?, end_time = ? WHERE run_uuid = ?", ended)

    def _wanted(self, runs: Sequence[RunToWrite], connection: Connection | None = None) -> list[RunToWrite]:
        held = self._database.read_statuses([run.key for run in runs], connection)
        return [run for run in {run.key: run for run in runs}.values() if supersedes(run, held.get(run.key))]

    def _insert(self, connection: Connection, runs: Sequence[RunToWrite]) -> None:
        connection.insert("runs", [self._row(run) for run in runs])
        for run in runs:
            connection.insert("tags", [(name, value, run.key) for name, value in run.tags.items()])
            connection.insert("params", [(name, value, run.key) for name, value in run.params.items()])
            series = [make_rows(run.key, *metric) for metric in list_points(run)]
            connection.insert("metrics", [row for rows in series for row in rows])
            connection.insert("latest_metrics", [rows[-1] for rows in series])

    def _row(self, run: RunToWrite) -> tuple[Any, ...]:
        return make_run_row(
            run.key,
            run.name,
            run.tags.get(USER_TAG, "unknown"),
            run.status,
            to_milliseconds(run.began),
            to_milliseconds(run.ended),
            make_artifact_uri(self._location, run.key),
            self._store.experiment_id,
        )


_RUNS_AT_ONCE: Final = 8  # each takes some eight requests, which mostly wait


_RETRIES: Final = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


class ClientWriter(RunWriter):
    """Writes runs through MLflow's client: begun one by one, then filled several at a time.

    What the server has of them is looked up once, and again after a failure; a run that was broken off in between is
    completed.

    fresh  the parent has no runs yet
    """

    def __init__(self, store: Store, parent: str | None, fresh: bool) -> None:
        self._store, self._parent = store, parent
        self._held: dict[str, HeldRun] = {}
        self._known = fresh

    def write(self, runs: Sequence[RunToWrite]) -> dict[str, str]:
        """See `RunWriter.write`."""
        if not self._known:
            self._look_up()
        # Whether a request that fails was carried out all the same is not known.
        self._known = False
        new = {run.key: run for run in runs if supersedes(run, self._status(run.key))}
        for run in new.values():
            self._held[run.key] = self._begin(run, self._held.get(run.key))
        self._fill_all(list(new.values()))
        self._known = True
        return {run.key: self._held[run.key].run_id for run in runs}

    def find_ids(self, keys: Sequence[str]) -> dict[str, str]:
        """See `RunWriter.find_ids`."""
        if not self._known:
            self._look_up()
            self._known = True
        return {key: self._held[key].run_id for key in keys if key in self._held and not self._held[key].deleted}

    def complete(self, run: RunToWrite, held: Holding) -> None:
        """See `RunWriter.complete`."""
        from mlflow.entities import Param, RunTag

        client, run_id, lack = self._store.client, held.run_id, find_lack(run, held)
        if held.deleted:
            client.restore_run(run_id)
        there = {name: {point.step for point in client.get_metric_history(run_id, name)} for name in lack.metrics}
        # Before the tags, which say that it is there in full.
        put_files(self._store.address, held.artifact_uri, {name: run.files[name] for name in lack.files})
        client.log_batch(
            run_id,
            metrics=_list_missing(run, lack.metrics, there),
            params=[Param(name, run.params[name]) for name in lack.params],
            tags=[RunTag(name, run.tags[name]) for name in lack.tags],
        )
        if lack.ended:
            client.set_terminated(run_id, run.status, to_milliseconds(run.ended))
        self._known = False

    def _status(self, key: str) -> str | None:
        return self._held[key].status if key in self._held else None

    def _look_up(self) -> None:
        self._held = {}
        if self._parent is None:
            return
        below = f"tags.`{PARENT_TAG}` = '{self._parent}'"
        found = search_runs(self._store.client, [self._store.experiment_id], below, deleted=True)
        keyed = [(run.data.tags[KEY_TAG], HeldRun.of(run)) for run in found if KEY_TAG in run.data.tags]
        for key, held in sorted(keyed, key=lambda pair: pair[1].preference):
            if self._held.setdefault(key, held) is not held and not held.deleted:
                # A request that was taken for lost was carried out after all.
                self._store.client.delete_run(held.run_id)

    def _begin(self, run: RunToWrite, held: "HeldRun | None") -> "HeldRun":
        if held is not None and not held.deleted and held.status != "RUNNING":
            self._store.client.delete_run(held.run_id)
            held = None
        return HeldRun.of(self._create(run)) if held is None or held.deleted else held

    def _fill_all(self, runs: Sequence[RunToWrite]) -> None:
        with ThreadPoolExecutor(_RUNS_AT_ONCE) as pool:
            filled = [pool.submit(self._fill, run, self._held[run.key]) for run in runs]
            wait(filled, return_when=FIRST_EXCEPTION)
            pool.shutdown(wait=True, cancel_futures=True)  # a server that is away is not asked for each of them
        for future in filled:
            if not future.cancelled() and (error := future.exception()) is not None:
                raise error
        self._held |= {run.key: replace(self._held[run.key], status=run.status) for run in runs}

    def _create(self, run: RunToWrite) -> "Run":
        first = (USER_TAG, PARENT_TAG, KEY_TAG)
        tags = {name: run.tags[name] for name in first if name in run.tags}
        with _send_once():
            return self._store.client.create_run(
                self._store.experiment_id, start_time=to_milliseconds(run.began), tags=tags, run_name=run.name
            )

    def _fill(self, run: RunToWrite, held: "HeldRun") -> None:
        from mlflow.entities import Param, RunTag

        client, run_id = self._store.client, held.run_id
        # Not every MLflow knows a point that it has already, where its value is NaN.
        there = {name: {point.step for point in client.get_metric_history(run_id, name)} for name in held.metrics}
        client.log_batch(
            run_id,
            metrics=_list_missing(run, [*run.history, *run.once, *run.measured], there),
            params=[Param(key, value) for key, value in run.params.items()],
            tags=[RunTag(key, value) for key, value in run.tags.items()],
        )
        put_files(self._store.address, held.artifact_uri, run.files)
        client.set_terminated(run_id, run.status, to_milliseconds(run.ended))


def _list_missing(run: RunToWrite, names: Collection[str], there: Mapping[str, Collection[int]]) -> "list[Metric]":
    """The points of these metrics, but for the updates of which the server has them."""
    from mlflow.entities import Metric

    return [
        Metric(name, value, time, step)
        for name, values, times, steps in list_points(run)
        if name in names
        for value, time, step in zip(values, times, steps, strict=True)
        if step not in there.get(name, ())
    ]


@dataclass(frozen=True)
class HeldRun:
    """A run that the server has; RUNNING: half of it, as far as one can know."""

    run_id: str
    artifact_uri: str
    status: str
    deleted: bool
    metrics: frozenset[str]

    @classmethod
    def of(cls, run: "Run") -> "HeldRun":
        info = run.info
        deleted = info.lifecycle_stage == "deleted"
        return cls(info.run_id, info.artifact_uri, info.status, deleted, frozenset(run.data.metrics))

    @property
    def preference(self) -> tuple[bool, bool, bool]:
        """Of several runs with one key the first counts: one that is not in the bin, that finished, that ended."""
        return self.deleted, self.status != "FINISHED", self.status == "RUNNING"


@contextmanager
def _send_once() -> Iterator[None]:
    """Within it MLflow sends a request once: sent again, it could make a second run."""
    before = os.environ.get(_RETRIES)
    os.environ[_RETRIES] = "0"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_RETRIES, None)
        else:
            os.environ[_RETRIES] = before
