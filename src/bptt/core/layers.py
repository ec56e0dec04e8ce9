"""What every cell does with its layer's weights: sums of inputs and context, their reverse, and the weights' gradients.

Rows of a target or a delta lie `*_row` vectors apart; `first` and `columns` name the columns of a weight block that
take part. Timesteps start ≤ t < stop are done at once.
"""

from bptt.core.layout import delta_at, input_weights, recurrent_weights, state_at, state_delta_at
from bptt.core.products import add_product, set_outer, set_sum
from bptt.core.simd import inline


@inline
def add_input(net, theta, memory, layer, start, stop, target, target_row, columns):
    """target += x_t W, where x_t is the input or the layer below's h_t."""
    w, wide, rows = input_weights(net, layer), net.gates * net.hidden, (stop - start) * net.rows
    source, source_row, width = net.x + start * net.rows * net.inputs, net.inputs, net.inputs
    if layer > 0:
        source, source_row, width = state_at(net, layer - 1, start + 1), net.slots * net.hidden, net.hidden
    add_product(memory, target, target_row, source, source_row, theta, w, wide, 1, rows, width, columns)


@inline
def add_context(net, theta, memory, layer, t, target, target_row, first, columns):
    """target += c_{t−1} R, where c is the layer's own h or, with feedback, the network's output."""
    w, wide = recurrent_weights(net, layer) + first, net.gates * net.hidden
    source, source_row = state_at(net, layer, t), net.slots * net.hidden
    if net.feedback == 1:
        source, source_row = net.output + t * net.rows * net.outputs, net.outputs
    add_product(memory, target, target_row, source, source_row, theta, w, wide, 1, net.rows, net.context, columns)


@inline
def add_input_back(net, theta, memory, layer, start, stop, base, columns):
    """∂loss/∂h of the layer below += δ Wᵀ, from the first `columns` deltas of each row."""
    if layer > 0:
        w, wide, rows = input_weights(net, layer), net.gates * net.hidden, (stop - start) * net.rows
        below, below_row = state_delta_at(net, layer - 1, start), net.slots * net.hidden
        delta, delta_row = delta_at(net, base, layer, start), net.deltas * net.hidden
        add_product(memory, below, below_row, delta, delta_row, theta, w, 1, wide, rows, columns, net.hidden)


@inline
def add_context_back(net, theta, memory, layer, t, delta, first, columns):
    """∂loss/∂c_{t−1} += δ_t Rᵀ; `delta` is where the deltas of these columns stand."""
    w, wide = recurrent_weights(net, layer) + first, net.gates * net.hidden
    delta_row = net.deltas * net.hidden
    target, target_row = state_delta_at(net, layer, t - 1), net.slots * net.hidden
    if net.feedback == 1:
        target, target_row = net.context_delta + (t - 1) * net.rows * net.outputs, net.outputs
    add_product(memory, target, target_row, delta, delta_row, theta, w, 1, wide, net.rows, columns, net.context)


@inline
def set_input_gradient(net, gradient, memory, layer, begin, columns):
    """∂loss/∂W = Σ_t x_tᵀ δ_t."""
    steps, delta = (net.timesteps - begin) * net.rows, delta_at(net, net.delta, layer, begin)
    source, source_row, width = net.x + begin * net.rows * net.inputs, net.inputs, net.inputs
    if layer > 0:
        source, source_row, width = state_at(net, layer - 1, begin + 1), net.slots * net.hidden, net.hidden
    w, delta_row = input_weights(net, layer), net.deltas * net.hidden
    set_outer(memory, gradient, w, columns, source, source_row, delta, delta_row, steps, width, columns)


@inline
def set_context_gradient(net, gradient, memory, layer, begin, delta, first, columns):
    """∂loss/∂R = Σ_t c_{t−1}ᵀ δ_t, for some columns of R; `delta` is where their first delta stands."""
    steps, wide = (net.timesteps - begin) * net.rows, net.gates * net.hidden
    source, source_row = state_at(net, layer, begin), net.slots * net.hidden
    if net.feedback == 1:
        source, source_row = net.output + begin * net.rows * net.outputs, net.outputs
    w, delta_row = recurrent_weights(net, layer) + first, net.deltas * net.hidden
    set_outer(memory, gradient, w, wide, source, source_row, delta, delta_row, steps, net.context, columns)


@inline
def set_bias_gradient(net, gradient, memory, begin, bias, delta, columns):
    """∂loss/∂b = Σ_t δ_t, where there is a bias."""
    if bias >= 0:
        steps = (net.timesteps - begin) * net.rows
        set_sum(memory, gradient, bias, delta, net.deltas * net.hidden, steps, columns)
