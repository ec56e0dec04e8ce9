"""A penalty on recurrent weights that are not orthogonal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import REGULARIZER, Kernel
from bptt.core.layout import gradient_at, read_net, recurrent_weights
from bptt.core.plain import measure_orthogonality
from bptt.core.simd import element, elements, fma, load, select, splat, store, within


@REGULARIZER("factor")
def add_orthogonality_gradient(sizes, theta, gradient, memory, begin, hyper):
    net, four = read_net(sizes), 4.0 * hyper.factor
    rows, numbers = net.gates * net.units, net.gates * net.span
    for layer in range(net.layers):
        for gate in range(net.gates):
            first = recurrent_weights(net, layer) + gate * net.units
            matrix = elements(theta, first)
            for j in range(net.units):
                for k in range(net.hidden):  # of RᵀR − I the columns j, into the room
                    total = select(within(theta, j, k, k + 1), splat(-1.0), splat(0.0))
                    for i in range(net.hidden):
                        total = fma(element(theta, matrix + i * numbers + k), load(theta, first + i * rows + j), total)
                    store(memory, net.room + k, total)
                for i in range(net.hidden):
                    total, place = splat(0.0), gradient_at(net, first + i * rows + j)
                    for k in range(net.hidden):
                        total = fma(element(theta, matrix + i * numbers + k), load(memory, net.room + k), total)
                    store(gradient, place, load(gradient, place) + four * total)


@dataclass(frozen=True, kw_only=True)
class Orthogonality:
    """factor·‖RᵀR − I‖² over all layers, and over each gate's matrix for itself: R's singular values are drawn to 1.

    Its gradient is 4·factor·R(RᵀR − I). The soft constraint of Vorontsov, Trabelsi, Kadoury & Pal 2017, "On
    orthogonality and learning recurrent networks with long term dependencies". ‖·‖ is Frobenius' norm.
    """

    factor: Annotated[PerLane, Range(at_least=0)]

    kernel: ClassVar[Kernel] = add_orthogonality_gradient
    keeps_deltas: ClassVar[bool] = False

    def find_unfit(self, run: Any) -> str:
        """Why it can't be of such a run, in words; empty where it can."""
        return (
            "asks for matrices from state to state, which model=jordan has not: use another model, or regularizer=none"
            if run.model.cell.feedback
            else ""
        )

    def penalty(self, run: Any, parameters: Mapping[str, Any], held: Any, sequences: Any) -> Any:
        return self.factor * measure_orthogonality(run, parameters)
