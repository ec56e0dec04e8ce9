"""A network's parameter blocks by name: a lane's flat row of P numbers, and the named arrays that users see."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bptt.core.layout import BIASES
from bptt.core.sequences import Floats

BlockKind = Literal["input", "recurrent", "bias", "recurrent_bias", "readout_weight", "readout_bias"]


@dataclass(frozen=True)
class Block:
    """One parameter block: its full name, its kind, its shape, its first place in the flat row, and what inits ask.

    gates are stacked along the last axis; hidden is the model's hidden size.
    """

    name: str
    kind: BlockKind
    shape: tuple[int, ...]
    first: int
    gates: int
    hidden: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def is_bias(self) -> bool:
        return self.kind in ("bias", "recurrent_bias", "readout_bias")


def parameter_blocks(model: Any, inputs: int, outputs: int) -> tuple[Block, ...]:
    """The blocks of a model in the order of `bptt.core.layout`; biases and read-out may be absent."""
    hidden, gates = model.hidden_size, model.cell.gates
    columns, context = gates * hidden, outputs if model.cell.feedback else hidden
    biases = BIASES[model.bias]
    wanted: list[tuple[str, BlockKind, tuple[int, ...], int]] = []
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
    blocks, first = [], 0
    for name, kind, shape, stacked in wanted:
        blocks.append(Block(name, kind, shape, first, stacked, hidden))
        first += blocks[-1].size
    return tuple(blocks)


def parameter_count(blocks: tuple[Block, ...]) -> int:
    """P, the length of a lane's flat row."""
    return sum(block.size for block in blocks)


def to_flat(blocks: tuple[Block, ...], named: Mapping[str, Floats]) -> Floats:
    """The flat row (P,) of named arrays."""
    return np.concatenate([np.asarray(named[block.name], np.float64).ravel() for block in blocks])


def to_named(blocks: tuple[Block, ...], flat: Floats) -> dict[str, Floats]:
    """Named arrays, copied from the flat row (P,)."""
    return {b.name: flat[b.first : b.first + b.size].reshape(b.shape).copy() for b in blocks}
