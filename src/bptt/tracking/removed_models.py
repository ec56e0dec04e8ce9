"""The models that were exported from runs and logged: they go with their runs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bptt.tracking.database import Database, parts

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
            for part in parts(run_ids)
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
    for part in parts(ids):
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
