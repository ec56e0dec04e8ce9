"""A trained network as an ONNX graph, float64 throughout: a Scan over timesteps, since the ready-made recurrent
operators don't know Jordan's feedback, nor double precision in ONNX Runtime.

    x        (N, T, inputs) float64
    lengths  (N,) int64: valid timesteps of each sequence, 1..T; what stands behind them is ignored, and the output
             there is what it was before the first timestep
    y        (N, T, outputs), or (N, outputs) where the network was trained on the last timestep alone

Sequences start from the network's own state, see `TrainedNetwork.state`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bptt.core.sequences import Floats
from bptt.export.network import TrainedNetwork
from bptt.export.onnx_cells import hidden, read_out, step
from bptt.export.onnx_nodes import Nodes

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, ValueInfoProto

_OPSET: Final = 17
_IR_VERSION: Final = 8
_DOUBLE: Final = 11  # onnx.TensorProto.DOUBLE and INT64, which are part of the file format
_INT64: Final = 7


def onnx_model(network: TrainedNetwork) -> "ModelProto":
    """The graph, checked by ONNX itself. Needs the package onnx."""
    from onnx import checker, helper

    config = network.config
    nodes = Nodes()
    for name, array in network.weights.items():
        nodes.constant(array, name)
    _add_outputs(nodes, config, network.state)
    output = ["N", config["outputs"]] if config["last_only"] else ["N", "T", config["outputs"]]
    taken = [_value("x", _DOUBLE, ["N", "T", config["inputs"]]), _value("lengths", _INT64, ["N"])]
    graph = helper.make_graph(nodes.made, "bptt", taken, [_value("y", _DOUBLE, output)], nodes.constants)
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="bptt")
    checker.check_model(model, full_check=True)
    return model


def _add_outputs(nodes: Nodes, config: Mapping[str, Any], state: Floats) -> None:
    """y, and all around the loop over timesteps: where it starts, and what stands behind a sequence's end."""
    layers, outputs = config["layers"], config["outputs"]
    count, timesteps = (nodes.node("Gather", nodes.node("Shape", "x"), nodes.integers(axis)) for axis in (0, 1))
    batch, numbers = state.shape
    row = nodes.node("Mod", _range(nodes, count), nodes.integers(batch))
    start = nodes.node("Gather", nodes.constant(state, "state"), row, axis=0)
    widths = nodes.integers((*[(numbers - outputs) // layers] * layers, outputs))
    parts = nodes.nodes("Split", layers + 1, start, widths, axis=1)
    scan = {"body": _timestep(config), "num_scan_inputs": 1, "scan_input_axes": [1], "scan_output_axes": [1]}
    *_, last, each = nodes.nodes("Scan", layers + 3, nodes.integers(0), *parts, "x", **scan)
    y = last
    if not config["last_only"]:
        ends = nodes.node("Unsqueeze", "lengths", nodes.integers((1,)))
        live = nodes.node("Unsqueeze", nodes.node("Less", _range(nodes, timesteps), ends), nodes.integers((2,)))
        y = nodes.node("Where", live, each, nodes.node("Unsqueeze", parts[-1], nodes.integers((1,))))
    nodes.output(y, "y")


def _timestep(config: Mapping[str, Any]) -> "GraphProto":
    """One timestep of the whole network: (t, each layer's state, output, x_t) → (t + 1, states, output, output)."""
    from onnx import helper

    nodes = Nodes("step_")
    before = [f"state_{layer}" for layer in range(config["layers"])]
    live = nodes.node("Less", "t", nodes.node("Unsqueeze", "lengths", nodes.integers((1,))))
    below, after = "x_t", []
    for layer, state in enumerate(before):
        after.append(nodes.node("Where", live, step(nodes, config, layer, below, state, "output"), state))
        below = hidden(nodes, config, after[-1])
    after.append(nodes.node("Where", live, read_out(nodes, config, below), "output"))
    taken = [_value("t", _INT64, []), *(_value(name, _DOUBLE, None) for name in (*before, "output", "x_t"))]
    later = nodes.node("Add", "t", nodes.integers(1))
    given = [*after, nodes.node("Identity", after[-1])]
    results = [_value(later, _INT64, []), *(_value(name, _DOUBLE, None) for name in given)]
    return helper.make_graph(nodes.made, "timestep", taken, results, nodes.constants)


def _range(nodes: Nodes, count: str) -> str:
    return nodes.node("Range", nodes.integers(0), count, nodes.integers(1))


def _value(name: str, kind: int, shape: list[str | int] | None) -> "ValueInfoProto":
    from onnx import helper

    return helper.make_tensor_value_info(name, kind, shape)
