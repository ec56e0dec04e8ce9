"""What every recurrent layer says of itself to the network around it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from bptt.core.annotations import Range
from bptt.core.kernel import BACKWARD, FORWARD, Kernel

Size = Annotated[int, Range(at_least=1)]
Activation = Literal["tanh", "sigmoid", "relu", "identity"]
Bias = Literal["none", "single", "double"]
Readout = Literal["none", "identity", "sigmoid", "softmax"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The compiled passes of a kind of layer, the same mathematics stated plainly, and its memory per hidden unit.

    plain     one timestep of one sequence in NumPy, see `bptt.core.plain`: what the gradients are checked against
    gates     columns of the weight matrices per unit
    deltas    gradients of pre-activations kept per unit
    kept      values of a step kept per unit for the backward pass
    slots     numbers that make up a unit's state
    feedback  whether the recurrent weights see the previous output in place of the layer's own previous state
    squashed  (kept value, function) of each gate whose saturation is measured; none: the state's is
    """

    forward: Annotated[Kernel, FORWARD]
    backward: Annotated[Kernel, BACKWARD]
    plain: Callable[..., Any]
    gates: int = 1
    deltas: int = 1
    kept: int = 0
    slots: int = 1
    feedback: bool = False
    squashed: tuple[tuple[int, Activation], ...] = ()
