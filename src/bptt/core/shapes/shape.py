"""A shape: all that a kernel which is made for a network takes for constant, as a type of Numba's.

A type is part of the key under which Numba keeps what it compiled. So a kernel of one source serves every shape, and
each is found on disk again.
"""

from functools import cached_property
from typing import Any, NamedTuple

from numba import types
from numba.extending import NativeValue, models, register_model, unbox

from bptt.core.kernel import LANES, UNITS
from bptt.core.layout import Net
from bptt.core.models.cell import Cell


class Matrix(NamedTuple):
    """Where vector (row, column) of a matrix of weights stands: first + row · `row` + column · `column`."""

    first: int
    row: int
    column: int


class Shape(types.Type):
    """A network's layout, its cell, loss and optimizer, and how far a gradient flows.

    model, loss, optimizer: their classes

    loss       None: of a pass forward alone
    optimizer  the one whose step is taken as the gradient comes about; None: the gradient is kept, for `take_step`
    onward     through all timesteps; else through one
    carry      whether the state an update ends with is the state that the next one starts from
    masked     whether a sequence may be shorter than others, or have timesteps of its own that count
    """

    def __init__(
        self,
        net: Net,
        *,
        model: Any,
        loss: Any = None,
        optimizer: Any = None,
        onward: bool = True,
        carry: bool,
        masked: bool,
    ) -> None:
        self.net = net._replace(product=0)  # an address, another one in each process
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.onward, self.carry, self.masked = onward, carry, masked
        names = (getattr(part, "__name__", None) for part in (model, loss, optimizer))
        parts = (*names, onward, carry, masked)
        super().__init__(f"Shape({', '.join(map(str, (*self.net, *parts)))})")

    @property
    def cell(self) -> Cell:
        """The model's."""
        cell: Cell = self.model.cell
        return cell

    @property
    def mode(self) -> str:
        """What fills its vectors."""
        return LANES if self.net.per == 1 else UNITS

    @cached_property
    def places(self) -> dict[str, Matrix]:
        """Matrices of weights by name.

        With LANES they are θ's. With UNITS each row is whole vectors, and the read-out stands column by column. A
        layer's `columns` is its R and `input_columns` its W, column by column: with LANES they are the same once more,
        with UNITS R a second time.
        """
        net, lanes, first = self.net, self.net.per == 1, 0
        found, wide = dict[str, Matrix](), net.gates * net.units
        for layer in range(net.layers):
            width = net.inputs if layer == 0 else net.hidden
            rows = {"input": width, "recurrent": net.hidden, "bias": net.biases > 0, "recurrent_bias": net.biases > 1}
            for name, count in rows.items():
                found[f"cell.{layer}.{name}"] = Matrix(first, wide, 1)
                first += count * wide
            if lanes:
                for name, kind in (("columns", "recurrent"), ("input_columns", "input")):
                    found[f"cell.{layer}.{name}"] = Matrix(found[f"cell.{layer}.{kind}"].first, 1, wide)
        found["readout.weight"] = Matrix(first, *((1, net.outputs) if lanes else (net.units, 1)))
        first += net.outputs * net.units
        found["readout.bias"] = Matrix(first, 0, 1)
        first += net.outputs if net.biases else 0
        if not lanes:
            found["cell.0.columns"] = Matrix(first, net.units, 1)
            first += net.gates * net.span * net.units
        found["end"] = Matrix(first, 0, 0)
        return found

    @property
    def vectors(self) -> int:
        """How many vectors of weights there are."""
        return self.places["end"].first

    @property
    def packing(self) -> Net:
        """With UNITS the layout of weights as `places.spread_columns` and `places.collect_gradient` know it."""
        net = self.net
        columns = self.places["cell.0.columns"].first - net.gates * net.span * net.units
        return net._replace(weights=0, gradient=0, columns=columns)

    @property
    def packed(self) -> int:
        """Vectors of the kernel's own for weights and what it keeps of them; with LANES it works where they are."""
        return 0 if self.mode == LANES else self.vectors * (1 + self.kept)

    @property
    def kept(self) -> int:
        """Numbers that it keeps of each weight: the optimizer's slots, or the gradient."""
        return 1 if self.optimizer is None else int(self.optimizer.slots)


@register_model(Shape)
class _ShapeModel(models.OpaqueModel):
    pass


@unbox(Shape)
def _unbox_shape(kind: Any, given: Any, c: Any) -> NativeValue:
    return NativeValue(c.context.get_dummy_value())


def is_shipped(part: Any) -> bool:
    """Whether a kernel may take a component in: edits of another package's would go unnoticed."""
    return type(part).__module__.startswith("bptt.")
