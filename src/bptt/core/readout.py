"""The read-out: y_t = f(h_t V + c) with f the identity, the logistic function or soft-max; or y_t = h_t without one."""

from bptt.core.layout import (
    ACTIVATIONS,
    READOUTS,
    gradient_at,
    output_element,
    place_before,
    place_behind,
    readout_columns,
    readout_weights,
    state_at,
    state_delta_at,
)
from bptt.core.models.cell import activate, slope
from bptt.core.places import by_place, sum_of_places
from bptt.core.products import multiply
from bptt.core.simd import element, elements, exp, inline, load, select, set_element, splat, store, within

_NONE, _SIGMOID, _SOFTMAX = READOUTS["none"], READOUTS["sigmoid"], READOUTS["softmax"]
_LOGISTIC = ACTIVATIONS["sigmoid"]


@inline
def read_out(net, theta, memory, start, stop):
    """Outputs of the timesteps start ≤ t < stop. Before a sequence begins its output stays what it was."""
    first, last, n = place_before(net, start), place_behind(net, stop), net.outputs
    h, h_row = by_place(net, memory, state_at(net, net.layers - 1, start + 1), net.slots * net.units, start, stop)
    if net.readout == _NONE:
        for o in range(n):
            for q in range(first, last):
                store(memory, net.logit + o * net.places + q, load(memory, h + (q - first) * h_row + o))
    else:
        v = elements(theta, readout_weights(net))
        for o in range(n):
            bias = splat(0.0)
            if net.biases > 0:
                bias = element(theta, v + net.hidden * n + o)
            for q in range(first, last):
                store(memory, net.logit + o * net.places + q, bias)
        logits, columns = (memory, net.logit + first, net.places, 1), (theta, v, 1, n)
        multiply(net, logits, columns, (memory, h, 1, h_row), n, net.hidden, last - first, True)
    for q in range(first, last):
        live = load(memory, net.live + q) > splat(0.0)
        z, y = net.logit + q, net.output + q
        if net.readout == _SOFTMAX:
            _softmax(memory, z, y, n, net.places)
        for o in range(n):
            place = o * net.places
            value = load(memory, z + place)
            if net.readout == _SIGMOID:
                value = activate(_LOGISTIC, value)
            if net.readout == _SOFTMAX:
                value = load(memory, y + place)
            before = splat(0.0)
            if net.feedback == 1:
                before = load(memory, y + place - net.lead)
            store(memory, y + place, select(live, value, before))


@inline
def _softmax(memory, z, y, n, step):
    """y_o = e^(z_o − max z) / Σ e^(z − max z)."""
    top = load(memory, z)
    for o in range(1, n):
        value = load(memory, z + o * step)
        top = select(value > top, value, top)
    norm = splat(0.0)
    for o in range(n):
        value = exp(load(memory, z + o * step) - top)
        norm = norm + value
        store(memory, y + o * step, value)
    for o in range(n):
        store(memory, y + o * step, load(memory, y + o * step) / norm)


@inline
def read_out_back(net, theta, memory, start, stop, logit_delta, inject):
    """Add ∂loss/∂output of the timesteps start ≤ t < stop to ∂loss/∂h of the top layer: what the loss wrote, where
    `inject`, and what came back through a context. ∂loss/∂logit is written to the region `logit_delta`.
    """
    n, step = net.outputs, net.places
    for q in range(place_before(net, start), place_behind(net, stop)):
        asked = within(memory, q - net.lead, start * net.rows, stop * net.rows)
        live = (load(memory, net.live + q) > splat(0.0)) & asked
        y, given, context = net.output + q, net.output_delta + q, net.context_delta + q
        mean = splat(0.0)
        if net.readout == _SOFTMAX:
            for o in range(n):
                d = _output_delta(net, memory, given + o * step, context + o * step, inject)
                mean = mean + d * load(memory, y + o * step)
        for o in range(n):
            value = load(memory, y + o * step)
            d = _output_delta(net, memory, given + o * step, context + o * step, inject)
            if net.readout == _SIGMOID:
                d = d * slope(_LOGISTIC, value)
            if net.readout == _SOFTMAX:
                d = value * (d - mean)
            if inject and net.fused == 1:
                d = d + load(memory, given + o * step)
            store(memory, logit_delta + q + o * step, select(live, d, splat(0.0)))
    top, top_row, rows = state_delta_at(net, net.layers - 1, start), net.slots * net.units, (stop - start) * net.rows
    delta, delta_step = output_element(net, memory, logit_delta, start, 0), net.places * net.per
    if net.readout == _NONE:
        for r in range(rows):
            for o in range(n):
                h = elements(memory, top + r * top_row) + o
                set_element(memory, h, element(memory, h) + element(memory, delta + o * delta_step + r))
    else:
        v, v_column, v_row = readout_columns(net)
        deltas, columns = (memory, delta, 1, delta_step), (theta, v, v_column, v_row)
        multiply(net, (memory, top, top_row, 1), deltas, columns, rows, n, net.units, True)


@inline
def _output_delta(net, memory, given, context, inject):
    """∂loss/∂output of one output: what the loss wrote (unless by the logits), and what came through the context."""
    d = splat(0.0)
    if inject and net.fused == 0:
        d = load(memory, given)
    if net.feedback == 1:
        d = d + load(memory, context)
    return d


@inline
def set_readout_gradient(net, gradient, memory, begin):
    """∂loss/∂V = Σ_t h_tᵀ δ_t;  ∂loss/∂c = Σ_t δ_t."""
    if net.readout != _NONE:
        n, first = net.outputs, max(begin, net.first_output)
        v, (_, v_column, v_row) = gradient_at(net, readout_weights(net)), readout_columns(net)
        deltas = (memory, output_element(net, memory, net.logit_delta, first, 0), net.places * net.per, 1)
        states = (memory, state_at(net, net.layers - 1, first + 1), net.slots * net.units, 1)
        steps = (net.timesteps - first) * net.rows
        multiply(net, (gradient, v, v_column, v_row), deltas, states, n, steps, net.units, False)
        if net.biases > 0:
            c = elements(gradient, v + n * net.units)
            for o in range(n):
                delta = net.logit_delta + o * net.places
                set_element(gradient, c + o, sum_of_places(net, memory, delta, first))
