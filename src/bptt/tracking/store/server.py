"""A store read through MLflow's client: a tracking server, and whatever is asked in MLflow's own words.

Runs written through MLflow's client into a server: begun one by one, then filled several at a time.

A run that was broken off in between is completed.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bptt.tracking.folder.block import make_empty_history
from bptt.tracking.store.address import Address
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
from bptt.tracking.store.errors import explain_query, explain_refusal, search_runs
from bptt.tracking.store.opening import Store, _open, set_environment
from bptt.tracking.store.tags import KEY_TAG, PARENT_TAG, SWEEP_TAG, USER_TAG

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

_AT_ONCE: Final = 8  # requests


class ClientReader(StoreReader):
    """A store behind MLflow's client."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        set_environment()
        with explain_refusal(address):
            self._client = _open(address)

    def sweeps_named(self, name: str) -> list[StoredRow]:
        """See `StoreReader.sweeps_named`."""
        quoted = f"'{name}'" if "'" not in name else f'"{name}"'  # MLflow's filters know no escape
        with explain_refusal(self.address):
            # The runs below a sweep's own have its tag as well, but not its name.
            own = f"tags.`{SWEEP_TAG}` = {quoted} AND attributes.run_name = {quoted}"
            found = search_runs(self._client, self._experiments(), own)
            return sort_rows([row for row in map(_row, found) if row.is_sweep])

    def run(self, run_id: str) -> StoredRow | None:
        """See `StoreReader.run`."""
        from mlflow.exceptions import MlflowException

        with explain_refusal(self.address):
            try:
                run = self._client.get_run(run_id)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
        return None if run.info.lifecycle_stage == "deleted" else _row(run)

    def runs(self, run_ids: Sequence[str]) -> list[StoredRow]:
        """See `StoreReader.runs`; a request for each, several at once."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [row for row in pool.map(self.run, run_ids) if row is not None]

    def below(self, parent: StoredRow) -> list[StoredRow]:
        """See `StoreReader.below`."""
        with explain_refusal(self.address):
            experiment = self._client.get_run(parent.run_id).info.experiment_id
            found = search_runs(self._client, [experiment], f"tags.`{PARENT_TAG}` = '{parent.run_id}'")
            return sort_rows([_row(run) for run in found])

    def matching(self, query: str) -> list[StoredRow]:
        """See `StoreReader.matching`."""
        with explain_refusal(self.address), explain_query(query):
            found = [_row(run) for run in search_runs(self._client, self._experiments(), query)]
        return sort_rows([row for row in found if not row.is_sweep])

    def histories(self, rows: Mapping[int, StoredRow]) -> "pd.DataFrame":
        """See `StoreReader.histories`; a request for each metric of each run, several at once."""
        import pandas as pd

        with explain_refusal(self.address), ThreadPoolExecutor(_AT_ONCE) as pool:
            tables = list(pool.map(self._history, rows, rows.values()))
        joined = pd.concat([make_empty_history(), *tables], ignore_index=True)
        return restore_infinities(joined, [name for name in joined if name not in ("run", "update")])

    def _history(self, number: int, row: StoredRow) -> "pd.DataFrame":
        import pandas as pd

        names = self._client.get_run(row.run_id).data.metrics
        series = {
            name: {point.step: point.value for point in self._client.get_metric_history(row.run_id, name)}
            for name in names
        }
        return pd.DataFrame(series).rename_axis("update").reset_index().assign(run=number)

    def _experiments(self) -> list[str]:
        found, token = [], None
        while True:
            page = self._client.search_experiments(page_token=token)
            found += [experiment.experiment_id for experiment in page]
            token = page.token
            if not token:
                return found


def _row(run: "Run") -> StoredRow:
    info = run.info
    return StoredRow(
        run_id=info.run_id,
        name=info.run_name or "",
        status=info.status,
        began=None if info.start_time is None else info.start_time / 1000,
        ended=None if info.end_time is None else info.end_time / 1000,
        artifact_uri=info.artifact_uri,
        tags=run.data.tags,
        params=run.data.params,
    )


_RUNS_AT_ONCE: Final = 8  # runs; each takes some eight requests, which mostly wait


_RETRIES: Final = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


class ClientWriter:
    """Writes runs below a parent run. What the server has of them is looked up once, and again after a failure.

    fresh  the parent has no runs yet
    """

    def __init__(self, store: Store, parent: str, fresh: bool) -> None:
        self._store, self._parent = store, parent
        self._held: dict[str, _Held] = {}
        self._known = fresh

    def write(self, runs: Sequence[RunToWrite]) -> dict[str, str]:
        """Write what the server lacks; key → run id."""
        if not self._known:
            self._look_up()
        # Whether a request that fails was carried out all the same is not known.
        self._known = False
        new = {run.key: run for run in runs if supersedes(run, self._status(run.key))}
        for run in new.values():
            self._held[run.key] = self._begun(run, self._held.get(run.key))
        self._fill_all(list(new.values()))
        self._known = True
        return {run.key: self._held[run.key].run_id for run in runs}

    def run_ids(self, keys: Sequence[str]) -> dict[str, str]:
        """Key → id of those runs that the server has."""
        if not self._known:
            self._look_up()
            self._known = True
        return {key: self._held[key].run_id for key in keys if key in self._held and not self._held[key].deleted}

    def _status(self, key: str) -> str | None:
        return self._held[key].status if key in self._held else None

    def _look_up(self) -> None:
        self._held = {}
        below = f"tags.`{PARENT_TAG}` = '{self._parent}'"
        found = search_runs(self._store.client, [self._store.experiment_id], below, deleted=True)
        keyed = [(run.data.tags[KEY_TAG], _Held.of(run)) for run in found if KEY_TAG in run.data.tags]
        for key, held in sorted(keyed, key=lambda pair: pair[1].preference):
            if self._held.setdefault(key, held) is not held and not held.deleted:
                # A request that was taken for lost was carried out after all.
                self._store.client.delete_run(held.run_id)

    def _begun(self, run: RunToWrite, held: "_Held | None") -> "_Held":
        if held is not None and not held.deleted and held.status != "RUNNING":
            self._store.client.delete_run(held.run_id)
            held = None
        return _Held.of(self._created(run)) if held is None or held.deleted else held

    def _fill_all(self, runs: Sequence[RunToWrite]) -> None:
        with ThreadPoolExecutor(_RUNS_AT_ONCE) as pool:
            filled = [pool.submit(self._fill, run, self._held[run.key]) for run in runs]
            wait(filled, return_when=FIRST_EXCEPTION)
            pool.shutdown(wait=True, cancel_futures=True)  # a server that is away is not asked for each of them
        for future in filled:
            if not future.cancelled() and (error := future.exception()) is not None:
                raise error
        self._held |= {run.key: replace(self._held[run.key], status=run.status) for run in runs}

    def _created(self, run: RunToWrite) -> "Run":
        first = (USER_TAG, PARENT_TAG, KEY_TAG)
        tags = {name: run.tags[name] for name in first if name in run.tags}
        with _once():
            return self._store.client.create_run(
                self._store.experiment_id, start_time=to_milliseconds(run.began), tags=tags, run_name=run.name
            )

    def _fill(self, run: RunToWrite, held: "_Held") -> None:
        from mlflow.entities import Metric, Param, RunTag

        client, run_id = self._store.client, held.run_id
        # Not every MLflow knows a point that it has already, where its value is NaN.
        there = {name: {point.step for point in client.get_metric_history(run_id, name)} for name in held.metrics}
        client.log_batch(
            run_id,
            metrics=[
                Metric(name, value, time, step)
                for name, values, times, steps in list_points(run)
                for value, time, step in zip(values, times, steps, strict=True)
                if step not in there.get(name, ())
            ],
            params=[Param(key, value) for key, value in run.params.items()],
            tags=[RunTag(key, value) for key, value in run.tags.items()],
        )
        put_files(self._store.address, held.artifact_uri, run.files)
        client.set_terminated(run_id, run.status, to_milliseconds(run.ended))


@dataclass(frozen=True)
class _Held:
    """A run that the server has; RUNNING: half of it, as far as one can know."""

    run_id: str
    artifact_uri: str
    status: str
    deleted: bool
    metrics: frozenset[str]

    @classmethod
    def of(cls, run: "Run") -> "_Held":
        info = run.info
        deleted = info.lifecycle_stage == "deleted"
        return cls(info.run_id, info.artifact_uri, info.status, deleted, frozenset(run.data.metrics))

    @property
    def preference(self) -> tuple[bool, bool, bool]:
        """Of several runs with one key the first counts: one that is not in the bin, that finished, that ended."""
        return self.deleted, self.status != "FINISHED", self.status == "RUNNING"


@contextmanager
def _once() -> Iterator[None]:
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
