"""The gated recurrent unit (Cho et al. 2014), in the variant that resets after the recurrent product."""

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
from bptt.core.plain import gru
from bptt.core.simd import fma, inline, load, select, sigmoid, splat, store, tanh


@inline
def gru_prepare(net, theta, memory, layer, start, stop):
    """x_t W + b of the three gates, with b′ where it adds to the same sum, and b′_n for itself: what needs no past."""
    n, gates, rows = net.units, gate_at(net, layer, start), (stop - start) * net.rows
    first, second = cell_bias(net, layer), recurrent_bias(net, layer)
    fill_bias(net, theta, memory, gates, 4 * n, first, second, rows, 2 * n)
    fill_bias(net, theta, memory, gates + 2 * n, 4 * n, first + 2 * n if first >= 0 else -1, -1, rows, n)
    fill_bias(net, theta, memory, gates + 3 * n, 4 * n, second + 2 * n if second >= 0 else -1, -1, rows, n)
    add_input(net, theta, memory, layer, start, stop, gates, 4 * n, 3 * n)


@inline
def gru_unit(kind, live, r, z, n, m, before):
    """r, z = σ(·);  n = tanh(· + r ⊙ m);  h_t = n + z ⊙ (h_{t−1} − n); h stays until a sequence begins."""
    r, z = sigmoid(r), sigmoid(z)
    n = tanh(fma(r, m, n))
    return r, z, n, m, select(live, fma(z, before - n, n), before)


@inline
def gru_unit_back(kind, live, r, z, n, m, before, dh):
    """δ_z = ∂L/∂h_t ⊙ (h_{t−1} − n) ⊙ z(1 − z);  δ_n = ∂L/∂h_t ⊙ (1 − z) ⊙ (1 − n²);  δ_m = δ_n ⊙ r;
    δ_r = δ_n ⊙ m ⊙ r(1 − r);  and ∂L/∂h_t ⊙ z, which is part of ∂L/∂h_{t−1}.
    """
    zero = splat(0.0)
    d_n = select(live, dh * (1.0 - z) * (1.0 - n * n), zero)
    d_z = select(live, dh * (before - n) * (z * (1.0 - z)), zero)
    return d_n * m * (r * (1.0 - r)), d_z, d_n, d_n * r, select(live, dh * z, zero)


@inline
def gru_step(net, theta, memory, layer, t):
    """The sums of r, z and n with h_{t−1} R;  m = h_{t−1} R_n + b′_n."""
    n = net.units
    h, before, gates = state_at(net, layer, t + 1), state_at(net, layer, t), gate_at(net, layer, t)
    add_context(net, theta, memory, layer, t, gates, 4 * n, 0, 2 * n)
    add_context(net, theta, memory, layer, t, gates + 3 * n, 4 * n, 2 * n, n)
    for row in range(net.rows):
        live = is_live(net, memory, t, row)
        for j in range(n):
            a = gates + row * 4 * n + j
            r, z, candidate, m = load(memory, a), load(memory, a + n), load(memory, a + 2 * n), load(memory, a + 3 * n)
            h_before = load(memory, before + row * n + j)
            r, z, candidate, m, new = gru_unit(net.activation, live, r, z, candidate, m, h_before)
            store(memory, a, r)
            store(memory, a + n, z)
            store(memory, a + 2 * n, candidate)
            store(memory, h + row * n + j, new)


@inline
def gru_step_back(net, theta, memory, layer, t, steps, base, onward):
    """∂L/∂h_{t−1} += ∂L/∂h_t ⊙ z + (δ_r, δ_z, δ_m) Rᵀ."""
    n = net.units
    before, gates = state_at(net, layer, t), gate_at(net, layer, t)
    d_state, delta = state_delta_at(net, layer, t), delta_at(net, base, layer, t)
    for row in range(steps * net.rows):
        live = is_live(net, memory, t, row)
        for j in range(n):
            a, p, unit = gates + row * 4 * n + j, delta + row * 4 * n + j, row * n + j
            r, z, candidate, m = load(memory, a), load(memory, a + n), load(memory, a + 2 * n), load(memory, a + 3 * n)
            h_before, dh = load(memory, before + unit), load(memory, d_state + unit)
            d_r, d_z, d_n, d_m, past = gru_unit_back(net.activation, live, r, z, candidate, m, h_before, dh)
            store(memory, p, d_r)
            store(memory, p + n, d_z)
            store(memory, p + 2 * n, d_n)
            store(memory, p + 3 * n, d_m)
            if onward:
                earlier = state_delta_at(net, layer, t - 1) + unit
                store(memory, earlier, load(memory, earlier) + past)
    if onward:
        add_context_back(net, theta, memory, layer, t, delta, 0, 2)
        add_context_back(net, theta, memory, layer, t, delta + 3 * n, 2, 1)


@inline
def gru_input_back(net, theta, memory, layer, start, stop, base):
    """∂L/∂x_t += (δ_r, δ_z, δ_n) Wᵀ."""
    add_input_back(net, theta, memory, layer, start, stop, base, 3)


@inline
def gru_gradient(net, gradient, memory, layer, begin):
    """∂L/∂W = Σ x_tᵀ (δ_r, δ_z, δ_n);  ∂L/∂R = Σ h_{t−1}ᵀ (δ_r, δ_z, δ_m);  biases: the sums of the same."""
    n, delta = net.units, delta_at(net, net.delta, layer, begin)
    set_input_gradient(net, gradient, memory, layer, begin, 3 * n)
    set_context_gradient(net, gradient, memory, layer, begin, delta, 0, 2 * n)
    set_context_gradient(net, gradient, memory, layer, begin, delta + 3 * n, 2 * n, n)
    first, second = cell_bias(net, layer), recurrent_bias(net, layer)
    set_bias_gradient(net, gradient, memory, begin, first, delta, 3 * n)
    copy_bias_gradient(net, gradient, second, first, 2 * n)
    set_bias_gradient(net, gradient, memory, begin, second + 2 * n if second >= 0 else -1, delta + 3 * n, n)


@inline
def gru_prepare_tangent(net, trial, theta, direction, memory, layer, start, stop):
    """R{x_t W + b} of the three gates, with R{b′} where it adds to the same sum, and R{b′_n} for itself."""
    n, goes, rows = net.units, gate_at(trial, layer, start), (stop - start) * net.rows
    first, second = cell_bias(net, layer), recurrent_bias(net, layer)
    of_n, of_m = first + 2 * n if first >= 0 else -1, second + 2 * n if second >= 0 else -1
    fill_bias_tangent(net, trial, direction, memory, goes, 4 * n, first, second, rows, 2 * n)
    fill_bias_tangent(net, trial, direction, memory, goes + 2 * n, 4 * n, of_n, -1, rows, n)
    fill_bias_tangent(net, trial, direction, memory, goes + 3 * n, 4 * n, of_m, -1, rows, n)
    add_input_tangent(net, trial, theta, direction, memory, layer, start, stop, goes, 4 * n, 3 * n)


@inline
def gru_unit_tangent(r, z, n, m, before, d_r, d_z, d_n, d_m, d_before):
    """R{h_t} of R{·} of the sums of r, z and n, of m and of h_{t−1}:
    R{n} = (1 − n²) ⊙ (R{·} + R{r} ⊙ m + r ⊙ R{m});  R{h_t} = (1 − z) ⊙ R{n} + R{z} ⊙ (h_{t−1} − n) + z ⊙ R{h_{t−1}}.
    """
    d_r, d_z = r * (1.0 - r) * d_r, z * (1.0 - z) * d_z
    d_n = (1.0 - n * n) * (d_n + d_r * m + r * d_m)
    return (1.0 - z) * d_n + d_z * (before - n) + z * d_before


@inline
def gru_step_tangent(net, trial, theta, direction, memory, layer, t):
    n, state, gates = net.units, state_at(net, layer, t), gate_at(net, layer, t)
    goes, before, changes = state_at(trial, layer, t + 1), state_at(trial, layer, t), gate_at(trial, layer, t)
    add_context_tangent(net, trial, theta, direction, memory, layer, t, changes, 4 * n, 0, 2 * n)
    add_context_tangent(net, trial, theta, direction, memory, layer, t, changes + 3 * n, 4 * n, 2 * n, n)
    for row in range(net.rows):
        live = is_live(net, memory, t, row)
        for j in range(n):
            a, d, unit = gates + row * 4 * n + j, changes + row * 4 * n + j, row * n + j
            r, z, candidate, m = load(memory, a), load(memory, a + n), load(memory, a + 2 * n), load(memory, a + 3 * n)
            d_r, d_z, d_n, d_m = load(memory, d), load(memory, d + n), load(memory, d + 2 * n), load(memory, d + 3 * n)
            h, d_h = load(memory, state + unit), load(memory, before + unit)
            change = gru_unit_tangent(r, z, candidate, m, h, d_r, d_z, d_n, d_m, d_h)
            store(memory, goes + unit, select(live, change, d_h))


@FORWARD
def gru_forward(sizes, theta, memory, begin):
    run_forward(gru_prepare, gru_step, read_net(sizes), theta, memory, begin)


@BACKWARD
def gru_backward(sizes, theta, gradient, memory, begin, truncation, flow):
    run_backward(
        gru_step_back, gru_input_back, gru_gradient, read_net(sizes), theta, gradient, memory, begin, truncation, flow
    )


@TANGENT
def gru_tangent(sizes, trial_sizes, theta, direction, memory, begin):
    net, trial = read_net(sizes), read_net(trial_sizes)
    run_tangent(gru_prepare_tangent, gru_step_tangent, net, trial, theta, direction, memory, begin)


@dataclass(frozen=True, kw_only=True)
class Gru:
    """r, z = σ(x_t W + h_{t−1} R + b),  n = tanh(x_t W_n + b_n + r ⊙ (h_{t−1} R_n + b′_n)),
    h_t = (1 − z) ⊙ n + z ⊙ h_{t−1},  y_t = out(h_t V + c).

    W (inputs, 3H), R (H, 3H): the gates r, z, n along the last axis. The reset gate multiplies after the recurrent
    product (as in cuDNN; Cho et al. 2014 reset h before it). With `bias=double` it equals torch.nn.GRU;
    with single, b′ = 0.
    """

    hidden_size: Size
    layers: Size
    bias: Bias
    readout: Readout

    activation: ClassVar[Activation] = "tanh"
    cell: ClassVar[Cell] = Cell(
        forward=gru_forward,
        backward=gru_backward,
        plain=gru,
        tangent=gru_tangent,
        gates=3,
        deltas=4,
        kept=4,
        unit=gru_unit,
        unit_back=gru_unit_back,
        context_sums=(0, 1, 3),
        carried=0,
        squashed=((0, "sigmoid"), (1, "sigmoid"), (2, "tanh")),
        named_gates=(Gate("reset"), Gate("update", "keeps"), Gate("new")),
    )
