"""A trained recurrent network as an MLflow model: what it gives for sequences, in NumPy alone.

MLflow copies this file beside the weights and runs it there, so nothing of bptt is imported here.

    input   (N, T, inputs): numbers, as the run's task encodes them; a symbol, where it has any, is one-hot in the order
            of the `vocabulary` in MLmodel's metadata
    output  (N, T, outputs), or (N, outputs) where the network was trained on the last timestep alone
    params  lengths (N,): valid timesteps of each sequence, 1..T; none: all T. What stands behind them is ignored, and
            the output there is what it was before the first timestep.
            from_zero, of a network whose state was carried from update to update while it was trained: true to start
            from zero, as such a network's training did; else sequence n starts from row n mod batch of the state with
            which training ended, as the evaluation did.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sigmoid(z: Floats) -> Floats:
    """1 / (1 + e^(−z))."""
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-z))


def softmax(z: Floats) -> Floats:
    """e^(z_o − max z) / Σ e^(z − max z)."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def relu(z: Floats) -> Floats:
    """max(z, 0)."""
    return np.maximum(z, 0.0)


def identity(z: Floats) -> Floats:
    """The same z."""
    return z


FUNCTIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "identity": identity,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "relu": relu,
    "softmax": softmax,
}


class RecurrentNetwork(PythonModel):
    """A stack of recurrent layers with a read-out; everything multiplies from the left, x @ W."""

    def load_context(self, context: Any) -> None:
        """Read what was trained: the weights by name, and `state`, (batch, numbers), from which sequences start."""
        with np.load(context.artifacts["weights"], allow_pickle=False) as arrays:
            self._weights = {name: arrays[name] for name in arrays.files}
        self._start: Floats = self._weights.pop("state")
        self._config: Mapping[str, Any] = context.model_config

    def predict(
        self,
        context: Any,  # noqa: ARG002 (a part of what MLflow calls)
        model_input: np.ndarray,
        params: Mapping[str, Any] | None = None,
    ) -> Floats:
        """The network's output. Raises MlflowException where the lengths don't fit the input."""
        x = np.asarray(model_input, np.float64)
        given = params or {}
        batch, timesteps, _ = x.shape
        lengths = np.asarray(given.get("lengths", ()), np.int64)
        if not lengths.size:
            lengths = np.full(batch, timesteps)
        if lengths.shape != (batch,) or not np.isin(lengths, np.arange(1, timesteps + 1)).all():
            told = f"lengths={lengths.tolist()}: {batch} whole numbers of 1 to {timesteps} are needed"
            raise MlflowException.invalid_parameter_value(told)
        start = np.zeros_like(self._start) if given.get("from_zero") else self._start
        return self._outputs(x, lengths, start[np.arange(batch) % len(start)])

    def _outputs(self, x: Floats, lengths: NDArray[np.int64], start: Floats) -> Floats:
        """From start, (N, numbers): each layer's state, one after the other, then the output."""
        layers = self._config["layers"]
        columns = start.shape[1] - self._config["outputs"]
        states, output = np.split(start[:, :columns], layers, axis=1), start[:, columns:]
        outputs = np.repeat(output[:, None], x.shape[1], axis=1)
        for t in range(x.shape[1]):
            live = (t < lengths)[:, None]
            below, before = x[:, t], output
            for layer in range(layers):
                new = self._step(layer, below, states[layer], before)
                states[layer] = np.where(live, new, states[layer])
                below = states[layer][:, : self._config["hidden_size"]]
            output = np.where(live, self._read_out(below), before)
            outputs[:, t] = np.where(live, output, outputs[:, t])
        return output if self._config["last_only"] else outputs

    def _step(self, layer: int, x: Floats, state: Floats, output: Floats) -> Floats:
        """The new state of a layer: h, or h and c side by side for LSTM; `output` is the network's previous one."""
        p = {key: self._weights.get(f"cell.{layer}.{key}", 0.0) for key in ("bias", "recurrent_bias")}
        W, R = self._weights[f"cell.{layer}.input"], self._weights[f"cell.{layer}.recurrent"]
        cell = self._config["cell"]
        if cell == "gru":
            x_r, x_z, x_n = np.split(x @ W + p["bias"], 3, axis=1)
            h_r, h_z, h_n = np.split(state @ R + p["recurrent_bias"], 3, axis=1)
            r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
            n = np.tanh(x_n + r * h_n)
            return n + z * (state - n)
        if cell == "lstm":
            h, c = np.split(state, 2, axis=1)
            i, f, g, o = np.split(x @ W + h @ R + p["bias"] + p["recurrent_bias"], 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            return np.concatenate([sigmoid(o) * np.tanh(c), c], axis=1)
        context = output if cell == "jordan" else state
        r = FUNCTIONS[self._config["activation"]](x @ W + context @ R + p["bias"] + p["recurrent_bias"])
        return (1.0 - self._config["leak"]) * state + self._config["leak"] * r if cell == "leaky" else r

    def _read_out(self, h: Floats) -> Floats:
        if self._config["readout"] == "none":
            return h
        z = h @ self._weights["readout.weight"] + self._weights.get("readout.bias", 0.0)
        return FUNCTIONS[self._config["readout"]](z)


set_model(RecurrentNetwork())
