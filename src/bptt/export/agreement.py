"""How close what was exported comes to what bptt itself computes."""

from typing import Any

import numpy as np

from bptt.core.sequences import Floats
from bptt.export.network import TrainedNetwork

#: Relative to the larger of 1 and the output: more than rounding leaves but in networks that amplify it.
ALLOWED = 1e-9


def measure_difference(ours: Floats, theirs: Floats) -> float:
    """The largest |theirs − ours| / max(1, |ours|); ∞ where one alone is not finite, or they differ in shape."""
    if ours.shape != theirs.shape:
        return float("inf")
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        apart = np.abs(theirs - ours) / np.maximum(1.0, np.abs(ours))
    return float(np.max(np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart)), initial=0.0))


def run_mlflow(model: Any, network: TrainedNetwork) -> Floats:
    """What a loaded MLflow model gives for the network's sequences."""
    lengths = network.sequences.lengths
    params = {} if lengths is None else {"lengths": lengths.tolist()}
    return np.asarray(model.predict(network.sequences.x, params=params))


def run_onnx(graph: bytes, network: TrainedNetwork) -> Floats:
    """What ONNX Runtime gives for the network's sequences."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    feeds = {"x": network.sequences.x, "lengths": network.sequences.full_lengths}
    return np.asarray(session.run(["y"], feeds)[0])
