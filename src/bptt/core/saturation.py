"""How many of a batch's activations are saturated, counted where a forward pass left them."""

import numpy as np
from numba import types

from bptt.core.kernel import ARRAYS, LANES, SIZES_ARRAY, UNITS, Kernel
from bptt.core.layout import ACTIVATIONS, gate_at, output_element, read_net, state_at
from bptt.core.models.cell import Activation
from bptt.core.sequences import Floats
from bptt.core.simd import elements, inline, number_of, pointer_to

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


def saturation(
    sizes: object, memory: Floats, squashed: tuple[tuple[int, Activation], ...], activation: Activation, lanes: int
) -> Floats:
    """activations/saturation (lanes,): the share that is `saturated`, over layers, timesteps, rows and units.

    squashed: as in `models.cell.Cell`, the gates that count; without any the hidden states do, with their activation.
    """
    groups = squashed or ((_STATE, activation),)
    kept = np.array([number for number, _ in groups])
    functions = np.array([ACTIVATIONS[name] for _, name in groups])
    counts, of = np.zeros(lanes, np.int64), np.zeros(lanes, np.int64)
    mode = LANES if memory.ndim == 2 else UNITS
    count_saturated.compile(mode)
    count_saturated.dispatcher(sizes, memory, kept, functions, counts, of)
    return counts / np.maximum(of, 1)
