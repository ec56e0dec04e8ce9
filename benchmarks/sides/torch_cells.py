"""The recurrent cells, read-outs and losses in PyTorch, for one lane or with a leading axis of lanes."""

from typing import Any

import torch
from torch.nn import functional

from bptt.core.losses.binary_cross_entropy import BinaryCrossEntropy
from bptt.core.losses.squared_error import SquaredError

_ACTIVATIONS = {"identity": lambda z: z, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}
_MODULE_NAMES = {
    "cell.0.input": "weight_ih_l0",
    "cell.0.recurrent": "weight_hh_l0",
    "cell.0.bias": "bias_ih_l0",
    "cell.0.recurrent_bias": "bias_hh_l0",
}


def _name_kind(model: Any) -> str:
    return type(model).__name__


def find_module(model: Any) -> Any:
    """PyTorch's own module that computes this cell; None: there is none."""
    if _name_kind(model) == "Elman" and model.activation == "tanh":
        return torch.nn.RNN
    return {"Lstm": torch.nn.LSTM, "Gru": torch.nn.GRU}.get(_name_kind(model))


def take_over(model: Any, inputs: int, p: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The module, its own parameters, which are transposed, in the places of those of p and with their values.

    Without a second bias the module's own stays 0 and is not trained.
    """
    module = find_module(model)(inputs, model.hidden_size, bias="cell.0.bias" in p, dtype=p["cell.0.input"].dtype)
    for ours, theirs in _MODULE_NAMES.items():
        if not hasattr(module, theirs):
            continue
        parameter = getattr(module, theirs)
        with torch.no_grad():
            if ours in p:
                parameter.copy_(p[ours].mT if p[ours].ndim == 2 else p[ours])
                p[ours] = parameter
            else:
                parameter.zero_().requires_grad_(False)
    return module


def _add_bias(product: torch.Tensor, p: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    """The product (…, rows, columns) and a bias, which has an axis of lanes where there are many."""
    if name not in p:
        return product
    bias = p[name]
    return product + (bias if bias.ndim == 1 else bias[:, None])


def _multiply_flat(x: torch.Tensor, w: torch.Tensor, p: dict[str, torch.Tensor], *biases: str) -> torch.Tensor:
    """x ([L,] T, B, n) times w ([L,] n, columns), as one product."""
    *lanes, steps, rows, width = x.shape
    found = x.reshape(*lanes, steps * rows, width) @ w
    for bias in biases:
        found = _add_bias(found, p, bias)
    return found.view(*lanes, steps, rows, -1)


def arriving(model: Any, p: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """x_t W + b of all timesteps, ([L,] T, B, columns); with b′ where that adds to the same sum."""
    second = () if _name_kind(model) == "Gru" else ("cell.0.recurrent_bias",)
    return _multiply_flat(x, p["cell.0.input"], p, "cell.0.bias", *second)


def step(model: Any, p: dict[str, torch.Tensor], state: Any, context: torch.Tensor, arrived: torch.Tensor) -> Any:
    """(h, c or h) after a timestep; the state is h, or (h, c) for LSTM."""
    recurrent = p["cell.0.recurrent"]
    add_product = torch.addmm if recurrent.ndim == 2 else torch.baddbmm
    if _name_kind(model) == "Lstm":
        h, c = state
        i, f, g, o = add_product(arrived, h, recurrent).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
    if _name_kind(model) == "Gru":
        (a_r, a_z, a_n), z = arrived.chunk(3, -1), _add_bias(state @ recurrent, p, "cell.0.recurrent_bias")
        z_r, z_z, m = z.chunk(3, -1)
        new = torch.tanh(a_n + torch.sigmoid(a_r + z_r) * m)
        return new + torch.sigmoid(a_z + z_z) * (state - new)
    return _ACTIVATIONS[model.activation](add_product(arrived, context, recurrent))


def logits(model: Any, p: dict[str, torch.Tensor], h: torch.Tensor) -> torch.Tensor:
    """Of states ([L,] T, B, H), or of one timestep's ([L,] B, H)."""
    if model.readout == "none":
        return h
    if h.ndim - p["readout.weight"].ndim == 1:
        return _multiply_flat(h, p["readout.weight"], p, "readout.bias")
    return _add_bias(h @ p["readout.weight"], p, "readout.bias")


def outputs(model: Any, z: torch.Tensor) -> torch.Tensor:
    if model.readout == "softmax":
        return torch.softmax(z, -1)
    return z if model.readout == "none" else _ACTIVATIONS[model.readout](z)


def terms(run: Any, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The loss of each output from the logits."""
    if isinstance(run.loss, SquaredError):
        return (outputs(run.model, z) - y).square()
    if isinstance(run.loss, BinaryCrossEntropy):
        return functional.binary_cross_entropy_with_logits(z, y, reduction="none")
    return -(y * torch.log_softmax(z, -1))


def zero_state(model: Any, shape: tuple[int, ...], dtype: torch.dtype) -> Any:
    h = torch.zeros(*shape, model.hidden_size, dtype=dtype)
    return (h, h) if _name_kind(model) == "Lstm" else h


def hidden(model: Any, state: Any) -> torch.Tensor:
    return state[0] if _name_kind(model) == "Lstm" else state


def cut(state: Any) -> Any:
    """The same state, through which no gradient flows."""
    return tuple(one.detach() for one in state) if isinstance(state, tuple) else state.detach()


def where(live: torch.Tensor, new: Any, old: Any) -> Any:
    if isinstance(new, tuple):
        return tuple(torch.where(live, a, b) for a, b in zip(new, old, strict=True))
    return torch.where(live, new, old)
