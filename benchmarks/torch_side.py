"""PyTorch's side: eager, float64, its own automatic differentiation and optimizers; many lanes as batched products."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.measure import seconds
from benchmarks.workloads import Problem
from bptt.core.losses.squared_error import SquaredError
from bptt.core.optimizers.adam import Adam
from bptt.core.optimizers.momentum import Momentum
from bptt.core.sequences import Floats

torch.set_num_threads(1)
_ACTIVATIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh}


@dataclass(frozen=True)
class Variant:
    """How it is written: a loop over timesteps or nn.RNN; the optimizer's one-pass (fused) form or not."""

    form: str
    fused: bool

    def __str__(self) -> str:
        return f"{self.form}, fused optimizer" if self.fused else self.form


def variants(problem: Problem) -> list[Variant]:
    model = problem.run.model
    plain = "loop" if problem.lanes == 1 else "loop of baddbmm"
    has_module = problem.lanes == 1 and model.activation == "tanh" and problem.run.train.truncation is None
    forms = [plain, "nn.RNN"] if has_module and model.bias == "double" else [plain]
    return [Variant(form, fused) for form, fused in itertools.product(forms, (False, True))]


def _transposed(block: torch.Tensor) -> torch.Tensor:
    """A bias stays what it is."""
    return block.mT if block.ndim == 2 else block


class Network:
    """The network over tensors with or without a leading lane axis: (L, …) for many lanes, none for one."""

    def __init__(self, problem: Problem, variant: Variant) -> None:
        self._problem, self._model = problem, problem.run.model
        self._one, self._module = problem.lanes == 1, None
        arrays = {name: torch.tensor(value[0] if self._one else value) for name, value in problem.parameters.items()}
        self._p = {name: tensor.requires_grad_() for name, tensor in arrays.items()}
        if variant.form == "nn.RNN":
            self._module = torch.nn.RNN(problem.run.task.inputs, self._model.hidden_size, dtype=torch.float64)
            self._take_over(self._module)
        hyper = problem.run.optimizer
        leaves = [tensor for tensor in self._p.values() if tensor.is_leaf and tensor.requires_grad]
        self._optimizer: torch.optim.Optimizer
        if isinstance(hyper, Adam):
            betas = (hyper.beta1, hyper.beta2)
            self._optimizer = torch.optim.Adam(
                leaves, lr=hyper.alpha, betas=betas, eps=hyper.small_constant, fused=variant.fused
            )
        else:
            momentum = hyper.epsilon if isinstance(hyper, Momentum) else 0.0
            self._optimizer = torch.optim.SGD(leaves, lr=hyper.alpha, momentum=momentum, fused=variant.fused)
        lanes = () if self._one else (problem.lanes,)
        self._zero = torch.zeros(*lanes, problem.run.train.batch_size, self._model.hidden_size, dtype=torch.float64)

    def _take_over(self, module: torch.nn.RNN) -> None:
        """Let nn.RNN's own parameters, which are transposed, start from ours and stand in for them."""
        pairs = {
            "input": "weight_ih_l0",
            "recurrent": "weight_hh_l0",
            "bias": "bias_ih_l0",
            "recurrent_bias": "bias_hh_l0",
        }
        for ours, theirs in pairs.items():
            parameter = getattr(module, theirs)
            with torch.no_grad():
                parameter.copy_(_transposed(self._p[f"cell.0.{ours}"]))
            self._p[f"cell.0.{ours}"] = parameter

    def parameters(self) -> dict[str, Floats]:
        """name → (lanes, …)"""
        found = {name: tensor.detach().numpy() for name, tensor in self._p.items()}
        if self._module is not None:
            found = {name: value.T if name.startswith("cell") else value for name, value in found.items()}
        return {name: (value[None] if self._one else value).copy() for name, value in found.items()}

    def _biased(self, product: torch.Tensor, *names: str) -> torch.Tensor:
        for name in names:
            if name in self._p:
                bias = self._p[name]
                product = product + (bias if self._one else bias[:, None])
        return product

    def _states(self, x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """([L,] T, B, H) of x ([L,] T, B, inputs)."""
        if self._module is not None:
            return self._module(x, state[None])[0]
        *lanes, steps, rows, inputs = x.shape
        flat = self._biased(
            x.reshape(*lanes, steps * rows, inputs) @ self._p["cell.0.input"], "cell.0.bias", "cell.0.recurrent_bias"
        )
        arriving = flat.view(*lanes, steps, rows, -1).unbind(-3)
        f, recurrent = _ACTIVATIONS[self._model.activation], self._p["cell.0.recurrent"]
        add_product = torch.addmm if self._one else torch.baddbmm
        one_timestep = self._problem.run.train.truncation == 1
        found, h = [], state
        for arrived in arriving:
            h = f(add_product(arrived, h.detach() if one_timestep else h, recurrent))
            found.append(h)
        return torch.stack(found, -3)

    def _losses(self, states: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Scalar, or (L,): each lane's loss."""
        scored = states[..., self._problem.first_scored :, :, :]
        flat = scored.flatten(-3, -2) @ self._p["readout.weight"]
        z, y = self._biased(flat, "readout.bias"), y.flatten(-3, -2)
        if isinstance(self._problem.run.loss, SquaredError):
            output = z if self._model.readout == "identity" else torch.sigmoid(z)
            terms = (output - y).square()
        else:
            terms = functional.binary_cross_entropy_with_logits(z, y, reduction="none")
        return terms.sum((-2, -1)) * self._problem.loss_weight

    def train(self, x: torch.Tensor, y: torch.Tensor, *, keep_losses: bool) -> list[Floats]:
        """One update per leading element of x and y."""
        carry, state, kept = self._problem.run.train.carry_state, self._zero, []
        for inputs, targets in zip(x, y, strict=True):
            self._optimizer.zero_grad()
            states = self._states(inputs, state)
            losses = self._losses(states, targets)
            (losses if self._one else losses.sum()).backward()
            self._optimizer.step()
            if carry:
                state = states[..., -1, :, :].detach()
            if keep_losses:
                kept.append(np.atleast_1d(losses.detach().numpy()).copy())
        return kept


@dataclass(frozen=True)
class Torch:
    """All updates of a problem in one form; x and y have a lane axis where there are many lanes."""

    problem: Problem
    variant: Variant
    x: torch.Tensor
    y: torch.Tensor

    def seconds_per_update(self) -> float:
        network = Network(self.problem, self.variant)
        return seconds(lambda: network.train(self.x, self.y, keep_losses=False)) / self.problem.updates

    def trained(self) -> tuple[Floats, Mapping[str, Floats]]:
        """The losses (updates, lanes) and the last parameters, name → (lanes, …)."""
        network = Network(self.problem, self.variant)
        losses = network.train(self.x, self.y, keep_losses=True)
        return np.stack(losses), network.parameters()


def prepared(problem: Problem, variant: Variant) -> Torch:
    lane: Any = 0 if problem.lanes == 1 else slice(None)
    return Torch(problem, variant, torch.tensor(problem.x[:, lane]), torch.tensor(problem.y[:, lane]))
