"""A table's values as they are written: numbers to three or four digits, shares in percent, intervals behind them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.report.document import Column, Table

if TYPE_CHECKING:
    import pandas as pd

_DIGITS: Final = 3
_SUPERSCRIPT: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
#: What a missing value is written as.
MISSING: Final = "–"


@dataclass(frozen=True)
class Number:
    """A number as it is written, and as it is: `value` is what the table's CSV file holds."""

    text: str
    value: str


@dataclass(frozen=True)
class Cell:
    """A value, with the count that it is a part of and its interval where it has them; mono: a program's word."""

    shown: str | Number
    mono: bool = False
    of: Number | None = None
    low: str | Number | None = None
    high: str | Number | None = None


def rows(table: Table) -> list[list[Cell]]:
    """What a reader sees of a table, row by row."""
    return [[_cell(row, column) for column in table.columns] for row in _records(table.frame.head(table.most))]


def number(value: float) -> str:
    """A number to three digits: `0.0404`, `1,250`, `3.5·10⁻⁴`, `∞`."""
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    rounded = float(f"{value:.{_DIGITS}g}")
    if 1e-3 <= abs(rounded) < 1e6:
        if abs(rounded) >= 100:
            return f"{value:,.0f}".replace("-", "−")
        return f"{value:#.{_DIGITS}g}".rstrip(".").replace("-", "−")
    digits, _, exponent = f"{value:.{_DIGITS - 1}e}".partition("e")
    return f"{digits.replace('-', '−')}·10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def share(value: float) -> str:
    """A share in percent: `67 %`; to a tenth near none and all, so that 0 % and 100 % are what they say."""
    if math.isnan(value):
        return MISSING
    percent = 100 * value
    near = 0 < percent < 1 or 99 < percent < 100
    return (f"{percent:.1f} %" if near else f"{percent:.0f} %").replace("-", "−")


def _cell(row: Mapping[str, Any], column: Column) -> Cell:
    shown = _shown(row[column.key], column.form)
    of = None if column.of is None else _number(row[column.of], "count")
    mono = column.mono and shown not in ("", MISSING)
    if column.low is None or column.high is None or not isinstance(shown, Number):
        return Cell(shown, mono, of)
    low, high = (_shown(row[end], column.form) for end in (column.low, column.high))
    if not (isinstance(low, Number) or isinstance(high, Number)):
        return Cell(shown, mono, of)
    return Cell(shown, mono, of, low, high)


def _shown(value: Any, form: str) -> str | Number:
    if _missing(value):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if form == "text" or isinstance(value, str) else _number(value, form)


def _number(value: Any, form: str) -> Number:
    exact = value if isinstance(value, int) else float(value)
    if form == "share":
        text = share(exact)
    elif form == "exact":
        text = str(exact) if isinstance(exact, int) else f"{exact:.6g}"
    else:
        text = f"{exact:,.0f}" if form == "count" and math.isfinite(exact) else number(exact)
    return Number(text, repr(exact))


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    import pandas as pd

    plain = frame.astype(object).where(frame.notna(), None)
    assert isinstance(plain, pd.DataFrame)
    return [
        {str(key): value.item() if hasattr(value, "item") else value for key, value in row.items()}
        for row in plain.to_dict("records")
    ]
