"""A loss that is left to what the task's targets are."""

from dataclasses import dataclass
from typing import Annotated

from bptt.core.annotations import PerLane, Range


@dataclass(frozen=True, kw_only=True)
class AutoLoss:
    """Stands in a configuration for the loss that fits the targets, and nowhere else: nothing is trained with it.

    Of numbers it is the squared error, of classes the cross-entropy, of two classes in one output the binary one. Of a
    task that says not what its targets are, and of a read-out that was chosen by hand, it is what that goes with: the
    cross-entropy with softmax, the binary one with sigmoid, else the squared error. What is recorded names that loss.
    """

    weight: Annotated[PerLane, Range(above=0)]
