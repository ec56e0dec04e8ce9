"""What lanes did up to a recorded update, and the one compiled call in which a block of them comes there."""

from dataclasses import dataclass

import numpy as np
from numba import types
from numpy.typing import NDArray

from bptt.core import metrics
from bptt.core.kernel import ARRAYS, SIZES_ARRAY, VECTOR_ARRAY, Kernel, caller_of
from bptt.core.layout import output_element, read_net, state_at
from bptt.core.sequences import Floats
from bptt.core.simd import any_of, elements, inline, load, number_of, pointer_to, splat, store
from bptt.core.updates import (
    CLIPPED,
    DIVERGED_AT,
    DIVERGED_LOSS,
    EVALUATIONS,
    GRADIENT_NORM,
    LOSS_VALUE,
    OMEGA_VALUE,
    PENALTY,
    REPORT_ROWS,
    STEP_NORM,
    WEIGHTS_NORM,
    Stretch,
    made_signature,
    train_updates,
    tuple_types,
)


@dataclass(frozen=True)
class LaneReport:
    """What lanes did up to a recorded update, until they are trained further; formulas in `bptt.core.metrics`.

    numbers    (lanes, REPORT_ROWS), as `train_updates` left them
    saturated  (lanes, 2): how many activations are saturated, and of how many
    flow       (lanes, T), lag 0 first
    state      (lanes, batch, …): as `Record.state`; with a carried state the next update begins with it
    seconds    (lanes,): the processor time of the updates, of lanes that share vectors the same share
    """

    numbers: Floats
    saturated: NDArray[np.int64]
    flow: Floats
    state: Floats
    seconds: Floats

    @classmethod
    def begin(cls, lanes: int, timesteps: int, batch: int, numbers: int) -> "LaneReport":
        """Of lanes that have done nothing; numbers: of a row's state."""
        return cls(
            numbers=np.zeros((lanes, REPORT_ROWS)),
            saturated=np.zeros((lanes, 2), np.int64),
            flow=np.zeros((lanes, timesteps)),
            state=np.zeros((lanes, batch, numbers)),
            seconds=np.zeros(lanes),
        )

    def of(self, lanes: slice) -> "LaneReport":
        """The part of some lanes, in the same memory."""
        return LaneReport(
            self.numbers[lanes], self.saturated[lanes], self.flow[lanes], self.state[lanes], self.seconds[lanes]
        )

    @property
    def loss(self) -> Floats:
        return self.numbers[:, LOSS_VALUE]

    @property
    def gradient_norm(self) -> Floats:
        return self.numbers[:, GRADIENT_NORM]

    @property
    def penalty(self) -> Floats:
        """What the regularizer says of itself; 0 where it says nothing."""
        return self.numbers[:, PENALTY]

    @property
    def omega(self) -> Floats:
        """0 where it is not measured, see `regularizers.omega.find_measured_omega`."""
        return self.numbers[:, OMEGA_VALUE]

    @property
    def evaluations(self) -> Floats:
        """How many gradients were evaluated beyond one an update."""
        return self.numbers[:, EVALUATIONS]

    @property
    def clipped(self) -> Floats:
        """How many updates' gradients were clipped."""
        return self.numbers[:, CLIPPED]

    @property
    def update_ratio(self) -> Floats:
        return metrics.update_ratio(self.numbers[:, STEP_NORM], self.numbers[:, WEIGHTS_NORM])

    @property
    def saturation(self) -> Floats:
        counted, of = self.saturated.T
        return counted / np.maximum(of, 1)

    @property
    def diverged_at(self) -> Floats:
        """0: a lane did not diverge."""
        return self.numbers[:, DIVERGED_AT]

    @property
    def diverged_loss(self) -> Floats:
        return self.numbers[:, DIVERGED_LOSS]


_call_updates = caller_of(train_updates.signatures.values())
# Its first argument, a shape, is nothing when it is called, as None is.
_call_made = caller_of(made_signature(types.none, memory) for memory in ARRAYS.values())


@inline
def _part(stretch, done, length, measure):
    """Some of a stretch's updates, behind those that are done."""
    return Stretch(
        stretch.place + done,
        stretch.update + done,
        length,
        stretch.updates,
        stretch.truncation,
        stretch.alpha,
        stretch.loss,
        stretch.size,
        stretch.iterations,
        stretch.carry,
        measure,
        stretch.decays,
        stretch.noisy,
        stretch.partly,
        stretch.stirred,
        stretch.signed,
        stretch.on_states,
    )


@inline
def _leave_states(net, memory, states):
    """The last timestep's states and outputs, as `Record.state` has them."""
    for lane in range(states.shape[0]):
        for r in range(states.shape[1]):
            number = 0
            for layer in range(net.layers):
                state = elements(memory, state_at(net, layer, net.timesteps)) + r * net.slots * net.span
                for slot in range(net.slots):
                    for j in range(net.hidden):
                        states[lane, r, number] = number_of(memory, state + slot * net.span + j, lane)
                        number += 1
            for o in range(net.outputs):
                place = output_element(net, memory, net.output, net.timesteps - 1, o) + r
                states[lane, r, number + o] = number_of(memory, place, lane)


@inline
def _leave_flow(net, memory, flow):
    for lane in range(flow.shape[0]):
        for t in range(net.timesteps):
            flow[lane, net.timesteps - 1 - t] = number_of(memory, elements(memory, net.flow) + t, lane)


def _train(
    made,
    updates,
    addresses,
    sizes_array,
    trial_array,
    learning,
    packed,
    hyper,
    data,
    stretch,
    memory_array,
    live_array,
    report_array,
    kept,
    functions,
    numbers,
    saturated,
    flow,
    states,
):
    memory, live = pointer_to(memory_array), pointer_to(live_array)
    net, done = read_net(pointer_to(sizes_array)), 0
    for i in range(net.one):  # what another block's sequences have left there
        store(memory, i, splat(0.0))
    while done < stretch.length and any_of(load(live, 0) > splat(0.0)):
        left = stretch.length - done
        if made != 0 and left > 1:
            some = _part(stretch, done, left - 1, False)
            done += _call_made(
                made, (None, addresses, learning, packed, hyper, data, some, memory_array, live_array, report_array)
            )
        count = 1 if made != 0 else left
        some = _part(stretch, done, count, stretch.measure and done + count == stretch.length)
        own = memory_array, live_array, report_array
        _call_updates(updates, (addresses, sizes_array, trial_array, learning, hyper, data, some, *own))
        done += count
    _leave_states(net, memory, states)
    if stretch.measure:
        _leave_flow(net, memory, flow)
        metrics.count_saturated(net, memory, kept, functions, saturated)
    for row in range(numbers.shape[1]):
        for lane in range(numbers.shape[0]):
            numbers[lane, row] = report_array[row, lane]


def _signature(memory):
    whole, kinds = types.int64, tuple_types(memory)
    parts = kinds["Learning"], memory, kinds["Hyper"], kinds["Data"], kinds["Stretch"]
    driven = kinds["Addresses"], SIZES_ARRAY, SIZES_ARRAY, *parts, memory, VECTOR_ARRAY, VECTOR_ARRAY
    left = VECTOR_ARRAY, types.Array(whole, 2, "C"), VECTOR_ARRAY, types.Array(types.float64, 3, "C")
    return types.void(whole, whole, *driven, SIZES_ARRAY, SIZES_ARRAY, *left)


#: train_to_report(address of the kernel that is made for the shape, or 0; that of `train_updates`; Addresses; sizes;
#: trial sizes; Learning; packed; Hyper; Data; Stretch; memory; live; report; kept; functions; numbers; saturated; flow;
#: states): the updates of a stretch, and what a `LaneReport` holds of it; flow and saturated where it is measured.
#: kept, functions: as of `metrics.list_squashed`.
train_to_report = Kernel(_train, {mode: _signature(memory) for mode, memory in ARRAYS.items()})
