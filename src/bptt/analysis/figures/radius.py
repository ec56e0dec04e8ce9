"""Whether the recurrent weights' spectral radius foretells how gradients decay."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.figures.metrics import DECAY, RADIUS, SOLVED, axis_label
from bptt.analysis.figures.panels import legend, looks, panels
from bptt.analysis.figures.recorded import pooled, told_apart
from bptt.analysis.style import STYLE, logarithmic_ticks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FAR: Final = 5.0  # a decay per timestep beyond which there is nothing to be told apart
_DENSE: Final = 200  # points that an SVG holds as a picture


def radius_against_decay(history: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
    """weights/spectral_radius against grad/decay, a point for each run, at its first and its last recorded update.

    history  run, update, metrics
    runs     as of `bptt.load(…).runs`; those that have not ended don't count
    swept    the swept keys

    Points are filled where the run solved its task. Dashed: ln ρ, which is the decay per timestep of a linear network
    whose recurrent matrix is normal with a spectral radius of ρ (R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty
    of training recurrent neural networks", 2013, section 2.1).
    """
    import matplotlib as mpl
    import pandas as pd

    ended, told = told_apart(runs, swept)
    told = pooled(told, len(ended))
    assert told.hue is not None
    points = ends(history, ended)
    lines = dict(zip(ended["run"], told.hue.codes, strict=True))
    solved = dict(zip(ended["run"], ended[SOLVED], strict=True))
    with mpl.rc_context(STYLE):
        figure, every = panels(["first update", "last update"], axis_label(RADIUS), axis_label(DECAY))
        for axes, (_, here) in zip(every, points.items(), strict=True):
            level, filled = here["run"].map(lines), here["run"].map(solved).astype(bool)
            for number, look in enumerate(looks(told.hue)):
                for part, face in (
                    (here[(level == number) & ~filled], "none"),
                    (here[(level == number) & filled], look.colour),
                ):
                    axes.scatter(
                        part[RADIUS],
                        part[DECAY],
                        s=7,
                        marker=look.marker,
                        facecolors=face,
                        edgecolors=[look.colour],
                        linewidths=0.5,
                        alpha=0.6,
                        rasterized=len(ended) > _DENSE,
                    )
        together = pd.concat(points)
        _radius_axis(every[0], together[RADIUS])
        _decay_axis(every[0], together[DECAY])
        _linear_network(every)
        legend(figure, told.hue, markers=True)
    return figure


def ends(history: "pd.DataFrame", runs: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
    """The first and the last of each run's points with both metrics, the radius above 0: run, update, and these."""
    known = history.loc[history["run"].isin(runs["run"]), ["run", "update", RADIUS, DECAY]].dropna()
    known = known[known[RADIUS] > 0]
    return {"first": known.groupby("run").head(1), "last": known.groupby("run").tail(1)}


def _radius_axis(axes: "Axes", radii: "pd.Series") -> None:
    low, high = max(float(radii.min()), 1e-3), max(float(radii.max()), 2e-3)
    room = max((high / low) ** 0.05, 1.1)
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    logarithmic_ticks(axes.xaxis, low / room, high * room)


def _decay_axis(axes: "Axes", decays: "pd.Series") -> None:
    """Linear, but for what is beyond ±1 where that is far."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if decays.abs().max() <= _FAR:
        return
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(*(sign * max(1.5 * sign * end, 1.0) for sign, end in ((-1, decays.min()), (1, decays.max()))))
    decades = 10.0 ** np.arange(9)
    axes.yaxis.set_major_locator(FixedLocator([*-decades[::-1], -0.5, 0.0, 0.5, *decades]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}".replace("-", "−")))


def _linear_network(every: "Sequence[Axes]") -> None:
    """Draw ln ρ behind the points, as far as they reach."""
    axes = every[0]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    radii = np.geomspace(left, right, 100)
    for part in every:
        part.plot(radii, np.log(radii), "--", color="#555555", linewidth=0.8, zorder=0)
        part.axhline(0, color="#bbbbbb", linewidth=0.6, zorder=0)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
