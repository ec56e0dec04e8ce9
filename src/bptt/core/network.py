"""A stack of recurrent layers with a read-out, forward in time and backward (BPTT; Werbos 1990).

A cell (see `bptt.core.models`) says what one layer does; the passes here run it over layers and timesteps, and are
compiled together with it. Where a layer needs only its own past, a whole layer is done before the next, its inputs for
all timesteps at once; with feedback (Jordan) all layers of a timestep come before the next timestep.
"""

from bptt.core.layout import (
    delta_at,
    is_live,
    output_element,
    place_before,
    place_behind,
    push_at,
    state_at,
    state_delta_at,
)
from bptt.core.readout import read_out, read_out_back, set_readout_gradient
from bptt.core.simd import any_of, element, elements, inline, load, select, set_element, splat, store
from bptt.core.simd.sums import norm


@inline
def run_forward(prepare, step, net, theta, memory, begin):
    """States and outputs of the timesteps from `begin` on, from what stands at state[begin] and output[begin]."""
    span = 1 if net.feedback == 1 else net.timesteps - begin
    start = begin
    while start < net.timesteps:
        for layer in range(net.layers):
            prepare(net, theta, memory, layer, start, start + span)
            for t in range(start, start + span):
                step(net, theta, memory, layer, t)
        first = max(start, net.first_output)
        if first < start + span:
            read_out(net, theta, memory, first, start + span)
        start += span


@inline
def start_from_zero(net, memory, begin):
    """Let timestep `begin` start from states and, with feedback, outputs of zero."""
    for layer in range(net.layers):
        clear(memory, state_at(net, layer, begin), net.rows * net.slots * net.units)
    if net.feedback == 1:
        for o in range(net.outputs):
            clear(memory, net.output + o * net.places + place_before(net, begin - 1), net.lead)


@inline
def run_backward(step_back, input_back, set_gradient, net, theta, gradient, memory, begin, truncation, flow):
    """∂loss/∂θ of what the loss wrote into `output_delta`.

    truncation 0: each timestep's loss flows back through all timesteps before it. truncation k: the loss of timestep t
    flows back through the timesteps t, t − 1, …, t − k + 1 and no further, for each t on its own. truncation −1: as 0,
    and what stands at ∂loss/∂state flows back with it.
    flow: measure instead of train. The loss of each sequence's last scored timestep alone flows back; the norm of
    ∂loss/∂h over rows, layers and units is written to flow[t], and no gradient.
    """
    if flow:
        _keep_last_scored(net, memory, begin)
    last, onward, base, logits = net.timesteps - 1, flow or truncation <= 0, net.delta, net.logit_delta
    onto = not flow and truncation < 0
    if flow:
        base = net.window_delta  # ∂loss/∂state is what is measured
    apart = not flow and truncation > 1  # a window for each timestep's loss, and windows overlap
    if apart:
        clear(memory, net.logit_delta, net.outputs * net.places)
        clear(memory, net.delta, net.layers * net.timesteps * net.rows * net.deltas * net.units)
        onward, base, logits = True, net.window_delta, net.window_logit_delta
    pushes, lowest = not flow and net.pushes == 1, last
    if apart:
        lowest = begin if pushes else max(begin, net.first_output)
    for end in range(last, lowest - 1, -1):
        if not apart or pushes or _is_scored(net, memory, end):
            start, inject = begin, begin
            if apart:
                start, inject = max(begin, end - truncation + 1), end
                _clear_window(net, memory, start, end)
            given = (start, end, inject, onward, onto, pushes)
            _window_back(step_back, input_back, net, theta, memory, given, base, logits)
            if apart:
                _add_window(net, memory, start, end)
    if flow:
        _measure_flow(net, memory, begin)
    else:
        for layer in range(net.layers):
            set_gradient(net, gradient, memory, layer, begin)
        set_readout_gradient(net, gradient, memory, begin)


@inline
def _window_back(step_back, input_back, net, theta, memory, given, base, logits):
    """One window, the timesteps start..end: the losses of the timesteps inject..end flow back through it.

    given: start, end, inject, onward, onto, pushes.
    onward: from timestep to timestep; else each timestep's loss reaches its own timestep alone.
    onto: beside what stands at ∂loss/∂state.
    pushes: whether what a regularizer says of these timesteps' states flows back with them.
    """
    start, end, inject, onward, onto, pushes = given
    numbers = net.rows * net.slots * net.units
    for layer in range(0 if onto else net.layers):
        clear(memory, state_delta_at(net, layer, start), (end + 1 - start) * numbers)
        if pushes:
            _begin_pushed(net, memory, layer, inject, end)
    if net.feedback == 1:
        clear(memory, net.context_delta, net.outputs * net.places)
    span = 1 if net.feedback == 1 else end + 1 - start
    first = end + 1 - span
    while first >= start:
        stop = first + span
        lowest = first if net.feedback == 1 else max(inject, first, net.first_output)
        if lowest < stop:  # a window may end before the first output
            read_out_back(net, theta, memory, lowest, stop, logits, lowest >= inject)
        stride = 1 if onward else span  # timesteps that do not wait for each other are done at once
        for layer in range(net.layers - 1, -1, -1):
            t = stop - stride
            while t >= first:
                step_back(net, theta, memory, layer, t, stride, base, onward and t > start)
                t -= stride
            input_back(net, theta, memory, layer, first, stop, base)
        first -= span


@inline
def _begin_pushed(net, memory, layer, inject, end):
    """∂loss/∂h of a layer's timesteps inject..end = what a regularizer says of these states."""
    source, goes, n = push_at(net, layer, inject), state_delta_at(net, layer, inject), net.units
    for row in range((end + 1 - inject) * net.rows):
        for j in range(n):
            store(memory, goes + row * net.slots * n + j, load(memory, source + row * n + j))


@inline
def _clear_window(net, memory, start, end):
    """Zeros in what read-out writes of a window: no timestep before the last is read out in it."""
    first, count = place_before(net, start), place_behind(net, end + 1) - place_before(net, start)
    for o in range(net.outputs):
        clear(memory, net.window_logit_delta + o * net.places + first, count)


@inline
def _add_window(net, memory, start, end):
    """∂loss/∂pre-activation and ∂loss/∂logit of all windows together += those of one window."""
    first, count = place_before(net, start), place_behind(net, end + 1) - place_before(net, start)
    for o in range(net.outputs):
        place = o * net.places + first
        _add(memory, net.logit_delta + place, net.window_logit_delta + place, count)
    for layer in range(net.layers):
        target, source = delta_at(net, net.delta, layer, start), delta_at(net, net.window_delta, layer, start)
        _add(memory, target, source, (end + 1 - start) * net.rows * net.deltas * net.units)


@inline
def _is_scored(net, memory, t):
    """Whether timestep t counts in any sequence."""
    for r in range(net.batch):
        if any_of(element(memory, output_element(net, memory, net.scored, t, 0) + r) > splat(0.0)):
            return True
    return False


@inline
def _keep_last_scored(net, memory, begin):
    """Clear what the loss wrote for every timestep but the last that counts, of each sequence for itself."""
    for r in range(net.batch):
        later = splat(0.0)
        for t in range(net.timesteps - 1, max(begin, net.first_output) - 1, -1):
            for o in range(net.outputs):
                place = output_element(net, memory, net.output_delta, t, o) + r
                set_element(memory, place, select(later > splat(0.0), splat(0.0), element(memory, place)))
            later = later + element(memory, output_element(net, memory, net.scored, t, 0) + r)


@inline
def clear(memory, place, count):
    """Zeros in `count` vectors."""
    for i in range(place, place + count):
        store(memory, i, splat(0.0))


@inline
def _add(memory, target, source, count):
    for i in range(count):
        store(memory, target + i, load(memory, target + i) + load(memory, source + i))


@inline
def _measure_flow(net, memory, begin):
    """flow[t] = ‖∂loss/∂h_t‖ over layers, rows and units; 0 before a sequence begins."""
    flow, together = elements(memory, net.flow), elements(memory, net.flow_state)
    for t in range(begin):
        set_element(memory, flow + t, splat(0.0))
    for t in range(begin, net.timesteps):
        for layer in range(net.layers):
            for r in range(net.batch):
                live = is_live(net, memory, t, r)
                given = elements(memory, state_delta_at(net, layer, t)) + r * net.slots * net.span
                kept = together + (layer * net.batch + r) * net.hidden
                for j in range(net.hidden):
                    set_element(memory, kept + j, select(live, element(memory, given + j), splat(0.0)))
        set_element(memory, flow + t, norm(memory, net.flow_state, net.layers * net.batch * net.hidden))
