"""The recurrent cells, read-outs, losses and optimizers in JAX, for one lane."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from bptt.core.losses.binary_cross_entropy import BinaryCrossEntropy
from bptt.core.losses.squared_error import SquaredError
from bptt.core.optimizers.adam import Adam
from bptt.core.optimizers.momentum import Momentum

Product = Callable[[Any, Any], Any]
ACTIVATIONS = {"identity": lambda z: z, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "relu": jax.nn.relu}
_READOUTS = ACTIVATIONS | {"softmax": jax.nn.softmax}


def arriving(model: Any, p: Any, x: Any, times: Product) -> Any:
    """x_t W + b, and b′ where it adds to the same sum, of all timesteps."""
    first, second = p.get("cell.0.bias", 0.0), p.get("cell.0.recurrent_bias", 0.0)
    if type(model).__name__ == "Gru":
        second = second * (jnp.arange(3 * model.hidden_size) < 2 * model.hidden_size)
    return times(x, p["cell.0.input"]) + first + second


def step(model: Any, p: Any, state: Any, context: Any, arrived: Any, times: Product) -> Any:
    """(h, c or h) after a timestep; the state is h, or (h, c) for LSTM."""
    recurrent, n = p["cell.0.recurrent"], model.hidden_size
    kind = type(model).__name__
    if kind == "Lstm":
        h, c = state
        z = arrived + times(h, recurrent)
        i, f, o = (jax.nn.sigmoid(z[..., k * n : (k + 1) * n]) for k in (0, 1, 3))
        c = f * c + i * jnp.tanh(z[..., 2 * n : 3 * n])
        return o * jnp.tanh(c), c
    if kind == "Gru":
        z = times(state, recurrent)
        gates = jax.nn.sigmoid(arrived[..., : 2 * n] + z[..., : 2 * n])
        r, update = gates[..., :n], gates[..., n:]
        m = z[..., 2 * n :] + p["cell.0.recurrent_bias"][2 * n :] if "cell.0.recurrent_bias" in p else z[..., 2 * n :]
        new = jnp.tanh(arrived[..., 2 * n :] + r * m)
        return new + update * (state - new)
    return ACTIVATIONS[model.activation](arrived + times(context, recurrent))


def logits(model: Any, p: Any, h: Any, times: Product) -> Any:
    if model.readout == "none":
        return h
    return times(h, p["readout.weight"]) + p.get("readout.bias", 0.0)


def outputs(model: Any, z: Any) -> Any:
    return z if model.readout == "none" else _READOUTS[model.readout](z)


def terms(run: Any, z: Any, y: Any) -> Any:
    """The loss of each output, or of each timestep, from the logits."""
    if isinstance(run.loss, SquaredError):
        return (outputs(run.model, z) - y) ** 2
    if isinstance(run.loss, BinaryCrossEntropy):
        return jnp.logaddexp(0.0, z) - y * z
    return -(y * jax.nn.log_softmax(z))


def zero_state(model: Any, rows: int) -> Any:
    h = jnp.zeros((rows, model.hidden_size))
    return (h, h) if type(model).__name__ == "Lstm" else h


def hidden(model: Any, state: Any) -> Any:
    return state[0] if type(model).__name__ == "Lstm" else state


def cut(state: Any) -> Any:
    """The same state, through which no gradient flows."""
    return jax.tree.map(lax.stop_gradient, state)


def optimizer(hyper: Any) -> tuple[int, Callable[..., Any]]:
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
