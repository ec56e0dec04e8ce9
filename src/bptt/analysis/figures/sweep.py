"""All figures of a sweep that have something to show."""

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from bptt.analysis.figures import gradients, outcomes, training
from bptt.analysis.figures.material import Drawn, Material

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep

_MOST: Final = 14


_IN_ORDER: Final[tuple[Callable[[Material], Iterator[Drawn]], ...]] = (
    outcomes.success,
    outcomes.survivals,
    training.loss,
    outcomes.losses,
    outcomes.variance,
    gradients.flow,
    gradients.radius,
    training.gradients,
)


def drawn(sweep: "Sweep") -> list[Drawn]:
    """The figures of a sweep, the most important first; nothing where no run has ended."""
    material = Material(sweep)
    if material.ended.empty:
        return []
    return list(islice(chain.from_iterable(draw(material) for draw in _IN_ORDER), _MOST))
