"""Outputs and loss of one network on a set of sequences; rows of the set stand side by side in the vectors."""

from typing import Any

import numpy as np
from numba import types

from bptt.core.blocks import parameter_blocks, to_flat
from bptt.core.kernel import MEMORY, NUMBERS, SHARED, Kernel, call_forward, call_loss
from bptt.core.layout import SIZES, Net, build_net, read_net, state_at
from bptt.core.packing import pack_rows
from bptt.core.sequences import Floats, Sequences
from bptt.core.simd import WIDTH, aligned_zeros, inline, load, store, total

_CHUNK = 8  # vectors of rows that are evaluated at once
CHUNKS = types.Array(types.float64, 3, "C")
_LENGTHS = types.Array(types.int64, 1, "C")
_OUTPUTS = types.Array(types.float64, 3, "C")  # (N, T or 1, outputs)


@inline
def _unpack(net, memory, first, lengths, outputs):
    """Write what a chunk gave for the sequences from number `first` on, left-aligned; before one's end as it comes."""
    steps = outputs.shape[1]
    for r in range(net.rows):
        for t in range(net.timesteps - steps, net.timesteps):
            for o in range(net.outputs):
                place = net.output + ((t + 1) * net.rows + r) * net.outputs + o
                for e in range(WIDTH):
                    n = first + r * WIDTH + e
                    if n < outputs.shape[0]:
                        step = t - net.timesteps + lengths[n] if steps > 1 else 0
                        outputs[n, step + steps if step < 0 else step, o] = memory[place, e]


def _evaluate(forward, loss, sizes, theta, memory, data, start, lengths, outputs):
    net = read_net(sizes)
    result = 0.0
    given = data.shape[1]
    states, width = net.rows * net.slots * net.hidden, net.rows * net.outputs
    for chunk in range(data.shape[0]):
        for i in range(given):
            for e in range(WIDTH):
                memory[i, e] = data[chunk, i, e]
        for layer in range(net.layers):
            for i in range(states):
                store(memory, state_at(net, layer, 0) + i, load(start, (chunk * net.layers + layer) * states + i))
        first = data.shape[0] * net.layers * states
        for i in range(width):
            store(memory, net.output + i, load(start, first + chunk * width + i))
        call_forward(forward, (sizes, theta, memory, 0))
        result += total(call_loss(loss, (sizes, memory, 0)))
        _unpack(net, memory, chunk * net.rows * WIDTH, lengths, outputs)
    return result


evaluate_chunks = Kernel(
    _evaluate,
    {SHARED: types.float64(types.int64, types.int64, SIZES, NUMBERS, MEMORY, CHUNKS, MEMORY, _LENGTHS, _OUTPUTS)},
)


def sequence_arrays(sequences: Sequences) -> tuple[Any, ...]:
    """(x, y, lengths, scored) of one set, as `packing` takes them, with a first axis of 1."""
    y = sequences.y[:, None, :] if sequences.last_only else sequences.y
    return (
        np.ascontiguousarray(sequences.x, np.float64)[None],
        np.ascontiguousarray(y, np.float64)[None],
        sequences.full_lengths[None],
        np.ascontiguousarray(sequences.full_scored, np.uint8)[None],
    )


class EvaluationSet:
    """A set of sequences packed for one model, to be evaluated with many parameters.

    loss_weight is left out (1): losses of a set are proportional to it.
    """

    def __init__(self, model: Any, loss: Any, sequences: Sequences) -> None:
        self.sequences = sequences
        inputs, outputs = sequences.x.shape[2], sequences.y.shape[-1]
        self._rows = min(_CHUNK, -(-sequences.count // WIDTH))
        self.net: Net = build_net(
            model=model,
            inputs=inputs,
            outputs=outputs,
            timesteps=sequences.timesteps,
            rows=self._rows,
            last_only=sequences.last_only,
            fused=loss.fused,
        )
        self._sizes = np.array(self.net, np.int64)
        self._forward, self._loss = model.cell.forward.address(SHARED), loss.kernel.address(SHARED)
        self._memory = aligned_zeros(self.net.size, WIDTH)
        self._data = self._packed()
        self._from_zero = self._start(None)

    def _packed(self) -> Floats:
        arrays = sequence_arrays(self.sequences)
        per_chunk = self._rows * WIDTH
        numbers = np.arange(self.sequences.count)
        chunks = []
        weights = np.full(WIDTH, 1.0 / self.sequences.count)
        for first in range(0, len(numbers), per_chunk):
            memory = aligned_zeros(self.net.size, WIDTH)
            pack_rows(self._sizes, memory, *arrays, numbers[first : first + per_chunk][None, None], weights)
            chunks.append(memory[: self.net.state].copy())
        return np.stack(chunks)

    def evaluate(self, theta: Floats, state: Floats | None = None) -> tuple[float, Floats]:
        """(loss, output) with parameters theta (P,): output (N, T, outputs), or (N, outputs) for targets at the end.

        state (batch, numbers), see `Record.state`: sequence n starts from row n mod batch; None: from zero.
        """
        sequences = self.sequences
        output = np.empty((sequences.count, 1 if sequences.last_only else sequences.timesteps, self.net.outputs))
        loss = evaluate_chunks(
            self._forward,
            self._loss,
            self._sizes,
            theta,
            self._memory,
            self._data,
            self._from_zero if state is None else self._start(state),
            sequences.full_lengths,
            output,
        )
        return float(loss), output[:, 0] if sequences.last_only else output

    def _start(self, state: Floats | None) -> Floats:
        net, chunks = self.net, len(self._data)
        unit, context = net.slots * net.hidden, net.outputs
        start = aligned_zeros(chunks * net.rows * (net.layers * unit + context), WIDTH)
        if state is not None:
            rows = np.zeros((chunks * net.rows * WIDTH, state.shape[1]))
            rows[: self.sequences.count] = state[np.arange(self.sequences.count) % len(state)]
            by_chunk = rows.reshape(chunks, net.rows, WIDTH, -1)
            states = by_chunk[..., : net.layers * unit].reshape(chunks, net.rows, WIDTH, net.layers, unit)
            start[: chunks * net.layers * net.rows * unit] = states.transpose(0, 3, 1, 4, 2).reshape(-1, WIDTH)
            outputs = by_chunk[..., net.layers * unit :]
            start[chunks * net.layers * net.rows * unit :] = outputs.transpose(0, 1, 3, 2).reshape(-1, WIDTH)
        return start


def predict(run: Any, parameters: Any, sequences: Sequences, state: Floats | None = None) -> Floats:
    """What a run's network gives with these parameters: (N, T, outputs), or (N, outputs) for targets at the end."""
    blocks = parameter_blocks(run.model, run.task.inputs, run.task.outputs)
    _, output = EvaluationSet(run.model, run.loss, sequences).evaluate(to_flat(blocks, parameters), state)
    return output
