"""The read-out: y_t = f(h_t V + c) with f the identity, the logistic function or soft-max; or y_t = h_t without one."""

from bptt.core.layout import READOUTS, readout_weights, state_at, state_delta_at
from bptt.core.products import add_product, fill_bias
from bptt.core.simd import exp, inline, load, select, sigmoid, splat, store

_NONE, _SIGMOID, _SOFTMAX = READOUTS["none"], READOUTS["sigmoid"], READOUTS["softmax"]


@inline
def read_out(net, theta, memory, start, stop):
    """Outputs of the timesteps start ≤ t < stop. Before a sequence begins its output stays what it was."""
    n, rows = net.outputs, (stop - start) * net.rows
    logit, output = net.logit + start * net.rows * n, net.output + start * net.rows * n
    state, state_row = state_at(net, net.layers - 1, start + 1), net.slots * net.hidden
    if net.readout == _NONE:
        for r in range(rows):
            for o in range(n):
                store(memory, logit + r * n + o, load(memory, state + r * state_row + o))
    else:
        v = readout_weights(net)
        fill_bias(memory, logit, n, theta, v + net.hidden * n if net.biases > 0 else -1, -1, rows, n)
        add_product(memory, logit, n, state, state_row, theta, v, n, 1, rows, net.hidden, n)
    for r in range(rows):
        z, before, after = logit + r * n, output + r * n, output + (net.rows + r) * n
        live = load(memory, net.live + start * net.rows + r) > splat(0.0)
        if net.readout == _SOFTMAX:
            _softmax(memory, z, after, n)
        for o in range(n):
            y = load(memory, z + o)
            if net.readout == _SIGMOID:
                y = sigmoid(y)
            if net.readout == _SOFTMAX:
                y = load(memory, after + o)
            store(memory, after + o, select(live, y, load(memory, before + o)))


@inline
def _softmax(memory, z, y, n):
    """y_o = e^(z_o − max z) / Σ e^(z − max z)."""
    top = load(memory, z)
    for o in range(1, n):
        value = load(memory, z + o)
        top = select(value > top, value, top)
    norm = splat(0.0)
    for o in range(n):
        value = exp(load(memory, z + o) - top)
        norm = norm + value
        store(memory, y + o, value)
    for o in range(n):
        store(memory, y + o, load(memory, y + o) / norm)


@inline
def read_out_back(net, theta, memory, start, stop, logit_delta, inject):
    """Add ∂loss/∂output of the timesteps start ≤ t < stop to ∂loss/∂h of the top layer: what the loss wrote, where
    `inject`, and what came back through a context. ∂loss/∂logit is written to the region `logit_delta`.
    """
    n, rows, first = net.outputs, (stop - start) * net.rows, start * net.rows
    delta, y = logit_delta + first * n, net.output + (first + net.rows) * n
    given, context = net.output_delta + first * n, net.context_delta + first * n
    for r in range(rows):
        live = load(memory, net.live + first + r) > splat(0.0)
        mean = splat(0.0)
        if net.readout == _SOFTMAX:
            for p in range(r * n, r * n + n):
                mean = mean + _output_delta(net, memory, given + p, context + p, inject) * load(memory, y + p)
        for p in range(r * n, r * n + n):
            value = load(memory, y + p)
            d = _output_delta(net, memory, given + p, context + p, inject)
            if net.readout == _SIGMOID:
                d = d * (value * (1.0 - value))
            if net.readout == _SOFTMAX:
                d = value * (d - mean)
            if inject and net.fused == 1:
                d = d + load(memory, given + p)
            store(memory, delta + p, select(live, d, splat(0.0)))
    state_delta, state_row = state_delta_at(net, net.layers - 1, start), net.slots * net.hidden
    if net.readout == _NONE:
        for r in range(rows):
            for o in range(n):
                place = state_delta + r * state_row + o
                store(memory, place, load(memory, place) + load(memory, delta + r * n + o))
    else:
        add_product(memory, state_delta, state_row, delta, n, theta, readout_weights(net), 1, n, rows, n, net.hidden)


@inline
def _output_delta(net, memory, given, context, inject):
    """∂loss/∂output of one output: what the loss wrote (unless by the logits), and what came through the context."""
    d = splat(0.0)
    if inject and net.fused == 0:
        d = load(memory, given)
    if net.feedback == 1:
        d = d + load(memory, context)
    return d
