"""One timestep of every kind of layer, and of the read-out, as ONNX nodes: what `bptt.core.models` says of them."""

from collections.abc import Mapping
from functools import reduce
from typing import Any

from bptt.export.onnx_nodes import Nodes

_FUNCTIONS = {"tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "Relu", "softmax": "Softmax"}


def step(nodes: Nodes, config: Mapping[str, Any], layer: int, x: str, state: str, output: str) -> str:
    """The new state of a layer: h, or h and c side by side for LSTM; `output` is the network's previous one."""
    if config["cell"] == "gru":
        return _gru(nodes, config, layer, x, state)
    if config["cell"] == "lstm":
        return _lstm(nodes, config, layer, x, state)
    context = output if config["cell"] == "jordan" else state
    return _function(nodes, config["activation"], _sum(nodes, config, layer, x, context))


def hidden(nodes: Nodes, config: Mapping[str, Any], state: str) -> str:
    """The h of a layer's state."""
    return nodes.nodes("Split", 2, state, axis=1)[0] if config["cell"] == "lstm" else state


def read_out(nodes: Nodes, config: Mapping[str, Any], h: str) -> str:
    """The output of one timestep."""
    if config["readout"] == "none":
        return h
    bias = ["readout.bias"] if config["bias"] != "none" else []
    return _function(nodes, config["readout"], _product(nodes, h, "readout.weight", bias))


def _lstm(nodes: Nodes, config: Mapping[str, Any], layer: int, x: str, state: str) -> str:
    h, c = nodes.nodes("Split", 2, state, axis=1)
    gates = nodes.nodes("Split", 4, _sum(nodes, config, layer, x, h), axis=1)
    i, f, g, o = (nodes.node(kind, z) for kind, z in zip(("Sigmoid", "Sigmoid", "Tanh", "Sigmoid"), gates, strict=True))
    c = nodes.node("Add", nodes.node("Mul", f, c), nodes.node("Mul", i, g))
    return nodes.node("Concat", nodes.node("Mul", o, nodes.node("Tanh", c)), c, axis=1)


def _gru(nodes: Nodes, config: Mapping[str, Any], layer: int, x: str, state: str) -> str:
    first, second = _biases(config, layer)
    given = nodes.nodes("Split", 3, _product(nodes, x, f"cell.{layer}.input", first), axis=1)
    past = nodes.nodes("Split", 3, _product(nodes, state, f"cell.{layer}.recurrent", second), axis=1)
    r, z = (nodes.node("Sigmoid", nodes.node("Add", given[gate], past[gate])) for gate in (0, 1))
    n = nodes.node("Tanh", nodes.node("Add", given[2], nodes.node("Mul", r, past[2])))
    return nodes.node("Add", n, nodes.node("Mul", z, nodes.node("Sub", state, n)))


def _sum(nodes: Nodes, config: Mapping[str, Any], layer: int, x: str, context: str) -> str:
    """What x W + c R + b + b′ is, as far as there are biases."""
    first, second = _biases(config, layer)
    past = nodes.node("MatMul", context, f"cell.{layer}.recurrent")
    return _product(nodes, x, f"cell.{layer}.input", [past, *first, *second])


def _biases(config: Mapping[str, Any], layer: int) -> tuple[list[str], list[str]]:
    """The biases that add to x W and to h R."""
    bias, second = [f"cell.{layer}.bias"], [f"cell.{layer}.recurrent_bias"]
    return bias if config["bias"] != "none" else [], second if config["bias"] == "double" else []


def _product(nodes: Nodes, x: str, weights: str, added: list[str]) -> str:
    return reduce(lambda total, term: nodes.node("Add", total, term), added, nodes.node("MatMul", x, weights))


def _function(nodes: Nodes, name: str, z: str) -> str:
    return z if name == "identity" else nodes.node(_FUNCTIONS[name], z)
