"""Networks of one shape side by side: the whole state's timestep, and its Jacobian.

A state is one row of S numbers: layer by layer h, and for LSTM c behind it; with feedback (Jordan) it is the previous
output, which is all that a timestep knows of the past.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bptt.core.parameters import list_parameters
from bptt.core.sequences import Floats
from bptt.dynamics.cells import activate_all, find_advance

_BLOCKS = ("input", "recurrent", "bias", "recurrent_bias")


class Networks:
    """Networks that differ in their weights alone."""

    def __init__(self, model: Any, parameters: Mapping[str, Any]) -> None:
        """model: as `bptt.core.run.Model`; parameters: name → (lanes, …), as `bptt.core.parameters` names them.

        Raises ValueError where an array is missing, or its shape is not this model's.
        """
        self.model, self.cell = model, model.cell
        given = {name: np.ascontiguousarray(array, np.float64) for name, array in parameters.items()}
        first, recurrent = (_take(given, f"cell.0.{name}") for name in ("input", "recurrent"))
        if first.ndim != 3 or recurrent.ndim != 3:
            raise ValueError(
                f"cell.0.input: lanes come first, (lanes, inputs, {self.cell.gates * model.hidden_size}); "
                f"got {first.shape}: of one network take array[None]"
            )
        self.lanes, self.inputs = first.shape[:2]
        read = given.get("readout.weight")
        width = recurrent.shape[1] if self.cell.feedback else model.hidden_size
        outputs = width if read is None else read.shape[-1]
        self.blocks = list_parameters(model, self.inputs, outputs)
        for block in self.blocks:
            if (found := _take(given, block.name).shape) != (self.lanes, *block.shape):
                raise ValueError(f"{block.name}: shape {found}; this model's is {(self.lanes, *block.shape)}")
        self.named = {block.name: given[block.name] for block in self.blocks}
        self.outputs = outputs
        self.per_layer = self.cell.slots * model.hidden_size
        #: S, the numbers of a state.
        self.size = outputs if self.cell.feedback else model.layers * self.per_layer
        self._advance = find_advance(self.cell)

    @cached_property
    def flat(self) -> Floats:
        """(lanes, P), as `bptt.core.parameters` puts them in a row."""
        return np.concatenate([array.reshape(self.lanes, -1) for array in self.named.values()], axis=1)

    @cached_property
    def _layers(self) -> list[dict[str, Any]]:
        def find(name: str) -> Any:
            array = self.named.get(name)
            if array is None:
                return 0.0
            return array[:, None] if name.endswith("bias") else array

        # Networks are measured without noise.
        numbers = {name: getattr(self.model, name) for name in self.cell.numbers} | {"xi": 0.0}
        layers = range(self.model.layers)
        return [{name: find(f"cell.{layer}.{name}") for name in _BLOCKS} | numbers for layer in layers]

    def read_inputs(self, x: Any) -> Floats:
        """(lanes, N, T, inputs) of x (N, T, inputs), the same for all lanes, or (lanes, N, T, inputs).

        Raises ValueError with one line where it is neither.
        """
        array = np.asarray(x, np.float64)
        array = array[None] if array.ndim == 3 else array
        if (
            array.ndim != 4
            or array.shape[-1] != self.inputs
            or array.shape[0] not in (1, self.lanes)
            or 0 in array.shape[:3]
        ):
            raise ValueError(
                f"x: shape {np.shape(x)}; give (N, T, {self.inputs}), the same for all networks, "
                f"or ({self.lanes}, N, T, {self.inputs})"
            )
        return np.ascontiguousarray(np.broadcast_to(array, (self.lanes, *array.shape[1:])))

    def read_state(self, state: Any, rows: int) -> Floats:
        """(lanes, N, S) of a state that broadcasts to it; None: zeros. Raises ValueError with one line elsewhere."""
        shape = (self.lanes, rows, self.size)
        try:
            return np.ascontiguousarray(np.broadcast_to(0.0 if state is None else state, shape), np.float64)
        except ValueError:
            raise ValueError(f"state: shape {np.shape(state)} does not broadcast to {shape}") from None

    def advance(self, x: Floats, state: Floats) -> tuple[Floats, Floats]:
        """(s_t, ∂s_t/∂s_{t−1}) of inputs (lanes, N, inputs) and s_{t−1} (lanes, N, S): (lanes, N, S), (lanes, N, S, S).

        Of a stack's layer l the rows are A_l where its own state stands, and B_l ∂h_{l−1} where those before it stand,
        A_l its derivative by its own state and B_l by its input.
        """
        return self._advance_output(x, state) if self.cell.feedback else self._advance_layers(x, state)

    def _advance_layers(self, x: Floats, state: Floats) -> tuple[Floats, Floats]:
        hidden, per = self.model.hidden_size, self.per_layer
        if self.model.layers == 1:
            new, by_state, _ = self._advance(self._layers[0], x, state, self.model.activation, False)
            return new, by_state
        parts, jacobian = [], np.zeros((*state.shape, self.size))
        for layer, own in enumerate(self._layers):
            here, before = layer * per, (layer - 1) * per
            new, by_state, by_x = self._advance(
                own, x, np.ascontiguousarray(state[..., here : here + per]), self.model.activation, layer > 0
            )
            jacobian[..., here : here + per, here : here + per] = by_state
            if by_x is not None:
                jacobian[..., here : here + per, :here] = by_x @ jacobian[..., before : before + hidden, :here]
            x = np.ascontiguousarray(new[..., :hidden])
            parts.append(new)
        return np.concatenate(parts, axis=-1), jacobian

    def _advance_output(self, x: Floats, output: Floats) -> tuple[Floats, Floats]:
        by_output: Any = None
        for layer, own in enumerate(self._layers):
            x, by_context, by_x = self._advance(own, x, output, self.model.activation, layer > 0)
            by_output = by_context if by_x is None else by_context + by_x @ by_output
        if self.model.readout == "none":
            return x, by_output
        bias = self.named.get("readout.bias")
        weight = self.named["readout.weight"]
        logit = x @ weight + (0.0 if bias is None else bias[:, None])
        by_output = weight.swapaxes(1, 2)[:, None] @ by_output
        if self.model.readout == "softmax":
            e = np.exp(logit - logit.max(axis=-1, keepdims=True))
            y = e / e.sum(axis=-1, keepdims=True)
            return y, y[..., None] * (by_output - y[..., None, :] @ by_output)
        y, slope = activate_all(self.model.readout, logit)
        return y, slope[..., None] * by_output

    def read_lengths(self, lengths: Any, inputs: Floats) -> NDArray[np.int64] | None:
        """(lanes, N) of lengths (N,), or (lanes, N), of these sequences; None: all have their whole length.

        Raises ValueError with one line where they are not from 1 to T.
        """
        if lengths is None:
            return None
        lanes, rows, steps, _ = inputs.shape
        array = np.asarray(lengths)
        if array.shape not in ((rows,), (1, rows), (lanes, rows)) or not ((array >= 1) & (array <= steps)).all():
            raise ValueError(
                f"lengths: shape {array.shape}; give ({rows},), the same for all networks, or ({lanes}, {rows}), each "
                f"from 1 to {steps}, the timesteps"
            )
        return np.array(np.broadcast_to(array, (lanes, rows)), np.int64)

    def follow(
        self, x: Floats, state: Floats, lengths: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[Floats, Floats]]:
        """`advance` along sequences (lanes, N, T, inputs), timestep by timestep.

        lengths  (lanes, N); behind a sequence's end its state stays as it is, and its Jacobian is the identity
        """
        for t in range(x.shape[2]):
            new, jacobian = self.advance(np.ascontiguousarray(x[:, :, t]), state)
            if lengths is not None:
                within = (t < lengths)[..., None]
                new = np.where(within, new, state)
                jacobian = np.where(within[..., None], jacobian, np.eye(self.size))
            state = new
            yield state, jacobian


def _take(given: Mapping[str, Floats], name: str) -> Floats:
    if name not in given:
        raise ValueError(f"{name}: not among the parameters; there are {', '.join(given) or 'none'}")
    return given[name]


def visit_states(
    model: Any, parameters: Mapping[str, Any], x: Any, *, state: Any = None, lengths: Any = None
) -> Floats:
    """(lanes, N, T, S): the states that networks visit along sequences.

    model       one of `bptt.core.models`, or another that has what `bptt.core.run.Model` asks for
    parameters  name → (lanes, …): a sweep's (`bptt.analysis.sweep.Sweep.parameters`), or one network's `array[None]`
    x           inputs (N, T, inputs), the same for all networks, or (lanes, N, T, inputs)
    state       s_0, that broadcasts to (lanes, N, S); None: zeros
    lengths     timesteps of each sequence, (N,) or (lanes, N), behind which its state stays; None: all

    A state is layer by layer h, and for LSTM c behind it; with feedback it is the output. Cost: a timestep of all.
    Raises ValueError with one line where shapes do not fit.
    """
    networks = Networks(model, parameters)
    inputs = networks.read_inputs(x)
    start = networks.read_state(state, inputs.shape[1])
    steps = networks.follow(inputs, start, networks.read_lengths(lengths, inputs))
    return np.stack([new for new, _ in steps], axis=2)
