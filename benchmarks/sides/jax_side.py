"""JAX's side: `jit` of a scan over updates that holds a scan over timesteps, `vmap` over lanes, float64."""

import functools
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.measure import time_call
from benchmarks.problem import Problem
from benchmarks.sides import jax_cells, jax_written
from bptt.core.sequences import Floats

jax.config.update("jax_enable_x64", True)
_MOST_UNROLLED = 24  # timesteps: of longer sequences the program would be compiled for minutes
_LARGE = 256  # hidden units from which on products take the time, however the rest is written


@dataclass(frozen=True)
class Variant:
    """How it is written.

    unroll   of the scan over timesteps
    product  as `@`, or as a sum that XLA can fuse
    written  the gradient written out (`jax_written`), not by `jax.grad`
    in_turn  lanes one after the other (`lax.map`), not side by side (`vmap`)
    batched  lanes side by side without `vmap`
    """

    unroll: int
    product: str
    written: bool = False
    in_turn: bool = False
    batched: bool = False

    def __str__(self) -> str:
        told = f"unroll {self.unroll}, {self.product}" + ", backward written out" * self.written
        return told + ", lanes in turn" * self.in_turn + " for all lanes" * self.batched


def list_variants(problem: Problem) -> list[Variant]:
    large = problem.run.model.hidden_size >= _LARGE
    unrolls = sorted({1, 4} if large else {1, 4, min(problem.timesteps, _MOST_UNROLLED)})
    products = ("matmul", "sum") if problem.run.train.batch_size == 1 else ("matmul",)  # of a batch sums are slower
    written = (False, True) if jax_written.is_written(problem.run.model) else (False,)
    found = [Variant(*form) for form in itertools.product(unrolls, products, written)]
    if problem.lanes > 1 and problem.run.train.batch_size > 1:  # one lane alone fills the vectors
        found += [replace(form, in_turn=True) for form in found if form.written or len(written) == 1]
    if jax_written.is_batched(problem) and problem.timesteps <= _MOST_UNROLLED:
        found.append(Variant(problem.timesteps, "matmul", written=True, batched=True))
    return found


def _multiply(kind: str, a: Any, w: Any) -> Any:
    return a @ w if kind == "matmul" else (a[..., :, None] * w).sum(-2)


def _compute_loss(problem: Problem, variant: Variant, p: Any, start: Any, data: Any) -> tuple[Any, Any]:
    """One lane's loss, and the state and the output with which it ended, of one update's data."""
    run, times = problem.run, functools.partial(_multiply, variant.product)
    model, one_timestep, feedback = run.model, run.train.truncation == 1, run.model.cell.feedback
    arriving = jax_cells.arriving(model, p, data["x"], times)

    def timestep(carried: Any, here: Any) -> tuple[Any, Any]:
        state, output = carried
        before = jax_cells.cut(state) if one_timestep else state
        context = (lax.stop_gradient(output) if one_timestep else output) if feedback else before
        new = jax_cells.step(model, p, before, context, here["arrived"], times)
        if "live" in here:
            new = jax.tree.map(lambda a, b: jnp.where(here["live"][..., None], a, b), new, state)
        h = jax_cells.hidden(model, new)
        if feedback:
            z = jax_cells.logits(model, p, h, times)
            after = jax_cells.outputs(model, z)
            output = jnp.where(here["live"][..., None], after, output) if "live" in here else after
            return (new, output), z
        return (new, output), h

    here = {"arrived": arriving} | ({"live": data["live"]} if "live" in data else {})
    last, found = lax.scan(timestep, start, here, unroll=variant.unroll)
    found = found[problem.asked]
    z = found if feedback else jax_cells.logits(model, p, found, times)
    terms = jax_cells.terms(run, z, data["y"])
    if "scored" in data:
        terms = jnp.where(data["scored"][..., None], terms, 0.0)
    return terms.sum() * problem.loss_weight, jax_cells.cut(last)


def _build_program(problem: Problem, variant: Variant) -> Callable[..., Any]:
    """(parameters, slots, start, data (U, [L,] …)) → (last parameters, losses (U, [L])): all updates in one program.

    With lanes in turn the data are (L, U, …) and the losses (L, U).
    """
    if variant.in_turn:
        one = _build_program(problem.of_lane(0), replace(variant, in_turn=False))
        return lambda *arguments: lax.map(lambda of_lane: one(*of_lane), arguments)
    if variant.written:
        times = functools.partial(_multiply, variant.product)
        one_lane: Any = functools.partial(jax_written.compute_gradient, problem, variant.unroll, times)
    else:
        one_lane = jax.value_and_grad(functools.partial(_compute_loss, problem, variant), has_aux=True)
    gradients: Any = one_lane if problem.lanes == 1 else jax.vmap(one_lane)
    if variant.batched:
        gradients = functools.partial(jax_written.compute_gradients_of_lanes, problem)
    _, step = jax_cells.optimizer(problem.run.optimizer)
    carry = problem.run.train.carry_state

    def update(carried: Any, data: Any) -> tuple[Any, Any]:
        theta, slots, start, number = carried
        if not carry:  # zeros that XLA knows, and need not multiply with
            start = _make_start(problem, problem.lanes)
        (loss, last), g = gradients(theta, start, data)
        stepped = {name: step(theta[name], g[name], slots[name], number) for name in theta}
        theta, slots = ({name: pair[i] for name, pair in stepped.items()} for i in (0, 1))
        return (theta, slots, last if carry else None, number + 1.0), loss

    def program(theta: Any, slots: Any, start: Any, data: Any) -> tuple[Any, Any]:
        (theta, *_), losses = lax.scan(update, (theta, slots, start, jnp.asarray(1.0)), data)
        return theta, losses

    return program


def compile_evaluation(problem: Problem, variant: Variant) -> Callable[[], Floats]:
    """Of the first update's data each lane's loss, (L,) or a scalar, compiled."""
    theta, _, _, data = _make_arguments(problem, in_turn=False)
    now = {name: of[0] for name, of in data.items()}

    def evaluate(p: Any, data: Any) -> Any:
        def one(p: Any, data: Any) -> Any:
            return _compute_loss(problem, variant, p, _make_start(problem, 1), data)[0]

        if variant.in_turn:
            return lax.map(lambda both: one(*both), (p, data))
        return one(p, data) if problem.lanes == 1 else jax.vmap(one)(p, data)

    compiled = jax.jit(evaluate).lower(theta, now).compile()
    return lambda: np.asarray(compiled(theta, now))


def _make_start(problem: Problem, lanes: int) -> Any:
    """The state and the output before the first timestep, of one lane or of many."""
    rows = problem.run.train.batch_size
    start = (jax_cells.zero_state(problem.run.model, rows), jnp.zeros((rows, problem.run.task.outputs)))
    return start if lanes == 1 else jax.tree.map(lambda one: jnp.zeros((lanes, *one.shape)), start)


def _make_arguments(problem: Problem, *, in_turn: bool) -> tuple[Any, ...]:
    lane: Any = 0 if problem.lanes == 1 else slice(None)
    theta = {name: jnp.asarray(value[lane]) for name, value in problem.parameters.items()}
    count, _ = jax_cells.optimizer(problem.run.optimizer)
    slots = {name: (jnp.zeros_like(value),) * count for name, value in theta.items()}
    start = _make_start(problem, problem.lanes) if problem.run.train.carry_state else None
    data = {name: getattr(problem, name) for name in ("x", "y", "live", "scored")}
    kept = {name: all_[:, lane] for name, all_ in data.items() if all_ is not None}
    if in_turn:
        kept = {name: np.ascontiguousarray(all_.swapaxes(0, 1)) for name, all_ in kept.items()}
    return theta, slots, start, {name: jnp.asarray(all_) for name, all_ in kept.items()}


@dataclass(frozen=True)
class Jax:
    """All updates of a problem, compiled."""

    problem: Problem
    variant: Variant
    compile_seconds: float
    compiled: Any
    arguments: tuple[Any, ...]

    @property
    def updates(self) -> int:
        return self.problem.updates

    def seconds_per_update(self) -> float:
        return time_call(lambda: jax.block_until_ready(self.compiled(*self.arguments))) / self.problem.updates

    def trained(self) -> tuple[Floats, Mapping[str, Floats]]:
        """The losses (updates, lanes) and the last parameters, name → (lanes, …)."""
        problem = self.problem
        theta, losses = self.compiled(*self.arguments)
        named = {name: np.asarray(value).reshape(problem.parameters[name].shape) for name, value in theta.items()}
        every = np.asarray(losses).T if self.variant.in_turn else np.asarray(losses)
        return every.reshape(problem.updates, problem.lanes), named


def prepare(problem: Problem, variant: Variant) -> Jax:
    """Compiled and run once."""
    arguments = _make_arguments(problem, in_turn=variant.in_turn)
    start = time.perf_counter()
    compiled = jax.jit(_build_program(problem, variant)).lower(*arguments).compile()
    side = Jax(problem, variant, time.perf_counter() - start, compiled, arguments)
    side.seconds_per_update()
    return side
