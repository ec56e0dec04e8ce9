"""What is recorded about gradients and states: one formula for each metric, here and nowhere else.

loss/train               the loss of the update's batch, at the weights before the update
loss/eval                the loss of the evaluation set, at the weights after the update
accuracy/eval            the share of the evaluation set that the task calls right
accuracy/all_right       the share of its sequences with every scored target right
grad/norm                ‖∂loss/∂θ‖₂ over all parameters, with what the regularizer adds, before clipping
grad/clipped             share of the updates since the last recorded one whose gradient was clipped
grad/decay               see `decay_rate`
update/ratio             see `update_ratio`
weights/spectral_radius  see `spectral_radius`
activations/saturation   see `count_activations`

The spectral radius of small matrices, by squaring.

How many of a batch's activations are saturated, counted where a forward pass left them.
"""

import math
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from bptt.core.elementwise import add_up, compute_log, log_each
from bptt.core.kernel import ARRAYS, LANES, NUMBER_ARRAY, SIZES_ARRAY, UNITS, Kernel, call_product
from bptt.core.layout import ACTIVATIONS, gate_at, output_element, read_net, state_at
from bptt.core.models.cell import Activation
from bptt.core.parameters import Parameter
from bptt.core.products import product
from bptt.core.sequences import Floats
from bptt.core.simd import (
    WIDTH,
    absolute,
    aligned_zeros,
    elements,
    elements_at,
    exp,
    inline,
    largest,
    load,
    log,
    number_of,
    pointer_to,
    select,
    set_number,
    splat,
    store,
    vectors_at,
)

_LN_2 = 0.6931471805599453
_SQUARINGS = 50  # of ‖A^m‖ ≤ c·ρ^m, the m-th root of c is then below 1 + 10⁻¹⁵ ln c


_MATRICES = types.Array(types.float64, 3, "C")


@inline
def _largest(matrix, count):
    """The largest |a| of `count` vectors, none of which is NaN."""
    top = splat(0.0)
    for i in range(count):
        size = absolute(load(matrix, i))
        top = select(size > top, size, top)
    return largest(top)


@inline
def _norm(matrix, size, span):
    """‖A‖∞, the largest sum of a row's |a|."""
    result = 0.0
    for i in range(size):
        total = 0.0
        for j in range(size):
            total += abs(number_of(matrix, i * span + j, 0))
        result = max(result, total)
    return result


def _radii(multiply, matrices, room, more_room, result):
    size, power, square = matrices.shape[1], pointer_to(room), pointer_to(more_room)
    units = (size + WIDTH - 1) // WIDTH
    span, count = units * WIDTH, size * units
    for n in range(matrices.shape[0]):
        for i in range(size):
            for j in range(size):
                set_number(power, i * span + j, 0, matrices[n, i, j])
        level, weight = 0.0, 1.0
        for _ in range(_SQUARINGS):
            top = _largest(power, count)
            if top == 0.0:
                break
            _, exponent = math.frexp(top)
            scale = splat(math.ldexp(1.0, -exponent))
            for i in range(count):
                store(power, i, load(power, i) * scale)
            call_product(
                multiply,
                (
                    vectors_at(square, 0),
                    units,
                    1,
                    elements_at(power, 0),
                    span,
                    1,
                    vectors_at(power, 0),
                    units,
                    1,
                    size,
                    size,
                    units,
                    False,
                ),
            )
            level += weight * exponent
            weight *= 0.5
            power, square = square, power
        norm = _norm(power, size, span)
        result[n] = 0.0
        if norm > 0.0:
            whole = math.floor(level)
            part = exp(splat((level - whole) * _LN_2) + log(splat(norm)) * weight)
            result[n] = math.ldexp(largest(part), int(whole))


radii_of = Kernel(_radii, {UNITS: types.void(types.int64, _MATRICES, *[NUMBER_ARRAY] * 3)})


def spectral_radii(matrices: Floats) -> Floats:
    """(N,): the largest |eigenvalue| of each matrix (N, n, n); NaN where it is not finite.

    lim ‖A^m‖^(1/m) (Gelfand 1941, "Normierte Ringe") at m = 2⁵⁰: the matrix is squared and scaled by a power of two,
    again and again.
    """
    finite = np.isfinite(matrices).all(axis=(1, 2))
    sound, found = np.ascontiguousarray(matrices[finite]), np.full(len(matrices), np.nan)
    size = matrices.shape[1]
    room = [aligned_zeros(size * -(-size // WIDTH) * WIDTH) for _ in range(2)]
    radii = np.empty(len(sound))
    radii_of.compile(UNITS).entry_point(product.address(UNITS), sound, *room, radii)
    found[finite] = radii
    return found


def decay_rate(flow: Floats) -> Floats:
    """grad/decay: the least-squares slope of ln ‖∂loss/∂h_{T−1−k}‖ against the lag k; 1/timestep.

    flow (lanes, lags): norms, lag 0 first, of the last scored timestep's loss (see `network.run_backward`). Below 0 the
    gradient vanishes going back, above 0 it explodes. Lags whose norm is 0 or not finite are left
    out; NaN where fewer than two are left.
    """
    flow = np.ascontiguousarray(flow)
    usable = np.isfinite(flow) & (flow > 0)
    slopes = np.empty(len(flow))
    slope_of.compile(UNITS).entry_point(usable, compute_log(np.where(usable, flow, 1.0)), slopes)
    return slopes


def _slope(usable, logs, slopes):
    for lane in range(slopes.shape[0]):
        count, total = 0, 0
        for k in range(usable.shape[1]):
            if usable[lane, k]:
                count += 1
                total += k
        middle, product, square = total / max(count, 1), 0.0, 0.0
        for k in range(usable.shape[1]):
            if usable[lane, k]:
                product += (k - middle) * logs[lane, k]
                square += (k - middle) * (k - middle)
        slopes[lane] = product / square if count > 1 else np.nan


slope_of = Kernel(
    _slope, {UNITS: types.void(types.Array(types.boolean, 2, "C"), types.Array(types.float64, 2, "C"), NUMBER_ARRAY)}
)
#: What `decay_rate` calls, each with its mode.
SLOPES = ((log_each, LANES), (slope_of, UNITS))


def update_ratio(step: Floats, weights: Floats) -> Floats:
    """update/ratio: ‖θ_t − θ_{t−1}‖₂ / ‖θ_{t−1}‖₂ over all parameters, how far one update moves; NaN from θ = 0."""
    with np.errstate(over="ignore", invalid="ignore"):  # where weights are that large
        return np.divide(step, weights, out=np.full(step.shape, np.nan), where=weights != 0)


def spectral_radius(model: Any, blocks: tuple[Parameter, ...], flat: Floats) -> Floats:
    """weights/spectral_radius: the largest |eigenvalue| of the state-to-state matrix; of a stack's layers the largest.

    flat (lanes, P) gives (lanes,). The matrix is R (H, H); for LSTM and GRU the block of the candidate (gate g or n),
    for Jordan's network V R: from state to output and back. NaN where that is not finite.
    """
    named = {b.name: flat[:, b.first : b.first + b.size].reshape(-1, *b.shape) for b in blocks}
    hidden = model.hidden_size
    largest = np.zeros(len(flat))
    for layer in range(model.layers):
        matrices = named[f"cell.{layer}.recurrent"]
        if model.cell.gates > 1:
            matrices = matrices[:, :, 2 * hidden : 3 * hidden]
        if model.cell.feedback and "readout.weight" in named:
            with np.errstate(over="ignore", invalid="ignore"):  # a diverging run's weights may be that large
                written = named["readout.weight"]
                matrices = add_up(
                    np.stack([written[:, :, o, None] * matrices[:, o, None] for o in range(written.shape[2])], -1)
                )
        largest = np.maximum(largest, spectral_radii(matrices))
    return largest


_TANH, _SIGMOID, _RELU = ACTIVATIONS["tanh"], ACTIVATIONS["sigmoid"], ACTIVATIONS["relu"]


_INTEGERS = types.Array(types.int64, 1, "C")


_STATE = -1  # in place of the number of a kept value


@inline
def saturated(function, h):
    """Whether a unit's derivative has less than 1 % of its largest value.

    tanh: 1 − h² < 0.01; logistic: 4h(1 − h) < 0.01; relu: h = 0; identity: never.
    """
    if function == _TANH:
        return 1.0 - h * h < 0.01
    if function == _SIGMOID:
        return 4.0 * h * (1.0 - h) < 0.01
    if function == _RELU:
        return h == 0.0
    return False


def _count(sizes, room, kept, functions, counts, of):
    net, memory = read_net(pointer_to(sizes)), pointer_to(room)
    for lane in range(counts.shape[0]):
        for t in range(net.timesteps):
            for r in range(net.rows):
                if number_of(memory, output_element(net, memory, net.live, t, 0) + r, lane) > 0.0:
                    of[lane] += net.layers * net.hidden * functions.shape[0]
                    for layer in range(net.layers):
                        for g in range(functions.shape[0]):
                            if kept[g] == _STATE:
                                h = elements(memory, state_at(net, layer, t + 1)) + r * net.slots * net.span
                            else:
                                h = elements(memory, gate_at(net, layer, t)) + (r * net.kept + kept[g]) * net.span
                            for j in range(net.hidden):
                                if saturated(functions[g], number_of(memory, h + j, lane)):
                                    counts[lane] += 1


count_saturated = Kernel(
    _count, {mode: types.void(SIZES_ARRAY, memory, *[_INTEGERS] * 4) for mode, memory in ARRAYS.items()}
)


@cache
def _list_groups(squashed: tuple[tuple[int, Activation], ...], activation: Activation) -> tuple[Any, Any]:
    groups = squashed or ((_STATE, activation),)
    return np.array([number for number, _ in groups]), np.array([ACTIVATIONS[name] for _, name in groups])


def count_activations(
    sizes: object, memory: Floats, squashed: tuple[tuple[int, Activation], ...], activation: Activation, lanes: int
) -> NDArray[np.int64]:
    """(2, lanes): how many are `saturated`, over layers, timesteps, rows and units, and of how many.

    activations/saturation is their ratio. squashed: as in `models.cell.Cell`, the gates that count; without any the
    hidden states do, with their activation.
    """
    found, mode = np.zeros((2, lanes), np.int64), LANES if memory.ndim == 2 else UNITS
    count_saturated.compile(mode).entry_point(sizes, memory, *_list_groups(squashed, activation), *found)
    return found
