"""Numbers with their intervals as text, and rows of text as columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bptt.analysis.intervals import Interval

NOTHING: Final = "–"


def interval_text(interval: "Interval", form: str = "{:.3g}") -> str:
    """`0.12 [0.1, 0.15]`; an end that is not known is –, and without both there are no brackets."""
    return _bracketed(*(_written(value, form) for value in (interval.value, interval.low, interval.high)))


def share_text(interval: "Interval", signed: bool = False) -> str:
    """A share, or with a sign the difference of two, in percent: `70 % [55, 82]`."""
    form = "{:+.0f}" if signed else "{:.0f}"
    value, low, high = (_written(100 * value, form) for value in (interval.value, interval.low, interval.high))
    return _bracketed(value if value == NOTHING else f"{value} %", low, high)


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _written(value: float, form: str) -> str:
    return NOTHING if value != value else form.format(value).replace("-", "−")


def _bracketed(value: str, low: str, high: str) -> str:
    return value if low == high == NOTHING else f"{value} [{low}, {high}]"
