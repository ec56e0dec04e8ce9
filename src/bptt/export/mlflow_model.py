"""A trained network as an MLflow model: written into a folder, logged to its run, loaded back."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bptt.predictions.tables import name_scores
from bptt.tracking.store.address import Address, StoreError, recall_uri, resolve_address
from bptt.tracking.store.artifacts import find_local_folder, put_files, refuse_elsewhere
from bptt.tracking.store.connecting import connect, explain_refusal, set_environment
from bptt.tracking.store.opening import find_store

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

    from bptt.tracking.history.find import PastRun

Floats = NDArray[np.float64]


#: What a run's model is called in the store.
NAME: Final = "model"


_CODE: Final = "predict.py"


# Artifacts of the model, as `bptt.export.predict` reads them.
_WEIGHTS: Final = "weights.npz"


_NETWORK: Final = "network.json"


#: The file in which MLflow notes what a model is, and the name by which it notes there where an artifact came from.
_NOTES: Final = "MLmodel"


_NO_NAME: Final = re.compile(r"[/:]|^\s*$|^\.")


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelContent:
    """What an MLflow model of a network holds; see `bptt.export.predict` for what is made of it.

    config    cell, activation, readout, bias, layers, inputs, hidden_size, outputs, last_only, carried
    weights   name → array, as documented in `bptt.core.layout`
    state     (batch, numbers) from which sequences start
    x         (N, T, inputs) of the input example, in the data's own units
    lengths   (N,) of the example; None: all T
    metadata  whatever else is to be known of it
    preparation  what was done to the data, see `describe_preparation`; None: nothing
    """

    config: Mapping[str, Any]
    weights: Mapping[str, Floats]
    state: Floats
    x: Floats
    lengths: NDArray[np.int64] | None
    metadata: Mapping[str, Any]
    preparation: Mapping[str, Any] | None = None


def save_model(folder: Path, content: ModelContent, more: Mapping[str, bytes] | None = None) -> None:
    """Write the MLflow model into a new folder, with `more` files (name → what they hold) beside its own."""
    _save(folder, content, more or {}, {})


def log_model(uri: str | None, run_id: str, content: ModelContent, more: Mapping[str, bytes] | None = None) -> str:
    """Log the MLflow model to a run, ended or not, of the store at `uri` (see `resolve_address`); returns its id.

    Raises StoreError where the store has no such run, or doesn't take the model.
    """
    address = find_store(uri)
    set_environment()
    with explain_refusal(address):
        return _log(address, run_id, content, more or {})


def find_model_store(recorded: "PastRun", uri: str | None) -> str | None:
    """The store that has a run: the one that was named, otherwise the one that its folder or configuration names."""
    noted = recall_uri(recorded.recording.head.uri)
    if uri is None and noted is not None:
        return resolve_address(noted, recorded.current_folder).uri
    configured = recorded.config["tracking"]["uri"]
    if uri is not None or (configured is None and os.environ.get("MLFLOW_TRACKING_URI")):
        return uri
    known = recall_uri(configured, whose=f"the configuration of {recorded.name}")
    return None if known != configured else resolve_address(configured, recorded.current_folder).uri


def check_model_name(name: str, option: str = "--register ") -> None:
    """Raise StoreError, whose line begins with the option, for a name that no registered model can have."""
    if _NO_NAME.search(name):
        raise StoreError(f"{option}{name!r}: must be a name without / or :, that begins with no dot")


def register_model(uri: str | None, run_id: str, model_id: str, name: str) -> str:
    """Make a logged model a version of the registered model of this name, which is made where missing; its number.

    Raises StoreError where the store has no registry, or refuses.
    """
    check_model_name(name)
    address = find_store(uri)
    set_environment()
    with explain_refusal(address):
        connect(address)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        client = MlflowClient(address.uri, registry_uri=address.uri)
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        made = client.create_model_version(name, f"models:/{model_id}", run_id, model_id=model_id)
    return str(made.version)


def load_model(folder: Path) -> Any:
    """The model in a folder, as `mlflow.pyfunc.load_model` gives it: its `predict` takes the input and params."""
    set_environment()
    from mlflow.pyfunc import load_model as load

    return load(str(folder))


def _log(address: Address, run_id: str, content: ModelContent, more: Mapping[str, bytes]) -> str:
    client = connect(address)
    from mlflow.entities import LoggedModelOutput

    run = client.get_run(run_id)
    model = client.create_logged_model(run.info.experiment_id, name=NAME, source_run_id=run_id, params=run.data.params)
    status: Literal["READY", "FAILED"] = "FAILED"
    try:
        refuse_elsewhere(address, str(model.artifact_location))
        with TemporaryDirectory() as temporary:
            folder = Path(temporary) / NAME
            _save(folder, content, more, {"model_uuid": model.model_id, "model_id": model.model_id, "run_id": run_id})
            if find_local_folder(address, model.artifact_location) is None:
                client.log_model_artifacts(model.model_id, str(folder))
            else:
                # MLflow would look for a relative place from the current folder.
                made = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
                put_files(address, model.artifact_location, {name: path.read_bytes() for name, path in made.items()})
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        status = "READY"
    finally:
        client.finalize_logged_model(model.model_id, status)
    return str(model.model_id)


def _save(folder: Path, content: ModelContent, more: Mapping[str, bytes], ids: Mapping[str, Any]) -> None:
    set_environment()
    from mlflow.models import Model
    from mlflow.pyfunc import save_model as save

    params = {} if content.lengths is None else {"lengths": content.lengths.tolist()}
    with TemporaryDirectory() as temporary:
        weights, network = Path(temporary) / _WEIGHTS, Path(temporary) / _NETWORK
        np.savez(weights, allow_pickle=False, **content.weights, state=content.state)
        known = {"config": dict(content.config), "preparation": content.preparation}
        network.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        save(
            path=folder,
            python_model=str(files("bptt.export") / _CODE),
            artifacts={"weights": str(weights), "network": str(network)},
            metadata=dict(content.metadata),
            signature=_make_signature(content),
            input_example=(content.x, params) if params else content.x,
            pip_requirements=[f"{name}=={version(name)}" for name in ("mlflow", "numpy")],
            mlflow_model=Model(**ids),
        )
    _forget_places(folder)
    for name, data in more.items():
        (folder / name).write_bytes(data)


def _forget_places(folder: Path) -> None:
    """Take out of MLflow's notes where on this machine the files came from; it finds them within the folder."""
    from mlflow.models import Model

    model = Model.load(str(folder))
    flavor = model.flavors["python_function"]
    flavor["model_code_path"] = _CODE
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    model.save(str(folder / _NOTES))


def _make_signature(content: ModelContent) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    number, config = np.dtype(np.float64), content.config
    count = (-1,) if config["last_only"] else (-1, -1)
    outputs = [TensorSpec(number, (*count, config["outputs"]))]
    if content.preparation is not None and (classes := content.preparation["classes"]) is not None:
        labels = np.array(classes).dtype
        outputs = [
            TensorSpec(np.dtype(str) if labels.kind == "U" else labels, count, "label"),
            TensorSpec(number, (*count, len(classes)), name_scores(config["readout"])),
        ]
    params = [ParamSpec("lengths", DataType.long, [], (-1,))]
    if config["carried"]:
        params.append(ParamSpec("from_zero", DataType.boolean, False))
    return ModelSignature(
        inputs=Schema([TensorSpec(number, (-1, -1, config["inputs"]))]),
        outputs=Schema([*outputs]),
        params=ParamSchema(params),
    )
