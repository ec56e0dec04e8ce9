"""A trained network as an MLflow model: written into a folder, logged to its run, loaded back."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bptt.tracking.store.address import Address
from bptt.tracking.store.artifacts import find_local_folder, put_files, refuse_elsewhere
from bptt.tracking.store.connecting import connect, explain_refusal, set_environment
from bptt.tracking.store.opening import find_store

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

Floats = NDArray[np.float64]


#: What a run's model is called in the store.
NAME: Final = "model"


_CODE: Final = "recurrent_network.py"


_WEIGHTS: Final = "weights.npz"


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelContent:
    """What an MLflow model of a network holds; see `bptt.export.recurrent_network` for what is made of it.

    config    cell, activation, readout, bias, layers, inputs, hidden_size, outputs, last_only, carried
    weights   name → array, as documented in `bptt.core.layout`
    state     (batch, numbers) from which sequences start
    x         (N, T, inputs) of the input example
    lengths   (N,) of the example; None: all T
    metadata  whatever else is to be known of it
    """

    config: Mapping[str, Any]
    weights: Mapping[str, Floats]
    state: Floats
    x: Floats
    lengths: NDArray[np.int64] | None
    metadata: Mapping[str, Any]


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
        weights = Path(temporary) / _WEIGHTS
        np.savez(weights, allow_pickle=False, **content.weights, state=content.state)
        save(
            path=folder,
            python_model=str(files("bptt.export") / _CODE),
            artifacts={"weights": str(weights)},
            model_config=dict(content.config),
            metadata=dict(content.metadata),
            signature=_make_signature(content.config),
            input_example=(content.x, params) if params else content.x,
            pip_requirements=[f"{name}=={version(name)}" for name in ("mlflow", "numpy")],
            mlflow_model=Model(**ids),
        )
    for name, data in more.items():
        (folder / name).write_bytes(data)


def _make_signature(config: Mapping[str, Any]) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    number = np.dtype(np.float64)
    output = (-1, config["outputs"]) if config["last_only"] else (-1, -1, config["outputs"])
    params = [ParamSpec("lengths", DataType.long, [], (-1,))]
    if config["carried"]:
        params.append(ParamSpec("from_zero", DataType.boolean, False))
    return ModelSignature(
        inputs=Schema([TensorSpec(number, (-1, -1, config["inputs"]))]),
        outputs=Schema([TensorSpec(number, output)]),
        params=ParamSchema(params),
    )
