"""Squared error."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.elementwise import add_up
from bptt.core.kernel import LOSS, Kernel
from bptt.core.layout import place_before, place_behind, read_net
from bptt.core.sequences import Floats
from bptt.core.simd import fma, load, select, splat, store


@LOSS
def squared_error(sizes, memory, begin):
    net = read_net(sizes)
    for q in range(place_before(net, max(begin, net.first_output)), place_behind(net, net.timesteps)):
        scored, value = load(memory, net.scored + q), splat(0.0)
        counts = scored > splat(0.0)
        for o in range(net.outputs):
            place = q + o * net.places
            error = load(memory, net.output + place) - load(memory, net.target + place)
            weighted = select(counts, scored * error, splat(0.0))
            store(memory, net.output_delta + place, weighted + weighted)
            value = select(counts, fma(weighted, error, value), value)
        store(memory, net.loss + q, value)


@dataclass(frozen=True, kw_only=True)
class SquaredError:
    """L = weight · mean over the batch of Σ_t Σ_o (y − target)²;  ∂L/∂y = 2 · weight / batch · (y − target).

    No half: where a text has ½ Σ (y − target)², say `loss.weight=0.5`.
    """

    weight: Annotated[PerLane, Range(above=0)]

    kernel: ClassVar[Kernel] = squared_error
    fused: ClassVar[bool] = False

    def constant_cost(self, mean: Floats, variance: Floats) -> Any:
        """(…): the least mean loss of one answer for all targets, of which (…, outputs) are mean and variance.

        The answer is the mean, which costs weight · Σ_o variance_o.
        """
        return self.weight * add_up(variance)
