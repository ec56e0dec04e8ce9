"""Axes of a sweep's figures: the shown part of a scale, and an axis of a swept key's levels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.factors import Factor
from bptt.analysis.style import logarithmic_ticks, power

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_MOST_TICKS: Final = 24


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
        high = min(float(positive.max()), 1e200)
        return cls(max(float(positive.min()), high / span, 1e-200), high)

    def drawn(self, values: "NDArray[Any]") -> "NDArray[Any]":
        """The values as they are drawn; nan: not."""
        return np.where(values <= self.high, np.maximum(values, self.low), np.nan)

    def apply(self, axes: "Axes") -> None:
        """Make this the y axis."""
        axes.set_yscale("log")
        room = max((self.high / self.low) ** 0.04, 1.1)
        axes.set_ylim(self.low / room, self.high * room)
        logarithmic_ticks(axes.yaxis, self.low / room, self.high * room)


@dataclass(frozen=True)
class Linear:
    """The part of a linear axis that is shown; what is beyond isn't drawn as a line."""

    low: float
    high: float
    percent: bool = False

    @classmethod
    def around(cls, values: "NDArray[Any]") -> "Linear | None":
        """All finite values."""
        finite = values[np.isfinite(values)]
        return cls(float(finite.min()), float(finite.max())) if len(finite) else None

    def drawn(self, values: "NDArray[Any]") -> "NDArray[Any]":
        """The values as they are drawn; nan: not."""
        return np.where(np.isfinite(values), values, np.nan)

    def apply(self, axes: "Axes") -> None:
        """Make this the y axis."""
        if self.percent:
            percent_axis(axes)
        else:
            room = 0.04 * (self.high - self.low) or 0.04 * abs(self.high) or 1.0
            axes.set_ylim(self.low - room, self.high + room)


#: Shares are drawn in percent, all on the same axis.
PERCENT: Final = Linear(0.0, 100.0, percent=True)


def percent_axis(axes: "Axes") -> None:
    """Make the y axis one of 0 to 100 %."""
    axes.set_ylim(-4, 104)
    axes.set_yticks([0, 25, 50, 75, 100])


def level_axis(axes: "Axes", factor: Factor, beside: float = 0.0) -> None:
    """Make the x axis one of a factor's places, with ticks at its levels as far as there is room for their texts.

    beside  how far from the levels' places something is drawn
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    places, texts = factor.places, factor.texts
    least, largest = float(places.min()), float(places.max())
    width = (largest - least) or 1.0
    room = beside + 0.05 * width
    axes.set_xlim(least - room, largest + room)
    axes.set_xlabel(factor.label)
    if len(places) > _MOST_TICKS and factor.scale != "ordinal":
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        exponent = factor.scale == "log"
        axes.xaxis.set_major_formatter(FuncFormatter(lambda u, _: power(float(f"{10**u:.2g}") if exponent else u)))
        return
    axes.set_xticks(places, minor=True)
    axes.tick_params(axis="x", which="minor", length=2)
    free, kept = -np.inf, []
    for place, text in zip(places, texts, strict=True):
        half = (0.012 * len(text) + 0.015) * width
        if place - half >= free:
            kept.append((place, text))
            free = place + half
    axes.set_xticks([place for place, _ in kept], [text for _, text in kept])
