"""Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers, Schmidhuber & Cummins 2000)."""

from dataclasses import dataclass
from typing import ClassVar

from bptt.core.kernel import BACKWARD, FORWARD, TANGENT
from bptt.core.layers import (
    add_context,
    add_context_back,
    add_input,
    add_input_back,
    copy_bias_gradient,
    fill_bias,
    set_bias_gradient,
    set_context_gradient,
    set_input_gradient,
)
from bptt.core.layout import cell_bias, delta_at, gate_at, is_live, read_net, recurrent_bias, state_at, state_delta_at
from bptt.core.models.cell import Activation, Bias, Cell, Gate, Readout, Size
from bptt.core.models.tangents import add_context_tangent, add_input_tangent, fill_bias_tangent, run_tangent
from bptt.core.network import run_backward, run_forward
from bptt.core.plain import lstm
from bptt.core.simd import fma, inline, load, select, sigmoid, splat, store, tanh


@inline
def lstm_prepare(net, theta, memory, layer, start, stop):
    """x_t W + b + b′ of the four gates, the part that needs no past."""
    n, gates, rows = net.units, gate_at(net, layer, start), (stop - start) * net.rows
    fill_bias(net, theta, memory, gates, 5 * n, cell_bias(net, layer), recurrent_bias(net, layer), rows, 4 * n)
    add_input(net, theta, memory, layer, start, stop, gates, 5 * n, 4 * n)


@inline
def lstm_unit(kind, live, i, f, g, o, h_before, c_before):
    """i, f, o = σ(·), g = tanh(·);  c_t = f ⊙ c_{t−1} + i ⊙ g;  h_t = o ⊙ tanh c_t; else both stay."""
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    c = fma(f, c_before, i * g)
    squashed = tanh(c)
    return i, f, g, o, squashed, select(live, o * squashed, h_before), select(live, c, c_before)


@inline
def lstm_unit_back(kind, live, i, f, g, o, s, h_before, c_before, dh, dc):
    """With s = tanh c_t and dc = ∂L/∂c_t + ∂L/∂h_t ⊙ o ⊙ (1 − s²): δ_i = dc ⊙ g ⊙ i(1 − i);
    δ_f = dc ⊙ c_{t−1} ⊙ f(1 − f);  δ_g = dc ⊙ i ⊙ (1 − g²);  δ_o = ∂L/∂h_t ⊙ s ⊙ o(1 − o);  ∂L/∂c_{t−1} = dc ⊙ f.
    """
    zero = splat(0.0)
    dc = dc + dh * o * (1.0 - s * s)
    return (
        select(live, dc * g * (i * (1.0 - i)), zero),
        select(live, dc * c_before * (f * (1.0 - f)), zero),
        select(live, dc * i * (1.0 - g * g), zero),
        select(live, dh * s * (o * (1.0 - o)), zero),
        select(live, dc * f, zero),
    )


@inline
def lstm_step(net, theta, memory, layer, t):
    """The gates' sums with h_{t−1} R, and what becomes of them."""
    n = net.units
    state, before, gates = state_at(net, layer, t + 1), state_at(net, layer, t), gate_at(net, layer, t)
    add_context(net, theta, memory, layer, t, gates, 5 * n, 0, 4 * n)
    for r in range(net.rows):
        live = is_live(net, memory, t, r)
        for j in range(n):
            a, h, c = gates + r * 5 * n + j, r * 2 * n + j, r * 2 * n + n + j
            i, f, g, o = load(memory, a), load(memory, a + n), load(memory, a + 2 * n), load(memory, a + 3 * n)
            h_before, c_before = load(memory, before + h), load(memory, before + c)
            i, f, g, o, squashed, h_new, c_new = lstm_unit(net.activation, live, i, f, g, o, h_before, c_before)
            store(memory, a, i)
            store(memory, a + n, f)
            store(memory, a + 2 * n, g)
            store(memory, a + 3 * n, o)
            store(memory, a + 4 * n, squashed)
            store(memory, state + c, c_new)
            store(memory, state + h, h_new)


@inline
def lstm_step_back(net, theta, memory, layer, t, steps, base, onward):
    """∂L/∂h_{t−1} += δ Rᵀ;  ∂L/∂c_{t−1} is what `lstm_unit_back` says."""
    n = net.units
    before, gates = state_at(net, layer, t), gate_at(net, layer, t)
    d_state, delta = state_delta_at(net, layer, t), delta_at(net, base, layer, t)
    for r in range(steps * net.rows):
        live = is_live(net, memory, t, r)
        for j in range(n):
            a, h, c, p = gates + r * 5 * n + j, r * 2 * n + j, r * 2 * n + n + j, delta + r * 4 * n + j
            i, f, g = load(memory, a), load(memory, a + n), load(memory, a + 2 * n)
            o, s = load(memory, a + 3 * n), load(memory, a + 4 * n)
            h_before, c_before = load(memory, before + h), load(memory, before + c)
            dh, dc = load(memory, d_state + h), load(memory, d_state + c)
            d_i, d_f, d_g, d_o, past = lstm_unit_back(net.activation, live, i, f, g, o, s, h_before, c_before, dh, dc)
            store(memory, p, d_i)
            store(memory, p + n, d_f)
            store(memory, p + 2 * n, d_g)
            store(memory, p + 3 * n, d_o)
            if onward:
                store(memory, state_delta_at(net, layer, t - 1) + c, past)
    if onward:
        add_context_back(net, theta, memory, layer, t, delta, 0, 4)


@inline
def lstm_input_back(net, theta, memory, layer, start, stop, base):
    """∂L/∂x_t += δ_t Wᵀ."""
    add_input_back(net, theta, memory, layer, start, stop, base, 4)


@inline
def lstm_gradient(net, gradient, memory, layer, begin):
    """∂L/∂W = Σ x_tᵀ δ_t;  ∂L/∂R = Σ h_{t−1}ᵀ δ_t;  ∂L/∂b = ∂L/∂b′ = Σ δ_t."""
    columns, delta = 4 * net.units, delta_at(net, net.delta, layer, begin)
    set_input_gradient(net, gradient, memory, layer, begin, columns)
    set_context_gradient(net, gradient, memory, layer, begin, delta, 0, columns)
    bias = cell_bias(net, layer)
    set_bias_gradient(net, gradient, memory, begin, bias, delta, columns)
    copy_bias_gradient(net, gradient, recurrent_bias(net, layer), bias, columns)


@inline
def lstm_prepare_tangent(net, trial, theta, direction, memory, layer, start, stop):
    """R{x_t W + b + b′} of the four gates."""
    n, goes, rows = net.units, gate_at(trial, layer, start), (stop - start) * net.rows
    first, second = cell_bias(net, layer), recurrent_bias(net, layer)
    fill_bias_tangent(net, trial, direction, memory, goes, 5 * n, first, second, rows, 4 * n)
    add_input_tangent(net, trial, theta, direction, memory, layer, start, stop, goes, 5 * n, 4 * n)


@inline
def lstm_unit_tangent(i, f, g, o, s, c_before, d_i, d_f, d_g, d_o, d_c_before):
    """(R{h_t}, R{c_t}) of R{·} of the gates' sums and of c_{t−1}, with s = tanh c_t:
    R{c_t} = f ⊙ R{c_{t−1}} + R{f} ⊙ c_{t−1} + R{i} ⊙ g + i ⊙ R{g};  R{h_t} = R{o} ⊙ s + o ⊙ (1 − s²) ⊙ R{c_t}.
    """
    d_i, d_f, d_o = i * (1.0 - i) * d_i, f * (1.0 - f) * d_f, o * (1.0 - o) * d_o
    d_c = f * d_c_before + d_f * c_before + d_i * g + i * ((1.0 - g * g) * d_g)
    return d_o * s + o * (1.0 - s * s) * d_c, d_c


@inline
def lstm_step_tangent(net, trial, theta, direction, memory, layer, t):
    n, state, gates = net.units, state_at(net, layer, t), gate_at(net, layer, t)
    goes, before, changes = state_at(trial, layer, t + 1), state_at(trial, layer, t), gate_at(trial, layer, t)
    add_context_tangent(net, trial, theta, direction, memory, layer, t, changes, 5 * n, 0, 4 * n)
    for r in range(net.rows):
        live = is_live(net, memory, t, r)
        for j in range(n):
            a, d, h, c = gates + r * 5 * n + j, changes + r * 5 * n + j, r * 2 * n + j, r * 2 * n + n + j
            i, f, g = load(memory, a), load(memory, a + n), load(memory, a + 2 * n)
            o, s = load(memory, a + 3 * n), load(memory, a + 4 * n)
            d_i, d_f, d_g, d_o = load(memory, d), load(memory, d + n), load(memory, d + 2 * n), load(memory, d + 3 * n)
            c_before, d_c = load(memory, state + c), load(memory, before + c)
            d_h, d_c_new = lstm_unit_tangent(i, f, g, o, s, c_before, d_i, d_f, d_g, d_o, d_c)
            store(memory, goes + h, select(live, d_h, load(memory, before + h)))
            store(memory, goes + c, select(live, d_c_new, d_c))


@FORWARD
def lstm_forward(sizes, theta, memory, begin):
    run_forward(lstm_prepare, lstm_step, read_net(sizes), theta, memory, begin)


@BACKWARD
def lstm_backward(sizes, theta, gradient, memory, begin, truncation, flow):
    run_backward(
        lstm_step_back,
        lstm_input_back,
        lstm_gradient,
        read_net(sizes),
        theta,
        gradient,
        memory,
        begin,
        truncation,
        flow,
    )


@TANGENT
def lstm_tangent(sizes, trial_sizes, theta, direction, memory, begin):
    net, trial = read_net(sizes), read_net(trial_sizes)
    run_tangent(lstm_prepare_tangent, lstm_step_tangent, net, trial, theta, direction, memory, begin)


@dataclass(frozen=True, kw_only=True)
class Lstm:
    """i, f, g, o = σ, σ, tanh, σ (x_t W + h_{t−1} R + b),  c_t = f ⊙ c_{t−1} + i ⊙ g,  h_t = o ⊙ tanh c_t,
    y_t = out(h_t V + c).

    W (inputs, 4H), R (H, 4H): the gates i, f, g, o along the last axis; no peepholes. With `bias=double` it equals
    torch.nn.LSTM.
    """

    hidden_size: Size
    layers: Size
    bias: Bias
    readout: Readout

    activation: ClassVar[Activation] = "tanh"
    cell: ClassVar[Cell] = Cell(
        forward=lstm_forward,
        backward=lstm_backward,
        plain=lstm,
        tangent=lstm_tangent,
        gates=4,
        deltas=4,
        kept=5,
        slots=2,
        unit=lstm_unit,
        unit_back=lstm_unit_back,
        carried=1,
        squashed=((0, "sigmoid"), (1, "sigmoid"), (2, "tanh"), (3, "sigmoid")),
        named_gates=(Gate("input", "writes"), Gate("forget", "keeps"), Gate("cell"), Gate("output")),
    )
