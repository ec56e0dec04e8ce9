"""The mathematics of every model, stated plainly: one sequence, one timestep at a time, in NumPy.

Nothing here is fast or used for training. It is what the compiled kernels are tested against, differentiated
automatically, and what the documentation shows. `xp` is numpy, or a module that stands in for it.

A cell's part is a function (p, x, context, f, xp) → the new state: p holds the layer's blocks by name (0 where there is
no bias), the model's numbers by name (`cell.numbers`) and xi, (H,) what is drawn for the units or 0; x (inputs,) is
what it sees, context its own state before or, with feedback, the previous output, and f names the activation. A state
is h (H,), or a tuple with h first where a unit's state is more than one number.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bptt.core.models.dale import sign_units
from bptt.core.models.state_noise import noise_of

Array = Any
State = Any  # of one layer
_STEP = 1e-3  # of differences, whose error is its fourth power


def sigmoid(z: Array, xp: Any) -> Array:
    return 1.0 / (1.0 + xp.exp(-z))


def softmax(z: Array, xp: Any) -> Array:
    e = xp.exp(z - xp.max(z))
    return e / xp.sum(e)


def activation(name: str, z: Array, xp: Any) -> Array:
    if name == "sigmoid":
        return sigmoid(z, xp)
    return {"tanh": xp.tanh, "relu": lambda v: xp.maximum(v, 0.0), "identity": lambda v: v}[name](z)


def elman(p: Mapping[str, Array], x: Array, context: Array, f: str, xp: Any) -> Array:
    """Elman, linear and (with the previous output for its context) Jordan: the new h."""
    return activation(f, x @ p["input"] + context @ p["recurrent"] + p["bias"] + p["recurrent_bias"], xp)


def leaky(p: Mapping[str, Array], x: Array, h: Array, f: str, xp: Any) -> Array:
    """The new h; p has a = leak, σ = noise, and xi, (H,), what is drawn for the units, or 0."""
    a = p["leak"]
    z = x @ p["input"] + h @ p["recurrent"] + p["bias"] + p["recurrent_bias"]
    return (1.0 - a) * h + a * activation(f, z + (2.0 / a) ** 0.5 * p["noise"] * p["xi"], xp)


def lstm(p: Mapping[str, Array], x: Array, state: tuple[Array, Array], f: str, xp: Any) -> tuple[Array, Array]:
    """The new (h, c)."""
    h, c = state
    i, forget, g, o = xp.split(x @ p["input"] + h @ p["recurrent"] + p["bias"] + p["recurrent_bias"], 4)
    c = sigmoid(forget, xp) * c + sigmoid(i, xp) * xp.tanh(g)
    return sigmoid(o, xp) * xp.tanh(c), c


def gru(p: Mapping[str, Array], x: Array, h: Array, f: str, xp: Any) -> Array:
    """The new h; the reset gate multiplies after the recurrent product."""
    x_r, x_z, x_n = xp.split(x @ p["input"] + p["bias"], 3)
    h_r, h_z, h_n = xp.split(h @ p["recurrent"] + p["recurrent_bias"], 3)
    r, z = sigmoid(x_r + h_r, xp), sigmoid(x_z + h_z, xp)
    n = xp.tanh(x_n + r * h_n)
    return (1.0 - z) * n + z * h


def obey_dale(model: Any, named: Mapping[str, Array], layer: int) -> Array:
    """A layer's recurrent weights R: D |R′| where the model keeps to Dale's law, see `bptt.core.models.dale`."""
    recurrent, signs = named[f"cell.{layer}.recurrent"], sign_units(model)
    return recurrent if signs is None else signs[:, None] * abs(recurrent)


def timestep(
    model: Any,
    named: Mapping[str, Array],
    x: Array,
    state: list[State],
    output: Array,
    xp: Any,
    noise: Array | None = None,
) -> Any:
    """(state, output, logit) after one timestep with input x: `state` per layer, `output` what the step before gave.

    noise (layers, H): what is drawn for the units of a cell that has noise; None: zeros.
    """
    new, numbers = [], {name: getattr(model, name) for name in model.cell.numbers}
    for layer in range(model.layers):
        p = {key: named.get(f"cell.{layer}.{key}", 0.0) for key in ("input", "bias", "recurrent_bias")}
        p |= {"recurrent": obey_dale(model, named, layer), "xi": 0.0 if noise is None else noise[layer]} | numbers
        context = output if model.cell.feedback else state[layer]
        new.append(model.cell.plain(p, x, context, model.activation, xp))
        x = new[-1] if model.cell.slots == 1 else new[-1][0]
    if model.readout == "none":
        return new, x, x
    logit = x @ named["readout.weight"] + named.get("readout.bias", 0.0)
    outputs = {"identity": lambda z: z, "sigmoid": lambda z: sigmoid(z, xp), "softmax": lambda z: softmax(z, xp)}
    return new, outputs[model.readout](logit), logit


def zero_state(model: Any, outputs: int, xp: Any) -> tuple[list[State], Array]:
    """(state per layer, output) before the first timestep."""
    h = xp.zeros(model.hidden_size)
    return [h if model.cell.slots == 1 else (h,) * model.cell.slots] * model.layers, xp.zeros(outputs)


def follow_windows(
    run: Any, named: Mapping[str, Array], held: Mapping[str, Any], sequences: Any, wanted: Any, xp: Any
) -> Iterator[tuple[int, int, list[State], Array, Array]]:
    """(sequence, timestep, state, output, logit) of each timestep that `wanted` (N, T) names, as its window leads
    to it.

    A window is of `train.truncation` timesteps, and begins in the state that the parameters `held` lead to; without
    truncation there is one, from the first timestep. Noise is that of the run's first update.
    """
    drawn = noise_of(run, sequences.timesteps, sequences.count)
    truncation = run.train.truncation or sequences.timesteps
    for n in range(sequences.count):
        length = int(sequences.full_lengths[n])
        late = sequences.timesteps - length  # sequences end together
        xi = [None if drawn is None else drawn[:, late + t, n] for t in range(length)]
        starts = [zero_state(run.model, run.task.outputs, np)]
        for t in range(length if truncation < length else 0):
            state, output, _ = timestep(run.model, held, sequences.x[n, t], *starts[-1], np, xi[t])
            starts.append((state, output))
        ends = [t for t in range(length) if wanted[n, t]]
        for end in ends if truncation < length else ends[-1:]:
            start = max(0, end - truncation + 1)
            state, output = starts[start]
            for t in range(start, end + 1):
                state, output, logit = timestep(run.model, named, sequences.x[n, t], state, output, xp, xi[t])
                if wanted[n, t] and (t == end or truncation >= length):
                    yield n, t, state, output, logit


def timestep_loss(loss: str, logit: Array, output: Array, target: Array, xp: Any) -> Array:
    """The loss of one timestep, unweighted; `loss` is the class's name."""
    if loss == "SquaredError":
        return xp.sum((output - target) ** 2)
    if loss == "BinaryCrossEntropy":
        return xp.sum(xp.logaddexp(0.0, logit) - target * logit)
    return xp.sum(target * (xp.log(xp.sum(xp.exp(logit - xp.max(logit)))) - (logit - xp.max(logit))))


def differentiate(function: Any, place: Any) -> Any:
    """The derivative of a function of each number by itself, or of one number, by differences."""
    h = np.longdouble(_STEP)
    ahead = 8.0 * (function(place + h) - function(place - h)) - (function(place + 2.0 * h) - function(place - 2.0 * h))
    return ahead / (12.0 * h)


def follow_back(run: Any, held: Mapping[str, Any], sequences: Any) -> Iterator[tuple[int, Any, Any]]:
    """(layer, ∂L/∂h_t, ∂L/∂a_t) of every timestep of every sequence, a_t what f is taken of, stated plainly."""
    named = {name: np.asarray(array, np.longdouble) for name, array in held.items()}
    model, loss = run.model, type(run.loss).__name__
    for n in range(sequences.count):
        length = int(sequences.full_lengths[n])
        state, output = zero_state(model, run.task.outputs, np)
        behind: list[Any] = [0.0] * model.layers  # of each layer, what came back from the timestep behind
        steps = []
        for t in range(length):
            before, x, above = state, np.asarray(sequences.x[n, t], np.longdouble), []
            state, output, _ = timestep(model, named, x, before, output, np)
            for layer in range(model.layers):
                p = {key: named.get(f"cell.{layer}.{key}", 0.0) for key in ("input", "recurrent", "bias")}
                bias = p["bias"] + named.get(f"cell.{layer}.recurrent_bias", 0.0)
                above.append(x @ p["input"] + before[layer] @ p["recurrent"] + bias)
                x = state[layer]
            steps.append((state, above))
        for t in reversed(range(length)):
            state, sums = steps[t]
            d = _of_output(run, named, loss, sequences, n, t, state[-1])
            for layer in reversed(range(model.layers)):
                d = d + behind[layer]
                u = d * differentiate(lambda a: activation(model.activation, a, np), sums[layer])
                yield layer, d, u
                behind[layer] = u @ named[f"cell.{layer}.recurrent"].T
                d = u @ named[f"cell.{layer}.input"].T


def _of_output(run: Any, named: Mapping[str, Any], loss: str, sequences: Any, n: int, t: int, h: Any) -> Any:
    """∂L/∂h of what the top layer's h gives at timestep t."""
    if not sequences.full_scored[n, t]:
        return np.zeros(h.shape, np.longdouble)
    target = sequences.y[n] if sequences.last_only else sequences.y[n, t]
    weight = run.loss.weight / sequences.count

    def of(h: Any) -> Any:
        logit = h if run.model.readout == "none" else h @ named["readout.weight"] + named.get("readout.bias", 0.0)
        made = {"sigmoid": sigmoid, "softmax": softmax}.get(run.model.readout, lambda z, _: z)(logit, np)
        return weight * timestep_loss(loss, logit, made, target, np)

    return np.array([differentiate(lambda a, row=row: of(h + a * row), np.longdouble(0.0)) for row in np.eye(len(h))])


def compute_omega(
    run: Any, parameters: Mapping[str, Any], held: Mapping[str, Any], sequences: Any, least: float
) -> Any:
    """Ω of `bptt.core.regularizers.omega`, of gradients at `held`; timesteps with ‖∂L/∂h‖² ≥ least count."""
    total: Any = 0.0
    flows = list(follow_back(run, held, sequences))
    for layer in range(run.model.layers):
        recurrent, terms, count = parameters[f"cell.{layer}.recurrent"], 0.0, 0
        for number, d, u in flows:
            if number == layer and d @ d >= least:
                v = u @ recurrent.T
                terms, count = terms + ((v**2).sum() / (d @ d) - 1.0) ** 2, count + 1
        total = total + terms / max(count, 1)
    return total


def move_constrained(change: Array, u: Array, v: Array, p: Array, margin: float) -> tuple[Array, Array, Array, Array]:
    """(R, U, V, p) of `bptt.core.optimizers.recurrent_constraint` after a step that would make R into R − change."""
    r = u * (2.0 * margin * (sigmoid(p, np) - 0.5) + 1.0) @ v.T
    eye, moved = np.eye(len(p)), []
    for matrix, pulled in ((u, change @ r.T), (v, change.T @ r)):
        half = 0.5 * (pulled - pulled.T)
        moved.append(np.linalg.solve(eye + half, (eye - half) @ matrix))
    share = sigmoid(p, np)
    p = p - 2.0 * margin * share * (1.0 - share) * np.diag(u.T @ change @ v)
    u, v = moved
    return u * (2.0 * margin * (sigmoid(p, np) - 0.5) + 1.0) @ v.T, u, v, p


def measure_activity(run: Any, named: Mapping[str, Array], held: Mapping[str, Any], sequences: Any, xp: Any) -> Any:
    """The mean of h² over sequences, their timesteps, layers and units."""
    lengths = sequences.full_lengths
    wanted = np.arange(sequences.timesteps) < lengths[:, None]
    total: Any = 0.0
    for *_, state, _, _ in follow_windows(run, named, held, sequences, wanted, xp):
        total = total + sum(xp.sum((h if run.model.cell.slots == 1 else h[0]) ** 2) for h in state)
    return total / float(lengths.sum() * run.model.layers * run.model.hidden_size)


def measure_orthogonality(run: Any, parameters: Mapping[str, Any]) -> Any:
    """Σ ‖RᵀR − I‖² over all layers, and over each gate's matrix for itself."""
    total, hidden = 0.0, run.model.hidden_size
    for layer in range(run.model.layers):
        recurrent = obey_dale(run.model, parameters, layer)
        for gate in range(run.model.cell.gates):
            matrix = recurrent[:, gate * hidden : (gate + 1) * hidden]
            total = total + ((matrix.T @ matrix - np.eye(hidden)) ** 2).sum()
    return total
