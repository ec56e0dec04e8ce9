"""A sweep's record in the store: its own run, and below that the runs it is made of, written in batches."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from bptt.tracking.access import asking, patient
from bptt.tracking.address import StoreError
from bptt.tracking.artifacts import put_files
from bptt.tracking.bulk import BulkWriter
from bptt.tracking.client_writer import ClientWriter
from bptt.tracking.database import Database
from bptt.tracking.keyed_run import KEY
from bptt.tracking.record import Status
from bptt.tracking.store import Store
from bptt.tracking.stored_run import StoredRun

_NOTE: Final = "mlflow.note.content"
_LONGEST_TAG: Final = 8000
_LONGEST_NAME: Final = 250


class SweepRecord:
    """A sweep in the store. Every method raises StoreError where the store doesn't take what it is given.

    Whatever failed may be called again: what the store has by then is not written twice.

    parent  the id of the sweep's own run
    """

    def __init__(self, store: Store, name: str, run: Any, fresh: bool) -> None:
        self.store, self.name = store, name
        self.parent: str = run.info.run_id
        self._artifact_uri: str = run.info.artifact_uri
        database = Database.of(store.client)
        self._writer: BulkWriter | ClientWriter
        if database is None:
            self._writer = ClientWriter(store, self.parent, fresh)
        else:
            location = store.client.get_experiment(store.experiment_id).artifact_location
            self._writer = BulkWriter(store, database, location)

    @classmethod
    @patient
    def begin(cls, store: Store, name: str, tags: Mapping[str, str], description: str) -> "SweepRecord":
        """Begin the sweep's own run, with a description in Markdown; its tag `bptt.sweep` is the name."""
        own = {"bptt.sweep": name, _NOTE: _cut(description)}
        with asking(store.address):
            run = store.client.create_run(store.experiment_id, tags={**tags, **own}, run_name=name[:_LONGEST_NAME])
            return cls(store, name, run, fresh=True)

    @classmethod
    @patient
    def reopen(cls, store: Store, parent: str, name: str) -> "SweepRecord":
        """Go on with a sweep whose own run was begun: that run is RUNNING again."""
        with asking(store.address):
            run = store.client.get_run(parent)
            if run.info.lifecycle_stage == "deleted":
                raise StoreError(f"{store.address.shown}: the sweep's run {parent} was deleted")
            store.client.update_run(parent, status="RUNNING")
            return cls(store, name, run, fresh=False)

    def write(self, runs: Sequence[StoredRun]) -> dict[str, str]:
        """Write ended runs below the sweep's own; key → run id. Runs that the store has already stay as they are."""
        with asking(self.store.address):
            return self._writer.write([self._below(run) for run in runs])

    def run_ids(self, keys: Sequence[str]) -> dict[str, str]:
        """Key → id of those runs that the store has."""
        with asking(self.store.address):
            return self._writer.run_ids(keys)

    def keep(self, files: Mapping[str, bytes]) -> None:
        """Keep files (path among the artifacts → content) with the sweep's own run; older ones are replaced."""
        with asking(self.store.address):
            put_files(self.store.address, self._artifact_uri, files)

    @patient
    def close(
        self, status: Status, description: str | None, files: Mapping[str, bytes], tags: Mapping[str, str]
    ) -> None:
        """End the sweep's own run with files (path among the artifacts → content); description None: it stays."""
        from mlflow.entities import RunTag

        note = {} if description is None else {_NOTE: _cut(description)}
        with asking(self.store.address):
            put_files(self.store.address, self._artifact_uri, files)
            set_tags = [RunTag(key, value) for key, value in {**tags, **note}.items()]
            self.store.client.log_batch(self.parent, tags=set_tags)
            self.store.client.set_terminated(self.parent, status)

    def _below(self, run: StoredRun) -> StoredRun:
        tags = {**run.tags, KEY: run.key, "bptt.sweep": self.name, "mlflow.parentRunId": self.parent}
        return replace(run, name=run.name[:_LONGEST_NAME], tags=tags)


def _cut(description: str) -> str:
    note = "\n\n… (cut)"
    if len(description) <= _LONGEST_TAG:
        return description
    return description[: _LONGEST_TAG - len(note)] + note
