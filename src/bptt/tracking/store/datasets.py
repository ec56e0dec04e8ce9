"""Which data a run was trained on, as MLflow has it: its inputs."""

import json
from collections.abc import Mapping
from typing import Final
from uuid import uuid4

from bptt.tasks.own_data.preparation import DataNote
from bptt.tracking.store.tables import Connection

#: The tag that MLflow's pages show beside a run's data.
DATA_CONTEXT: Final = ("mlflow.data.context", "training")

_LONGEST_SOURCE: Final = 500  # characters of a name


def describe_data(note: DataNote) -> dict[str, str]:
    """Data as MLflow's table of them has it, by the names of MLflow's `Dataset`."""
    return {
        "name": note.name[:_LONGEST_SOURCE],
        "digest": note.digest,
        "source_type": "local",
        "source": json.dumps({"uri": note.source}),
        "profile": json.dumps({"sequences": note.profile}),
    }


def link_data(connection: Connection, run_id: str, experiment_id: str, data: Mapping[str, str]) -> None:
    """Have data be a run's input, where they are not yet."""
    place = (int(experiment_id), data["name"], data["digest"])
    found = connection.read(
        "SELECT dataset_uuid FROM datasets WHERE experiment_id = ? AND name = ? AND digest = ?", place
    )
    data_id = found[0][0] if found else uuid4().hex
    if not found:
        connection.run(
            "INSERT INTO datasets (experiment_id, name, digest, dataset_uuid, dataset_source_type, dataset_source,"
            " dataset_profile) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*place, data_id, data["source_type"], data["source"], data["profile"]),
        )
    link = ("DATASET", data_id, "RUN", run_id)
    there = "source_type = ? AND source_id = ? AND destination_type = ? AND destination_id = ?"
    if not connection.read(f"SELECT input_uuid FROM inputs WHERE {there}", link):
        input_id = uuid4().hex
        connection.run(
            "INSERT INTO inputs (source_type, source_id, destination_type, destination_id, input_uuid)"
            " VALUES (?, ?, ?, ?, ?)",
            (*link, input_id),
        )
        connection.run("INSERT INTO input_tags (input_uuid, name, value) VALUES (?, ?, ?)", (input_id, *DATA_CONTEXT))
