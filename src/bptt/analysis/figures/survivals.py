"""When runs solve their task: survival curves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.figures.metrics import SOLVED, group_runs, label_axis, pool_runs, tell_apart
from bptt.analysis.figures.panels import Look, choose_looks, draw_legend, make_panels, set_percent_axis
from bptt.analysis.statistics.survival import survival
from bptt.analysis.style import STYLE, set_update_axis

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MOST_BANDS: Final = 6  # in one panel


def draw_survival_curves(runs: "pd.DataFrame", swept: Sequence[str]) -> "Figure":
    """The share of each setting's runs that have solved their task, against the update: Kaplan and Meier's estimate.

    runs   as of `bptt.load(…).runs`, with solved, observed and solved_after; those that have not ended don't count
    swept  the swept keys

    A run is seen to have solved its task at recorded updates alone: the line is what was seen, and a darker strip
    reaches up to what would have been seen had each run solved it right after the record before. Lighter bands, where a
    panel has six lines or fewer, are 95 % intervals of both bounds, see `bptt.analysis.statistics.survival.survival`. A
    tick stands where a run was watched no longer without having solved it.
    """
    import matplotlib as mpl
    import pandas as pd

    ended, told = tell_apart(runs, swept)
    told = pool_runs(told, len(ended))
    assert told.hue is not None
    observed, solved = ended["observed"].to_numpy(dtype=float), ended[SOLVED].to_numpy(dtype=bool)
    after = ended["solved_after"].fillna(ended["observed"]).to_numpy(dtype=float)
    drawn = choose_looks(told.hue)
    with mpl.rc_context(STYLE):
        figure, every = make_panels(told.titles, "update", label_axis(SOLVED))
        for (panel, line), chosen in group_runs(told, len(ended)).items():
            curve = survival(observed[chosen], solved[chosen])
            censored = np.unique(observed[chosen][~solved[chosen]])
            # Where all have solved it nothing is left to happen, and the line goes on.
            curve = pd.concat([curve, curve.tail(1).assign(update=np.nanmax(observed))])
            earliest = survival(after[chosen], solved[chosen])
            _draw_step(every[panel], drawn[line], curve, earliest, censored, bands=len(drawn) <= MOST_BANDS)
        set_percent_axis(every[0])
        set_update_axis(every[0], np.array([0.0, np.nanmax(observed)]), ticks=5 if len(every) == 1 else 4)
        draw_legend(figure, told.hue, markers=False)
    return figure


def _draw_step(
    axes: "Axes",
    look: Look,
    curve: "pd.DataFrame",
    earliest: "pd.DataFrame",
    censored: "NDArray[np.float64]",
    bands: bool,
) -> None:
    updates, share = curve["update"].to_numpy(), 100 * curve["solved_share"].to_numpy()
    axes.step(updates, share, look.line, where="post", color=look.colour)
    # Both curves at the updates of either.
    every = np.union1d(updates, earliest["update"])
    seen = curve.iloc[np.searchsorted(updates, every, side="right") - 1]
    could = earliest.iloc[np.searchsorted(earliest["update"], every, side="right") - 1]
    shades = [("solved_share", "solved_share", 0.3), *([("low", "high", 0.15)] if bands else [])]
    for low, high, alpha in shades:
        axes.fill_between(
            every, 100 * seen[low], 100 * could[high], step="post", color=look.colour, alpha=alpha, linewidth=0
        )
    height = share[np.searchsorted(updates, censored, side="right") - 1]
    axes.plot(censored, height, "|", color=look.colour, markersize=5, markeredgewidth=0.8)
