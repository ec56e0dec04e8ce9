"""Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers, Schmidhuber & Cummins 2000)."""

from dataclasses import dataclass
from typing import ClassVar

from bptt.core.kernel import BACKWARD, FORWARD
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
def lstm_step(net, theta, memory, layer, t):
    """i, f, o = σ(·), g = tanh(·) of x_t W + b + b′ + h_{t−1} R;  c_t = f ⊙ c_{t−1} + i ⊙ g;  h_t = o ⊙ tanh c_t."""
    n = net.units
    state, before, gates = state_at(net, layer, t + 1), state_at(net, layer, t), gate_at(net, layer, t)
    add_context(net, theta, memory, layer, t, gates, 5 * n, 0, 4 * n)
    for r in range(net.rows):
        live = is_live(net, memory, t, r)
        for j in range(n):
            a, h, c = gates + r * 5 * n + j, r * 2 * n + j, r * 2 * n + n + j
            i, f = sigmoid(load(memory, a)), sigmoid(load(memory, a + n))
            g, o = tanh(load(memory, a + 2 * n)), sigmoid(load(memory, a + 3 * n))
            c_before = load(memory, before + c)
            c_new = fma(f, c_before, i * g)
            squashed = tanh(c_new)
            store(memory, a, i)
            store(memory, a + n, f)
            store(memory, a + 2 * n, g)
            store(memory, a + 3 * n, o)
            store(memory, a + 4 * n, squashed)
            store(memory, state + c, select(live, c_new, c_before))
            store(memory, state + h, select(live, o * squashed, load(memory, before + h)))


@inline
def lstm_step_back(net, theta, memory, layer, t, steps, base, onward):
    """From ∂L/∂h_t and ∂L/∂c_t, with s = tanh c_t:

    dc = ∂L/∂c_t + ∂L/∂h_t ⊙ o ⊙ (1 − s²);  ∂L/∂c_{t−1} = dc ⊙ f;  ∂L/∂h_{t−1} += δ Rᵀ
    δ_i = dc ⊙ g ⊙ i(1 − i);  δ_f = dc ⊙ c_{t−1} ⊙ f(1 − f);  δ_g = dc ⊙ i ⊙ (1 − g²);  δ_o = ∂L/∂h_t ⊙ s ⊙ o(1 − o)
    """
    n = net.units
    before, gates = state_at(net, layer, t), gate_at(net, layer, t)
    d_state, delta = state_delta_at(net, layer, t), delta_at(net, base, layer, t)
    zero = splat(0.0)
    for r in range(steps * net.rows):
        live = is_live(net, memory, t, r)
        for j in range(n):
            a, h, c, p = gates + r * 5 * n + j, r * 2 * n + j, r * 2 * n + n + j, delta + r * 4 * n + j
            i, f, g = load(memory, a), load(memory, a + n), load(memory, a + 2 * n)
            o, s = load(memory, a + 3 * n), load(memory, a + 4 * n)
            dh = load(memory, d_state + h)
            dc = load(memory, d_state + c) + dh * o * (1.0 - s * s)
            store(memory, p, select(live, dc * g * (i * (1.0 - i)), zero))
            store(memory, p + n, select(live, dc * load(memory, before + c) * (f * (1.0 - f)), zero))
            store(memory, p + 2 * n, select(live, dc * i * (1.0 - g * g), zero))
            store(memory, p + 3 * n, select(live, dh * s * (o * (1.0 - o)), zero))
            if onward:
                store(memory, state_delta_at(net, layer, t - 1) + c, select(live, dc * f, zero))
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
        gates=4,
        deltas=4,
        kept=5,
        slots=2,
        squashed=((0, "sigmoid"), (1, "sigmoid"), (2, "tanh"), (3, "sigmoid")),
        named_gates=(Gate("input", "writes"), Gate("forget", "keeps"), Gate("cell"), Gate("output")),
    )
