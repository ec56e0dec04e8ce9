"""How much of the variance between runs each swept key explains."""

from typing import TYPE_CHECKING

from bptt.analysis.style import BLUE, COLUMN, GREY, STYLE
from bptt.analysis.variance import INTERACTIONS, REST, SEED

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def variance_bars(shares: "pd.DataFrame") -> "Figure":
    """A bar for each source of variance; swept keys in blue, what is left to interactions and to the seed in grey.

    shares  as of `bptt.analysis.variance.variance_shares`: source, share
    """
    import matplotlib as mpl
    import seaborn as sns
    from matplotlib.figure import Figure

    percent = 100 * shares["share"]
    colours = [GREY if source in (INTERACTIONS, SEED, REST) else BLUE for source in shares["source"]]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN, 0.7 + 0.26 * len(shares)), layout="constrained")
        axes = figure.subplots()
        names = shares["source"].tolist()
        sns.barplot(
            x=percent, y=names, hue=names, palette=colours, saturation=1, width=0.7, orient="y", legend=False, ax=axes
        )
        for place, share in enumerate(percent):
            axes.annotate(f"{share:.0f} %", (max(share, 0), place), (2, 0), textcoords="offset points", va="center")
        axes.grid(False)
        axes.set_xlim(0, 108)
        axes.set_xticks([0, 25, 50, 75, 100])
        axes.set_xlabel("share of the variance (%)")
        axes.set_ylabel("")
        axes.tick_params(axis="y", length=0)
    return figure
