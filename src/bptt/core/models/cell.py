"""What every recurrent layer says of itself to the network around it; and its activation functions, with the
derivatives from the function's value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from bptt.core.annotations import Range
from bptt.core.kernel import BACKWARD, FORWARD, TANGENT, Kernel
from bptt.core.layout import ACTIVATIONS
from bptt.core.simd import inline, select, sigmoid, splat, tanh

Size = Annotated[int, Range(at_least=1)]
Activation = Literal["tanh", "sigmoid", "relu", "identity"]
Bias = Literal["none", "single", "double"]
Constraint = Literal["none", "orthogonal"]
Readout = Literal["none", "identity", "sigmoid", "softmax"]


@dataclass(frozen=True)
class Gate:
    """One of a cell's gates, or its candidate: columns of the weight matrices that have a name.

    name  as `init.gate_bias` has it
    role  keeps: its σ is the share of a unit's state that stays, as f in c_t = f ⊙ c_{t−1} + …;
          writes: its σ is the share of what is new that is added, as i in … + i ⊙ g; None: neither
    """

    name: str
    role: Literal["keeps", "writes"] | None = None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The compiled passes of a kind of layer, the same mathematics stated plainly, and its memory per hidden unit.

    tangent   how states and outputs change along a direction of the parameters; None: the cell does not say
    plain     one timestep of one sequence in NumPy, see `bptt.core.plain`: what the gradients are checked against
    gates     columns of the weight matrices per unit
    deltas    gradients of pre-activations kept per unit
    kept      values of a step kept per unit for the backward pass
    slots     numbers that make up a unit's state
    feedback  whether the recurrent weights see the previous output in place of the layer's own previous state
    squashed  (kept value, function) of each gate whose saturation is measured, None standing for the model's
              activation; none: the state's is
    unit      one unit's timestep, of vectors: (activation, live, its pre-activations, state before) → (what is kept,
              state); a kernel is made for the shape of a network whose cell has it and
    unit_back  its reverse: (activation, live, what is kept, or else the state, state before, ∂loss/∂state) →
              (∂loss/∂pre-activations, and what flows to ∂loss/∂state before past the weights)
    context_sums  the pre-activations to which the columns of the recurrent weights add; none: the first `gates`
    carried   the number of the state to which the latter flows; None: nothing does
    named_gates  what the columns are, in the order in which they are stacked; none: a cell without gates
    numbers   PerLane fields of the model that the passes read, in the order in which `layout.number_at` has them
    noise     the one of them above 0 of which standard normal numbers stand at `layout.noise_at` while a run is
              trained; elsewhere zeros do. None: the passes read none

    Raises ValueError where the named gates are not as many as `gates`, or `noise` is none of the numbers.
    """

    forward: Annotated[Kernel, FORWARD]
    backward: Annotated[Kernel, BACKWARD]
    plain: Callable[..., Any]
    tangent: Annotated[Kernel, TANGENT] | None = None
    gates: int = 1
    deltas: int = 1
    kept: int = 0
    slots: int = 1
    feedback: bool = False
    squashed: tuple[tuple[int, Activation | None], ...] = ()
    unit: Callable[..., Any] | None = None
    unit_back: Callable[..., Any] | None = None
    context_sums: tuple[int, ...] = ()
    carried: int | None = None
    named_gates: tuple[Gate, ...] = ()
    numbers: tuple[str, ...] = ()
    noise: str | None = None

    def __post_init__(self) -> None:
        if self.named_gates and len(self.named_gates) != self.gates:
            raise ValueError(f"{len(self.named_gates)} named_gates for {self.gates} gates")
        if self.noise is not None and self.noise not in self.numbers:
            raise ValueError(f"noise={self.noise!r} is none of the numbers {self.numbers}")


_TANH, _SIGMOID, _RELU = ACTIVATIONS["tanh"], ACTIVATIONS["sigmoid"], ACTIVATIONS["relu"]


@inline
def activate(kind, x):
    """f(x): x, tanh x, 1/(1 + e^(−x)), or max(x, 0) (NaN stays NaN)."""
    if kind == _TANH:
        return tanh(x)
    if kind == _SIGMOID:
        return sigmoid(x)
    if kind == _RELU:
        return select(x < splat(0.0), splat(0.0), x)
    return x


@inline
def slope(kind, h):
    """f′(x) where h = f(x): 1, 1 − h², h(1 − h), or 1 where h > 0 and 0 elsewhere."""
    if kind == _TANH:
        return 1.0 - h * h
    if kind == _SIGMOID:
        return h * (1.0 - h)
    if kind == _RELU:
        return select(h > splat(0.0), splat(1.0), splat(0.0))
    return splat(1.0)
