"""Glorot's (Xavier) uniform initialisation."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from bptt.core.annotations import PerLane, Range
from bptt.core.parameters import Parameter
from bptt.core.random import Generator
from bptt.core.sequences import Floats


@dataclass(frozen=True, kw_only=True)
class Glorot:
    """θ ~ scale · U(−a, a) with a = √(6 / (fan_in + fan_out)), each gate's matrix for itself; biases 0.

    Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", equation 16.
    """

    scale: Annotated[PerLane, Range(at_least=0)]

    def values(self, rng: Generator, block: Parameter) -> Floats:
        if block.is_bias:
            return np.zeros(block.shape)
        fan_in, fan_out = block.shape[0], block.shape[1] // block.gates
        return self.scale * np.sqrt(6.0 / (fan_in + fan_out)) * rng.uniform(-1.0, 1.0, block.shape)
