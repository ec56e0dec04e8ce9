"""A network's phase portrait: where its states go, and where it would stand still."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.figures.dynamics import DYNAMICS
from bptt.analysis.figures.material import Material, SweepFigure, find_measured_ends, select_measured
from bptt.analysis.figures.panels import make_panels
from bptt.analysis.style import BLUE, STYLE, VERMILION
from bptt.analysis.tables import LOSS, take_final
from bptt.configuration.build import check_configuration
from bptt.configuration.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bptt.analysis.sweep import Sweep
    from bptt.dynamics.fixed_points import FixedPoints

_POINTS: Final = "dynamics/fixed_points"


@dataclass(frozen=True)
class Portrait:
    """States in their first two principal components.

    ways    (N, T, 2): of sequences, timestep by timestep
    fixed   (M, 2): of fixed points
    stable  (M,)
    shares  of the variance of the states, that each component has
    """

    ways: "NDArray[np.float64]"
    fixed: "NDArray[np.float64]"
    stable: "NDArray[np.bool_]"
    shares: "NDArray[np.float64]"


def project_states(visited: "NDArray[np.float64]", points: "FixedPoints") -> Portrait:
    """The states (N, T, S) that a network visited, and its fixed points, on the plane in which the former vary most.

    Components are those of the visited states alone, less their mean; the largest number of each is positive. Of a
    state of one number the second is 0.
    """
    flat = visited.reshape(-1, visited.shape[-1])
    centre = flat.mean(axis=0)
    _, sizes, axes = np.linalg.svd(flat - centre, full_matrices=False)
    plane = np.zeros((2, flat.shape[1]))
    plane[: len(axes[:2])] = axes[:2]
    heads = plane[range(2), np.abs(plane).argmax(axis=1)]
    plane *= np.where(heads < 0, -1.0, 1.0)[:, None]
    shares = np.zeros(2)
    shares[: len(sizes[:2])] = sizes[:2] ** 2 / max(float((sizes**2).sum()), np.finfo(float).tiny)
    return Portrait((visited - centre) @ plane.T, (points.states - centre) @ plane.T, points.stable, shares)


def draw_portrait(portrait: Portrait) -> "Figure":
    """Ways of states through the first two principal components, from their dots on, and the fixed points: filled
    where states nearby come back to them, hollow where they leave.
    """
    import matplotlib as mpl

    labels = [
        f"{name} principal component ({100 * share:.0f} %)"
        for name, share in zip(("first", "second"), portrait.shares, strict=True)
    ]
    with mpl.rc_context(STYLE):
        figure, (axes,) = make_panels([""], *labels)
        for way in portrait.ways:
            axes.plot(way[:, 0], way[:, 1], color=BLUE, linewidth=0.6, alpha=0.5)
        axes.plot(portrait.ways[:, 0, 0], portrait.ways[:, 0, 1], "o", color=BLUE, markersize=2)
        for kind, face in ((~portrait.stable, "none"), (portrait.stable, VERMILION)):
            here = portrait.fixed[kind]
            axes.scatter(here[:, 0], here[:, 1], s=22, facecolors=face, edgecolors=VERMILION, linewidths=0.9, zorder=3)
    return figure


def trace_run(sweep: "Sweep", number: int) -> Portrait | None:
    """The portrait of a run's last weights; None where it left none, or they are not finite.

    Raises ConfigurationError where the run can't be built again.
    """
    from bptt.dynamics.measures import trace_networks  # with SciPy, which no other figure takes

    run, record = check_configuration(sweep.configs[number], ()).run, sweep.record(number)
    if record is None or not all(np.isfinite(array).all() for array in record.parameters.values()):
        return None
    ((visited, points),) = trace_networks([run], {name: array[None] for name, array in record.parameters.items()})
    return project_states(visited, points)


def draw_portraits(material: Material) -> Iterator[SweepFigure]:
    """The portrait of the run that ended with the smallest loss, of those whose fixed points were measured."""
    rows = select_measured(material.sweep.measures, material.ended, _POINTS)
    last = find_measured_ends(rows, material.ended).get("last update")
    if last is None:
        return
    loss = take_final(material.ended, LOSS).iloc[last["place"]]
    place = int(loss.sort_values(kind="stable").index[0])
    number, name = (material.ended[column].iloc[place] for column in ("run", "name"))
    try:
        portrait = trace_run(material.sweep, int(number))
    except ConfigurationError:  # of a package that a report does not import
        return
    if portrait is None:
        return
    stable, count = int(portrait.stable.sum()), len(portrait.stable)
    yield SweepFigure(
        name=f"{DYNAMICS}portrait",
        figure=draw_portrait(portrait),
        title="Fixed points, and where states go",
        caption=(
            f"The run that ended with the smallest loss, {name}: the states that it visits along training sequences, "
            "in the two directions in which they vary most (lines, from the dots on), and the states at which it would "
            "stand still without input. Filled points draw states nearby to them: each is something that the network "
            "can remember for ever. Hollow ones let go in at least one direction: states pass by them on their way, or "
            f"part there. {stable} of {count} {'is' if stable == 1 else 'are'} stable; what no visited state leads to "
            "is not found."
        ),
        alt=f"Lines of states in a plane, with {count} fixed point{'s'[: count != 1]}, {stable} of them stable.",
    )
