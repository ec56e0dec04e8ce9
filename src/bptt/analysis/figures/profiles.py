"""How far back gradients reach at chosen updates: ‖∂loss/∂h‖ by lag, timesteps before the end."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.figures.flow import NORM
from bptt.analysis.figures.metrics import SPAN
from bptt.analysis.figures.panels import legend, looks, panels
from bptt.analysis.figures.recorded import pooled, told_apart
from bptt.analysis.style import STYLE, logarithmic_ticks, message, power

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_LAG: Final = "lag (timesteps before the end)"


def gradient_profiles(
    flow: "pd.DataFrame",
    runs: "pd.DataFrame",
    swept: Sequence[str],
    updates: Sequence[str | int] = ("first", "last"),
) -> "Figure":
    """The norm against the lag at some updates, for each setting the median over its runs, on a symlog axis.

    flow     run, update, lag, norm; what is nan, as after a run diverged, doesn't count
    runs     as of `bptt.load(…).runs`; those that have not ended don't count
    swept    the swept keys
    updates  each with a panel: `first` and `last` are what each run recorded so, a number is that update

    The axis is logarithmic down to 10⁻¹⁶ of what is usually the largest norm, and from there to zero, which is where a
    gradient was cut off, linear.
    """
    import matplotlib as mpl

    ended, told = told_apart(runs, swept)
    told = pooled(told, len(ended))
    assert told.hue is not None
    drawn = looks(told.hue)
    titles = [
        ", ".join(filter(None, (facet, _title(update) if len(updates) > 1 else "")))
        for facet in told.titles
        for update in updates
    ]
    with mpl.rc_context(STYLE):
        figure, every = panels(titles, "lag (timesteps)" if len(titles) > 1 else _LAG, NORM)
        medians = [_profiles(flow, ended, [told.of(run) for run in range(len(ended))], update) for update in updates]
        for column, table in enumerate(medians):
            for panel, line in table:
                axes, profile = every[panel * len(updates) + column], table[panel, line].dropna()
                axes.plot(profile.index, profile, drawn[line].line, color=drawn[line].colour)
        _symlog(every, np.concatenate([np.empty(0), *(table.to_numpy().ravel() for table in medians)]))
        legend(figure, told.hue, markers=False)
    return figure


def alike(flow: "pd.DataFrame", runs: "pd.DataFrame", swept: Sequence[str], update: str) -> bool:
    """Whether all settings have the same profile at an update, as at the first where what was swept comes later."""
    ended, told = told_apart(runs, swept)
    table = _profiles(flow, ended, [told.of(run) for run in range(len(ended))], update)
    return bool((table.max(axis=1) <= 1.05 * table.min(axis=1)).all()) and not table.isna().to_numpy().any()


def _title(update: str | int) -> str:
    return f"{update} update" if isinstance(update, str) else f"update {update:,}"


def _profiles(
    flow: "pd.DataFrame", runs: "pd.DataFrame", groups: Sequence[tuple[int, int]], update: str | int
) -> "pd.DataFrame":
    """The median norm by lag (rows) and by panel and line (columns)."""
    by_run = flow.groupby("run")["update"]
    at: Any = update
    if isinstance(update, str):
        at = flow["run"].map(by_run.min() if update == "first" else by_run.max())
    places = dict(zip(runs["run"], groups, strict=True))
    rows = flow[(flow["update"] == at) & flow["norm"].notna() & flow["run"].isin(places)]
    panel, line = (rows["run"].map({run: place[which] for run, place in places.items()}) for which in (0, 1))
    rows = rows.assign(panel=panel, line=line)
    return rows.pivot_table(index="lag", columns=["panel", "line"], values="norm", aggfunc="median")


def _symlog(every: "Sequence[Axes]", norms: "NDArray[np.float64]") -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

    positive = norms[np.isfinite(norms) & (norms > 0)]
    if not len(positive):
        message(every[0], "no gradient above zero was recorded")
        return
    axes = every[0]
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    high = min(float(positive.max()), 1e200)
    low = max(float(positive.min()), high / SPAN, 1e-200)
    room = max((high / low) ** 0.04, 1.1)
    if not np.any(norms < low):
        axes.set_yscale("log")
        axes.set_ylim(low / room, high * room)
        logarithmic_ticks(axes.yaxis, low / room, high * room)
        return
    axes.set_yscale("symlog", linthresh=low, linscale=1.0)
    axes.set_ylim(-0.1 * low, high * room)
    first, last = int(np.ceil(np.log10(low))), int(np.floor(np.log10(high)))
    step = max(1, -(-(last - first) // 6))
    axes.set_yticks([0.0, *(10.0**exponent for exponent in range(last, first - 1, -step))])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
