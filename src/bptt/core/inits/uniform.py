"""Uniformly distributed parameters."""

from dataclasses import dataclass
from typing import Annotated

from bptt.core.annotations import PerLane, Range
from bptt.core.parameters import Parameter
from bptt.core.random import Generator
from bptt.core.sequences import Floats


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """θ ~ U(−scale, scale), biases too."""

    scale: Annotated[PerLane, Range(at_least=0)]

    def values(self, rng: Generator, block: Parameter) -> Floats:
        return self.scale * rng.uniform(-1.0, 1.0, block.shape)
