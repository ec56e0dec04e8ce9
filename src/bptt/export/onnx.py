"""A trained network as an ONNX graph, float64 throughout: a Scan over timesteps, since the ready-made recurrent
operators don't know Jordan's feedback, nor double precision in ONNX Runtime.

    x        (N, T, inputs) float64, in the data's own units: what was done to them for training is done within
    lengths  (N,) int64: valid timesteps of each sequence, 1..T; what stands behind them is ignored, and the output
             there is what it was before the first timestep
    y        (N, T, outputs), or (N, outputs) where the network was trained on the last timestep alone, in the data's
             own units. Of classes instead: probability (N, T, classes) or (N, classes), score where the read-out gives
             no probabilities; and label (N, T) or (N,), int64 or text

Sequences start from the network's own state, see `TrainedNetwork.state`.

Nodes of an ONNX graph, made one after the other.

One timestep of every kind of layer, and of the read-out, as ONNX nodes: what `bptt.core.models` says of them.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.core.sequences import Floats
from bptt.export.network import TrainedNetwork
from bptt.predictions.tables import name_scores
from bptt.tasks.own_data.preparation import make_label_array

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

    from bptt.tasks.own_data.preparation import Preparation


class Nodes:
    """The nodes of a graph, and its initializers; `prefix` keeps names of a graph apart from those around it.

    made       the nodes, in the order in which they are computed
    constants  the initializers
    """

    def __init__(self, prefix: str = "") -> None:
        self.made: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._prefix = prefix
        self._integers: dict[int | tuple[int, ...], str] = {}

    def constant(self, array: NDArray[Any], name: str) -> str:
        """An initializer."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def integers(self, values: int | tuple[int, ...]) -> str:
        """An initializer of int64: a single one, or (n,)."""
        if values not in self._integers:
            name = f"{self._prefix}integers_{len(self._integers)}"
            self._integers[values] = self.constant(np.array(values, np.int64), name)
        return self._integers[values]

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """What a node with one output gives."""
        return self.nodes(kind, 1, *inputs, **attributes)[0]

    def nodes(self, kind: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """What a node with `count` outputs gives."""
        outputs = [f"{self._prefix}{kind.lower()}_{len(self.made)}_{place}" for place in range(count)]
        self._add(kind, inputs, outputs, attributes)
        return outputs

    def output(self, value: str, name: str) -> None:
        """Give a value the name of one of the graph's outputs."""
        self._add("Identity", [value], [name], {})

    def _add(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, Any]) -> None:
        from onnx import helper

        self.made.append(helper.make_node(kind, inputs, outputs, **attributes))


_FUNCTIONS = {"tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "Relu", "softmax": "Softmax"}


def add_step(nodes: Nodes, config: Mapping[str, Any], layer: int, x: str, state: str, output: str) -> str:
    """The new state of a layer: h, or h and c side by side for LSTM; `output` is the network's previous one."""
    if config["cell"] == "gru":
        return _add_gru(nodes, config, layer, x, state)
    if config["cell"] == "lstm":
        return _add_lstm(nodes, config, layer, x, state)
    context = output if config["cell"] == "jordan" else state
    h = _make_function(nodes, config["activation"], _add_sum(nodes, config, layer, x, context))
    if config["cell"] == "leaky":
        rest, leak = (
            nodes.constant(np.array(share), f"layer_{layer}_{name}")
            for name, share in (("rest", 1.0 - config["leak"]), ("leak", config["leak"]))
        )
        h = nodes.node("Add", nodes.node("Mul", rest, state), nodes.node("Mul", leak, h))
    return h


def add_hidden(nodes: Nodes, config: Mapping[str, Any], state: str) -> str:
    """The h of a layer's state."""
    return nodes.nodes("Split", 2, state, axis=1)[0] if config["cell"] == "lstm" else state


def add_read_out(nodes: Nodes, config: Mapping[str, Any], h: str) -> str:
    """The output of one timestep."""
    if config["readout"] == "none":
        return h
    bias = ["readout.bias"] if config["bias"] != "none" else []
    return _make_function(nodes, config["readout"], _add_product(nodes, h, "readout.weight", bias))


def _add_lstm(nodes: Nodes, config: Mapping[str, Any], layer: int, x: str, state: str) -> str:
    h, c = nodes.nodes("Split", 2, state, axis=1)
    gates = nodes.nodes("Split", 4, _add_sum(nodes, config, layer, x, h), axis=1)
    i, f, g, o = (nodes.node(kind, z) for kind, z in zip(("Sigmoid", "Sigmoid", "Tanh", "Sigmoid"), gates, strict=True))
    c = nodes.node("Add", nodes.node("Mul", f, c), nodes.node("Mul", i, g))
    return nodes.node("Concat", nodes.node("Mul", o, nodes.node("Tanh", c)), c, axis=1)


def _add_gru(nodes: Nodes, config: Mapping[str, Any], layer: int, x: str, state: str) -> str:
    first, second = _add_biases(config, layer)
    given = nodes.nodes("Split", 3, _add_product(nodes, x, f"cell.{layer}.input", first), axis=1)
    past = nodes.nodes("Split", 3, _add_product(nodes, state, f"cell.{layer}.recurrent", second), axis=1)
    r, z = (nodes.node("Sigmoid", nodes.node("Add", given[gate], past[gate])) for gate in (0, 1))
    n = nodes.node("Tanh", nodes.node("Add", given[2], nodes.node("Mul", r, past[2])))
    return nodes.node("Add", n, nodes.node("Mul", z, nodes.node("Sub", state, n)))


def _add_sum(nodes: Nodes, config: Mapping[str, Any], layer: int, x: str, context: str) -> str:
    """What x W + c R + b + b′ is, as far as there are biases."""
    first, second = _add_biases(config, layer)
    past = nodes.node("MatMul", context, f"cell.{layer}.recurrent")
    return _add_product(nodes, x, f"cell.{layer}.input", [past, *first, *second])


def _add_biases(config: Mapping[str, Any], layer: int) -> tuple[list[str], list[str]]:
    """The biases that add to x W and to h R."""
    bias, second = [f"cell.{layer}.bias"], [f"cell.{layer}.recurrent_bias"]
    return bias if config["bias"] != "none" else [], second if config["bias"] == "double" else []


def _add_product(nodes: Nodes, x: str, weights: str, added: list[str]) -> str:
    return reduce(lambda total, term: nodes.node("Add", total, term), added, nodes.node("MatMul", x, weights))


def _make_function(nodes: Nodes, name: str, z: str) -> str:
    return z if name == "identity" else nodes.node(_FUNCTIONS[name], z)


_OPSET: Final = 17


_IR_VERSION: Final = 8


_DOUBLE: Final = 11  # onnx.TensorProto.DOUBLE, INT64 and STRING, which are part of the file format


_INT64: Final = 7


_TEXT: Final = 8


_MOMENTS: Final = ("mean", "scale")


def build_onnx(network: TrainedNetwork) -> "ModelProto":
    """The graph, checked by ONNX itself. Needs the package onnx."""
    from onnx import checker, helper

    config = network.config
    nodes = Nodes()
    for name, array in network.weights.items():
        nodes.constant(array, name)
    x = "x" if network.preparation is None else _add_scaling(nodes, network.preparation)
    given = _add_meaning(nodes, config, network.preparation, _add_outputs(nodes, config, network.state, x))
    taken = [_describe_value("x", _DOUBLE, ["N", "T", config["inputs"]]), _describe_value("lengths", _INT64, ["N"])]
    graph = helper.make_graph(nodes.made, "bptt", taken, given, nodes.constants)
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="bptt")
    checker.check_model(model, full_check=True)
    return model


def _add_scaling(nodes: Nodes, known: "Preparation") -> str:
    """(x − mean) / scale."""
    mean, scale = (nodes.constant(np.array(getattr(known, f"input_{name}")), f"input_{name}") for name in _MOMENTS)
    return nodes.node("Div", nodes.node("Sub", "x", mean), scale)


def _add_meaning(
    nodes: Nodes, config: Mapping[str, Any], known: "Preparation | None", output: str
) -> "list[ValueInfoProto]":
    """The graph's outputs, made of the network's."""
    rows: list[str | int] = ["N"] if config["last_only"] else ["N", "T"]
    if known is None or known.classes is None:
        if known is not None:
            mean, scale = (
                nodes.constant(np.array(getattr(known, f"target_{name}")), f"target_{name}") for name in _MOMENTS
            )
            output = nodes.node("Add", nodes.node("Mul", output, scale), mean)
        nodes.output(output, "y")
        return [_describe_value("y", _DOUBLE, [*rows, config["outputs"]])]
    if config["outputs"] == 1:  # the share of the second of two classes
        rest = nodes.node("Sub", nodes.constant(np.array(1.0), "one"), output)
        output = nodes.node("Concat", rest, output, axis=-1)
    labels = make_label_array(known.classes)
    chosen = nodes.node("ArgMax", output, axis=-1, keepdims=0)
    score = name_scores(config["readout"])
    nodes.output(output, score)
    nodes.output(nodes.node("Gather", nodes.constant(labels, "classes"), chosen, axis=0), "label")
    return [
        _describe_value(score, _DOUBLE, [*rows, len(labels)]),
        _describe_value("label", _INT64 if labels.dtype.kind == "i" else _TEXT, rows),
    ]


def _add_outputs(nodes: Nodes, config: Mapping[str, Any], state: Floats, x: str) -> str:
    """The network's output, and all around the loop over timesteps: where it starts, what stands behind an end."""
    layers, outputs = config["layers"], config["outputs"]
    count, timesteps = (nodes.node("Gather", nodes.node("Shape", "x"), nodes.integers(axis)) for axis in (0, 1))
    batch, numbers = state.shape
    row = nodes.node("Mod", _add_range(nodes, count), nodes.integers(batch))
    start = nodes.node("Gather", nodes.constant(state, "state"), row, axis=0)
    widths = nodes.integers((*[(numbers - outputs) // layers] * layers, outputs))
    parts = nodes.nodes("Split", layers + 1, start, widths, axis=1)
    scan = {"body": _make_timestep(config), "num_scan_inputs": 1, "scan_input_axes": [1], "scan_output_axes": [1]}
    *_, last, each = nodes.nodes("Scan", layers + 3, nodes.integers(0), *parts, x, **scan)
    if config["last_only"]:
        return last
    ends = nodes.node("Unsqueeze", "lengths", nodes.integers((1,)))
    live = nodes.node("Unsqueeze", nodes.node("Less", _add_range(nodes, timesteps), ends), nodes.integers((2,)))
    return nodes.node("Where", live, each, nodes.node("Unsqueeze", parts[-1], nodes.integers((1,))))


def _make_timestep(config: Mapping[str, Any]) -> "GraphProto":
    """One timestep of the whole network: (t, each layer's state, output, x_t) → (t + 1, states, output, output)."""
    from onnx import helper

    nodes = Nodes("step_")
    before = [f"state_{layer}" for layer in range(config["layers"])]
    live = nodes.node("Less", "t", nodes.node("Unsqueeze", "lengths", nodes.integers((1,))))
    below, after = "x_t", []
    for layer, state in enumerate(before):
        after.append(nodes.node("Where", live, add_step(nodes, config, layer, below, state, "output"), state))
        below = add_hidden(nodes, config, after[-1])
    after.append(nodes.node("Where", live, add_read_out(nodes, config, below), "output"))
    taken = [
        _describe_value("t", _INT64, []),
        *(_describe_value(name, _DOUBLE, None) for name in (*before, "output", "x_t")),
    ]
    later = nodes.node("Add", "t", nodes.integers(1))
    given = [*after, nodes.node("Identity", after[-1])]
    results = [_describe_value(later, _INT64, []), *(_describe_value(name, _DOUBLE, None) for name in given)]
    return helper.make_graph(nodes.made, "timestep", taken, results, nodes.constants)


def _add_range(nodes: Nodes, count: str) -> str:
    return nodes.node("Range", nodes.integers(0), count, nodes.integers(1))


def _describe_value(name: str, kind: int, shape: list[str | int] | None) -> "ValueInfoProto":
    from onnx import helper

    return helper.make_tensor_value_info(name, kind, shape)
