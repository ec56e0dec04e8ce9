"""What figures of a sweep share: how levels are told apart, legends, and panels side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from bptt.analysis.factors import Factor
from bptt.analysis.style import COLUMN, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LIGHTEST: Final = 0.8  # of viridis: its yellow is hard to see on white
_LINES: Final[tuple[Literal["-", "--", "-.", ":"], ...]] = ("-", "--", "-.", ":")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<")


@dataclass(frozen=True)
class Look:
    """How a level is drawn."""

    colour: Any
    line: Literal["-", "--", "-.", ":"]
    marker: str


def looks(factor: Factor) -> list[Look]:
    """Numbers in colours that grow lighter, text in colours and lines of their own."""
    import matplotlib as mpl

    texts = sum(isinstance(level, str) for level in factor.levels)
    shades = mpl.colormaps["viridis"](np.linspace(0, _LIGHTEST, len(factor.levels) - texts))
    # Beside numbers in viridis' colours, text is black.
    colours = ["#000000"] * texts if 0 < texts < len(factor.levels) else [*PALETTE] * (1 + texts // len(PALETTE))
    return [
        Look(
            colours[number] if number < texts else shades[number - texts],
            _LINES[number % len(_LINES)] if number < texts else "-",
            _MARKERS[number % len(_MARKERS)],
        )
        for number in range(len(factor.levels))
    ]


def legend(figure: "Figure", factor: Factor, markers: bool) -> None:
    """A legend above everything; none where there is nothing to tell apart."""
    from matplotlib.lines import Line2D

    if len(factor.levels) < 2:
        return
    handles = [
        Line2D([], [], color=look.colour, linestyle=look.line, marker=look.marker if markers else None, markersize=3)
        for look in looks(factor)
    ]
    most = max(1, 60 // (max(map(len, factor.texts)) + 6))
    columns = -(-len(handles) // -(-len(handles) // most))
    # Matplotlib fills columns; levels are read in rows.
    order = [place for column in range(columns) for place in range(column, len(handles), columns)]
    figure.legend(
        [handles[place] for place in order],
        [factor.texts[place] for place in order],
        title=factor.label or None,
        loc="outside upper center",
        ncols=columns,
        frameon=False,
        columnspacing=1.0,
        handlelength=1.6,
        borderpad=0.0,
        labelspacing=0.2,
    )


def panels(titles: Sequence[str], xlabel: str, ylabel: str) -> "tuple[Figure, list[Axes]]":
    """A figure with axes for each title, two side by side, which share their axes."""
    from matplotlib.figure import Figure

    columns = min(len(titles), 2)
    rows = -(-len(titles) // columns)
    figure = Figure(figsize=(COLUMN, 2.6 if rows == 1 else 0.8 + 1.2 * rows), layout="constrained")
    grid: Any = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    every = list(grid.flat)
    for axes, title in zip(every, titles, strict=False):
        axes.set_title(title)
    for axes in every[len(titles) :]:
        axes.set_axis_off()
    for axes in every[len(titles) - columns : len(titles)]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(xlabel)
    if rows == 1:
        every[0].set_ylabel(ylabel)
    else:
        figure.supylabel(ylabel, fontsize=8)
    return figure, every[: len(titles)]
