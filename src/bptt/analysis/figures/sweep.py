"""All figures of a sweep that have something to show."""

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from bptt.analysis.figures import gradients, outcomes, training
from bptt.analysis.figures.material import Material, SweepFigure

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep

_MOST: Final = 14


_IN_ORDER: Final[tuple[Callable[[Material], Iterator[SweepFigure]], ...]] = (
    outcomes.draw_success,
    outcomes.draw_survivals,
    training.draw_loss,
    outcomes.draw_losses,
    outcomes.draw_variance,
    gradients.draw_flow,
    gradients.draw_radius,
    training.draw_steps,
)


def draw_sweep(sweep: "Sweep") -> list[SweepFigure]:
    """The figures of a sweep, the most important first; nothing where no run has ended."""
    material = Material(sweep)
    if material.ended.empty:
        return []
    return list(islice(chain.from_iterable(draw(material) for draw in _IN_ORDER), _MOST))
