"""How states and outputs change as the parameters move in a direction v: R{·} = ∂·(θ + ε v)/∂ε at ε = 0, forward in
time (Pearlmutter 1994, "Fast Exact Multiplication by the Hessian").

A pass over a network has two layouts: `net` holds the states at θ and θ itself, `trial` (`layout.lay_out_trial`) their
change and v. A cell says in `bptt.core.models` what one timestep does.
"""

from bptt.core.layers import add_context, add_input, fill_bias
from bptt.core.layout import (
    ACTIVATIONS,
    READOUTS,
    place_before,
    place_behind,
    readout_weights,
    state_at,
    with_weights_of,
)
from bptt.core.models.cell import slope
from bptt.core.places import by_place
from bptt.core.products import multiply
from bptt.core.simd import element, elements, inline, load, splat, store

_NONE, _SIGMOID, _SOFTMAX = READOUTS["none"], READOUTS["sigmoid"], READOUTS["softmax"]
_LOGISTIC = ACTIVATIONS["sigmoid"]


@inline
def run_tangent(prepare, step, net, trial, theta, direction, memory, begin):
    """R{state}, R{logit} and R{output} of the timesteps from `begin` on; R{state} at begin is what stands there."""
    for layer in range(net.layers):
        prepare(net, trial, theta, direction, memory, layer, begin, net.timesteps)
        for t in range(begin, net.timesteps):
            step(net, trial, theta, direction, memory, layer, t)
    _read_out_tangent(net, trial, theta, direction, memory, max(begin, net.first_output), net.timesteps)


@inline
def fill_bias_tangent(net, trial, direction, memory, target, target_row, first, second, rows, columns):
    """target = R{b + b′} = v[first …] + v[second …], the places being θ's; a negative one is not there."""
    moved = trial.weights - net.weights
    first, second = first + moved if first >= 0 else -1, second + moved if second >= 0 else -1
    fill_bias(trial, direction, memory, target, target_row, first, second, rows, columns)


@inline
def add_input_tangent(net, trial, theta, direction, memory, layer, start, stop, target, target_row, columns):
    """target += R{x_t W} = x_t V_W + R{x_t} W, the latter where x_t is the state of the layer below."""
    add_input(with_weights_of(net, trial), direction, memory, layer, start, stop, target, target_row, columns)
    if layer > 0:
        add_input(with_weights_of(trial, net), theta, memory, layer, start, stop, target, target_row, columns)


@inline
def add_context_tangent(net, trial, theta, direction, memory, layer, t, target, target_row, first, columns):
    """target += R{h_{t−1} R} = h_{t−1} V_R + R{h_{t−1}} R, of some columns."""
    add_context(with_weights_of(net, trial), direction, memory, layer, t, target, target_row, first, columns)
    add_context(with_weights_of(trial, net), theta, memory, layer, t, target, target_row, first, columns)


@inline
def _read_out_tangent(net, trial, theta, direction, memory, start, stop):
    """R{z_t} = h_t V_V + R{h_t} V + v_c, and R{y_t} = ∂y/∂z R{z_t}."""
    first, last, n, top = place_before(net, start), place_behind(net, stop), net.outputs, net.layers - 1
    row = net.slots * net.units
    if net.readout == _NONE:
        moved, moved_row = by_place(trial, memory, state_at(trial, top, start + 1), row, start, stop)
        for o in range(n):
            for q in range(first, last):
                store(memory, trial.logit + o * net.places + q, load(memory, moved + (q - first) * moved_row + o))
    else:
        v, weights = elements(direction, readout_weights(trial)), elements(theta, readout_weights(net))
        for o in range(n):
            bias = splat(0.0)
            if net.biases > 0:
                bias = element(direction, v + net.hidden * n + o)
            for q in range(first, last):
                store(memory, trial.logit + o * net.places + q, bias)
        logits = memory, trial.logit + first, net.places, 1
        h, h_row = by_place(net, memory, state_at(net, top, start + 1), row, start, stop)
        multiply(net, logits, (direction, v, 1, n), (memory, h, 1, h_row), n, net.hidden, last - first, True)
        moved, moved_row = by_place(trial, memory, state_at(trial, top, start + 1), row, start, stop)
        multiply(net, logits, (theta, weights, 1, n), (memory, moved, 1, moved_row), n, net.hidden, last - first, True)
    for q in range(first, last):
        mean = splat(0.0)
        if net.readout == _SOFTMAX:
            for o in range(n):
                place = q + o * net.places
                mean = mean + load(memory, net.output + place) * load(memory, trial.logit + place)
        for o in range(n):
            place = q + o * net.places
            y, change = load(memory, net.output + place), load(memory, trial.logit + place)
            if net.readout == _SIGMOID:
                change = change * slope(_LOGISTIC, y)
            if net.readout == _SOFTMAX:
                change = y * (change - mean)
            store(memory, trial.output + place, change)
