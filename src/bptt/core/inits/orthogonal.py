"""Orthogonal initialisation."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from bptt.core.annotations import PerLane, Range
from bptt.core.parameters import Parameter
from bptt.core.sequences import Floats


@dataclass(frozen=True, kw_only=True)
class Orthogonal:
    """θ = scale · Q with orthonormal rows or columns, each gate's matrix for itself; biases 0.

    Q is uniform over the orthogonal matrices: the QR decomposition of a Gaussian matrix with R's diagonal made positive
    (Saxe, McClelland & Ganguli 2014; Mezzadri 2007). All singular values, so for a square matrix the spectral radius,
    are `scale`.
    """

    scale: Annotated[PerLane, Range(at_least=0)]

    def values(self, rng: np.random.Generator, block: Parameter) -> Floats:
        if block.is_bias:
            return np.zeros(block.shape)
        rows, columns = block.shape[0], block.shape[1] // block.gates
        return self.scale * np.concatenate([_orthogonal(rng, rows, columns) for _ in range(block.gates)], axis=1)


def _orthogonal(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    gaussian = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(gaussian)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return q if rows >= columns else q.T
