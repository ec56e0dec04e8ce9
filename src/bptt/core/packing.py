"""From sequences, left-aligned one after the other, to the working memory: right-aligned, side by side in vectors."""

from numba import types

from bptt.core.kernel import MEMORY, NUMBERS, SHARED, Kernel
from bptt.core.layout import SIZES, read_net
from bptt.core.simd import WIDTH, inline

X = types.Array(types.float64, 4, "C")  # (own, N, T, inputs): own data of each lane, or own = 1 where all share it
Y = types.Array(types.float64, 4, "C")  # (own, N, T or 1, outputs)
LENGTHS = types.Array(types.int64, 2, "C")  # (own, N)
SCORED = types.Array(types.uint8, 3, "C")  # (own, N, T)
ROWS = types.Array(types.int64, 3, "C")  # (lanes, updates, batch)


@inline
def pack(net, memory, x, y, lengths, scored, rows, update, side_by_side, weights, uniform):
    """Write the sequences `rows[:, update]` to the regions x, target, live and scored; return the first timestep of the
    longest. Of earlier timesteps nothing but live and scored is written, which are 0 there.

    side_by_side: number e of a vector is lane e (row r of the batch is vector r); else it is row r·WIDTH + e of the one
    lane. weights: (WIDTH,) of a scored timestep's loss. uniform: live and scored stand there already and hold for all.
    """
    steps, outputs = net.timesteps, net.outputs
    longest = 0
    for lane in range(rows.shape[0]):
        own = lane if x.shape[0] > 1 else 0
        for row in range(rows.shape[2]):
            longest = max(longest, lengths[own, rows[lane, update, row]])
    first = steps - longest
    for r in range(net.rows):
        for e in range(WIDTH):
            lane = e if side_by_side else 0
            row = r if side_by_side else r * WIDTH + e
            if lane >= rows.shape[0] or row >= rows.shape[2]:
                continue
            own = lane if x.shape[0] > 1 else 0
            n = rows[lane, update, row]
            begin = steps - lengths[own, n]
            if not uniform:
                for t in range(steps):
                    alive = t >= begin
                    counts = alive and scored[own, n, max(t - begin, 0)] != 0
                    memory[net.live + t * net.rows + r, e] = 1.0 if alive else 0.0
                    memory[net.scored + t * net.rows + r, e] = weights[e] if counts else 0.0
            for t in range(begin, steps):
                place = net.x + (t * net.rows + r) * net.inputs
                for i in range(net.inputs):
                    memory[place + i, e] = x[own, n, t - begin, i]
            last_only = y.shape[2] == 1
            for t in range(steps - 1 if last_only else begin, steps):
                place = net.target + (t * net.rows + r) * outputs
                for o in range(outputs):
                    memory[place + o, e] = y[own, n, 0 if last_only else t - begin, o]
    return first


def _pack_one(sizes, memory, x, y, lengths, scored, rows, weights):
    pack(read_net(sizes), memory, x, y, lengths, scored, rows, 0, False, weights, False)


#: Pack one batch of one run into vectors of rows.
pack_rows = Kernel(_pack_one, {SHARED: types.void(SIZES, MEMORY, X, Y, LENGTHS, SCORED, ROWS, NUMBERS)})
