"""JAX's gradient written out: one scan forward, one back, and each block's gradient as one product over all timesteps.

For Elman, GRU and LSTM cells. `jax.value_and_grad` of the scan adds to every gradient at every timestep instead.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.sides import jax_cells
from benchmarks.sides.jax_cells import Product

_SLOPES: dict[str, Callable[[Any], Any]] = {
    "identity": jnp.ones_like,
    "sigmoid": lambda h: h * (1 - h),
    "tanh": lambda h: 1 - h * h,
    "relu": lambda h: (h > 0).astype(h.dtype),
}


def is_written(model: Any) -> bool:
    return not model.cell.feedback and type(model).__name__ in ("Elman", "Linear", "Gru", "Lstm")


def _step_elman(model: Any, p: Any, state: Any, arrived: Any, times: Product) -> tuple[Any, Any]:
    h = jax_cells.step(model, p, state, state, arrived, times)
    return h, h


def _step_back_elman(model: Any, _: Any, d: Any, h: Any, __: Any) -> tuple[Any, Any, Any]:
    delta = d * _SLOPES[model.activation](h)
    return delta, delta, None


def _step_lstm(model: Any, p: Any, state: Any, arrived: Any, times: Product) -> tuple[Any, Any]:
    (h, c), n = state, model.hidden_size
    z = arrived + times(h, p["cell.0.recurrent"])
    i, f, o = (jax.nn.sigmoid(z[..., k * n : (k + 1) * n]) for k in (0, 1, 3))
    g = jnp.tanh(z[..., 2 * n : 3 * n])
    c = f * c + i * g
    squashed = jnp.tanh(c)
    return (o * squashed, c), (i, f, g, o, squashed)


def _step_back_lstm(_: Any, __: Any, d: Any, kept: Any, before: Any) -> tuple[Any, Any, Any]:
    (dh, dc), (i, f, g, o, squashed) = d, kept
    dc = dc + dh * o * (1 - squashed * squashed)
    parts = (dc * g * i * (1 - i), dc * before[1] * f * (1 - f), dc * i * (1 - g * g), dh * squashed * o * (1 - o))
    delta = jnp.concatenate(parts, -1)
    return delta, delta, (0.0, dc * f)


def _step_gru(model: Any, p: Any, h: Any, arrived: Any, times: Product) -> tuple[Any, Any]:
    n = model.hidden_size
    z = times(h, p["cell.0.recurrent"])
    gates = jax.nn.sigmoid(arrived[..., : 2 * n] + z[..., : 2 * n])
    r, u = gates[..., :n], gates[..., n:]
    m = z[..., 2 * n :] + p["cell.0.recurrent_bias"][2 * n :] if "cell.0.recurrent_bias" in p else z[..., 2 * n :]
    new = jnp.tanh(arrived[..., 2 * n :] + r * m)
    return new + u * (h - new), (r, u, m, new)


def _step_back_gru(_: Any, __: Any, d: Any, kept: Any, before: Any) -> tuple[Any, Any, Any]:
    r, u, m, new = kept
    d_new = d * (1 - u) * (1 - new * new)
    d_update = d * (before - new) * u * (1 - u)
    d_reset = d_new * m * r * (1 - r)
    arriving = jnp.concatenate((d_reset, d_update, d_new), -1)
    return arriving, jnp.concatenate((d_reset, d_update, d_new * r), -1), d * u


def _scan(
    function: Any, carried: Any, here: Any, timesteps: int, unroll: int, *, reverse: bool = False
) -> tuple[Any, Any]:
    """`lax.scan` over the timesteps; wholly unrolled a plain loop, which leaves XLA free where to put what is found."""
    if unroll < timesteps:
        return lax.scan(function, carried, here, reverse=reverse, unroll=unroll)
    found: list[Any] = [None] * timesteps
    for t in reversed(range(timesteps)) if reverse else range(timesteps):
        carried, found[t] = function(carried, jax.tree.map(lambda one, t=t: one[t], here))
    return carried, jax.tree.map(lambda *ones: jnp.stack(ones), *found)


_CELLS = {"Gru": (_step_gru, _step_back_gru), "Lstm": (_step_lstm, _step_back_lstm)}


def _multiply_all(left: Any, right: Any) -> Any:
    """The sum of left_tᵀ right_t over all timesteps and sequences, as one product."""
    return left.reshape(-1, left.shape[-1]).T @ right.reshape(-1, right.shape[-1])


def _read_out(problem: Any, times: Product, p: Any, h: Any, data: Any) -> tuple[Any, Any, dict[str, Any]]:
    """One lane's loss, its gradient with respect to all states h (T, B, H), and that of the read-out's weights."""
    first, end = int(problem.asked[0]), int(problem.asked[-1]) + 1
    together = end - first == len(problem.asked)  # neighbours need not be gathered
    asked = h[first:end] if together else h[problem.asked]

    def add_terms(z: Any) -> Any:
        terms = jax_cells.terms(problem.run, z, data["y"])
        if "scored" in data:
            terms = jnp.where(data["scored"][..., None], terms, 0.0)
        return terms.sum() * problem.loss_weight

    loss, delta = jax.value_and_grad(add_terms)(jax_cells.logits(problem.run.model, p, asked, times))
    gradient, d_asked = {}, delta
    if "readout.weight" in p:
        weight = p["readout.weight"]
        gradient["readout.weight"] = _multiply_all(asked, delta)
        d_asked = delta * weight[:, 0] if weight.shape[1] == 1 else delta @ weight.T
    if "readout.bias" in p:
        gradient["readout.bias"] = delta.sum((0, 1))
    if len(problem.asked) == problem.timesteps:
        return loss, d_asked, gradient
    return loss, jnp.zeros_like(h).at[slice(first, end) if together else problem.asked].set(d_asked), gradient


def compute_gradient(problem: Any, unroll: int, times: Product, p: Any, start: Any, data: Any) -> tuple[Any, Any]:
    """((one lane's loss, the state and the output with which it ended), gradient by name), as `jax.value_and_grad`."""
    run, (initial, output) = problem.run, start
    model, one_timestep = run.model, run.train.truncation == 1
    step, step_back = _CELLS.get(type(model).__name__, (_step_elman, _step_back_elman))
    live = data.get("live")

    def timestep(state: Any, here: Any) -> tuple[Any, Any]:
        new, kept = step(model, p, state, here[0], times)
        if live is not None:
            new = jax.tree.map(lambda a, b: jnp.where(here[1][..., None], a, b), new, state)
        return new, (state, kept, jax_cells.hidden(model, new))

    arriving = jax_cells.arriving(model, p, data["x"], times)
    last, (before, kept, h) = _scan(timestep, initial, (arriving, live), problem.timesteps, unroll)
    loss, d_h, gradient = _read_out(problem, times, p, h, data)

    def timestep_back(d: Any, here: Any) -> tuple[Any, Any]:
        d_above, kept_here, before_here, live_here = here
        d = (d[0] + d_above, d[1]) if isinstance(d, tuple) else d + d_above
        flowing = d if live is None else jax.tree.map(lambda one: jnp.where(live_here[..., None], one, 0.0), d)
        arriving, recurrent, direct = step_back(model, p, flowing, kept_here, before_here)
        back = jnp.einsum("bk,jk->bj", recurrent, p["cell.0.recurrent"])
        new = back if direct is None else (back, direct[1]) if isinstance(direct, tuple) else back + direct
        if live is not None:
            new = jax.tree.map(lambda a, b: jnp.where(live_here[..., None], a, b), new, d)
        return new, (arriving, recurrent)

    nothing = jax.tree.map(jnp.zeros_like, initial)
    here = (d_h, kept, before, live)
    if one_timestep:
        _, (arrived, recurrent) = jax.vmap(lambda one: timestep_back(nothing, one))(here)
    else:
        _, (arrived, recurrent) = _scan(timestep_back, nothing, here, problem.timesteps, unroll, reverse=True)
    gradient["cell.0.input"] = _multiply_all(data["x"], arrived)
    gradient["cell.0.recurrent"] = _multiply_all(jax_cells.hidden(model, before), recurrent)
    if "cell.0.bias" in p:
        gradient["cell.0.bias"] = arrived.sum((0, 1))
    if "cell.0.recurrent_bias" in p:
        gradient["cell.0.recurrent_bias"] = recurrent.sum((0, 1))
    return (loss, (last, output)), gradient


def is_batched(problem: Any) -> bool:
    """Whether `compute_gradients_of_lanes` is written for this."""
    run = problem.run
    plain = problem.live is None and problem.scored is None and len(problem.asked) == problem.timesteps
    through = run.train.truncation is None and not run.train.carry_state and run.train.batch_size == 1
    return problem.lanes > 1 and type(run.model).__name__ == "Elman" and plain and through


def compute_gradients_of_lanes(problem: Any, p: Any, start: Any, data: Any) -> tuple[Any, Any]:
    """All lanes' (loss (L,), start) and gradients (L, …): products are `@` of arrays with lanes on the first axis.

    Each lane's states stand together, (L, T, H), so that a block's gradient is one product over T; XLA takes this
    better than what `jax.vmap` makes of one lane.
    """
    model, steps = problem.run.model, problem.timesteps
    slope, activate = _SLOPES[model.activation], jax_cells.ACTIVATIONS[model.activation]
    x, y, recurrent = data["x"][:, :, 0], data["y"][:, :, 0], p["cell.0.recurrent"]
    biases = [p[name][:, None] for name in ("cell.0.bias", "cell.0.recurrent_bias") if name in p]
    arriving = sum(biases, x @ p["cell.0.input"])
    states = [activate(arriving[:, :1])]
    for t in range(1, steps):
        states.append(activate(arriving[:, t : t + 1] + states[-1] @ recurrent))
    h = jnp.concatenate(states, 1)
    z = h @ p["readout.weight"] + (p["readout.bias"][:, None] if "readout.bias" in p else 0.0)

    def add_terms(z: Any) -> tuple[Any, Any]:
        losses = jax_cells.terms(problem.run, z, y).sum((1, 2)) * problem.loss_weight
        return losses.sum(), losses

    above, losses = jax.grad(add_terms, has_aux=True)(z)
    weight = p["readout.weight"]
    d = above * weight[:, None, :, 0] if weight.shape[-1] == 1 else above @ weight.swapaxes(1, 2)
    deltas = [d[:, -1:] * slope(states[-1])]
    for t in reversed(range(steps - 1)):
        back = d[:, t : t + 1] + deltas[-1] @ recurrent.swapaxes(1, 2)
        deltas.append(back * slope(states[t]))
    delta = jnp.concatenate(deltas[::-1], 1)
    gradient = {
        "cell.0.input": x.swapaxes(1, 2) @ delta,
        "cell.0.recurrent": h[:, :-1].swapaxes(1, 2) @ delta[:, 1:],
        "readout.weight": h.swapaxes(1, 2) @ above,
        "cell.0.bias": delta.sum(1),
        "cell.0.recurrent_bias": delta.sum(1),
        "readout.bias": above.sum(1),
    }
    return (losses, start), {name: gradient[name] for name in p}
