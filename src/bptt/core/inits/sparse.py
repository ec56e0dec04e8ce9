"""Sparse initialisation of the recurrent weights."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from bptt.core.annotations import PerLane, Range
from bptt.core.measurements.spectral_radius import spectral_radii
from bptt.core.parameters import Parameter
from bptt.core.random import Generator
from bptt.core.sequences import Floats


@dataclass(frozen=True, kw_only=True)
class Sparse:
    """R has `entries` numbers in each row, N(0, 1) times what makes R's spectral radius `radius`, and else zeros; all
    other weights ~ scale · N(0, 1); biases 0. Each gate's matrix is for itself.

    Pascanu, Mikolov & Bengio 2013, as `smart_tanh` of the authors' program has it (pascanur/trainingRNNs, RNN.py), with
    15 entries, a radius of 0.95 and a scale of 0.01; sparse starts are Martens' (2010). Where R is not
    square, as in Jordan networks, it has no radius: its entries are scale · N(0, 1).
    """

    entries: Annotated[int, Range(at_least=1)]
    radius: Annotated[PerLane, Range(at_least=0)]
    scale: Annotated[PerLane, Range(at_least=0)]

    def values(self, rng: Generator, block: Parameter) -> Floats:
        if block.is_bias:
            return np.zeros(block.shape)
        if block.kind != "recurrent":
            return self.scale * rng.standard_normal(block.shape)
        rows, columns = block.shape[0], block.shape[1] // block.gates
        return np.concatenate([self._draw(rng, rows, columns) for _ in range(block.gates)], axis=1)

    def _draw(self, rng: Generator, rows: int, columns: int) -> Floats:
        matrix: Floats = rng.standard_normal((rows, columns))
        for row in matrix:
            row[rng.permutation(columns)[self.entries :]] = 0.0
        if rows != columns:
            return self.scale * matrix
        (found,) = spectral_radii(matrix[None])
        return matrix * (self.radius / found) if found > 0 else matrix
