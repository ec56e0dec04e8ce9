"""From sequences, left-aligned one after the other, to the working memory: right-aligned, side by side in vectors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types

from bptt.core.layout import output_element
from bptt.core.sequences import Sequences
from bptt.core.simd import elements, flat_number, inline, prefetch, set_number

X = types.Array(types.float64, 4, "C")  # (own, N, T, inputs): own data of each lane, or own = 1 where all share it
Y = types.Array(types.float64, 4, "C")  # (own, N, T or 1, outputs)
LENGTHS = types.Array(types.int64, 2, "C")  # (own, N)
SCORED = types.Array(types.uint8, 3, "C")  # (own, N, T)
ROWS = types.Array(types.int64, 3, "C")  # (own, updates, batch): the sequences that an update takes
SHARES = types.Array(types.float64, 1, "C")  # (lanes,): of each scored timestep's loss


@inline
def pack(net, memory, x, y, lengths, scored, rows, update, batch, shares, alike, masked):
    """Write the first `batch` sequences of rows[:, update] for every lane to the regions x, target, live and scored;
    return the first timestep of the longest. Of earlier timesteps nothing but live and scored is written, which are 0.

    alike: all sequences have all timesteps; masked: live and scored stand there already, and hold for all.
    """
    steps, first = net.timesteps, 0 if alike else net.timesteps
    for lane in range(shares.shape[0]):
        own, drawn = min(lane, x.shape[0] - 1), min(lane, rows.shape[0] - 1)
        for row in range(batch):
            n = rows[drawn, update, row]
            if update + 1 < rows.shape[1]:
                later = rows[drawn, update + 1, row]
                prefetch(x, own, later)
                prefetch(y, own, later)
            begin = 0 if alike else steps - lengths[own, n]
            first = min(first, begin)
            if not masked:
                _mark(net, memory, scored, own, n, row, lane, begin, shares[lane])
            goes = elements(memory, net.x) + (begin * net.rows + row) * net.inputs
            came = (own * x.shape[1] + n) * x.shape[2] * net.inputs
            for _ in range(begin, steps):
                for i in range(net.inputs):
                    set_number(memory, goes + i, lane, flat_number(x, came + i))
                goes += net.rows * net.inputs
                came += net.inputs
            came = (own * y.shape[1] + n) * y.shape[2] * net.outputs
            asked = steps - 1 if y.shape[2] == 1 else begin
            for o in range(net.outputs):
                goes = output_element(net, memory, net.target, asked, o) + row
                for t in range(steps - asked):
                    set_number(memory, goes + t * net.rows, lane, flat_number(y, came + t * net.outputs + o))
    return first


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
    return *joined, all(s.lengths is None and (s.scored is None or s.scored.ndim == 1) for s in sets)


def _arrays(sequences: Sequences) -> tuple[Any, ...]:
    return (
        np.ascontiguousarray(sequences.x, np.float64),
        np.ascontiguousarray(sequences.y[:, None, :] if sequences.last_only else sequences.y, np.float64),
        sequences.full_lengths,
        np.ascontiguousarray(sequences.full_scored, np.uint8),
    )
