"""PyTorch's side: eager, float64, its own automatic differentiation and optimizers; many lanes as batched products."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks.measure import time_call
from benchmarks.problem import Problem
from benchmarks.sides import cpp_side, torch_cells
from bptt.core.optimizers.adam import Adam
from bptt.core.optimizers.momentum import Momentum
from bptt.core.sequences import Floats

torch.set_num_threads(1)
_LOOP = "loop"
_MOST_COMPILED = 24  # timesteps
_LARGE = 256  # hidden units from which on products take the time, however the rest is written


@dataclass(frozen=True)
class Variant:
    """How it is written: a loop over timesteps or PyTorch's module; the optimizer's one-pass (fused) form or not;
    loss and gradient by `torch.compile` or eager; the numbers' type; lanes side by side, or in turn."""

    form: str
    fused: bool
    compiled: bool = False
    dtype: str = "float64"
    in_turn: bool = False

    def __str__(self) -> str:
        parts = (self.form, "torch.compile" * self.compiled, "fused optimizer" * self.fused)
        return ", ".join(
            part for part in (*parts, self.dtype * (self.dtype != "float64"), "lanes in turn" * self.in_turn) if part
        )


def list_variants(problem: Problem) -> list[Variant]:
    forms = [_LOOP if problem.lanes == 1 else "loop of baddbmm"]
    # A module has one set of weights, lets the gradient flow through all timesteps, and knows no masks.
    if problem.lanes == 1 and problem.run.train.truncation is None and problem.live is None:
        forms += [f"nn.{kind.__name__}" for kind in [torch_cells.find_module(problem.run.model)] if kind is not None]
    optimizers = (False, True) if problem.run.model.hidden_size < _LARGE else (True,)
    found = [Variant(form, fused) for form, fused in itertools.product(forms, optimizers)]
    if problem.lanes > 1 and problem.run.train.batch_size > 1:  # each lane as if it were alone
        alone = [form for form in list_variants(problem.of_lane(0)) if form.form.startswith("nn.") and form.fused]
        found += [replace(form, in_turn=True) for form in alone]
    # The loop is compiled unrolled, for minutes where there are many timesteps; modules are left as they are.
    if problem.timesteps <= _MOST_COMPILED and problem.live is None and not cpp_side.is_missing():
        found.append(Variant(forms[0], fused=True, compiled=True))
    return found


def list_float32_variants(problem: Problem) -> list[Variant]:
    """The same in float32, but for what is compiled."""
    return [replace(variant, dtype="float32") for variant in list_variants(problem) if not variant.compiled]


class Network:
    """The network over tensors with or without a leading lane axis: (L, …) for many lanes, none for one."""

    def __init__(self, problem: Problem, variant: Variant) -> None:
        self._problem, self._model = problem, problem.run.model
        self._one, self._module = problem.lanes == 1, None
        dtype = getattr(torch, variant.dtype)
        given = {name: value[0] if self._one else value for name, value in problem.parameters.items()}
        arrays = {name: torch.tensor(value, dtype=dtype) for name, value in given.items()}
        self._p = {name: tensor.requires_grad_() for name, tensor in arrays.items()}
        if variant.form.startswith("nn."):
            self._module = torch_cells.take_over(self._model, problem.run.task.inputs, self._p)
        self._optimizer = _build_optimizer(problem.run.optimizer, list(self._p.values()), variant.fused)
        lanes = () if self._one else (problem.lanes,)
        rows = problem.run.train.batch_size
        self._zero = torch_cells.zero_state(self._model, (*lanes, rows), dtype)
        self._no_output = torch.zeros(*lanes, rows, problem.run.task.outputs, dtype=dtype)
        self._compute = torch.compile(self._losses, fullgraph=True, dynamic=False) if variant.compiled else self._losses

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

    def compute_losses(self, data: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Each lane's loss, (L,) or a scalar, from the zero state."""
        return self._losses(data, (self._zero, self._no_output))[0]

    def train(self, data: Mapping[str, torch.Tensor], *, keep_losses: bool) -> list[Floats]:
        """One update per leading element of each of the data."""
        carry, kept = self._problem.run.train.carry_state, []
        start: Any = (self._zero, self._no_output)
        for update in range(len(data["x"])):
            self._optimizer.zero_grad()
            losses, last = self._compute({name: of[update] for name, of in data.items()}, start)
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

    @property
    def updates(self) -> int:
        return self.problem.updates

    def seconds_per_update(self) -> float:
        network = Network(self.problem, self.variant)
        if self.variant.compiled:  # each network anew, from what was compiled for the first
            network.train({name: of[:1] for name, of in self.data.items()}, keep_losses=False)
        return time_call(lambda: network.train(self.data, keep_losses=False)) / self.problem.updates

    def trained(self) -> tuple[Floats, Mapping[str, Floats]]:
        """The losses (updates, lanes) and the last parameters, name → (lanes, …)."""
        network = Network(self.problem, self.variant)
        losses = network.train(self.data, keep_losses=True)
        return np.stack(losses), network.parameters()


@dataclass(frozen=True)
class InTurn:
    """One lane after the other, each in the same form."""

    lanes: Sequence[Torch]

    @property
    def updates(self) -> int:
        return self.lanes[0].updates

    def seconds_per_update(self) -> float:
        return sum(lane.seconds_per_update() for lane in self.lanes)

    def trained(self) -> tuple[Floats, Mapping[str, Floats]]:
        losses, named = zip(*(lane.trained() for lane in self.lanes), strict=True)
        return np.concatenate(losses, axis=1), {name: np.concatenate([one[name] for one in named]) for name in named[0]}


def prepare(problem: Problem, variant: Variant) -> Torch | InTurn:
    """Its data as tensors; nothing is computed yet."""
    if (
        variant.compiled
    ):  # else programs for other problems count towards the few that torch.compile keeps of a function
        torch.compiler.reset()
    if variant.in_turn:
        alone = replace(variant, in_turn=False)
        return InTurn([_prepare_together(problem.of_lane(lane), alone) for lane in range(problem.lanes)])
    return _prepare_together(problem, variant)


def _prepare_together(problem: Problem, variant: Variant) -> Torch:
    return Torch(problem, variant, make_tensors(problem, variant))


def make_tensors(problem: Problem, variant: Variant) -> dict[str, torch.Tensor]:
    """x, y and, where there are any, the marks of a problem: (U, [L,] …), floats of the form's type."""
    lane: Any = 0 if problem.lanes == 1 else slice(None)
    found = {name: getattr(problem, name) for name in ("x", "y", "live", "scored")}
    data = {name: torch.tensor(of[:, lane]) for name, of in found.items() if of is not None}
    dtype = getattr(torch, variant.dtype)
    return {name: of.to(dtype) if of.is_floating_point() else of for name, of in data.items()}
