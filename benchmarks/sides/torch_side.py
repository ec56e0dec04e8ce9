"""PyTorch's side: eager, float64, its own automatic differentiation and optimizers; many lanes as batched products."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.measure import time_call
from benchmarks.problem import Problem
from benchmarks.sides import torch_cells
from bptt.core.optimizers.adam import Adam
from bptt.core.optimizers.momentum import Momentum
from bptt.core.sequences import Floats

torch.set_num_threads(1)
_LOOP = "loop"


@dataclass(frozen=True)
class Variant:
    """How it is written: a loop over timesteps or PyTorch's module; the optimizer's one-pass (fused) form or not."""

    form: str
    fused: bool

    def __str__(self) -> str:
        return f"{self.form}, fused optimizer" if self.fused else self.form


def list_variants(problem: Problem) -> list[Variant]:
    forms = [_LOOP if problem.lanes == 1 else "loop of baddbmm"]
    # A module has one set of weights, lets the gradient flow through all timesteps, and knows no masks.
    if problem.lanes == 1 and problem.run.train.truncation is None and problem.live is None:
        forms += [f"nn.{kind.__name__}" for kind in [torch_cells.find_module(problem.run.model)] if kind is not None]
    return [Variant(form, fused) for form, fused in itertools.product(forms, (False, True))]


class Network:
    """The network over tensors with or without a leading lane axis: (L, …) for many lanes, none for one."""

    def __init__(self, problem: Problem, variant: Variant) -> None:
        self._problem, self._model = problem, problem.run.model
        self._one, self._module = problem.lanes == 1, None
        arrays = {name: torch.tensor(value[0] if self._one else value) for name, value in problem.parameters.items()}
        self._p = {name: tensor.requires_grad_() for name, tensor in arrays.items()}
        if variant.form.startswith("nn."):
            self._module = torch_cells.take_over(self._model, problem.run.task.inputs, self._p)
        self._optimizer = _build_optimizer(problem.run.optimizer, list(self._p.values()), variant.fused)
        lanes = () if self._one else (problem.lanes,)
        rows = problem.run.train.batch_size
        self._zero = torch_cells.zero_state(self._model, (*lanes, rows))
        self._no_output = torch.zeros(*lanes, rows, problem.run.task.outputs, dtype=torch.float64)

    def parameters(self) -> dict[str, Floats]:
        """name → (lanes, …)"""
        found = {name: tensor.detach().numpy() for name, tensor in self._p.items()}
        if self._module is not None:
            found = {name: value.T if name.startswith("cell") else value for name, value in found.items()}
        return {name: (value[None] if self._one else value).copy() for name, value in found.items()}

    def _losses(self, data: Mapping[str, torch.Tensor], start: Any) -> tuple[torch.Tensor, Any]:
        """(scalar, or (L,): each lane's loss; the state and the output with which it ended)."""
        problem, model = self._problem, self._model
        one_timestep, feedback = problem.run.train.truncation == 1, model.cell.feedback
        if self._module is not None:
            z = torch_cells.logits(model, self._p, self._module(data["x"])[0][problem.asked])
            return self._summed(z, data), start
        first = 0
        if self._one and "live" in data and data["live"].shape[-1] == 1:  # one sequence: what it lacks is not computed
            first = int((~data["live"]).sum())
        arriving = torch_cells.arriving(model, self._p, data["x"][..., first:, :, :]).unbind(-3)
        live = data["live"][..., first:, :].unbind(-2) if "live" in data and first == 0 else None
        (state, output), found = start, []
        for t, arrived in enumerate(arriving):
            before = torch_cells.cut(state) if one_timestep else state
            context = (output.detach() if one_timestep else output) if feedback else before
            new = torch_cells.step(model, self._p, before, context, arrived)
            if live is not None:
                new = torch_cells.where(live[t][..., None], new, state)
            state, h = new, torch_cells.hidden(model, new)
            if feedback:
                z = torch_cells.logits(model, self._p, h)
                after = torch_cells.outputs(model, z)
                output = after if live is None else torch.where(live[t][..., None], after, output)
                found.append(z)
            else:
                found.append(h)
        steps = torch.stack(found, -3)
        if first:  # as if there had been timesteps before
            steps = torch.cat([steps.new_zeros((first, *steps.shape[1:])), steps])
        asked = steps[..., problem.asked, :, :]
        z = asked if feedback else torch_cells.logits(model, self._p, asked)
        return self._summed(z, data), (torch_cells.cut(state), output.detach())

    def _summed(self, z: torch.Tensor, data: Mapping[str, torch.Tensor]) -> torch.Tensor:
        terms = torch_cells.terms(self._problem.run, z, data["y"])
        if "scored" in data:
            terms = torch.where(data["scored"][..., None], terms, 0.0)
        return terms.sum((-3, -2, -1)) * self._problem.loss_weight

    def train(self, data: Mapping[str, torch.Tensor], *, keep_losses: bool) -> list[Floats]:
        """One update per leading element of each of the data."""
        carry, kept = self._problem.run.train.carry_state, []
        start: Any = (self._zero, self._no_output)
        for update in range(self._problem.updates):
            self._optimizer.zero_grad()
            losses, last = self._losses({name: of[update] for name, of in data.items()}, start)
            (losses if self._one else losses.sum()).backward()
            self._optimizer.step()
            if carry:
                start = last
            if keep_losses:
                kept.append(np.atleast_1d(losses.detach().numpy()).copy())
        return kept


def _build_optimizer(hyper: Any, tensors: list[torch.Tensor], fused: bool) -> torch.optim.Optimizer:
    if isinstance(hyper, Adam):
        betas = (hyper.beta1, hyper.beta2)
        return torch.optim.Adam(tensors, lr=hyper.alpha, betas=betas, eps=hyper.small_constant, fused=fused)
    momentum = hyper.epsilon if isinstance(hyper, Momentum) else 0.0
    return torch.optim.SGD(tensors, lr=hyper.alpha, momentum=momentum, fused=fused)


@dataclass(frozen=True)
class Torch:
    """All updates of a problem in one form; its data have a lane axis where there are many lanes."""

    problem: Problem
    variant: Variant
    data: Mapping[str, torch.Tensor]

    def seconds_per_update(self) -> float:
        network = Network(self.problem, self.variant)
        return time_call(lambda: network.train(self.data, keep_losses=False)) / self.problem.updates

    def trained(self) -> tuple[Floats, Mapping[str, Floats]]:
        """The losses (updates, lanes) and the last parameters, name → (lanes, …)."""
        network = Network(self.problem, self.variant)
        losses = network.train(self.data, keep_losses=True)
        return np.stack(losses), network.parameters()


def prepare(problem: Problem, variant: Variant) -> Torch:
    lane: Any = 0 if problem.lanes == 1 else slice(None)
    found = {name: getattr(problem, name) for name in ("x", "y", "live", "scored")}
    return Torch(problem, variant, {name: torch.tensor(of[:, lane]) for name, of in found.items() if of is not None})
