"""Many updates in one compiled call: data, forward, loss, backward, clip and optimizer, without the interpreter."""

from numba import types

from bptt.core.kernel import (
    ARRAYS,
    SIZES_ARRAY,
    VECTOR_ARRAY,
    Kernel,
    call_backward,
    call_clip,
    call_forward,
    call_loss,
    call_optimizer,
)
from bptt.core.layout import place_before, read_net, state_at
from bptt.core.network import start_from_zero
from bptt.core.packing import LENGTHS, PLACES, ROWS, SCORED, SHARES, X, Y, pack
from bptt.core.places import collect_gradient, spread_weights, sum_of_places
from bptt.core.simd import (
    WIDTH,
    any_of,
    elements,
    has_units,
    inline,
    load,
    pointer_to,
    select,
    splat,
    store,
    vectors_at,
)
from bptt.core.sums import norm

#: Rows of the `report` array, each (WIDTH,).
LOSS_VALUE, GRADIENT_NORM, CLIPPED, DIVERGED_AT, DIVERGED_LOSS, WEIGHTS_NORM, STEP_NORM = range(7)
REPORT_ROWS = 7


@inline
def _start_from_end(net, memory, begin):
    """Let timestep `begin` start from where the last update ended."""
    for layer in range(net.layers):
        _copy(
            memory, state_at(net, layer, begin), state_at(net, layer, net.timesteps), net.rows * net.slots * net.units
        )
    if net.feedback == 1:
        for o in range(net.outputs):
            output = net.output + o * net.places
            start, end = output + place_before(net, begin - 1), output + place_before(net, net.timesteps - 1)
            _copy(memory, start, end, net.lead)


@inline
def _copy(memory, target, source, count):
    for i in range(count):
        store(memory, target + i, load(memory, source + i))


def _train_updates(
    forward,
    backward,
    loss,
    clip,
    optimizer,
    sizes_array,
    parameters,
    gradients,
    copy,
    slots,
    optimizer_hyper,
    clip_hyper,
    memory_array,
    x,
    y,
    lengths,
    scored,
    rows,
    shares,
    alike,
    places,
    place,
    update,
    count,
    carry,
    truncation,
    measure,
    live_array,
    report_array,
):
    sizes, memory = pointer_to(sizes_array), pointer_to(memory_array)
    theta, gradient, previous = pointer_to(parameters), pointer_to(gradients), pointer_to(copy)
    live, report = pointer_to(live_array), pointer_to(report_array)
    net, vectors = read_net(sizes), parameters.size // WIDTH
    numbers = elements(theta, vectors)
    weights = memory if has_units(memory) else theta
    weights_gradient = memory if has_units(memory) else gradient
    for k in range(count):
        masked = alike and k > 0
        begin = pack(net, memory, x, y, lengths, scored, rows, place + k, rows.shape[2], shares, alike, masked, places)
        if carry:
            _start_from_end(net, memory, begin)
        else:
            start_from_zero(net, memory, begin)
        spread_weights(net, theta, memory)
        call_forward(forward, (sizes, weights, memory, begin))
        call_loss(loss, (sizes, memory, begin))
        value = sum_of_places(net, memory, net.loss, max(begin, net.first_output))
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
        call_backward(backward, (sizes, weights, weights_gradient, memory, begin, truncation, False))
        collect_gradient(net, memory, gradient)
        measured = measure and k == count - 1
        if measured:
            store(report, LOSS_VALUE, value)
            store(report, GRADIENT_NORM, norm(gradient, 0, numbers))
            call_backward(backward, (sizes, weights, weights_gradient, memory, begin, truncation, True))
        clipped = call_clip(clip, (gradient, vectors, pointer_to(clip_hyper)))
        store(report, CLIPPED, load(report, CLIPPED) + select(lives > splat(0.0), clipped, splat(0.0)))
        if measured:
            for p in range(vectors):
                store(previous, p, load(theta, p))
            store(report, WEIGHTS_NORM, norm(previous, 0, numbers))
        changing = vectors_at(theta, 0), vectors_at(gradient, 0), pointer_to(slots)
        call_optimizer(optimizer, (*changing, vectors, pointer_to(optimizer_hyper), live, update + k))
        if measured:
            for p in range(vectors):
                store(previous, p, load(theta, p) - load(previous, p))
            store(report, STEP_NORM, norm(previous, 0, numbers))


_ADDRESS, _BOOL = types.int64, types.boolean
#: train_updates(addresses of forward, backward, loss, clip, optimizer; sizes of the net; parameters, gradient and room
#: for a copy of the parameters; optimizer state; hyperparameters (K, WIDTH); working memory; data; …)
#: `place` is the first update's place in `rows`, `update` its number (from 1), `live` (1, WIDTH) who is trained, and
#: `report` (REPORT_ROWS, WIDTH) what happened; with `measure` the last update's loss, gradient norm, flow and step are
#: taken.
train_updates = Kernel(
    _train_updates,
    {
        mode: types.void(
            *[_ADDRESS] * 5,
            SIZES_ARRAY,
            *[memory] * 3,
            *[VECTOR_ARRAY] * 3,
            memory,
            X,
            Y,
            LENGTHS,
            SCORED,
            ROWS,
            SHARES,
            _BOOL,
            PLACES,
            *[types.int64] * 3,
            _BOOL,
            types.int64,
            _BOOL,
            VECTOR_ARRAY,
            VECTOR_ARRAY,
        )
        for mode, memory in ARRAYS.items()
    },
)
