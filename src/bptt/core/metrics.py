"""What is recorded about gradients and states: one formula for each metric, here and nowhere else.

loss/train               the loss of the update's batch, at the weights before the update
loss/eval                the loss of the evaluation set, at the weights after the update
accuracy/eval            the share of the evaluation set that the task calls right
accuracy/all_right       the share of its sequences with every scored target right
grad/norm                ‖∂loss/∂θ‖₂ over all trained parameters, with what the regularizer adds, before clipping
grad/clipped             share of the updates since the last recorded one whose gradient was clipped
grad/decay               see `decay_rate`
update/ratio             see `update_ratio`
weights/spectral_radius  see `bptt.core.measurements.spectral_radius`
activations/saturation   see `count_saturated`
grad/omega               Ω of `bptt.core.regularizers.omega`, of the update's batch, where the run has that regularizer
activations/mean_square  see `bptt.core.regularizers.l2_activity`; of the update's batch, where the run has that one

How many of a batch's activations are saturated, counted where a forward pass left them.
"""

from functools import cache
from typing import Any

import numpy as np
from numba import types

from bptt.core.elementwise import log_of_any
from bptt.core.kernel import NUMBER_ARRAY, UNITS, VECTOR_ARRAY, Kernel
from bptt.core.layout import ACTIVATIONS, gate_at, output_element, state_at
from bptt.core.models.cell import Activation
from bptt.core.sequences import Floats
from bptt.core.simd import (
    WIDTH,
    aligned_zeros,
    elements,
    inline,
    load,
    number_of,
    pointer_to,
    set_number,
    store,
)


def decay_rate(flow: Floats) -> Floats:
    """grad/decay: the least-squares slope of ln ‖∂loss/∂h_{T−1−k}‖ against the lag k; 1/timestep.

    flow (lanes, lags): norms, lag 0 first, of the last scored timestep's loss (see `network.run_backward`). Below 0 the
    gradient vanishes going back, above 0 it explodes. Lags whose norm is 0 or not finite are left
    out; NaN where fewer than two are left.
    """
    slopes = np.empty(len(flow))
    room = aligned_zeros(-(-flow.shape[1] // WIDTH) * WIDTH)
    slope_of.compile(UNITS).entry_point(np.ascontiguousarray(flow, np.float64), room, slopes)
    return slopes


def _slope(flow, room_array, slopes):
    room, lags = pointer_to(room_array), flow.shape[1]
    for lane in range(flow.shape[0]):
        count, total = 0, 0
        for k in range(lags):
            norm = flow[lane, k]
            usable = norm > 0.0 and norm < np.inf
            set_number(room, k, 0, norm if usable else 0.0)
            if usable:
                count += 1
                total += k
        for i in range((lags + WIDTH - 1) // WIDTH):
            store(room, i, log_of_any(load(room, i)))
        middle, product, square = total / max(count, 1), 0.0, 0.0
        for k in range(lags):
            log = number_of(room, k, 0)
            if log > -np.inf:
                product += (k - middle) * log
                square += (k - middle) * (k - middle)
        slopes[lane] = product / square if count > 1 else np.nan


slope_of = Kernel(_slope, {UNITS: types.void(VECTOR_ARRAY, *[NUMBER_ARRAY] * 2)})
#: What `decay_rate` calls, with its mode.
SLOPES = ((slope_of, UNITS),)


def update_ratio(step: Floats, weights: Floats) -> Floats:
    """update/ratio: ‖θ_t − θ_{t−1}‖₂ / ‖θ_{t−1}‖₂ over all parameters, how far one update moves; NaN from θ = 0."""
    with np.errstate(over="ignore", invalid="ignore"):  # where weights are that large
        return np.divide(step, weights, out=np.full(step.shape, np.nan), where=weights != 0)


_TANH, _SIGMOID, _RELU = ACTIVATIONS["tanh"], ACTIVATIONS["sigmoid"], ACTIVATIONS["relu"]


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


@inline
def count_saturated(net, memory, kept, functions, counts):
    """counts (lanes, 2): how many activations are `saturated`, over layers, timesteps, rows and units, and of how many.

    activations/saturation is their ratio. kept, functions: as of `list_squashed`.
    """
    for lane in range(counts.shape[0]):
        found, of = 0, 0
        for t in range(net.timesteps):
            for r in range(net.rows):
                if number_of(memory, output_element(net, memory, net.live, t, 0) + r, lane) > 0.0:
                    of += net.layers * net.hidden * functions.shape[0]
                    for layer in range(net.layers):
                        for g in range(functions.shape[0]):
                            if kept[g] == _STATE:
                                h = elements(memory, state_at(net, layer, t + 1)) + r * net.slots * net.span
                            else:
                                h = elements(memory, gate_at(net, layer, t)) + (r * net.kept + kept[g]) * net.span
                            for j in range(net.hidden):
                                if saturated(functions[g], number_of(memory, h + j, lane)):
                                    found += 1
        counts[lane, 0], counts[lane, 1] = found, of


@cache
def list_squashed(squashed: tuple[tuple[int, Activation | None], ...], activation: Activation) -> tuple[Any, Any]:
    """Which of a cell's numbers count as activations: of the kept values, each with its function's number.

    squashed: as in `models.cell.Cell`, the gates that count; without any the hidden states do, with their activation.
    """
    groups = squashed or ((_STATE, activation),)
    return np.array([number for number, _ in groups]), np.array([ACTIVATIONS[name or activation] for _, name in groups])
