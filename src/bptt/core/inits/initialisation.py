"""What every parameter starts from: one scheme for the whole network, others for single kinds of blocks, and gates."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bptt.core.inits.gate_biases import GateBias, fill_gates
from bptt.core.parameters import Parameter, ParameterKind
from bptt.core.random import Generator, make_generator
from bptt.core.sequences import Floats


class Init(Protocol):
    """A scheme: the values of one block, of the block's shape, drawn from rng."""

    def values(self, rng: Generator, block: Parameter) -> Floats: ...


@dataclass(frozen=True)
class Initialisation:
    """`default` for every block but those whose kind is named in `blocks`, and gates with biases of their own.

    gate_bias  name of a gate → what its biases start from, in every layer: in `cell.L.bias` alone, whatever scheme that
               has, a file too. With `bias=double` the `cell.L.recurrent_bias` that adds to it keeps its own scheme.
    """

    default: Init
    blocks: Mapping[ParameterKind, Init] = dataclasses.field(default_factory=dict)
    gate_bias: Mapping[str, GateBias] = dataclasses.field(default_factory=dict)

    def parameters(self, seed: np.random.SeedSequence, blocks: tuple[Parameter, ...]) -> Floats:
        """The flat row (P,) of all blocks, each from a stream of its own: another scheme for one changes no other."""
        return np.concatenate([self._draw(seed, number, block).ravel() for number, block in enumerate(blocks)])

    def _draw(self, seed: np.random.SeedSequence, number: int, block: Parameter) -> Floats:
        values = self.blocks.get(block.kind, self.default).values(make_generator(seed, number), block)
        if block.kind != "bias" or not self.gate_bias:
            return values
        return fill_gates(values, block, self.gate_bias, make_generator(seed, number, 1))
