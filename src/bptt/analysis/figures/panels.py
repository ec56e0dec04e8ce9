"""What figures of a sweep share: panels side by side, looks and legends of levels, axes, and lines with bands."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from bptt.analysis.factors import Factor, name_key
from bptt.analysis.figures.material import find_display
from bptt.analysis.style import BASELINE, COLUMN, GREY, PALETTE, set_logarithmic_ticks, write_message, write_power
from bptt.analysis.tables import shorten_keys

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_LIGHTEST: Final = 0.8  # of viridis: its yellow is hard to see on white


_LINES: Final[tuple[Literal["-", "--", "-.", ":"], ...]] = ("-", "--", "-.", ":")


_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<")


@dataclass(frozen=True)
class Look:
    """How a level is drawn."""

    colour: Any
    line: Literal["-", "--", "-.", ":"]
    marker: str


def choose_looks(factor: Factor) -> list[Look]:
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


_LEGEND_LINE: Final = 52  # characters
_LEGEND_ROOM: Final = 4  # lines
_LINE_INCHES: Final = 0.14


def draw_legend(figure: "Figure", factor: Factor, markers: bool, looks: Sequence[Look] | None = None) -> None:
    """A legend above everything; none where there is nothing to tell apart. looks: None, those of `choose_looks`."""
    from matplotlib.lines import Line2D

    if len(factor.levels) < 2:
        return
    handles = [
        Line2D([], [], color=look.colour, linestyle=look.line, marker=look.marker if markers else None, markersize=3)
        for look in looks or choose_looks(factor)
    ]
    texts = [_wrap(text) for text in factor.texts]
    most = max(1, 60 // (max(map(len, factor.texts)) + 6))
    columns = -(-len(handles) // -(-len(handles) // most))
    # The figure was made with room for some lines.
    rows = [texts[first : first + columns] for first in range(0, len(texts), columns)]
    lines = sum(1 + max(text.count("\n") for text in row) for row in rows) + _wrap(factor.name).count("\n")
    figure.set_figheight(figure.get_figheight() + _LINE_INCHES * max(0, lines - _LEGEND_ROOM))
    # Matplotlib fills columns; levels are read in rows.
    order = [place for column in range(columns) for place in range(column, len(handles), columns)]
    figure.legend(
        [handles[place] for place in order],
        [texts[place] for place in order],
        title=_wrap(factor.name) or None,
        loc="outside upper center",
        ncols=columns,
        frameon=False,
        columnspacing=1.0,
        handlelength=1.6,
        borderpad=0.0,
        labelspacing=0.2,
    )


def _wrap(text: str) -> str:
    """A text in lines that a figure is wide enough for."""
    return "\n".join(wrap(text, _LEGEND_LINE, break_on_hyphens=False))


def make_panels(titles: Sequence[str], xlabel: str, ylabel: str) -> "tuple[Figure, list[Axes]]":
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


_MOST_TICKS: Final = 24
_LONGEST_TICK: Final = 24  # characters of a name that may be written aslant

# A logarithmic axis reaches from here to its inverse: with room beyond, its ends are numbers still.
_LEAST: Final = 1e-306
_MOST_ROOM: Final = 50.0


@dataclass(frozen=True)
class Window:
    """The part of a logarithmic axis that is shown.

    What is below, an exact zero too, is drawn at its lower end; what is above, or not finite, isn't drawn as a line.
    """

    low: float
    high: float

    @classmethod
    def around(cls, values: "NDArray[Any]", ceiling: float = np.inf, span: float = np.inf) -> "Window | None":
        """All positive values up to the ceiling, as far as the largest is at most span times the least."""
        positive = values[np.isfinite(values) & (values > 0) & (values <= ceiling)]
        if not len(positive):
            return None
        high = min(float(positive.max()), 1 / _LEAST)
        return cls(min(max(float(positive.min()), high / span, _LEAST), high), high)

    def mask(self, values: "NDArray[Any]") -> "NDArray[Any]":
        """The values as they are drawn; nan: not."""
        return np.where(values <= self.high, np.maximum(values, self.low), np.nan)

    def apply(self, axes: "Axes", across: bool = False) -> None:
        """Make this the y axis, or the x axis."""
        room = min(max(self.high**0.04 / self.low**0.04, 1.1), _MOST_ROOM)  # their quotient itself may be infinite
        low, high = self.low / room, self.high * room
        with np.errstate(over="ignore"):  # Matplotlib looks beyond the ends
            axes.set(**{"xscale": "log", "xlim": (low, high)} if across else {"yscale": "log", "ylim": (low, high)})
        set_logarithmic_ticks(axes.xaxis if across else axes.yaxis, low, high, close=high < 4 * low)


@dataclass(frozen=True)
class LinearWindow:
    """The part of a linear axis that is shown; what is beyond isn't drawn as a line."""

    low: float
    high: float
    percent: bool = False

    @classmethod
    def around(cls, values: "NDArray[Any]") -> "LinearWindow | None":
        """All finite values."""
        finite = values[np.isfinite(values)]
        return cls(float(finite.min()), float(finite.max())) if len(finite) else None

    def mask(self, values: "NDArray[Any]") -> "NDArray[Any]":
        """The values as they are drawn; nan: not."""
        return np.where(np.isfinite(values), values, np.nan)

    def apply(self, axes: "Axes", across: bool = False) -> None:
        """Make this the y axis, or the x axis."""
        room = 0.04 * (self.high - self.low) or 0.04 * abs(self.high) or 1.0
        if across:
            axes.set_xlim(self.low - room, self.high + room)
        elif self.percent:
            set_percent_axis(axes)
        else:
            axes.set_ylim(self.low - room, self.high + room)


#: Shares are drawn in percent, all on the same axis.
PERCENT: Final = LinearWindow(0.0, 100.0, percent=True)


def set_percent_axis(axes: "Axes") -> None:
    """Make the y axis one of 0 to 100 %."""
    axes.set_ylim(-4, 104)
    axes.set_yticks([0, 25, 50, 75, 100])


def set_level_axis(axes: "Axes", factor: Factor, beside: float = 0.0) -> None:
    """Make the x axis one of a factor's places, with ticks at its levels as far as there is room for their texts.

    beside  how far from the levels' places something is drawn
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    places, texts = factor.places, factor.texts
    least, largest = float(places.min()), float(places.max())
    width = (largest - least) or 1.0
    room = beside + 0.05 * width
    axes.set_xlim(least - room, largest + room)
    axes.set_xlabel(factor.name)
    if len(places) > _MOST_TICKS and factor.scale != "ordinal":
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        exponent = factor.scale == "log"
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda u, _: write_power(float(f"{10**u:.2g}") if exponent else u))
        )
        return
    axes.set_xticks(places, minor=True)
    axes.tick_params(axis="x", which="minor", length=2)
    free, kept = -np.inf, []
    for place, text in zip(places, texts, strict=True):
        half = (0.012 * len(text) + 0.015) * width
        if place - half >= free:
            kept.append((place, text))
            free = place + half
    longest = max(map(len, texts), default=0)
    if len(kept) < len(places) and any(isinstance(level, str) for level in factor.levels) and longest <= _LONGEST_TICK:
        # Names are no scale on which one that is left out could be read.
        axes.set_xticks(places, texts, rotation=30, ha="right", rotation_mode="anchor")
        return
    axes.set_xticks([place for place, _ in kept], [text for _, text in kept])


CROSS: Final = "x"


def draw_baseline(axes: "Axes", cost: float | None, scale: "Scale | None", across: bool = False) -> None:
    """A thin dashed line at what a constant answer costs; nothing where that is not known, or not on the axis.

    across  whether costs are on the x axis
    """
    if cost is None or scale is None or not scale.low <= cost <= scale.high:
        return
    (axes.axvline if across else axes.axhline)(
        cost, color=GREY, linestyle="--", linewidth=0.7, zorder=0.5, gid=BASELINE
    )
    look: Any = {"va": "bottom", "fontsize": 6, "color": GREY}
    if across:
        # Runs that learned nothing end just below it, so that there is room beyond.
        axes.text(cost, 0.05, BASELINE, transform=axes.get_xaxis_transform(), ha="left", rotation=90, **look)
    else:
        axes.text(0.99, cost, BASELINE, transform=axes.get_yaxis_transform(), ha="right", **look)


def describe_baseline(figure: "Figure") -> str:
    """A sentence on the dashed line of a figure; empty where there is none."""
    if not any(line.get_gid() == BASELINE for axes in figure.axes for line in axes.lines):
        return ""
    return "The dashed line is the best that an answer does which does not depend on the sequence. "


Scale = Window | LinearWindow


@dataclass(frozen=True)
class Band:
    """A line over x, and, where they are given, the lower and the upper end of its band.

    Where the line becomes infinite it ends with a cross; where it is nan, without.
    """

    look: Look
    x: "NDArray[Any]"
    middle: "NDArray[np.float64]"
    low: "NDArray[np.float64] | None" = None
    high: "NDArray[np.float64] | None" = None


def compute_quartiles(table: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """The quartiles of each row (rows, 3). Values may be infinite; those that are nan don't count."""
    ordered = np.sort(table, axis=1)  # nan comes last
    count = np.sum(~np.isnan(ordered), axis=1)
    result = np.full((len(table), 3), np.nan)
    rows = np.flatnonzero(count)
    for column, share in enumerate((0.25, 0.5, 0.75)):
        place = share * (count[rows] - 1)
        below = np.floor(place).astype(int)
        lower, upper = ordered[rows, below], ordered[rows, np.ceil(place).astype(int)]
        step = np.subtract(upper, lower, out=np.full(len(rows), np.inf), where=np.isfinite(upper))
        between = place > below
        result[rows, column] = lower
        result[rows[between], column] += (place - below)[between] * step[between]
    return result


def draw_bands(every: "Sequence[Axes]", bands: Sequence[Sequence[Band]], scale: Scale | None) -> None:
    """Draw bands into each of some axes, which share a y axis; where that has no scale, say that nothing was finite."""
    if scale is None:
        write_message(every[0], "nothing finite was recorded")
        return
    for axes, here in zip(every, bands, strict=True):
        for band in here:
            _draw(axes, scale, band)
    scale.apply(every[0])


def collect_values(bands: Sequence[Sequence[Band]]) -> "NDArray[np.float64]":
    """All that is to be drawn."""
    parts = [part for here in bands for band in here for part in (band.middle, band.low, band.high) if part is not None]
    return np.concatenate([np.empty(0), *parts])


def _draw(axes: "Axes", scale: Scale, band: Band) -> None:
    alone = len(band.x) == 1
    if band.low is not None and band.high is not None and not alone:
        # A band that goes on above the axis is drawn to its end.
        high = np.clip(band.high, scale.low, 2 * scale.high)
        axes.fill_between(band.x, scale.mask(band.low), high, color=band.look.colour, alpha=0.15, linewidth=0)
    marker = band.look.marker if alone else None
    axes.plot(band.x, scale.mask(band.middle), band.look.line, color=band.look.colour, marker=marker, markersize=3)
    inside = np.flatnonzero(band.middle <= scale.high)
    if len(inside) and np.isposinf(band.middle[inside[-1] + 1 :][:1]).any():
        end = inside[-1]
        axes.plot(band.x[end], scale.mask(band.middle[end]), CROSS, color=band.look.colour, markersize=4)


def count_crosses(figure: "Figure") -> int:
    """How many lines of a figure end since most runs had diverged."""
    return sum(line.get_marker() == CROSS for axes in figure.axes for line in axes.lines)


def make_single_panel(height: float) -> "tuple[Figure, Axes]":
    """A figure of this height, in inches, with one pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(COLUMN, height), layout="constrained")
    return figure, figure.subplots()


def draw_words(figure: "Figure", words: Sequence[tuple[str, str, str]]) -> None:
    """A legend above everything: texts with colours, and a line or a marker."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=colour,
            linestyle="-" if mark == "-" else "",
            marker="" if mark == "-" else mark,
            markersize=3.5,
        )
        for _, colour, mark in words
    ]
    figure.legend(
        handles,
        [text for text, _, _ in words],
        loc="outside upper center",
        ncols=len(words),
        frameon=False,
        columnspacing=1.2,
        handlelength=1.4,
        borderpad=0.0,
    )


def show_values_of(values: "NDArray[np.float64]", name: str) -> "NDArray[np.float64]":
    """A metric's values as they are drawn: shares in percent."""
    return values * (100 if find_display(name).scale == "percent" else 1)


def choose_scale(values: "NDArray[np.float64]", name: str) -> Scale | None:
    """The axis of a metric that runs ended with, of its values as they are; None: nothing is finite."""
    kind = find_display(name).scale
    if kind == "percent":
        return LinearWindow(0.0, 100.0)
    finite = values[np.isfinite(values)]
    spread = len(finite) and finite.min() > 0 and finite.max() > 8 * finite.min()
    if kind == "log" or spread:
        largest = np.quantile(finite, 0.9, method="inverted_cdf") if len(finite) else np.inf
        return Window.around(values, ceiling=float(largest) * 10, span=1e12)
    return LinearWindow.around(values)


def name_all_keys(keys: "Sequence[str] | pd.Series") -> list[str]:
    """What some keys are called on axes and in sentences."""
    short = shorten_keys([*keys])
    return [name_key(key, short[key]) for key in keys]
