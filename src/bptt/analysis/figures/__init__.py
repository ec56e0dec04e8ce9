"""Figures: tidy tables in, Matplotlib figures out, no file touched; `save_figure` alone writes."""

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from bptt.analysis.figures import (
    dynamics,
    foretelling,
    gradients,
    halving,
    outcomes,
    performance,
    portraits,
    predictions,
    search,
    stability,
    training,
)
from bptt.analysis.figures.dynamics import (
    draw_exponents,
    draw_sharpness_against_bound,
    draw_singular_values,
    draw_solved_map,
    draw_spectra,
)
from bptt.analysis.figures.flow import draw_flow_map, draw_profiles
from bptt.analysis.figures.gradients import draw_radius_against_decay
from bptt.analysis.figures.maps import draw_heat_map
from bptt.analysis.figures.material import Material, SweepFigure
from bptt.analysis.figures.outcomes import draw_final_loss, draw_success_rate, draw_variance_bars
from bptt.analysis.figures.performance import draw_performance_profiles
from bptt.analysis.figures.portraits import draw_portrait
from bptt.analysis.figures.run import draw_gradient_flow, draw_loss_curve
from bptt.analysis.figures.stability import draw_sharpness_along
from bptt.analysis.figures.training import (
    draw_clipped_share,
    draw_convergence,
    draw_gradient_norm,
    draw_survival_curves,
    draw_update_ratio,
)
from bptt.analysis.style import save_figure
from bptt.analysis.work import UPDATES, Axis

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep

__all__ = [
    "SweepFigure",
    "draw_clipped_share",
    "draw_convergence",
    "draw_exponents",
    "draw_final_loss",
    "draw_flow_map",
    "draw_gradient_flow",
    "draw_gradient_norm",
    "draw_heat_map",
    "draw_loss_curve",
    "draw_performance_profiles",
    "draw_portrait",
    "draw_profiles",
    "draw_radius_against_decay",
    "draw_sharpness_against_bound",
    "draw_sharpness_along",
    "draw_singular_values",
    "draw_solved_map",
    "draw_spectra",
    "draw_success_rate",
    "draw_survival_curves",
    "draw_sweep",
    "draw_update_ratio",
    "draw_variance_bars",
    "save_figure",
]

_MOST: Final = 14


_IN_ORDER: Final[tuple[Callable[[Material], Iterator[SweepFigure]], ...]] = (
    search.draw_search,
    outcomes.draw_success,
    halving.draw_halving,
    foretelling.draw_foretelling,
    outcomes.draw_survivals,
    training.draw_loss,
    outcomes.draw_losses,
    performance.draw_performance,
    outcomes.draw_variance,
    gradients.draw_flow,
    gradients.draw_radius,
    training.draw_steps,
)


def draw_sweep(
    sweep: "Sweep", tell: Callable[[str, Exception], None] | None = None, along: Axis = UPDATES
) -> list[SweepFigure]:
    """The figures of a sweep, the most important first, then what its best run predicts, and those of its
    dynamics; nothing where no run has ended.

    tell   is told of what can't be drawn, by a name and what it raised, and the others are drawn; None: it is raised
    along  what those of convergence and of solved runs have across: update, work/gradients or work/seconds
    """
    material = Material(sweep, along)
    if material.ended.empty:
        return []
    drawn = list(islice(chain.from_iterable(_draw(draw, material, tell) for draw in _IN_ORDER), _MOST))
    measured = (predictions.draw_best, dynamics.draw_dynamics, stability.draw_stability, portraits.draw_portraits)
    return drawn + list(chain.from_iterable(_draw(draw, material, tell) for draw in measured))


def _draw(
    draw: Callable[[Material], Iterator[SweepFigure]],
    material: Material,
    tell: Callable[[str, Exception], None] | None,
) -> Iterator[SweepFigure]:
    try:
        yield from draw(material)
    except Exception as error:
        if tell is None:
            raise
        tell(draw.__name__.removeprefix("draw_"), error)
