"""PyTorch's default initialisation of recurrent layers."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from bptt.core.annotations import PerLane, Range
from bptt.core.parameters import Parameter
from bptt.core.random import Generator
from bptt.core.sequences import Floats


@dataclass(frozen=True, kw_only=True)
class Torch:
    """θ ~ scale · U(−1/√H, 1/√H) for every weight and bias, the read-out's too (H hidden units).

    What torch.nn.RNN, LSTM and GRU, and a torch.nn.Linear behind them, do by default; the numbers differ, since PyTorch
    draws them otherwise.
    """

    scale: Annotated[PerLane, Range(at_least=0)]

    def values(self, rng: Generator, block: Parameter) -> Floats:
        return self.scale / np.sqrt(block.hidden) * rng.uniform(-1.0, 1.0, block.shape)
