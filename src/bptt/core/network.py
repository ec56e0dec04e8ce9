"""A stack of recurrent layers with a read-out, forward in time and backward (BPTT; Werbos 1990).

A cell (see `bptt.core.models`) says what one layer does; the passes here run it over layers and timesteps, and are
compiled together with it. Where a layer needs only its own past, a whole layer is done before the next, its inputs for
all timesteps at once; with feedback (Jordan) all layers of a timestep come before the next timestep.
"""

from bptt.core.layout import delta_at, readout_weights, state_at, state_delta_at
from bptt.core.norms import norm
from bptt.core.products import clear, set_outer, set_sum
from bptt.core.readout import read_out, read_out_back
from bptt.core.simd import any_of, inline, load, select, splat, store


@inline
def run_forward(prepare, step, net, theta, memory, begin):
    """States and outputs of the timesteps from `begin` on, from what stands at state[begin] and output[begin]."""
    span = 1 if net.feedback == 1 else net.timesteps - begin
    for start in range(begin, net.timesteps, span):
        for layer in range(net.layers):
            prepare(net, theta, memory, layer, start, start + span)
            for t in range(start, start + span):
                step(net, theta, memory, layer, t)
        first = max(start, net.first_output)
        if first < start + span:
            read_out(net, theta, memory, first, start + span)


@inline
def run_backward(step_back, input_back, set_gradient, net, theta, gradient, memory, begin, truncation, flow):
    """∂loss/∂θ of what the loss wrote into `output_delta`.

    truncation 0: each timestep's loss flows back through all timesteps before it. truncation k: the loss of timestep t
    flows back through the timesteps t, t − 1, …, t − k + 1 and no further, for each t on its own.
    flow: measure instead of train. The loss of each sequence's last scored timestep alone flows back; the norm of
    ∂loss/∂h over rows, layers and units is written to flow[t], and no gradient.
    """
    last, width = net.timesteps - 1, net.rows * net.outputs
    if flow:
        _keep_last_scored(net, memory, begin)
    if flow or truncation <= 1:  # one pass: either there is one window, or windows of one timestep do not overlap
        onward = flow or truncation == 0
        _window_back(step_back, input_back, net, theta, memory, begin, last, begin, onward, net.delta, net.logit_delta)
    else:
        clear(memory, net.logit_delta, net.timesteps * width)
        clear(memory, net.delta, net.layers * net.timesteps * net.rows * net.deltas * net.hidden)
        for end in range(last, max(begin, net.first_output) - 1, -1):
            if _is_scored(net, memory, end):
                start = max(begin, end - truncation + 1)
                base, logits = net.window_delta, net.window_logit_delta
                clear(memory, logits + start * width, (end + 1 - start) * width)
                _window_back(step_back, input_back, net, theta, memory, start, end, end, True, base, logits)
                _add(memory, net.logit_delta + start * width, logits + start * width, (end + 1 - start) * width)
                numbers = (end + 1 - start) * net.rows * net.deltas * net.hidden
                for layer in range(net.layers):
                    target, source = delta_at(net, net.delta, layer, start), delta_at(net, base, layer, start)
                    _add(memory, target, source, numbers)
    if flow:
        _measure_flow(net, memory, begin, gradient)
    else:
        for layer in range(net.layers):
            set_gradient(net, gradient, memory, layer, begin)
        _set_readout_gradient(net, gradient, memory, begin)


@inline
def _window_back(step_back, input_back, net, theta, memory, start, end, inject, onward, base, logits):
    """One window, the timesteps start..end: the losses of the timesteps inject..end flow back through it.

    onward: from timestep to timestep; else each timestep's loss reaches its own timestep alone.
    """
    numbers = net.rows * net.slots * net.hidden
    for layer in range(net.layers):
        clear(memory, state_delta_at(net, layer, start), (end + 1 - start) * numbers)
    if net.feedback == 1:
        width = net.rows * net.outputs
        clear(memory, net.context_delta + start * width, (end + 1 - start) * width)
    span = 1 if net.feedback == 1 else end + 1 - start
    for first in range(end + 1 - span, start - 1, -span):
        stop = first + span
        lowest = first if net.feedback == 1 else max(inject, first, net.first_output)
        read_out_back(net, theta, memory, lowest, stop, logits, lowest >= inject)
        stride = 1 if onward else span  # timesteps that do not wait for each other are done at once
        for layer in range(net.layers - 1, -1, -1):
            for t in range(stop - stride, first - 1, -stride):
                step_back(net, theta, memory, layer, t, stride, base, onward and t > start)
            input_back(net, theta, memory, layer, first, stop, base)


@inline
def _is_scored(net, memory, t):
    """Whether timestep t counts in any sequence of the vectors."""
    for r in range(net.rows):
        if any_of(load(memory, net.scored + t * net.rows + r) > splat(0.0)):
            return True
    return False


@inline
def _keep_last_scored(net, memory, begin):
    """Clear what the loss wrote for every timestep but the last that counts, of each sequence for itself."""
    n = net.outputs
    for r in range(net.rows):
        later = splat(0.0)
        for t in range(net.timesteps - 1, max(begin, net.first_output) - 1, -1):
            place = t * net.rows + r
            for o in range(place * n, place * n + n):
                d = load(memory, net.output_delta + o)
                store(memory, net.output_delta + o, select(later > splat(0.0), splat(0.0), d))
            later = later + load(memory, net.scored + place)


@inline
def _add(memory, target, source, count):
    for i in range(count):
        store(memory, target + i, load(memory, target + i) + load(memory, source + i))


@inline
def _measure_flow(net, memory, begin, theta):
    """flow[t] = ‖∂loss/∂h_t‖ over layers, rows and units; 0 before a sequence begins."""
    clear(memory, net.flow, begin)
    for t in range(begin, net.timesteps):
        for layer in range(net.layers):
            state_delta = state_delta_at(net, layer, t)
            for r in range(net.rows):
                live = load(memory, net.live + t * net.rows + r) > splat(0.0)
                for j in range(net.hidden):
                    d = load(memory, state_delta + r * net.slots * net.hidden + j)
                    place = net.flow_state + (layer * net.rows + r) * net.hidden + j
                    store(memory, place, select(live, d, splat(0.0)))
        store(memory, net.flow + t, norm(memory, net.flow_state, net.layers * net.rows * net.hidden, theta))


@inline
def _set_readout_gradient(net, gradient, memory, begin):
    """∂loss/∂V = Σ_t h_tᵀ δ_t;  ∂loss/∂c = Σ_t δ_t."""
    if net.readout != 0:
        n, v, first = net.outputs, readout_weights(net), max(begin, net.first_output)
        steps, delta = (net.timesteps - first) * net.rows, net.logit_delta + first * net.rows * net.outputs
        source, source_row = state_at(net, net.layers - 1, first + 1), net.slots * net.hidden
        set_outer(memory, gradient, v, n, source, source_row, delta, n, steps, net.hidden, n)
        if net.biases > 0:
            set_sum(memory, gradient, v + net.hidden * n, delta, n, steps, n)
