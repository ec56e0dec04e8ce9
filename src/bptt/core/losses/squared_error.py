"""Squared error."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.elementwise import add_up
from bptt.core.kernel import CURVATURE, LOSS, Kernel
from bptt.core.layout import place_before, place_behind, read_net
from bptt.core.sequences import Floats
from bptt.core.simd import fma, inline, load, select, splat, store


@inline
def squared_error_slope(scored, target, z, y):
    """(∂L/∂y, a number that is not finite where L isn't, whether the output is scored or not)."""
    error = y - target
    weighted = select(scored > splat(0.0), scored * error, splat(0.0))
    return weighted + weighted, scored * error * (error + error)


@LOSS
def squared_error(sizes, memory, begin):
    net = read_net(sizes)
    for q in range(place_before(net, max(begin, net.first_output)), place_behind(net, net.timesteps)):
        scored, value = load(memory, net.scored + q), splat(0.0)
        counts = scored > splat(0.0)
        for o in range(net.outputs):
            place = q + o * net.places
            target, y = load(memory, net.target + place), load(memory, net.output + place)
            slope, _ = squared_error_slope(scored, target, load(memory, net.logit + place), y)
            store(memory, net.output_delta + place, slope)
            error = y - target
            value = select(counts, fma(scored * error, error, value), value)
        store(memory, net.loss + q, value)


@inline
def weigh_output_change(net, trial, memory, begin, factor):
    """factor · R{y} of the scored timesteps, to where the loss writes its gradient."""
    for q in range(place_before(net, max(begin, net.first_output)), place_behind(net, net.timesteps)):
        scored = load(memory, net.scored + q)
        for o in range(net.outputs):
            place = q + o * net.places
            change = factor * scored * load(memory, trial.output + place)
            store(memory, net.output_delta + place, select(scored > splat(0.0), change, splat(0.0)))


@CURVATURE
def squared_error_curvature(sizes, trial_sizes, memory, begin):
    """∂²L/∂y² R{y} = 2 · R{y}."""
    weigh_output_change(read_net(sizes), read_net(trial_sizes), memory, begin, 2.0)


@dataclass(frozen=True, kw_only=True)
class SquaredError:
    """L = weight · mean over the batch of Σ_t Σ_o (y − target)²;  ∂L/∂y = 2 · weight / batch · (y − target).

    No half: where a text has ½ Σ (y − target)², say `loss.weight=0.5`.
    """

    weight: Annotated[PerLane, Range(above=0)]

    kernel: ClassVar[Kernel] = squared_error
    curvature: ClassVar[Kernel] = squared_error_curvature
    fused: ClassVar[bool] = False
    slope: ClassVar[Callable[..., Any]] = squared_error_slope

    def constant_cost(self, mean: Floats, variance: Floats) -> Any:
        """(…): the least mean loss of one answer for all targets, of which (…, outputs) are mean and variance.

        The answer is the mean, which costs weight · Σ_o variance_o.
        """
        return self.weight * add_up(variance)
