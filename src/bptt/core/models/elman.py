"""Elman's simple recurrent network (Elman 1990, "Finding Structure in Time")."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
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
from bptt.core.layout import (
    cell_bias,
    delta_at,
    is_live,
    read_net,
    recurrent_bias,
    state_at,
    state_delta_at,
)
from bptt.core.models.cell import Activation, Bias, Cell, Constraint, Readout, Size, activate, slope
from bptt.core.models.tangents import add_context_tangent, add_input_tangent, fill_bias_tangent, run_tangent
from bptt.core.network import run_backward, run_forward
from bptt.core.plain import elman
from bptt.core.simd import inline, load, select, splat, store


@inline
def elman_unit(kind, live, a, before):
    """h_t = f(a); it stays until a sequence begins."""
    return (select(live, activate(kind, a), before),)


@inline
def elman_unit_back(kind, live, h, before, dh):
    """δ_t = ∂L/∂h_t ⊙ f′."""
    return (select(live, dh * slope(kind, h), splat(0.0)),)


@inline
def elman_prepare(net, theta, memory, layer, start, stop):
    """x_t W + b + b′, the part that needs no past."""
    h, n, rows = state_at(net, layer, start + 1), net.units, (stop - start) * net.rows
    fill_bias(net, theta, memory, h, n, cell_bias(net, layer), recurrent_bias(net, layer), rows, n)
    add_input(net, theta, memory, layer, start, stop, h, n, n)


@inline
def elman_step(net, theta, memory, layer, t):
    """h_t = f(x_t W + b + b′ + c_{t−1} R), the context c being h or, for Jordan, y."""
    n = net.units
    h, before = state_at(net, layer, t + 1), state_at(net, layer, t)
    add_context(net, theta, memory, layer, t, h, n, 0, n)
    for r in range(net.rows):
        live = is_live(net, memory, t, r)
        for j in range(r * n, r * n + n):
            (new,) = elman_unit(net.activation, live, load(memory, h + j), load(memory, before + j))
            store(memory, h + j, new)


@inline
def elman_step_back(net, theta, memory, layer, t, steps, base, onward):
    """δ_t = ∂L/∂h_t ⊙ f′;  ∂L/∂c_{t−1} += δ_t Rᵀ where the gradient flows onward, else for `steps` timesteps from t."""
    n = net.units
    h, dh, delta = state_at(net, layer, t + 1), state_delta_at(net, layer, t), delta_at(net, base, layer, t)
    for r in range(steps * net.rows):
        live = is_live(net, memory, t, r)
        for j in range(r * n, r * n + n):
            now = load(memory, h + j)
            (d,) = elman_unit_back(net.activation, live, now, now, load(memory, dh + j))
            store(memory, delta + j, d)
    if onward:
        add_context_back(net, theta, memory, layer, t, delta, 0, 1)


@inline
def elman_input_back(net, theta, memory, layer, start, stop, base):
    """∂L/∂x_t += δ_t Wᵀ."""
    add_input_back(net, theta, memory, layer, start, stop, base, 1)


@inline
def elman_gradient(net, gradient, memory, layer, begin):
    """∂L/∂W = Σ x_tᵀ δ_t;  ∂L/∂R = Σ c_{t−1}ᵀ δ_t;  ∂L/∂b = ∂L/∂b′ = Σ δ_t."""
    n, delta = net.units, delta_at(net, net.delta, layer, begin)
    set_input_gradient(net, gradient, memory, layer, begin, n)
    set_context_gradient(net, gradient, memory, layer, begin, delta, 0, n)
    bias = cell_bias(net, layer)
    set_bias_gradient(net, gradient, memory, begin, bias, delta, n)
    copy_bias_gradient(net, gradient, recurrent_bias(net, layer), bias, n)


@inline
def elman_prepare_tangent(net, trial, theta, direction, memory, layer, start, stop):
    """R{x_t W + b + b′}."""
    goes, n, rows = state_at(trial, layer, start + 1), net.units, (stop - start) * net.rows
    first, second = cell_bias(net, layer), recurrent_bias(net, layer)
    fill_bias_tangent(net, trial, direction, memory, goes, n, first, second, rows, n)
    add_input_tangent(net, trial, theta, direction, memory, layer, start, stop, goes, n, n)


@inline
def elman_step_tangent(net, trial, theta, direction, memory, layer, t):
    """R{h_t} = f′ ⊙ R{x_t W + b + b′ + h_{t−1} R}."""
    n = net.units
    goes, before, h = state_at(trial, layer, t + 1), state_at(trial, layer, t), state_at(net, layer, t + 1)
    add_context_tangent(net, trial, theta, direction, memory, layer, t, goes, n, 0, n)
    for r in range(net.rows):
        live = is_live(net, memory, t, r)
        for j in range(r * n, r * n + n):
            change = load(memory, goes + j) * slope(net.activation, load(memory, h + j))
            store(memory, goes + j, select(live, change, load(memory, before + j)))


@FORWARD
def elman_forward(sizes, theta, memory, begin):
    run_forward(elman_prepare, elman_step, read_net(sizes), theta, memory, begin)


@BACKWARD
def elman_backward(sizes, theta, gradient, memory, begin, truncation, flow):
    run_backward(
        elman_step_back,
        elman_input_back,
        elman_gradient,
        read_net(sizes),
        theta,
        gradient,
        memory,
        begin,
        truncation,
        flow,
    )


@TANGENT
def elman_tangent(sizes, trial_sizes, theta, direction, memory, begin):
    net, trial = read_net(sizes), read_net(trial_sizes)
    run_tangent(elman_prepare_tangent, elman_step_tangent, net, trial, theta, direction, memory, begin)


@dataclass(frozen=True, kw_only=True)
class Elman:
    """h_t = f(x_t W + h_{t−1} R + b),  y_t = g(h_t V + c).

    W (inputs, H), R (H, H), V (H, outputs). Layers stack: layer l sees layer l − 1's h_t as its x_t. With
    `bias=double` there is PyTorch's second bias: h_t = f(x_t W + b + h_{t−1} R + b′), which equals torch.nn.RNN. With
    `recurrent_constraint=orthogonal` R stays orthogonal, or its singular values within 1 ± spectral_margin, see
    `bptt.core.optimizers.recurrent_constraint`.
    """

    hidden_size: Size
    layers: Size
    activation: Activation
    bias: Bias
    readout: Readout
    recurrent_constraint: Constraint = "none"
    spectral_margin: Annotated[PerLane, Range(at_least=0, at_most=1)] = 0.0

    cell: ClassVar[Cell] = Cell(
        forward=elman_forward,
        backward=elman_backward,
        plain=elman,
        tangent=elman_tangent,
        unit=elman_unit,
        unit_back=elman_unit_back,
    )
