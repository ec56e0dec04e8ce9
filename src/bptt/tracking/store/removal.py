"""Deleting a sweep from the store for good: its own run, the runs below it, their artifacts and exported models.

The models that were exported from runs and logged: they go with their runs.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bptt.tracking.store.address import Address, StoreError, resolve_address
from bptt.tracking.store.artifacts import remove_artifacts
from bptt.tracking.store.database import Database, split_values
from bptt.tracking.store.errors import explain_refusal, search_runs
from bptt.tracking.store.opening import _open, set_environment
from bptt.tracking.store.tags import PARENT_TAG, SHARED_VIEW_TAG, SWEEP_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from sqlalchemy import Connection


@dataclass(frozen=True)
class LoggedModel:
    """A model in a store, and where its files are."""

    model_id: str
    artifact_uri: str


def models_in_database(database: Database, run_ids: Sequence[str]) -> list[LoggedModel]:
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


def models_in_server(client: "MlflowClient", experiment_id: str, run_ids: Collection[str]) -> list[str]:
    """The ids of the models of an experiment that were logged from these runs."""
    found, token = [], None
    while True:
        page = client.search_logged_models([experiment_id], page_token=token)
        found += [model.model_id for model in page if model.source_run_id in run_ids]
        token = page.token
        if not token:
            return found


_AT_ONCE: Final = 100  # runs; other writers to the database wait for so many


@dataclass(frozen=True, kw_only=True)
class SweepToRemove:
    """A sweep as a store has it.

    parent    the id of the sweep's own run
    status    of that run
    location  where the experiment keeps its artifacts
    runs      run → where its artifacts are; the sweep's own run last
    """

    name: str
    parent: str
    status: str
    experiment: str
    experiment_id: str
    location: str
    runs: dict[str, str]


class Removal:
    """A store, opened to delete from it. Every method raises StoreError where the store doesn't answer, or refuses."""

    def __init__(self, uri: str | None) -> None:
        self.address: Address = resolve_address(uri)
        if self.address.database is not None and not self.address.database.is_file():
            raise StoreError(f"{self.address.database}: there is no such store")
        set_environment()
        with explain_refusal(self.address):
            self._client: MlflowClient = _open(self.address)
            self._database = Database.of(self._client)

    def named(self, name: str) -> list[str]:
        """The ids of the sweeps, that is of their own runs, with this name."""
        with explain_refusal(self.address):
            if self._database is not None:
                return _named(self._database, name)
            found = search_runs(self._client, self._experiments(), f"tags.`{SWEEP_TAG}` = {_quoted(name)}")
            return [run.info.run_id for run in found if PARENT_TAG not in run.data.tags]

    def sweep(self, parent: str) -> SweepToRemove | None:
        """The sweep whose own run has this id; None: the store has no such sweep."""
        from mlflow.exceptions import MlflowException

        with explain_refusal(self.address):
            try:
                run = self._client.get_run(parent)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise
            if SWEEP_TAG not in run.data.tags or PARENT_TAG in run.data.tags:
                return None
            if self._database is None and run.info.lifecycle_stage == "deleted":
                return None
            experiment = self._client.get_experiment(run.info.experiment_id)
            return SweepToRemove(
                name=run.data.tags[SWEEP_TAG],
                parent=parent,
                status=run.info.status,
                experiment=experiment.name,
                experiment_id=run.info.experiment_id,
                location=experiment.artifact_location,
                runs={**self._below(parent, run.info.experiment_id), parent: run.info.artifact_uri},
            )

    def remove(self, sweep: SweepToRemove) -> list[str]:
        """Delete a sweep. Broken off, it can be called again. Returns lines about what had to be left."""
        notes: list[str] = []
        with explain_refusal(self.address):
            run_ids = list(sweep.runs)
            if self._database is None:
                for model_id in models_in_server(self._client, sweep.experiment_id, set(run_ids)):
                    self._client.delete_logged_model(model_id)
            for start in range(0, len(run_ids), _AT_ONCE):
                notes += self._remove(sweep, run_ids[start : start + _AT_ONCE])
            from mlflow.exceptions import MlflowException

            with suppress(MlflowException):  # it may have no page
                self._client.delete_experiment_tag(sweep.experiment_id, SHARED_VIEW_TAG + sweep.parent)
        if self._database is None:
            notes.append("the server keeps them in its bin: `mlflow gc`, on the server, frees the space")
        return notes

    def _remove(self, sweep: SweepToRemove, run_ids: Sequence[str]) -> list[str]:
        if self._database is None:
            for run_id in run_ids:
                self._client.delete_run(run_id)
            return []
        # The rows last: they are what says where the files are.
        models = models_in_database(self._database, run_ids)
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

    def _below(self, parent: str, experiment_id: str) -> dict[str, str]:
        if self._database is not None:
            return _below(self._database, parent)
        found = search_runs(self._client, [experiment_id], f"tags.`{PARENT_TAG}` = '{parent}'")
        return {run.info.run_id: run.info.artifact_uri for run in found}

    def _experiments(self) -> list[str]:
        from mlflow.entities import ViewType

        found, token = [], None
        while True:
            page = self._client.search_experiments(ViewType.ALL, page_token=token)
            found += [experiment.experiment_id for experiment in page]
            token = page.token
            if not token:
                return found


def _named(database: Database, name: str) -> list[str]:
    from sqlalchemy import exists, select

    tags, nesting = database.tags.c, database.tags.alias().c
    below = exists().where(nesting.run_uuid == tags.run_uuid, nesting.key == PARENT_TAG)
    with database.engine.connect() as connection:
        found = connection.scalars(select(tags.run_uuid).where(tags.key == SWEEP_TAG, tags.value == name, ~below))
        return [str(run_id) for run_id in found]


def _below(database: Database, parent: str) -> dict[str, str]:
    from sqlalchemy import select

    runs, tags = database.runs.c, database.tags.c
    statement = (
        select(runs.run_uuid, runs.artifact_uri)
        .join_from(database.runs, database.tags, tags.run_uuid == runs.run_uuid)
        .where(tags.key == PARENT_TAG, tags.value == parent)
    )
    with database.engine.connect() as connection:
        return {str(run_id): str(uri) for run_id, uri in connection.execute(statement)}


def _quoted(name: str) -> str:
    """A name as a value in MLflow's filters, which know no escape."""
    return f"'{name}'" if "'" not in name else f'"{name}"'
