"""Finished runs that the store holds already: found by their digest, read back from their artifacts."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from bptt.tracking.folder.files import FLOW, HISTORY, WEIGHTS, read_record
from bptt.tracking.store.artifacts import fetch
from bptt.tracking.store.database import Database, split_values
from bptt.tracking.store.errors import explain_refusal, search_runs
from bptt.tracking.store.opening import Store, limit_patience
from bptt.tracking.store.tags import DIGEST_TAG, OUTCOME_TAG

if TYPE_CHECKING:
    from bptt.core.run import Record


def find_finished(store: Store, digests: Collection[str]) -> dict[str, str]:
    """Digest → id of the newest run of the store's experiment that has this digest and FINISHED. Raises StoreError."""
    with explain_refusal(store.address):
        database = Database.of(store.client)
        return _in_server(store, set(digests)) if database is None else _in_database(store, database, [*digests])


def read_finished(store: Store, run_id: str) -> "Record | None":
    """What a finished run recorded; None where the store no longer has all of it, whole.

    Its `state`, which no artifact holds, is empty: (0, 0). Raises StoreError where the store doesn't answer.
    """
    with explain_refusal(store.address):
        found = _outcome(store, run_id)
    if found is None:
        return None
    artifact_uri, outcome = found
    try:
        with limit_patience(), fetch(store.address, artifact_uri, (HISTORY, FLOW, WEIGHTS)) as folder:
            return read_record(outcome, folder)
    except Exception:  # whatever a damaged file, or one that is gone, leads to
        return None


def _in_database(store: Store, database: Database, digests: list[str]) -> dict[str, str]:
    from sqlalchemy import select

    runs, tags = database.runs.c, database.tags.c
    found = (
        select(tags.value, runs.run_uuid, runs.start_time)
        .join_from(database.tags, database.runs, tags.run_uuid == runs.run_uuid)
        .where(tags.key == DIGEST_TAG, runs.experiment_id == int(store.experiment_id))
        .where(runs.status == "FINISHED", runs.lifecycle_stage == "active")
    )
    with database.engine.connect() as connection:
        rows = [row for part in split_values(digests) for row in connection.execute(found.where(tags.value.in_(part)))]
    return {str(digest): str(run_id) for digest, run_id, _ in sorted(rows, key=lambda row: row.start_time)}


def _in_server(store: Store, digests: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    # MLflow's search takes no list of a tag's values.
    matching = f"attributes.status = 'FINISHED' AND tags.`{DIGEST_TAG}` LIKE '%'"
    for run in search_runs(store.client, [store.experiment_id], matching):
        digest = run.data.tags[DIGEST_TAG]
        if digest in digests:
            found.setdefault(digest, run.info.run_id)
            if len(found) == len(digests):
                break
    return found


def _outcome(store: Store, run_id: str) -> tuple[str, str] | None:
    """Where a run's artifacts are, and its outcome; None: there is no such run, or it has none."""
    from mlflow.exceptions import MlflowException

    database = Database.of(store.client)
    if database is not None:
        from sqlalchemy import select

        runs, tags = database.runs.c, database.tags.c
        statement = (
            select(runs.artifact_uri, tags.value)
            .join_from(database.runs, database.tags, tags.run_uuid == runs.run_uuid)
            .where(runs.run_uuid == run_id, tags.key == OUTCOME_TAG)
        )
        with database.engine.connect() as connection:
            row = connection.execute(statement).first()
        return None if row is None else (row[0], row[1])
    try:
        run = store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    outcome = run.data.tags.get(OUTCOME_TAG)
    return None if outcome is None else (run.info.artifact_uri, outcome)
