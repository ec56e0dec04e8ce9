"""Cross-entropy of independent binary outputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.elementwise import add_up
from bptt.core.kernel import CURVATURE, LOSS, Kernel
from bptt.core.layout import place_before, place_behind, read_net
from bptt.core.losses.cross_entropy import entropy
from bptt.core.losses.squared_error import weigh_output_change
from bptt.core.sequences import Floats
from bptt.core.simd import absolute, exp, fma, inline, load, log1p, select, splat, store


@inline
def binary_cross_entropy_slope(scored, target, z, y):
    """(∂L/∂z, a number that is not finite where L isn't, whether the output is scored or not).

    The latter is no less than L, as max(z, 0) − z·target + ln 2 ≤ 2·(z² + target² + 1), and costs less.
    """
    bound = scored * (2.0 * fma(z, z, fma(target, target, splat(1.0))))
    return select(scored > splat(0.0), scored * (y - target), splat(0.0)), bound


@LOSS
def binary_cross_entropy(sizes, memory, begin):
    net = read_net(sizes)
    for q in range(place_before(net, max(begin, net.first_output)), place_behind(net, net.timesteps)):
        scored, value = load(memory, net.scored + q), splat(0.0)
        counts = scored > splat(0.0)
        for o in range(net.outputs):
            place = q + o * net.places
            z, target = load(memory, net.logit + place), load(memory, net.target + place)
            slope, _ = binary_cross_entropy_slope(scored, target, z, load(memory, net.output + place))
            positive = select(z < splat(0.0), splat(0.0), z)
            entropy = positive - z * target + log1p(exp(-absolute(z)))
            store(memory, net.output_delta + place, slope)
            value = select(counts, fma(scored, entropy, value), value)
        store(memory, net.loss + q, value)


@CURVATURE
def binary_cross_entropy_curvature(sizes, trial_sizes, memory, begin):
    """∂²L/∂z² R{z} = y (1 − y) · R{z} = R{y}."""
    weigh_output_change(read_net(sizes), read_net(trial_sizes), memory, begin, 1.0)


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy:
    """L = −weight · mean over the batch of Σ_t Σ_o target · ln y + (1 − target) · ln(1 − y), with y = σ(z).

    Computed from z as max(z, 0) − z·target + ln(1 + e^(−|z|)), which does not overflow; ∂L/∂z = weight / batch ·
    (y − target). Needs `model.readout=sigmoid`.
    """

    weight: Annotated[PerLane, Range(above=0)]

    kernel: ClassVar[Kernel] = binary_cross_entropy
    curvature: ClassVar[Kernel] = binary_cross_entropy_curvature
    fused: ClassVar[bool] = True
    slope: ClassVar[Callable[..., Any]] = binary_cross_entropy_slope

    def constant_cost(self, mean: Floats, variance: Floats) -> Any:
        """(…): the least mean loss of one answer for all targets, of which (…, outputs) are mean and variance.

        The answer is the mean m, which costs its entropy, weight · Σ_o −m_o ln m_o − (1 − m_o) ln (1 − m_o).
        """
        return self.weight * add_up(entropy(mean) + entropy(1 - mean))
