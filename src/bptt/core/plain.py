"""The mathematics of every model, stated plainly: one sequence, one timestep at a time, in NumPy.

Nothing here is fast or used for training. It is what the compiled kernels are tested against, differentiated
automatically, and what the documentation shows. `xp` is numpy, or a module that stands in for it.

A cell's part is a function (p, x, context, f, xp) → the new state: p holds the layer's blocks by name (0 where there is
no bias), x (inputs,) is what it sees, context its own state before or, with feedback, the previous output, and f names
the activation. A state is h (H,), or a tuple with h first where a unit's state is more than one number.
"""

from collections.abc import Mapping
from typing import Any

Array = Any
State = Any  # of one layer


def sigmoid(z: Array, xp: Any) -> Array:
    return 1.0 / (1.0 + xp.exp(-z))


def softmax(z: Array, xp: Any) -> Array:
    e = xp.exp(z - xp.max(z))
    return e / xp.sum(e)


def activation(name: str, z: Array, xp: Any) -> Array:
    if name == "sigmoid":
        return sigmoid(z, xp)
    return {"tanh": xp.tanh, "relu": lambda v: xp.maximum(v, 0.0), "identity": lambda v: v}[name](z)


def elman(p: Mapping[str, Array], x: Array, context: Array, f: str, xp: Any) -> Array:
    """Elman, linear and (with the previous output for its context) Jordan: the new h."""
    return activation(f, x @ p["input"] + context @ p["recurrent"] + p["bias"] + p["recurrent_bias"], xp)


def lstm(p: Mapping[str, Array], x: Array, state: tuple[Array, Array], f: str, xp: Any) -> tuple[Array, Array]:
    """The new (h, c)."""
    h, c = state
    i, forget, g, o = xp.split(x @ p["input"] + h @ p["recurrent"] + p["bias"] + p["recurrent_bias"], 4)
    c = sigmoid(forget, xp) * c + sigmoid(i, xp) * xp.tanh(g)
    return sigmoid(o, xp) * xp.tanh(c), c


def gru(p: Mapping[str, Array], x: Array, h: Array, f: str, xp: Any) -> Array:
    """The new h; the reset gate multiplies after the recurrent product."""
    x_r, x_z, x_n = xp.split(x @ p["input"] + p["bias"], 3)
    h_r, h_z, h_n = xp.split(h @ p["recurrent"] + p["recurrent_bias"], 3)
    r, z = sigmoid(x_r + h_r, xp), sigmoid(x_z + h_z, xp)
    n = xp.tanh(x_n + r * h_n)
    return (1.0 - z) * n + z * h


def timestep(model: Any, named: Mapping[str, Array], x: Array, state: list[State], output: Array, xp: Any) -> Any:
    """(state, output, logit) after one timestep with input x: `state` per layer, `output` what the step before gave."""
    new = []
    for layer in range(model.layers):
        p = {key: named.get(f"cell.{layer}.{key}", 0.0) for key in ("input", "recurrent", "bias", "recurrent_bias")}
        context = output if model.cell.feedback else state[layer]
        new.append(model.cell.plain(p, x, context, model.activation, xp))
        x = new[-1] if model.cell.slots == 1 else new[-1][0]
    if model.readout == "none":
        return new, x, x
    logit = x @ named["readout.weight"] + named.get("readout.bias", 0.0)
    outputs = {"identity": lambda z: z, "sigmoid": lambda z: sigmoid(z, xp), "softmax": lambda z: softmax(z, xp)}
    return new, outputs[model.readout](logit), logit


def zero_state(model: Any, outputs: int, xp: Any) -> tuple[list[State], Array]:
    """(state per layer, output) before the first timestep."""
    h = xp.zeros(model.hidden_size)
    return [h if model.cell.slots == 1 else (h,) * model.cell.slots] * model.layers, xp.zeros(outputs)


def timestep_loss(loss: str, logit: Array, output: Array, target: Array, xp: Any) -> Array:
    """The loss of one timestep, unweighted; `loss` is the class's name."""
    if loss == "SquaredError":
        return xp.sum((output - target) ** 2)
    if loss == "BinaryCrossEntropy":
        return xp.sum(xp.logaddexp(0.0, logit) - target * logit)
    return xp.sum(target * (xp.log(xp.sum(xp.exp(logit - xp.max(logit)))) - (logit - xp.max(logit))))
