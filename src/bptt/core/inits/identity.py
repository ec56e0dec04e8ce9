"""Identity initialisation of the recurrent weights."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from bptt.core.annotations import PerLane, Range
from bptt.core.parameters import Parameter
from bptt.core.random import Generator
from bptt.core.sequences import Floats


@dataclass(frozen=True, kw_only=True)
class Identity:
    """R = scale · I, each gate's matrix for itself; all other weights ~ input_std · N(0, 1); biases 0.

    Le, Jaitly & Hinton 2015, "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units" (IRNN; there
    with scale 1, or below 1 for short dependencies, and input_std 0.001).
    """

    scale: Annotated[PerLane, Range(at_least=0)]
    input_std: Annotated[PerLane, Range(at_least=0)]

    def values(self, rng: Generator, block: Parameter) -> Floats:
        if block.is_bias:
            return np.zeros(block.shape)
        if block.kind == "recurrent":
            rows, columns = block.shape[0], block.shape[1] // block.gates
            return self.scale * np.tile(np.eye(rows, columns), (1, block.gates))
        return self.input_std * rng.standard_normal(block.shape)
