"""A penalty on large parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import REGULARIZER, Kernel
from bptt.core.layout import READOUTS, gradient_at, read_net, readout_columns, readout_weights
from bptt.core.simd import element, elements, inline, load, set_element, store

_NONE = READOUTS["none"]


@inline
def _add(gradient, place, value):
    set_element(gradient, place, element(gradient, place) + value)


@REGULARIZER("factor")
def add_l2_gradient(sizes, theta, gradient, memory, begin, hyper):
    net, twice = read_net(sizes), hyper.factor + hyper.factor
    for p in range(net.weights, readout_weights(net)):
        place = gradient_at(net, p)
        store(gradient, place, load(gradient, place) + twice * load(theta, p))
    if net.readout != _NONE:
        n, v, (_, column, row) = net.outputs, readout_weights(net), readout_columns(net)
        weights, goes = elements(theta, v), elements(gradient, gradient_at(net, v))
        from_output, from_unit = elements(gradient, column), row if net.per == 1 else 1
        for o in range(n):
            for j in range(net.hidden):
                _add(gradient, goes + o * from_output + j * from_unit, twice * element(theta, weights + j * n + o))
        if net.biases > 0:
            biases = goes + elements(gradient, n * net.units)
            for o in range(n):
                _add(gradient, biases + o, twice * element(theta, weights + net.hidden * n + o))


@dataclass(frozen=True, kw_only=True)
class L2:
    """g ← g + 2·factor·θ, the gradient of factor·‖θ‖² over all parameters, biases too.

    Hoerl & Kennard 1970, ridge regression; Krogh & Hertz 1992, "A Simple Weight Decay Can Improve Generalization". It
    is coupled: what an optimizer does to gradients it does to this part too, so with Adam a large gradient makes the
    decay small (Loshchilov & Hutter 2019). `weight_decay` λ of torch.optim.SGD is 2·factor.
    """

    factor: Annotated[PerLane, Range(at_least=0)]

    kernel: ClassVar[Kernel] = add_l2_gradient
    keeps_deltas: ClassVar[bool] = False

    def penalty(self, run: Any, parameters: Mapping[str, Any], held: Any, sequences: Any) -> Any:
        return self.factor * sum((array**2).sum() for array in parameters.values())
