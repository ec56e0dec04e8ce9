"""A penalty on large activations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import REGULARIZER, Kernel
from bptt.core.layout import is_live, push_at, read_net, state_at
from bptt.core.plain import measure_activity
from bptt.core.simd import elements, has_units, load, select, set_number, splat, store
from bptt.core.simd.sums import norm


@REGULARIZER("factor")
def push_activity(sizes, theta, gradient, memory, begin, hyper):
    net, count, total, zero = read_net(sizes), splat(0.0), splat(0.0), splat(0.0)
    for t in range(begin, net.timesteps):
        for row in range(net.batch):
            count = count + select(is_live(net, memory, t, row), splat(1.0), zero)
    count = count * splat(float(net.layers * net.hidden))
    twice = (hyper.factor + hyper.factor) / count
    for layer in range(net.layers):
        for t in range(begin, net.timesteps):
            for row in range(net.batch):
                live = is_live(net, memory, t, row)
                h = state_at(net, layer, t + 1) + row * net.slots * net.units
                goes = push_at(net, layer, t) + row * net.units
                for j in range(net.units):
                    store(memory, goes + j, select(live, load(memory, h + j), zero))
                if has_units(memory):  # what only fills the last vector is f(0), and no unit's
                    for j in range(net.hidden, net.span):
                        set_number(memory, elements(memory, goes) + j, 0, 0.0)
                size = norm(memory, goes, net.hidden)
                total = total + size * size
                for j in range(net.units):
                    store(memory, goes + j, twice * load(memory, goes + j))
    store(memory, net.penalty, total / count)


@dataclass(frozen=True, kw_only=True)
class L2Activity:
    """factor · mean h²: the mean over the batch's sequences, all their timesteps, layers and units.

    ∂/∂h_t = 2·factor·h_t / (number of h) is what ∂L/∂h_t begins with, before the loss adds to it, so that it flows back
    through the states as the loss does: with a truncation as far, and from each timestep for itself. The mean is
    recorded as `activations/mean_square`; a factor of 0 measures alone. Of an LSTM h is penalised, c is not.

    The form is that of Song, Yang & Wang 2016, "Training excitatory-inhibitory recurrent neural networks for cognitive
    tasks" (frsong/pycog, trainer.py: lambda2_r · mean r²) and of PsychRNN (murraylab/PsychRNN, regularizations.py:
    L2_firing_rate). Yang et al. 2019 (gyyang/multitask, network.py: l2_h) take half the sum in the mean's place.
    """

    factor: Annotated[PerLane, Range(at_least=0)]

    kernel: ClassVar[Kernel] = push_activity
    keeps_deltas: ClassVar[bool] = False
    on_states: ClassVar[bool] = True
    metric: ClassVar[str] = "activations/mean_square"

    def penalty(
        self, run: Any, parameters: Mapping[str, Any], held: Mapping[str, Any], sequences: Any, xp: Any = np
    ) -> Any:
        return self.factor * measure_activity(run, parameters, held, sequences, xp)
