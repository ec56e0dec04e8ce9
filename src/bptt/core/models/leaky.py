"""Leaky, continuous-time units: an Euler step of τ ḣ = −h + f(·), with noise, and units that keep to one sign."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import BACKWARD, FORWARD
from bptt.core.layers import add_context, add_context_back, add_input, fill_bias
from bptt.core.layout import (
    cell_bias,
    delta_at,
    gate_at,
    is_live,
    noise_at,
    number_at,
    read_net,
    recurrent_bias,
    state_at,
    state_delta_at,
)
from bptt.core.models.cell import Activation, Bias, Cell, Readout, Size, activate, slope
from bptt.core.models.dale import Dale
from bptt.core.models.elman import elman_gradient, elman_input_back
from bptt.core.network import run_backward, run_forward
from bptt.core.plain import leaky
from bptt.core.simd import fma, inline, load, select, splat, sqrt, store

_NUMBERS = ("leak", "noise")
_LEAK, _NOISE = range(2)


@inline
def leaky_prepare(net, theta, memory, layer, start, stop):
    """x_t W + b + b′, the part that needs no past."""
    n, sums, rows = net.units, gate_at(net, layer, start), (stop - start) * net.rows
    fill_bias(net, theta, memory, sums, n, cell_bias(net, layer), recurrent_bias(net, layer), rows, n)
    add_input(net, theta, memory, layer, start, stop, sums, n, n)


@inline
def leaky_step(net, theta, memory, layer, t):
    """r = f(x_t W + b + b′ + h_{t−1} R + √(2/a) σ ξ), which is kept;  h_t = (1 − a) h_{t−1} + a r."""
    n, a, sigma = net.units, number_at(net, memory, _LEAK), number_at(net, memory, _NOISE)
    spread, rest = sqrt(2.0 / a) * sigma, 1.0 - a
    h, before, sums = state_at(net, layer, t + 1), state_at(net, layer, t), gate_at(net, layer, t)
    xi = noise_at(net, layer, t)
    add_context(net, theta, memory, layer, t, sums, n, 0, n)
    for row in range(net.rows):
        live = is_live(net, memory, t, row)
        for j in range(row * n, row * n + n):
            z, past = load(memory, sums + j), load(memory, before + j)
            z = select(sigma > splat(0.0), fma(spread, load(memory, xi + j), z), z)
            r = activate(net.activation, z)
            store(memory, sums + j, r)
            mixed = select(rest > splat(0.0), fma(a, r, rest * past), r)
            store(memory, h + j, select(live, mixed, past))


@inline
def leaky_step_back(net, theta, memory, layer, t, steps, base, onward):
    """δ_t = ∂L/∂h_t ⊙ a f′;  ∂L/∂h_{t−1} += (1 − a) ∂L/∂h_t + δ_t Rᵀ."""
    n, a, zero = net.units, number_at(net, memory, _LEAK), splat(0.0)
    rest = 1.0 - a
    d_state, delta, kept = state_delta_at(net, layer, t), delta_at(net, base, layer, t), gate_at(net, layer, t)
    for row in range(steps * net.rows):
        live = is_live(net, memory, t, row)
        for j in range(row * n, row * n + n):
            dh = load(memory, d_state + j)
            store(memory, delta + j, select(live, a * dh * slope(net.activation, load(memory, kept + j)), zero))
            if onward:
                earlier = state_delta_at(net, layer, t - 1) + j
                before = load(memory, earlier)
                store(memory, earlier, select(live & (rest > zero), fma(rest, dh, before), before))
    if onward:
        add_context_back(net, theta, memory, layer, t, delta, 0, 1)


@FORWARD
def leaky_forward(sizes, theta, memory, begin):
    run_forward(leaky_prepare, leaky_step, read_net(sizes), theta, memory, begin)


@BACKWARD
def leaky_backward(sizes, theta, gradient, memory, begin, truncation, flow):
    run_backward(
        leaky_step_back,
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


@dataclass(frozen=True, kw_only=True)
class Leaky(Dale):
    """h_t = (1 − a) h_{t−1} + a f(x_t W + h_{t−1} R + b + √(2/a) σ ξ_t),  y_t = g(h_t V + c).

    W (inputs, H), R (H, H), V (H, outputs); a = Δt/τ is `leak`, the share of a unit's time constant that a timestep is,
    σ is `noise`, and ξ_t ~ N(0, 1) of each unit by itself. With a = 1 and σ = 0 it is Elman's network, to the bit.
    Where weights are small a state, and a gradient on its way back, keeps the share 1 − a a timestep. With
    `bias=double` there is a second bias beside b.

    h is the rate, and the noise stands within f, as in the program of Yang, Joglekar, Song, Newsome & Wang 2019, "Task
    representations in neural networks trained to perform many cognitive tasks" (gyyang/multitask, network.py,
    LeakyRNNCell). Song, Yang & Wang 2016, "Training excitatory-inhibitory recurrent neural networks for cognitive
    tasks" (frsong/pycog, trainer.py) keep the current s and f(s) is the rate, s_t = (1 − a) s_{t−1} + a (f(s_{t−1}) R +
    x_t W + b + √(2/a) σ ξ_t); so does PsychRNN (murraylab/PsychRNN, basic.py), which writes the noise as √(2a) σ ξ_t
    behind a: the same. The factor lets σ be the noise's size whatever the timestep: an Euler–Maruyama step of
    τ ds = −s dt + √(2τ) σ dB, with a linear unit and no weights, leaves s the variance σ²/(1 − a/2).

    ξ is a stream of the run's own (`bptt.core.models.state_noise`). Networks are evaluated, tested, exported and
    measured without noise. Dale's law (`bptt.core.models.dale`) is of R alone; inputs and read-out are free.
    """

    hidden_size: Size
    layers: Size
    activation: Activation
    bias: Bias
    readout: Readout
    leak: Annotated[PerLane, Range(above=0, at_most=1)]
    noise: Annotated[PerLane, Range(at_least=0)] = 0.0

    cell: ClassVar[Cell] = Cell(
        forward=leaky_forward,
        backward=leaky_backward,
        plain=leaky,
        kept=1,
        squashed=((0, None),),
        numbers=_NUMBERS,
        noise="noise",
    )
