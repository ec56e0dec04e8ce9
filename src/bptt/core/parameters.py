"""A network's parameters by name: a lane's flat row of P numbers, and the named arrays that users see."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bptt.core.layout import BIASES
from bptt.core.models.cell import Gate
from bptt.core.sequences import Floats

ParameterKind = Literal["input", "recurrent", "bias", "recurrent_bias", "readout_weight", "readout_bias"]
#: What `train.only` may name.
PartName = Literal["cell", "readout"] | ParameterKind


@dataclass(frozen=True)
class Parameter:
    """A named array of weights: its full name, kind, shape, first place in the flat row, and what inits ask.

    gates are stacked along the last axis, and named_gates are their names where they have some; hidden is the model's
    hidden size.
    """

    name: str
    kind: ParameterKind
    shape: tuple[int, ...]
    first: int
    gates: int
    hidden: int
    named_gates: tuple[Gate, ...] = ()

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def is_bias(self) -> bool:
        return self.kind in ("bias", "recurrent_bias", "readout_bias")


def belongs_to(block: Parameter, name: str) -> bool:
    """Whether a block is of a kind, or of what several kinds make up: readout (readout_weight and its bias), cell."""
    whole = "readout" if block.kind.startswith("readout") else "cell"
    return name in (block.kind, whole)


def mark_trained(blocks: Sequence[Parameter], only: Sequence[str]) -> Floats:
    """(P,): 1 of parameters of the blocks that are named, 0 of all others."""
    return np.concatenate([np.full(b.size, float(any(belongs_to(b, name) for name in only))) for b in blocks])


def list_parameters(model: Any, inputs: int, outputs: int) -> tuple[Parameter, ...]:
    """The parameters of a model in the order of `bptt.core.layout`; biases and read-out may be absent."""
    hidden, gates = model.hidden_size, model.cell.gates
    columns, context = gates * hidden, outputs if model.cell.feedback else hidden
    biases = BIASES[model.bias]
    wanted: list[tuple[str, ParameterKind, tuple[int, ...], int]] = []
    for layer in range(model.layers):
        width = inputs if layer == 0 else hidden
        wanted.append((f"cell.{layer}.input", "input", (width, columns), gates))
        wanted.append((f"cell.{layer}.recurrent", "recurrent", (context, columns), gates))
        if biases >= 1:
            wanted.append((f"cell.{layer}.bias", "bias", (columns,), gates))
        if biases == 2:
            wanted.append((f"cell.{layer}.recurrent_bias", "recurrent_bias", (columns,), gates))
    if model.readout != "none":
        wanted.append(("readout.weight", "readout_weight", (hidden, outputs), 1))
        if biases >= 1:
            wanted.append(("readout.bias", "readout_bias", (outputs,), 1))
    parameters, first = [], 0
    for name, kind, shape, stacked in wanted:
        named = model.cell.named_gates if name.startswith("cell.") else ()
        parameters.append(Parameter(name, kind, shape, first, stacked, hidden, named))
        first += parameters[-1].size
    return tuple(parameters)


def parameter_count(parameters: tuple[Parameter, ...]) -> int:
    """P, the length of a lane's flat row."""
    return sum(parameter.size for parameter in parameters)


def to_flat(parameters: tuple[Parameter, ...], named: Mapping[str, Floats]) -> Floats:
    """The flat row (P,) of named arrays."""
    return np.concatenate([np.asarray(named[parameter.name], np.float64).ravel() for parameter in parameters])


def to_named(parameters: tuple[Parameter, ...], flat: Floats) -> dict[str, Floats]:
    """Named arrays, copied from the flat row (P,)."""
    return {b.name: flat[b.first : b.first + b.size].reshape(b.shape).copy() for b in parameters}
