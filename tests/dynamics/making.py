"""Small networks for the tests of what is measured of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt.core.models.cell import Cell
from bptt.core.parameters import list_parameters
from bptt.core.sequences import Floats
from tests.core.making import make_model


def draw_parameters(
    model: Any, inputs: int, outputs: int, lanes: int = 3, scale: float = 0.5, seed: int = 0
) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    blocks = list_parameters(model, inputs, outputs)
    return {block.name: scale * rng.standard_normal((lanes, *block.shape)) for block in blocks}


def of_lane(parameters: Mapping[str, Floats], lane: int) -> dict[str, Floats]:
    return {name: array[lane : lane + 1] for name, array in parameters.items()}


def recurrent_only(*matrices: Any, activation: str = "tanh", bias: str = "none") -> tuple[Any, dict[str, Floats]]:
    """(model, parameters) of networks h_t = f(x_t W + h_{t−1} R) with these R, and W = 1."""
    recurrent = np.stack([np.asarray(matrix, np.float64) for matrix in matrices])
    size = recurrent.shape[-1]
    name = "linear" if activation == "identity" else "elman"
    changes = {} if name == "linear" else {"activation": activation}
    model = make_model(name, hidden_size=size, bias=bias, readout="none", **changes)
    parameters = {"cell.0.input": np.ones((len(recurrent), 1, size)), "cell.0.recurrent": recurrent}
    if bias == "single":
        parameters["cell.0.bias"] = np.zeros((len(recurrent), size))
    return model, parameters


def draw_orthogonal(size: int, seed: int) -> Floats:
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    return q * np.sign(np.diag(r))


@dataclass(frozen=True, kw_only=True)
class Leaking:
    """A cell of somebody else's, which says no more of itself than its plain statement: h_t = h/2 + tanh(·)/2."""

    hidden_size: int
    layers: int = 1
    bias: str = "single"
    readout: str = "none"
    activation: str = "tanh"

    @property
    def cell(self) -> Cell:
        def plain(p: Any, x: Any, h: Any, f: str, xp: Any) -> Any:
            return 0.5 * h + 0.5 * xp.tanh(x @ p["input"] + h @ p["recurrent"] + p["bias"] + p["recurrent_bias"])

        shipped = make_model("elman").cell
        return Cell(forward=shipped.forward, backward=shipped.backward, plain=plain)
