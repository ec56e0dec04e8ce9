"""Many updates in one compiled call: data, forward, loss, backward, clip and optimizer, without the interpreter."""

from numba import types

from bptt.core.kernel import (
    MEMORY,
    NUMBERS,
    THETA,
    Kernel,
    call_backward,
    call_clip,
    call_forward,
    call_loss,
    call_optimizer,
)
from bptt.core.layout import SIZES, read_net, state_at
from bptt.core.norms import norm
from bptt.core.packing import LENGTHS, ROWS, SCORED, X, Y, pack
from bptt.core.simd import any_of, inline, load, per_run, select, splat, store

#: Rows of the `report` array, each (WIDTH,).
LOSS_VALUE, GRADIENT_NORM, CLIPPED, DIVERGED_AT, DIVERGED_LOSS, WEIGHTS_NORM, STEP_NORM = range(7)
REPORT_ROWS = 7


@inline
def _start_state(net, memory, begin, carry):
    """Timestep `begin` starts from zero, or from where the last update ended."""
    for layer in range(net.layers):
        start, end = state_at(net, layer, begin), state_at(net, layer, net.timesteps)
        for i in range(net.rows * net.slots * net.hidden):
            store(memory, start + i, load(memory, end + i) if carry else splat(0.0))
    width = net.rows * net.outputs
    start, end = net.output + begin * width, net.output + net.timesteps * width
    for i in range(width):
        store(memory, start + i, load(memory, end + i) if carry else splat(0.0))


def _train_updates(
    forward,
    backward,
    loss,
    clip,
    optimizer,
    sizes,
    theta,
    gradient,
    parameters,
    previous,
    vectors,
    slots,
    optimizer_hyper,
    clip_hyper,
    memory,
    x,
    y,
    lengths,
    scored,
    rows,
    weights,
    uniform,
    place,
    update,
    count,
    carry,
    truncation,
    measure,
    live,
    report,
):
    net = read_net(sizes)
    for k in range(count):
        begin = pack(net, memory, x, y, lengths, scored, rows, place + k, theta.ndim == 2, weights, uniform and k > 0)
        _start_state(net, memory, begin, carry)
        call_forward(forward, (sizes, theta, memory, begin))
        value = per_run(theta, call_loss(loss, (sizes, memory, begin)))
        lives = load(live, 0)
        finite = (value - value) == splat(0.0)
        ends = select(finite, splat(0.0), lives)
        if any_of(ends > splat(0.0)):
            store(report, DIVERGED_AT, select(ends > splat(0.0), splat(update + k), load(report, DIVERGED_AT)))
            store(report, DIVERGED_LOSS, select(ends > splat(0.0), value, load(report, DIVERGED_LOSS)))
            lives = select(finite, lives, splat(0.0))
            store(live, 0, lives)
            if not any_of(lives > splat(0.0)):
                return
        call_backward(backward, (sizes, theta, gradient, memory, begin, truncation, False))
        measured = measure and k == count - 1
        if measured:
            store(report, LOSS_VALUE, value)
            store(report, GRADIENT_NORM, norm(vectors, 0, vectors.shape[0], gradient))
            call_backward(backward, (sizes, theta, gradient, memory, begin, truncation, True))
        clipped = call_clip(clip, (gradient, vectors, clip_hyper))
        store(report, CLIPPED, load(report, CLIPPED) + select(lives > splat(0.0), clipped, splat(0.0)))
        if measured:
            for p in range(parameters.shape[0]):
                store(previous, p, load(parameters, p))
            store(report, WEIGHTS_NORM, norm(previous, 0, previous.shape[0], theta))
        call_optimizer(optimizer, (parameters, vectors, slots, optimizer_hyper, live, update + k))
        if measured:
            for p in range(parameters.shape[0]):
                store(previous, p, load(parameters, p) - load(previous, p))
            store(report, STEP_NORM, norm(previous, 0, previous.shape[0], theta))


_ADDRESS, _BOOL = types.int64, types.boolean
#: train_updates(addresses of forward, backward, loss, clip, optimizer; sizes of the net; theta and gradient as the mode
#: has them; as vectors the parameters, room for a copy of them, and the gradient; optimizer state; hyperparameters
#: (K, WIDTH); working memory; data; …)
#: `place` is the first update's place in `rows`, `update` its number (from 1), `live` (1, WIDTH) who is trained, and
#: `report` (REPORT_ROWS, WIDTH) what happened; with `measure` the last update's loss, gradient norm, flow and step are
#: taken.
train_updates = Kernel(
    _train_updates,
    {
        mode: types.void(
            *[_ADDRESS] * 5,
            SIZES,
            theta,
            theta,
            *[MEMORY] * 7,
            X,
            Y,
            LENGTHS,
            SCORED,
            ROWS,
            NUMBERS,
            _BOOL,
            *[types.int64] * 3,
            _BOOL,
            types.int64,
            _BOOL,
            MEMORY,
            MEMORY,
        )
        for mode, theta in THETA.items()
    },
)
