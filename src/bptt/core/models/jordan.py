"""Jordan's network: the context is the previous output (Jordan 1986, "Serial Order")."""

from dataclasses import dataclass
from typing import ClassVar

from bptt.core.models.cell import Activation, Bias, Cell, Readout, Size
from bptt.core.models.elman import elman_backward, elman_forward
from bptt.core.plain import elman


@dataclass(frozen=True, kw_only=True)
class Jordan:
    """h_t = f(x_t W + y_{t−1} R + b),  y_t = g(h_t V + c), with y_0 = 0.

    W (inputs, H), R (outputs, H), V (H, outputs). In a stack every layer sees the network's previous output. With
    `bias=double` there is a second bias beside b.
    """

    hidden_size: Size
    layers: Size
    activation: Activation
    bias: Bias
    readout: Readout

    cell: ClassVar[Cell] = Cell(forward=elman_forward, backward=elman_backward, plain=elman, feedback=True)
