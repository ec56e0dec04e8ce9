"""What every parameter starts from: one scheme for the whole network, and others for single kinds of blocks."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bptt.core.parameters import Parameter, ParameterKind
from bptt.core.sequences import Floats, generator


class Init(Protocol):
    """A scheme: the values of one block, of the block's shape, drawn from rng."""

    def values(self, rng: np.random.Generator, block: Parameter) -> Floats: ...


@dataclass(frozen=True)
class Initialisation:
    """`default` for every block but those whose kind is named in `blocks`."""

    default: Init
    blocks: Mapping[ParameterKind, Init] = dataclasses.field(default_factory=dict)

    def parameters(self, seed: np.random.SeedSequence, blocks: tuple[Parameter, ...]) -> Floats:
        """The flat row (P,) of all blocks, each from a stream of its own: another scheme for one changes no other."""
        schemes = [self.blocks.get(block.kind, self.default) for block in blocks]
        values = [
            scheme.values(generator(seed, number), block)
            for number, (scheme, block) in enumerate(zip(schemes, blocks, strict=True))
        ]
        return np.concatenate([value.ravel() for value in values])
