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

    onward  through all timesteps; else through one
    carry   whether the state an update ends with is the state that the next one starts from
    """

    def __init__(self, net: Net, *, model: Any, loss: Any, optimizer: Any, onward: bool, carry: bool) -> None:
        self.net = net._replace(product=0)  # an address, another one in each process
        self.model, self.loss, self.optimizer, self.onward, self.carry = model, loss, optimizer, onward, carry
        parts = (model.__name__, loss.__name__, optimizer.__name__, onward, carry)
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

        With LANES they are θ's. With UNITS each row is whole vectors, `columns` is R a second time, column by column,
        and the read-out stands column by column.
        """
        net, lanes, first = self.net, self.net.per == 1, 0
        found, wide = dict[str, Matrix](), net.gates * net.units
        rows = {"input": net.inputs, "recurrent": net.hidden, "bias": net.biases > 0, "recurrent_bias": net.biases > 1}
        for name, count in rows.items():
            if count:
                found[name] = Matrix(first, wide, 1)
                first += count * wide
        found["readout"] = Matrix(first, *((1, net.outputs) if lanes else (net.units, 1)))
        first += net.outputs * net.units
        if net.biases:
            found["readout_bias"] = Matrix(first, 0, 1)
            first += net.outputs
        found["columns"] = Matrix(found["recurrent"].first, 1, wide) if lanes else Matrix(first, net.units, 1)
        found["end"] = Matrix(first if lanes else first + net.gates * net.span * net.units, 0, 0)
        return found

    @property
    def vectors(self) -> int:
        """How many vectors of weights there are."""
        return self.places["end"].first

    @property
    def packing(self) -> Net:
        """With UNITS the layout of weights as `places.spread_columns` and `places.collect_gradient` know it."""
        net = self.net
        columns = self.places["columns"].first - net.gates * net.span * net.units
        return net._replace(weights=0, gradient=0, columns=columns)

    @property
    def packed(self) -> int:
        """Vectors of the kernel's own for weights and slots; with LANES it changes them where they are."""
        return 0 if self.mode == LANES else self.vectors * (1 + self.optimizer.slots)


@register_model(Shape)
class _ShapeModel(models.OpaqueModel):
    pass


@unbox(Shape)
def _unbox_shape(kind: Any, given: Any, c: Any) -> NativeValue:
    return NativeValue(c.context.get_dummy_value())
