"""How far back gradients reach in the runs of a sweep."""

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from bptt.analysis.bands import Band, draw_bands, quartiles
from bptt.analysis.factors import Split
from bptt.analysis.panels import caption, legend, looks, panels
from bptt.analysis.style import STYLE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: A gradient that much smaller than the largest has vanished, however small it is.
SPAN: Final = 1e16


def flow_by_lag(
    flow: "pd.DataFrame", runs: "pd.DataFrame", told: Split, end: Literal["first", "last"], note: str
) -> "Figure":
    """‖∂loss/∂h‖ by lag, timesteps before the end, at the first or the last update that each run recorded.

    flow  run, update, lag, norm; what is nan, as after a run diverged, doesn't count
    """
    import matplotlib as mpl
    from matplotlib.ticker import MaxNLocator

    assert told.hue is not None
    drawn = looks(told.hue)
    updates = flow.groupby("run")["update"].agg("min" if end == "first" else "max")
    rows = flow[(flow["update"] == flow["run"].map(updates)) & flow["norm"].notna()]
    places = {run: place for place, run in enumerate(runs["run"])}
    groups = rows["run"].map({run: told.of(place) for run, place in places.items()})
    with mpl.rc_context(STYLE):
        figure, every = panels(told.titles, "lag (timesteps)", "‖∂loss/∂h‖")
        bands: list[list[Band]] = [[] for _ in every]
        for (panel, line), part in rows.groupby(groups, sort=True):
            table = part.pivot_table(index="lag", columns="run", values="norm")
            middle = quartiles(table.to_numpy())[:, 1]
            # Where most gradients are zero, they were cut off or there is no such timestep: the line ends.
            bands[panel].append(Band(drawn[line], table.index.to_numpy(), np.where(middle > 0, middle, np.nan)))
        if draw_bands(every, bands, ceiling=_ceiling(flow), span=SPAN) is not None:
            every[0].xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
            legend(figure, told.hue, markers=False)
        caption(figure, f"At each run's {end} recorded update; lines: median over the runs. {note}")
    return figure


def _ceiling(flow: "pd.DataFrame") -> float:
    """The norm above which a gradient has exploded, however far."""
    return 1000 * float(flow.loc[flow["update"] == flow["update"].min(), "norm"].quantile(0.9))
