"""One run's record in the store: written in batches while it trains, closed with a status."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bptt.tracking.folder.files import Status
from bptt.tracking.folder.run import Journal, make_single_key, read_config
from bptt.tracking.provenance.environment import make_provenance_tags
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.artifacts import put_files
from bptt.tracking.store.base import Store
from bptt.tracking.store.connecting import limit_patience, shorten, wait_while_locked
from bptt.tracking.store.opening import WantedExperiment, open_store
from bptt.tracking.store.tags import DIGEST_TAG, KEY_TAG, PARENT_TAG, flatten_config

if TYPE_CHECKING:
    from mlflow.entities import Metric

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN_BATCHES: Final = 1.0


_SECONDS_AFTER_A_FAILURE: Final = 30.0


class RunLog:
    """A run in the store. Points are kept here until their batch is written, so none is lost while a server is away.

    A metric's step is the update. NaN is stored as such; MLflow stores an infinite value as ±1.8e308, whereas
    history.parquet keeps it.
    """

    def __init__(
        self, store: Store, run_id: str, artifact_uri: str, stored: Mapping[str, frozenset[int]] | None = None
    ) -> None:
        self.store, self.run_id, self.artifact_uri = store, run_id, artifact_uri
        #: Why the last batch was not written; None: it was.
        self.trouble: str | None = None
        self._stored = stored or {}
        self._waiting: list[Metric] = []
        self._next = time.monotonic() + _SECONDS_BETWEEN_BATCHES

    @classmethod
    def begin(
        cls,
        store: Store,
        name: str,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        parent: str | None = None,
    ) -> "RunLog":
        """A new run of the store's experiment, below `parent` where that run is given."""
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException

        nesting = {} if parent is None else {PARENT_TAG: parent}
        try:
            run = store.client.create_run(store.experiment_id, tags={**tags, **nesting}, run_name=name)
            record = cls(store, run.info.run_id, run.info.artifact_uri)
            store.client.log_batch(record.run_id, params=[Param(key, value) for key, value in params.items()])
        except MlflowException as error:
            raise StoreError(f"{store.address.shown}: the run can't be recorded: {shorten(error)}") from error
        return record

    @classmethod
    @wait_while_locked
    def reopen(cls, store: Store, run_id: str, params: Mapping[str, str] | None = None) -> "RunLog":
        """A run that was broken off, to go on with. Points that the store holds are not written again.

        params  of the run, where it may lack them
        """
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException

        try:
            run = store.client.get_run(run_id)
            if run.info.lifecycle_stage == "deleted":
                raise StoreError(
                    f"{store.address.shown}: the run was deleted in MLflow; this brings it back: mlflow runs restore"
                    f" --run-id {run_id}"
                )
            if params:
                store.client.log_batch(run_id, params=[Param(key, value) for key, value in params.items()])
            stored = {
                name: frozenset(point.step for point in store.client.get_metric_history(run_id, name))
                for name in run.data.metrics
            }
            store.client.update_run(run_id, status="RUNNING")
        except MlflowException as error:
            raise StoreError(f"{store.address.shown}: run {run_id} can't be reopened: {shorten(error)}") from error
        return cls(store, run_id, run.info.artifact_uri, stored)

    def log(self, update: int, metrics: Mapping[str, float]) -> None:
        """Take one point; at most once a second everything that waits is written in one batch."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self._waiting += [
            Metric(name, float(value), now, update)
            for name, value in metrics.items()
            if update not in self._stored.get(name, frozenset())
        ]
        if time.monotonic() >= self._next:
            with limit_patience():
                self._write()

    @wait_while_locked
    def close(self, status: Status, tags: Mapping[str, str], artifacts: Mapping[Path, str | None]) -> None:
        """Write what still waits, the tags and the artifacts (file → folder in the run), and end the run.

        Raises StoreError where the store doesn't take them.
        """
        from mlflow.entities import RunTag
        from mlflow.exceptions import MlflowException

        self._write()
        if self.trouble is not None:
            raise StoreError(f"{self.store.address.shown}: {self.trouble}")
        client = self.store.client
        try:
            files = {f"{folder}/{path.name}" if folder else path.name: path for path, folder in artifacts.items()}
            put_files(self.store.address, self.artifact_uri, {name: path.read_bytes() for name, path in files.items()})
            client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
            client.set_terminated(self.run_id, status)
        except (MlflowException, OSError) as error:
            raise StoreError(f"{self.store.address.shown}: {shorten(error)}") from error

    def _write(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.store.client.log_batch(self.run_id, metrics=self._waiting)
        except MlflowException as error:
            self.trouble = shorten(error)
            _log.warning("%s did not take %d points: %s", self.store.address.shown, len(self._waiting), self.trouble)
            self._next = time.monotonic() + _SECONDS_AFTER_A_FAILURE
        else:
            self.trouble = None
            self._waiting = []
            self._next = time.monotonic() + _SECONDS_BETWEEN_BATCHES


def begin_recorded(store: Store, folder: Path, journal: Journal, recorded: Mapping[str, Any]) -> RunLog:
    """The run in the store, begun with the configuration that is recorded. Raises StoreError."""
    tags = make_provenance_tags() | {DIGEST_TAG: journal.digest, KEY_TAG: make_single_key(folder, journal)}
    return RunLog.begin(store, journal.name, flatten_config(recorded), tags)


def reopen_recorded(folder: Path, journal: Journal, uri: str | None) -> RunLog | None:
    """The run in the store that it was begun in; None where it is not tracked. Raises StoreError."""
    if journal.uri is None:
        return None
    known = () if journal.run_id is None else (journal.run_id,)
    store = open_store(uri, WantedExperiment(journal.experiment, journal.experiment_id, known))
    # Who began it may have been stopped before it noted which run it is, or before there was one.
    run_id = journal.run_id or store.find_by_key(make_single_key(folder, journal))
    if run_id is None:
        return begin_recorded(store, folder, journal, read_config(folder))
    params = {} if journal.run_id is not None else flatten_config(read_config(folder))  # which it may not have got yet
    return RunLog.reopen(store, run_id, params)
