"""The MLflow model of a network: its files, its place in a store, and that it stands on numpy alone."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bptt.export.mlflow_model import ModelContent, load_model, log_model, save_model
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.base import Store
from bptt.tracking.store.logs import RunLog

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

# y_t = tanh(x_t + 2 y_{t−1})
WEIGHTS = {"cell.0.input": np.ones((1, 1)), "cell.0.recurrent": 2 * np.ones((1, 1))}
CONFIG = {
    "cell": "elman", "activation": "tanh", "readout": "none", "bias": "none", "layers": 1,
    "inputs": 1, "hidden_size": 1, "outputs": 1, "last_only": False, "carried": False,
}  # fmt: skip
FIRST = np.tanh(0.5)
SECOND = np.tanh(0.25 + 2 * FIRST)


def content(**changes: Any) -> ModelContent:
    x = np.array([[[0.5], [0.25]], [[0.5], [7.0]]])
    fields: dict[str, Any] = {
        "config": CONFIG,
        "weights": WEIGHTS,
        "state": np.zeros((1, 2)),
        "x": x,
        "metadata": {"task": "mine"},
    }
    return ModelContent(**(fields | {"lengths": np.array([2, 1])} | changes))


def test_a_saved_model_says_what_it_takes_and_needs(tmp_path: Path) -> None:
    save_model(tmp_path / "model", content(), {"more.txt": b"more"})
    folder = tmp_path / "model"
    described = yaml.safe_load((folder / "MLmodel").read_text())
    assert json.loads(described["signature"]["inputs"]) == [
        {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, -1, 1]}}
    ]
    assert json.loads(described["signature"]["outputs"])[0]["tensor-spec"]["shape"] == [-1, -1, 1]
    assert [param["name"] for param in json.loads(described["signature"]["params"])] == ["lengths"]
    assert json.loads((folder / "artifacts" / "network.json").read_text()) == {"config": CONFIG, "preparation": None}
    assert described["metadata"] == {"task": "mine"}
    needed = (folder / "requirements.txt").read_text().split()
    assert needed == [f"mlflow=={version('mlflow')}", f"numpy=={version('numpy')}"]
    assert json.loads((folder / "serving_input_example.json").read_text()) == {
        "inputs": [[[0.5], [0.25]], [[0.5], [7.0]]],
        "params": {"lengths": [2, 1]},
    }
    assert (folder / "more.txt").read_bytes() == b"more"
    assert not list(folder.rglob("*.pkl"))
    assert load_model(folder).predict(content().x, params={"lengths": [2, 1]}) == pytest.approx(
        np.array([[[FIRST], [SECOND]], [[FIRST], [0.0]]]), abs=1e-15
    )


def test_a_model_of_the_last_timestep_and_a_carried_state(tmp_path: Path) -> None:
    config = {**CONFIG, "last_only": True, "carried": True}
    save_model(tmp_path / "model", content(config=config, state=np.array([[0.5, 0.0]]), lengths=None))
    signature = yaml.safe_load((tmp_path / "model" / "MLmodel").read_text())["signature"]
    assert json.loads(signature["outputs"])[0]["tensor-spec"]["shape"] == [-1, 1]
    assert [param["name"] for param in json.loads(signature["params"])] == ["lengths", "from_zero"]
    model = load_model(tmp_path / "model")
    x = np.array([[[0.5]]])
    assert model.predict(x) == pytest.approx(np.tanh([[1.5]]), abs=1e-15)
    assert model.predict(x, params={"from_zero": True}) == pytest.approx(np.tanh([[0.5]]), abs=1e-15)


@pytest.mark.slow
def test_it_is_served_where_bptt_is_not_installed(tmp_path: Path) -> None:
    save_model(tmp_path / "model", content())
    code = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("bptt", "numba", "llvmlite", "scipy", "hydra", "omegaconf", "onnxruntime"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
try:
    import scipy
except ModuleNotFoundError:
    from mlflow.cli import cli
    cli(sys.argv[1:])
"""
    asked = ["models", "predict", "-m", "model", "-i", "model/serving_input_example.json", "--env-manager", "local"]
    done = subprocess.run([sys.executable, "-c", code, *asked], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["predictions"] == [
        [[pytest.approx(FIRST)], [pytest.approx(SECOND)]],
        [[pytest.approx(FIRST)], [0.0]],
    ]


@pytest.fixture
def store(open_experiment: Callable[[], Store]) -> Store:
    return open_experiment()


@pytest.fixture
def run_id(store: Store) -> str:
    record = RunLog.begin(store, "run", {"model.hidden_size": "1"}, {})
    record.close("FINISHED", {}, {})
    return record.run_id


def test_a_model_is_logged_to_a_run_that_has_ended(store: Store, run_id: str) -> None:
    model_id = log_model(store.address.uri, run_id, content(), {"network.onnx": b"graph"})
    logged = store.client.get_logged_model(model_id)
    assert (logged.name, str(logged.status), logged.source_run_id) == ("model", "READY", run_id)
    assert logged.params == {"model.hidden_size": "1"}
    run = store.client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"model.hidden_size": "1"}
    assert run.outputs is not None
    assert [output.model_id for output in run.outputs.model_outputs] == [model_id]
    folder = Path(logged.artifact_location.removeprefix("file://").replace("%20", " "))
    assert (folder / "network.onnx").read_bytes() == b"graph"
    assert yaml.safe_load((folder / "MLmodel").read_text())["model_id"] == model_id
    assert load_model(folder).predict(np.array([[[0.5]]])) == pytest.approx(np.array([[[FIRST]]]), abs=1e-15)


def test_a_model_that_can_not_be_stored_is_marked_so(
    store: Store, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device", "artifacts")

    monkeypatch.setattr("bptt.export.mlflow_model.put_files", refuse)
    with pytest.raises(StoreError, match="No space left on device"):
        log_model(store.address.uri, run_id, content())
    (logged,) = store.client.search_logged_models([store.experiment_id])
    assert str(logged.status) == "FAILED"


def test_a_store_without_the_run_is_told_of(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not found"):
        log_model(store.address.uri, "0123456789abcdef" * 2, content())
    with pytest.raises(StoreError, match="there is no such store"):
        log_model(f"sqlite:///{tmp_path}/none.db", "0123456789abcdef" * 2, content())
    assert not (tmp_path / "none.db").exists()
