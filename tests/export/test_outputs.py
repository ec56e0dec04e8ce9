"""What is exported gives what bptt computes: as an MLflow model and in ONNX."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.export.mlflow_model import load_model, save_model
from bptt.export.network import TrainedNetwork, measure_difference, run_mlflow, run_onnx
from bptt.export.onnx import build_onnx
from tests.core.discovering import components
from tests.export.making import network

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

CLOSE = 1e-13  # relative to the larger of 1 and the output

SHAPES: dict[str, dict[str, Any]] = {
    "each timestep": {},
    "of different lengths": {"ragged": True, "layers": 2, "bias": "double"},
    "at the end": {"last_only": True, "ragged": True, "bias": "none", "readout": "softmax"},
    "without a read-out": {"layers": 3, "readout": "none", "bias": "double"},
    "carried": {"carry": True, "ragged": True, "layers": 2, "readout": "identity"},
    "carried to the end": {"carry": True, "last_only": True, "readout": "identity"},
}
FUNCTIONS = [
    ("elman", {"activation": activation, "readout": readout})
    for activation in ("tanh", "sigmoid", "relu", "identity")
    for readout in ("none", "identity", "sigmoid", "softmax")
]
NETWORKS = {
    **{f"{cell}, {name}": (cell, shape) for cell in components("models") for name, shape in SHAPES.items()},
    **{f"elman, {' and '.join(choices.values())}": (cell, choices) for cell, choices in FUNCTIONS},
    "jordan, relu": ("jordan", {"activation": "relu", "readout": "softmax", "ragged": True}),
}


@pytest.fixture(params=NETWORKS)
def any_network(request: pytest.FixtureRequest) -> TrainedNetwork:
    cell, choices = NETWORKS[request.param]
    return network(cell, **choices)


def test_as_an_mlflow_model(any_network: TrainedNetwork, tmp_path: Path) -> None:
    save_model(tmp_path / "model", any_network.content())
    ours = any_network.predict()
    assert np.ptp(ours) > 0.1  # there is something to be equal to
    assert measure_difference(ours, run_mlflow(load_model(tmp_path / "model"), any_network)) < CLOSE


def test_in_onnx(any_network: TrainedNetwork) -> None:
    graph = build_onnx(any_network)
    assert {value.name: value.type.tensor_type.elem_type for value in graph.graph.input} == {"x": 11, "lengths": 7}
    assert measure_difference(any_network.predict(), run_onnx(graph.SerializeToString(), any_network)) < CLOSE


def test_a_carried_state_counts_and_can_be_left_out(tmp_path: Path) -> None:
    carried, fresh = network("lstm", carry=True), network("lstm")
    save_model(tmp_path / "model", carried.content())
    model = load_model(tmp_path / "model")
    x = carried.sequences.x
    assert measure_difference(carried.predict(), model.predict(x)) < CLOSE
    assert measure_difference(fresh.predict(), model.predict(x)) > 0.01
    assert measure_difference(fresh.predict(), model.predict(x, params={"from_zero": True})) < CLOSE


def test_what_stands_behind_a_sequences_end_is_ignored(tmp_path: Path) -> None:
    ragged = network("gru", ragged=True)
    save_model(tmp_path / "model", ragged.content())
    lengths = ragged.sequences.full_lengths
    assert lengths.min() < 5
    behind = np.arange(5) >= lengths[:, None]
    x = ragged.sequences.x.copy()
    x[behind] = np.nan
    output = load_model(tmp_path / "model").predict(x, params={"lengths": lengths.tolist()})
    assert measure_difference(ragged.predict(), output) < CLOSE
    assert np.all(output[behind] == 0.0)


@pytest.mark.parametrize("lengths", [[5] * 10, [5] * 10 + [0], [5] * 10 + [6]])
def test_lengths_that_do_not_fit_are_refused(lengths: list[int], tmp_path: Path) -> None:
    from mlflow.exceptions import MlflowException

    plain = network("elman")
    save_model(tmp_path / "model", plain.content())
    with pytest.raises(MlflowException, match="11 whole numbers of 1 to 5 are needed"):
        load_model(tmp_path / "model").predict(plain.sequences.x, params={"lengths": lengths})


def test_difference() -> None:
    ours = np.array([0.5, 100.0, np.nan, np.inf])
    assert measure_difference(ours, ours) == 0.0
    assert measure_difference(ours, np.array([0.75, 100.0, np.nan, np.inf])) == 0.25
    assert measure_difference(ours, np.array([0.5, 150.0, np.nan, np.inf])) == 0.5
    assert measure_difference(ours, np.array([0.5, 100.0, 1.0, np.inf])) == np.inf
    assert measure_difference(ours, np.array([0.5, 100.0, np.nan, -np.inf])) == np.inf
    assert measure_difference(ours, ours[:3]) == np.inf
