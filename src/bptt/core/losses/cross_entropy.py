"""Cross-entropy of one class among several."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import PerLane, Range
from bptt.core.elementwise import add_up, compute_log
from bptt.core.kernel import CURVATURE, LOSS, Kernel
from bptt.core.layout import place_before, place_behind, read_net
from bptt.core.sequences import Floats
from bptt.core.simd import exp, fma, load, log, select, splat, store


@LOSS
def cross_entropy(sizes, memory, begin):
    net = read_net(sizes)
    for q in range(place_before(net, max(begin, net.first_output)), place_behind(net, net.timesteps)):
        scored = load(memory, net.scored + q)
        counts = scored > splat(0.0)
        top = load(memory, net.logit + q)
        for o in range(net.outputs):
            place = q + o * net.places
            z = load(memory, net.logit + place)
            top = select(z > top, z, top)
        norm, share, mass = splat(0.0), splat(0.0), splat(0.0)
        for o in range(net.outputs):
            place = q + o * net.places
            z = load(memory, net.logit + place) - top
            norm = norm + exp(z)
            share = fma(load(memory, net.target + place), z, share)
            mass = mass + load(memory, net.target + place)
        value = scored * (mass * log(norm) - share)
        store(memory, net.loss + q, select(counts, value, splat(0.0)))
        for o in range(net.outputs):
            place = q + o * net.places
            error = mass * load(memory, net.output + place) - load(memory, net.target + place)
            store(memory, net.output_delta + place, select(counts, scored * error, splat(0.0)))


@CURVATURE
def cross_entropy_curvature(sizes, trial_sizes, memory, begin):
    """∂²L/∂z² R{z} = Σ target · (diag y − y yᵀ) R{z} = Σ target · R{y}."""
    net, trial = read_net(sizes), read_net(trial_sizes)
    for q in range(place_before(net, max(begin, net.first_output)), place_behind(net, net.timesteps)):
        scored, mass = load(memory, net.scored + q), splat(0.0)
        for o in range(net.outputs):
            mass = mass + load(memory, net.target + q + o * net.places)
        for o in range(net.outputs):
            place = q + o * net.places
            change = scored * (mass * load(memory, trial.output + place))
            store(memory, net.output_delta + place, select(scored > splat(0.0), change, splat(0.0)))


def entropy(share: Floats) -> Floats:
    """−p ln p of each share p, 0 where p is 0."""
    return -share * compute_log(np.where(share > 0, share, 1.0))


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """L = −weight · mean over the batch of Σ_t Σ_o target_o · ln y_o, with y = softmax(z).

    Computed as Σ_o target_o · (ln Σ e^(z − max z) − (z_o − max z)); ∂L/∂z = weight / batch · (y · Σ target − target).
    Targets are one-hot, or any weights ≥ 0. Needs `model.readout=softmax`.
    """

    weight: Annotated[PerLane, Range(above=0)]

    kernel: ClassVar[Kernel] = cross_entropy
    curvature: ClassVar[Kernel] = cross_entropy_curvature
    fused: ClassVar[bool] = True

    def constant_cost(self, mean: Floats, variance: Floats) -> Any:
        """(…): the least mean loss of one answer for all targets, of which (…, outputs) are mean and variance.

        The answer is the mean m, where targets sum to 1, and costs its entropy, −weight · Σ_o m_o ln m_o.
        """
        return self.weight * add_up(entropy(mean))
