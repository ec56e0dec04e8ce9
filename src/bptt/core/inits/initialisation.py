"""What every parameter starts from: one scheme for the whole network, others for single kinds of blocks, and gates."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np

from bptt.core.annotations import Range
from bptt.core.elementwise import compute_log
from bptt.core.models.cell import Gate
from bptt.core.parameters import Parameter, ParameterKind
from bptt.core.random import Generator, make_generator
from bptt.core.sequences import Floats


class Init(Protocol):
    """A scheme: the values of one block, of the block's shape, drawn from rng."""

    def values(self, rng: Generator, block: Parameter) -> Floats: ...


@dataclass(frozen=True, kw_only=True)
class Chrono:
    """b = ln u for the gate that keeps, b = −ln u for the one that writes, with u ~ U(1, t_max − 1) of each unit.

    A unit's gates share its u, so that an LSTM whose forget and input gates both start so has b_i = −b_f, unit by unit:
    Tallec & Ollivier 2018, "Can recurrent neural networks warp time?", equation 16. A unit with W = R = 0 then forgets
    over 1/(1 − σ(b_f)) = 1 + u timesteps, uniform from 2 to t_max, the longest dependency that is expected. In a GRU,
    h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}, the update gate keeps. The paper has no equation for it; 1 − z is the gate g of its
    equation 10, whose bias it lets start from −ln(U(T_min, T_max) − 1): with T_min = 2 that is b_z = ln u.
    """

    t_max: Annotated[float, Range(at_least=3)]

    def draw(self, gate: Gate, shares: Floats) -> Floats:
        """The biases of a gate (H,) from shares (H,) uniform on [0, 1), one of each unit.

        Raises ValueError where the gate neither keeps nor writes.
        """
        if gate.role is None:
            raise ValueError(f"the gate {gate.name} neither keeps nor writes")
        kept = compute_log(1.0 + shares * (self.t_max - 2.0))
        return kept if gate.role == "keeps" else -kept


#: What a gate's biases start from: a number, or a value of their own for each unit.
GateBias = float | Chrono


def fill_gates(values: Floats, block: Parameter, biases: Mapping[str, GateBias], rng: Generator) -> Floats:
    """A layer's biases `values` (gates · H,) with those of the named gates in place of what they were.

    biases  name of a gate → its bias; gates that are not named stay as they were
    rng     what is drawn for it, and for nothing else

    Raises ValueError where a name is not that of one of the cell's gates.
    """
    if unknown := biases.keys() - {gate.name for gate in block.named_gates}:
        raise ValueError(f"{block.name} has no gate {', '.join(sorted(unknown))}")
    filled = values.reshape(block.gates, block.hidden).copy()
    shares = rng.random(block.hidden)
    for row, gate in zip(filled, block.named_gates, strict=True):
        if gate.name in biases:
            bias = biases[gate.name]
            row[:] = bias.draw(gate, shares) if isinstance(bias, Chrono) else bias
    return filled.ravel()


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
