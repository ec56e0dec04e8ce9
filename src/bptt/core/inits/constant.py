"""The same number everywhere."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from bptt.core.annotations import PerLane, Range
from bptt.core.parameters import Parameter
from bptt.core.random import Generator
from bptt.core.sequences import Floats


@dataclass(frozen=True, kw_only=True)
class Constant:
    """θ = scale."""

    scale: Annotated[PerLane, Range()]

    def values(self, rng: Generator, block: Parameter) -> Floats:
        return np.full(block.shape, float(self.scale))
