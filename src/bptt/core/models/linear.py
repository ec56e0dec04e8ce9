"""The linear recurrent network: Elman's with the identity for its activation."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from bptt.core.annotations import PerLane, Range
from bptt.core.models.cell import Activation, Bias, Cell, Constraint, Readout, Size
from bptt.core.models.elman import elman_backward, elman_forward, elman_tangent, elman_unit, elman_unit_back
from bptt.core.plain import elman


@dataclass(frozen=True, kw_only=True)
class Linear:
    """s_t = x_t W + s_{t−1} R + b,  y_t = g(s_t V + c); with `readout=none`, y_t = s_t.

    The gradient that flows back n timesteps is the one that arrives, times Rⁿ: it explodes or vanishes with R's
    spectral radius (Pascanu, Mikolov & Bengio 2013, section 2); with `recurrent_constraint=orthogonal` it does neither.
    Constraint and margin as of `bptt.core.models.elman.Elman`.
    """

    hidden_size: Size
    layers: Size
    bias: Bias
    readout: Readout
    recurrent_constraint: Constraint = "none"
    spectral_margin: Annotated[PerLane, Range(at_least=0, at_most=1)] = 0.0

    activation: ClassVar[Activation] = "identity"
    cell: ClassVar[Cell] = Cell(
        forward=elman_forward,
        backward=elman_backward,
        plain=elman,
        tangent=elman_tangent,
        unit=elman_unit,
        unit_back=elman_unit_back,
    )
