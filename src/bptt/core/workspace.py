"""A network's layout in one mode, the working memory for it, and how sequences are packed into that."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types

from bptt.core.kernel import LANES, check_memory
from bptt.core.layout import Net, build_net, lay_out_trial, output_element
from bptt.core.products import product
from bptt.core.run import Loss, Model, Run, works_on_states
from bptt.core.sequences import Floats, Sequences
from bptt.core.simd import (
    WIDTH,
    ahead,
    aligned_zeros,
    copy_numbers,
    elements,
    has_units,
    inline,
    number_of,
    numbers_of,
    prefetch,
    set_element,
    set_number,
    splat,
    transpose_lanes,
)


def as_mode(vectors: Floats, mode: str) -> Floats:
    """Vectors (n, WIDTH) as kernels of a mode take them."""
    return vectors if mode == LANES else vectors.reshape(-1)


def lay_out(
    model: Model,
    loss: Loss,
    sequences: Sequences,
    batch: int,
    mode: str,
    truncation: int | None = None,
    keeps_deltas: bool = False,
    on_states: bool = False,
) -> Net:
    """The layout of a network that sees such sequences, so many at a time.

    keeps_deltas, on_states: as of a `Regularizer`
    """
    return build_net(
        model=model,
        inputs=sequences.x.shape[-1],
        outputs=sequences.y.shape[-1],
        timesteps=sequences.timesteps,
        batch=batch,
        last_only=sequences.last_only,
        fused=loss.fused,
        truncation=truncation,
        keeps_deltas=keeps_deltas,
        on_states=on_states,
        mode=mode,
    )


class Workspace:
    """A network's layout in one mode, with the memory for it; tries: and for a trial of it (`layout.lay_out_trial`).
    Who takes turns may share it.
    """

    def __init__(self, net: Net, mode: str, *, tries: bool = False) -> None:
        self.mode = mode
        self.net: Net = net._replace(product=product.address(mode))
        # Behind them once more, for a backward pass that leaves ∂loss/∂state where it is.
        apart = self.net if self.net.delta != self.net.state_delta else self.net._replace(delta=self.net.window_delta)
        self.sizes = np.array([*self.net, *apart._replace(pushes=0)], np.int64)
        self.trial_sizes = np.array(lay_out_trial(self.net) if tries else self.net, np.int64)
        self.memory = as_mode(aligned_zeros(self.net.size * (2 if tries else 1), WIDTH), mode)
        self.places = np.zeros((2, WIDTH), np.int64)
        check_memory(memory=self.memory)
        self._region(self.net.one, 1)[:] = 1.0

    def _region(self, first: int, vectors: int) -> Floats:
        """(vectors, WIDTH)"""
        return self.memory.reshape(-1, WIDTH)[first : first + vectors]

    def set_numbers(self, numbers: Floats) -> None:
        """Let the passes read these numbers of each lane, as `lanes.model_numbers` gives them."""
        if len(numbers):
            self._region(self.net.numbers, len(numbers))[:] = numbers

    def lanes_first(self, first: int, *shape: int) -> Floats:
        """Elements from vector `first` on as (lanes, *shape); with UNITS of one lane."""
        count = math.prod(shape)
        if self.mode == LANES:
            return self._region(first, count).reshape(*shape, WIDTH).transpose(len(shape), *range(len(shape)))
        return self.memory[first * WIDTH : first * WIDTH + count].reshape(1, *shape)

    @property
    def last_states(self) -> Floats:
        """(lanes, layers, rows, slots, span): what the last timestep ended with."""
        net = self.net
        states = self.lanes_first(net.state, net.layers, net.timesteps + 1, net.rows, net.slots, net.span)
        return states[:, :, -1]

    @property
    def last_outputs(self) -> Floats:
        """(lanes, outputs, rows): the last timestep's."""
        net = self.net
        end = net.lead * net.per + net.timesteps * net.rows
        return self.lanes_first(net.output, net.outputs, net.places * net.per)[:, :, end - net.rows : end]


def training_layout(run: Run, sequences: Sequences, mode: str) -> Net:
    """The layout that such runs are trained in; sequences: some of those that they see."""
    settings, asks = run.train, (run.regularizer.keeps_deltas, works_on_states(run.regularizer))
    return lay_out(run.model, run.loss, sequences, settings.batch_size, mode, settings.truncation, *asks)


X = types.Array(types.float64, 4, "C")  # (own, N, T, inputs): own data of each lane, or own = 1 where all share it
Y = types.Array(types.float64, 4, "C")  # (own, N, T or 1, outputs)
LENGTHS = types.Array(types.int64, 2, "C")  # (own, N)
SCORED = types.Array(types.uint8, 3, "C")  # (own, N, T)
ROWS = types.Array(types.int64, 3, "C")  # (own, updates, batch): the sequences that an update takes
SHARES = types.Array(types.float64, 1, "C")  # (lanes,): of each scored timestep's loss
PLACES = types.Array(types.int64, 2, "C")  # (2, WIDTH)


@inline
def pack(net, memory, x, y, lengths, scored, rows, update, batch, shares, alike, masked, places):
    """Write the first `batch` sequences of rows[:, update] for every lane to the regions x, target, live and scored;
    return the first timestep of the longest. Of earlier timesteps nothing but live and scored is written, which are 0.

    alike: all sequences have all timesteps; masked: live and scored stand there already, and hold for all.
    places (2, WIDTH): room for numbers of the kernel's own.
    """
    steps, lanes, first, last_only = net.timesteps, shares.shape[0], 0 if alike else net.timesteps, y.shape[2] == 1
    # All lanes have the same sequences: what is moved is written to all lanes at once.
    shared = not has_units(memory) and lanes > 1 and x.shape[0] == 1 and rows.shape[0] == 1
    # Whole sequences of all lanes are moved as squares of numbers, which are transposed.
    squares = not has_units(memory) and alike and net.outputs == 1 and lanes == WIDTH and not shared
    for row in range(batch):
        for lane in range(lanes):
            own, drawn = min(lane, x.shape[0] - 1), min(lane, rows.shape[0] - 1)
            n = rows[drawn, update, row]
            if update + 1 < rows.shape[1]:
                later = rows[drawn, update + 1, row]
                prefetch(x, own, later)
                prefetch(y, own, later)
            begin = 0 if alike else steps - lengths[own, n]
            first = min(first, begin)
            if not masked:
                _mark(net, memory, scored, own, n, row, lane, begin, shares[lane])
            places[0, lane] = (own * x.shape[1] + n) * x.shape[2] * net.inputs
            places[1, lane] = (own * y.shape[1] + n) * y.shape[2] * net.outputs
            if not squares and (lane == 0 or not shared):
                _move(net, memory, numbers_of(x), numbers_of(y), last_only, row, lane, begin, places, shared)
        if squares:
            of_x, wide = numbers_of(places), net.rows * net.inputs
            _move_squares(memory, net.x + row * net.inputs, numbers_of(x), of_x, steps * net.inputs, net.inputs, wide)
            asked, target = steps - 1 if last_only else 0, net.target + net.lead + row
            goes, of_y = target + asked * net.rows, ahead(of_x, WIDTH)
            _move_squares(memory, goes, numbers_of(y), of_y, steps - asked, 1, net.rows)
    return first


@inline
def _put(memory, place, lane, number, shared):
    if shared:
        set_element(memory, place, splat(number))
    else:
        set_number(memory, place, lane, number)


@inline
def _move(net, memory, x, y, last_only, row, lane, begin, places, shared):
    """Write the numbers of one sequence, which begin at places[:, lane], to a lane or to all."""
    wide = net.rows * net.inputs
    goes, came = elements(memory, net.x) + begin * wide + row * net.inputs, places[0, lane]
    if has_units(memory) and net.rows == 1:
        copy_numbers(memory, goes, x, came, (net.timesteps - begin) * net.inputs)
    else:
        for _ in range(net.timesteps - begin):
            for i in range(net.inputs):
                _put(memory, goes + i, lane, number_of(x, came + i, 0), shared)
            goes += wide
            came += net.inputs
    asked = net.timesteps - 1 if last_only else begin
    for o in range(net.outputs):
        goes, came = output_element(net, memory, net.target, asked, o) + row, places[1, lane] + o
        for _ in range(net.timesteps - asked):
            _put(memory, goes, lane, number_of(y, came, 0), shared)
            goes += net.rows
            came += net.outputs


@inline
def _move_squares(memory, index, source, places, count, run, step):
    """Vectors of all lanes = the numbers of `source` from each lane's place on, so many.

    The first `run` of them go to index …, as many more to index + step …
    """
    i = 0
    while i < count:
        whole, inside = i // run, i % run
        goes = index + whole * step + inside
        transpose_lanes(memory, goes, source, places, i, min(WIDTH, count - i), inside, run, step)
        i += WIDTH


@inline
def _mark(net, memory, scored, own, n, row, lane, begin, share):
    """When a sequence begins, and which of its timesteps count."""
    live = output_element(net, memory, net.live, 0, 0) + row
    counted = output_element(net, memory, net.scored, 0, 0) + row
    for t in range(net.timesteps):
        alive = t >= begin
        counts = alive and scored[own, n, max(t - begin, 0)] != 0
        set_number(memory, live + t * net.rows, lane, 1.0 if alive else 0.0)
        set_number(memory, counted + t * net.rows, lane, share if counts else 0.0)


def sequence_arrays(sets: Sequence[Sequences]) -> tuple[Any, ...]:
    """(x, y, lengths, scored, alike) as `pack` takes them: sets that each lane has its own of, or one for all."""
    parts = zip(*map(_arrays, sets), strict=True)
    joined = [np.stack(arrays) if len(arrays) > 1 else arrays[0][None] for arrays in parts]
    return *joined, are_alike(sets)


def are_alike(sets: Sequence[Sequences]) -> bool:
    """Whether all sequences have all timesteps, of which the same count."""
    return all(s.lengths is None and (s.scored is None or s.scored.ndim == 1) for s in sets)


def _arrays(sequences: Sequences) -> tuple[Any, ...]:
    return (
        np.ascontiguousarray(sequences.x, np.float64),
        np.ascontiguousarray(sequences.y[:, None, :] if sequences.last_only else sequences.y, np.float64),
        sequences.full_lengths,
        np.ascontiguousarray(sequences.full_scored, np.uint8),
    )
