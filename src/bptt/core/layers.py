"""What every cell does with its layer's weights: sums of input and context, their reverse, and the weights' gradients.

Timesteps start ≤ t < stop are done at once. Rows of a target or a delta lie `*_row` vectors apart; `first` and
`columns` are the vectors of a weight block's row that take part, `gate` and `gates` the gates.
"""

from bptt.core.layout import (
    delta_at,
    gradient_at,
    input_columns,
    input_weights,
    output_element,
    place_before,
    recurrent_columns,
    recurrent_weights,
    state_at,
    state_delta_at,
)
from bptt.core.places import by_place
from bptt.core.products import multiply
from bptt.core.simd import elements, inline, load, splat, store


@inline
def fill_bias(net, theta, memory, target, target_row, first, second, rows, columns):
    """target = θ[first …] + θ[second …]; a bias whose place is negative is not there."""
    for j in range(columns):
        value = splat(0.0)
        if first >= 0:
            value = load(theta, first + j)
        if second >= 0:
            value = value + load(theta, second + j)
        for r in range(rows):
            store(memory, target + r * target_row + j, value)


@inline
def _input(net, memory, layer, start):
    """(element, from row to row, width) of x_t, which is the input or the layer below's h_t."""
    if layer == 0:
        return elements(memory, net.x) + start * net.rows * net.inputs, net.inputs, net.inputs
    return elements(memory, state_at(net, layer - 1, start + 1)), net.slots * net.span, net.hidden


@inline
def _context(net, memory, layer, t):
    """(element, from row to row, from number to number) of c_{t−1}, the layer's own h or, with feedback, the output."""
    if net.feedback == 1:
        return output_element(net, memory, net.output, t - 1, 0), 1, net.places * net.per
    return elements(memory, state_at(net, layer, t)), net.slots * net.span, 1


@inline
def add_input(net, theta, memory, layer, start, stop, target, target_row, columns):
    """target += x_t W."""
    w, wide, rows = input_weights(net, layer), net.gates * net.units, (stop - start) * net.rows
    x, x_row, width = _input(net, memory, layer, start)
    multiply(
        net, (memory, target, target_row, 1), (memory, x, x_row, 1), (theta, w, wide, 1), rows, width, columns, True
    )


@inline
def add_context(net, theta, memory, layer, t, target, target_row, first, columns):
    """target += c_{t−1} R."""
    w, wide = recurrent_weights(net, layer) + first, net.gates * net.units
    c, c_row, c_step = _context(net, memory, layer, t)
    multiply(
        net,
        (memory, target, target_row, 1),
        (memory, c, c_row, c_step),
        (theta, w, wide, 1),
        net.rows,
        net.context,
        columns,
        True,
    )


@inline
def _add_back(net, theta, memory, target, delta, columns, gate, gates, rows):
    """target += δ Wᵀ over some gates; `columns` as of `layout.input_columns`."""
    w, w_row, w_step = columns
    together = gates if net.span == net.hidden else 1  # whose deltas follow each other without a gap
    g = 0
    while g < gates:
        multiply(
            net,
            (memory, target, net.slots * net.units, 1),
            (memory, elements(memory, delta) + g * net.span, net.deltas * net.span, 1),
            (theta, w + (gate + g) * net.span * w_row, w_row, w_step),
            rows,
            together * net.hidden,
            net.units,
            True,
        )
        g += together


@inline
def add_input_back(net, theta, memory, layer, start, stop, base, gates):
    """∂loss/∂h of the layer below += δ Wᵀ, from the first gates' deltas."""
    if layer > 0:
        below, delta = state_delta_at(net, layer - 1, start), delta_at(net, base, layer, start)
        _add_back(net, theta, memory, below, delta, input_columns(net, layer), 0, gates, (stop - start) * net.rows)


@inline
def add_context_back(net, theta, memory, layer, t, delta, gate, gates):
    """∂loss/∂c_{t−1} += δ_t Rᵀ over some gates; `delta` is where the deltas of the first of them stand."""
    if net.feedback == 0:
        before = state_delta_at(net, layer, t - 1)
        _add_back(net, theta, memory, before, delta, recurrent_columns(net, layer), gate, gates, net.rows)
    else:
        d, d_row = by_place(net, memory, delta, net.deltas * net.units, t, t + 1)
        multiply(
            net,
            (memory, net.context_delta + place_before(net, t - 1), net.places, 1),
            (theta, elements(theta, recurrent_weights(net, layer)), net.span, 1),
            (memory, d, 1, d_row),
            net.outputs,
            net.hidden,
            net.rows // net.per,
            True,
        )


@inline
def set_input_gradient(net, gradient, memory, layer, begin, columns):
    """∂loss/∂W = Σ_t x_tᵀ δ_t."""
    x, x_row, width = _input(net, memory, layer, begin)
    delta, steps = delta_at(net, net.delta, layer, begin), (net.timesteps - begin) * net.rows
    multiply(
        net,
        (gradient, gradient_at(net, input_weights(net, layer)), net.gates * net.units, 1),
        (memory, x, 1, x_row),
        (memory, delta, net.deltas * net.units, 1),
        width,
        steps,
        columns,
        False,
    )


@inline
def set_context_gradient(net, gradient, memory, layer, begin, delta, first, columns):
    """∂loss/∂R = Σ_t c_{t−1}ᵀ δ_t, for some columns of R; `delta` is where their first delta stands."""
    c, c_row, c_step = _context(net, memory, layer, begin)
    multiply(
        net,
        (gradient, gradient_at(net, recurrent_weights(net, layer) + first), net.gates * net.units, 1),
        (memory, c, c_step, c_row),
        (memory, delta, net.deltas * net.units, 1),
        net.context,
        (net.timesteps - begin) * net.rows,
        columns,
        False,
    )


@inline
def set_bias_gradient(net, gradient, memory, begin, bias, delta, columns):
    """∂loss/∂b = Σ_t 1 · δ_t, where there is a bias."""
    if bias >= 0:
        multiply(
            net,
            (gradient, gradient_at(net, bias), 0, 1),
            (memory, elements(memory, net.one), 0, 0),
            (memory, delta, net.deltas * net.units, 1),
            1,
            (net.timesteps - begin) * net.rows,
            columns,
            False,
        )


@inline
def copy_bias_gradient(net, gradient, bias, source, columns):
    """∂loss/∂b′ = ∂loss/∂b, which is found at `source`, where there is a second bias b′ in the same sum."""
    if bias >= 0:
        for j in range(columns):
            store(gradient, gradient_at(net, bias) + j, load(gradient, gradient_at(net, source) + j))
