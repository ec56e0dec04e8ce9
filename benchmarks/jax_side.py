"""JAX's side: `jit` of a scan over updates that holds a scan over timesteps, `vmap` over lanes, float64."""

import functools
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.measure import seconds
from benchmarks.workloads import Problem
from bptt.core.losses.squared_error import SquaredError
from bptt.core.optimizers.adam import Adam
from bptt.core.optimizers.momentum import Momentum
from bptt.core.sequences import Floats

jax.config.update("jax_enable_x64", True)
_ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}


@dataclass(frozen=True)
class Variant:
    """How it is written: `unroll` of the scan over timesteps; products as `@`, or as sums that XLA can fuse."""

    unroll: int
    product: str

    def __str__(self) -> str:
        return f"unroll {self.unroll}, {self.product}"


def variants(problem: Problem) -> list[Variant]:
    steps = problem.x.shape[2]
    unrolls = sorted({1, 4, steps})
    return [Variant(unroll, product) for unroll, product in itertools.product(unrolls, ("matmul", "sum"))]


def _product(kind: str, a: Any, w: Any) -> Any:
    return a @ w if kind == "matmul" else (a[..., :, None] * w).sum(-2)


def _loss(problem: Problem, variant: Variant, p: Any, state: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """One lane's loss and last state, of x (T, B, inputs) and y (S, B, outputs)."""
    run, times = problem.run, functools.partial(_product, variant.product)
    f, one_timestep = _ACTIVATIONS[run.model.activation], run.train.truncation == 1
    biases = [p[name] for name in ("cell.0.bias", "cell.0.recurrent_bias") if name in p]
    arriving = sum(biases, times(x, p["cell.0.input"]))

    def timestep(h: Any, arrived: Any) -> tuple[Any, Any]:
        before = lax.stop_gradient(h) if one_timestep else h
        h = f(arrived + times(before, p["cell.0.recurrent"]))
        return h, h

    last, states = lax.scan(timestep, state, arriving, unroll=variant.unroll)
    z = times(states[problem.first_scored :], p["readout.weight"]) + p.get("readout.bias", 0.0)
    if isinstance(run.loss, SquaredError):
        output = z if run.model.readout == "identity" else jax.nn.sigmoid(z)
        terms = (output - y) ** 2
    else:
        terms = jnp.logaddexp(0.0, z) - y * z
    return terms.sum() * problem.loss_weight, lax.stop_gradient(last)


def _optimizer(hyper: Any) -> tuple[int, Callable[..., Any]]:
    """How many arrays like the parameters it keeps, and step(theta, gradient, slots, update) → (theta, slots)."""
    if isinstance(hyper, Adam):

        def adam(theta: Any, g: Any, slots: Any, update: Any) -> Any:
            m = hyper.beta1 * slots[0] + (1 - hyper.beta1) * g
            v = hyper.beta2 * slots[1] + (1 - hyper.beta2) * g * g
            root = jnp.sqrt(1 - hyper.beta2**update)
            rate = hyper.alpha / (1 - hyper.beta1**update)
            return theta - rate * m / (jnp.sqrt(v) / root + hyper.small_constant), (m, v)

        return 2, adam
    if isinstance(hyper, Momentum):

        def momentum(theta: Any, g: Any, slots: Any, _: Any) -> Any:
            change = hyper.alpha * g + hyper.epsilon * slots[0]
            return theta - change, (change,)

        return 1, momentum
    return 0, lambda theta, g, _, __: (theta - hyper.alpha * g, ())


def _program(problem: Problem, variant: Variant) -> Callable[..., Any]:
    """(parameters, slots, state, x (U, [L,] …), y) → (last parameters, losses (U, [L])): all updates in one program."""
    one_lane = jax.value_and_grad(functools.partial(_loss, problem, variant), has_aux=True)
    gradients = one_lane if problem.lanes == 1 else jax.vmap(one_lane)
    _, step = _optimizer(problem.run.optimizer)
    carry = problem.run.train.carry_state

    def update(carried: Any, data: Any) -> tuple[Any, Any]:
        theta, slots, state, number = carried
        (loss, last), g = gradients(theta, state, *data)
        stepped = {name: step(theta[name], g[name], slots[name], number) for name in theta}
        theta, slots = ({name: pair[i] for name, pair in stepped.items()} for i in (0, 1))
        return (theta, slots, last if carry else state, number + 1.0), loss

    def program(theta: Any, slots: Any, state: Any, x: Any, y: Any) -> tuple[Any, Any]:
        (theta, *_), losses = lax.scan(update, (theta, slots, state, jnp.asarray(1.0)), (x, y))
        return theta, losses

    return program


def _arguments(problem: Problem) -> tuple[Any, ...]:
    lane: Any = 0 if problem.lanes == 1 else slice(None)
    theta = {name: jnp.asarray(value[lane]) for name, value in problem.parameters.items()}
    count, _ = _optimizer(problem.run.optimizer)
    slots = {name: (jnp.zeros_like(value),) * count for name, value in theta.items()}
    state = np.zeros((problem.lanes, problem.run.train.batch_size, problem.run.model.hidden_size))[lane]
    x, y = problem.x[:, lane], problem.y[:, lane]
    return theta, slots, jnp.asarray(state), jnp.asarray(x), jnp.asarray(y)


@dataclass(frozen=True)
class Jax:
    """All updates of a problem, compiled."""

    problem: Problem
    compile_seconds: float
    compiled: Any
    arguments: tuple[Any, ...]

    def seconds_per_update(self) -> float:
        return seconds(lambda: jax.block_until_ready(self.compiled(*self.arguments))) / self.problem.updates

    def trained(self) -> tuple[Floats, Mapping[str, Floats]]:
        """The losses (updates, lanes) and the last parameters, name → (lanes, …)."""
        problem = self.problem
        theta, losses = self.compiled(*self.arguments)
        named = {name: np.asarray(value).reshape(problem.parameters[name].shape) for name, value in theta.items()}
        return np.asarray(losses).reshape(problem.updates, problem.lanes), named


def prepared(problem: Problem, variant: Variant) -> Jax:
    """Compiled and run once."""
    arguments = _arguments(problem)
    start = time.perf_counter()
    compiled = jax.jit(_program(problem, variant)).lower(*arguments).compile()
    side = Jax(problem, time.perf_counter() - start, compiled, arguments)
    side.seconds_per_update()
    return side
