r"""A report's table as LaTeX, for pdfLaTeX and an article: it fits in 0.9 of the text's width.

A table that is too wide has columns whose text is broken, or smaller type, or is split into parts that begin with the
same column; one that is longer than a page is a longtable. How wide a text comes out is estimated from Computer
Modern's widths, and tests compile what came of it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from bptt.analysis.report.document import Column, Mono, ShownTable, Span
from bptt.analysis.report.rendering import Number, TableCell, escape_latex, join_lines, load_template, write_rows
from bptt.printable import make_lines_printable

#: Type, and how many em of it are 0.9 of an article's text width, which is 345 points.
_SIZES: Final = {"small": 33.5, "footnotesize": 36.5, "scriptsize": 38.9}
_GAP: Final = 0.9  # em between two columns
_SPARE: Final = 1.03  # of each estimate
_MOST_LINES: Final = 38  # of a table that stands on one page
#: The widths of letters in em; of what is not listed as of digits.
_WIDTHS: Final = (
    dict.fromkeys(".,:;'!|ijlI", 0.3)
    | dict.fromkeys(" ()[]-/tfrs", 0.4)
    | dict.fromkeys("bdhknpquvwxyαεη", 0.56)
    | dict.fromkeys("ABCDEFGHJKLMNOPQRSTUVXYZ+−=<>×≥≤·&_", 0.78)
    | dict.fromkeys("mwW%∞—…@", 1.0)
)
_DIGIT: Final = 0.5
_MONO: Final = 0.53
_SYMBOL: Final = 0.8
_NAMED: Final = 5.2  # a character that is shown by its number
_WORD: Final = 16  # characters of a word that is never broken; twice as many where all are letters
_FONTS_END: Final = 0x2300  # all characters from here on are shown by their number
_BREAK: Final = re.compile(r"[\u2300-\U0010ffff]|[^._/=,:;&?+\u2300-\U0010ffff-]*[._/=,:;&?+-]*")


@dataclass(frozen=True)
class _Text:
    """A piece of a cell, in one kind of type; tied: on one line, as an interval is."""

    text: str
    mono: bool = False
    tied: bool = False

    @property
    def words(self) -> list[str]:
        """What a line may end behind: the words with their blank, long ones in parts."""
        if self.tied:
            blank = self.text[: len(self.text) - len(self.text.lstrip())]
            return [blank, self.text[len(blank) :]]
        found = re.findall(r"\S*\s*", self.text)
        return [part for word in found for part in self._split(word) if part]

    @property
    def widths(self) -> list[float]:
        return [self._measure(word.rstrip()) for word in self.words]

    @property
    def width(self) -> float:
        return self._measure(self.text)

    def write(self, broken: bool) -> str:
        """In LaTeX; broken: with places at which its long words may be broken."""
        parts = self.words if broken else [self.text]
        escaped = "".join(
            escape_latex(part) + (r"\allowbreak{}" if broken and place < len(parts) - 1 and part[-1:].strip() else "")
            for place, part in enumerate(parts)
        )
        if self.tied:
            escaped = escaped[: len(escaped) - len(escaped.lstrip())] + escaped.lstrip().replace(" ", "~")
        return rf"\texttt{{{escaped}}}" if self.mono else escaped

    def _split(self, word: str) -> list[str]:
        shown = all(ord(letter) < _FONTS_END for letter in word)
        if shown and len(word) <= (_WORD if self.mono or not word.strip().isalpha() else 2 * _WORD):
            return [word]
        parts = _BREAK.findall(word)
        return [part[start : start + _WORD] for part in parts for start in range(0, len(part), _WORD)]

    def _measure(self, text: str) -> float:
        return _SPARE * sum(map(self._measure_letter, text))

    def _measure_letter(self, letter: str) -> float:
        if not letter.isascii():
            return _NAMED if ord(letter) >= _FONTS_END else _WIDTHS.get(letter, _SYMBOL)
        return _MONO if self.mono else _WIDTHS.get(letter, _DIGIT)


@dataclass(frozen=True)
class _Placed:
    """A column with all its texts, the heading first; width None: as wide as what it holds."""

    column: Column
    cells: Sequence[Sequence[_Text]]
    width: float | None = None

    @property
    def natural(self) -> float:
        return max(sum(text.width for text in cell) for cell in self.cells)

    @property
    def least(self) -> float:
        return max(width for cell in self.cells for text in cell for width in (text.widths or [0.0]))

    @property
    def layout(self) -> str:
        """Its letter in a tabular's argument."""
        if self.width is None:
            return "r" if self.column.numeric else "l"
        ragged = "raggedleft" if self.column.numeric else "raggedright"
        return rf">{{\{ragged}\arraybackslash}}p{{{self.width:.2f}em}}"

    @property
    def lines(self) -> list[int]:
        """How many lines each cell takes, about."""
        if self.width is None:
            return [1] * len(self.cells)
        return [int(1.25 * sum(text.width for text in cell) / self.width) + 1 for cell in self.cells]

    def write(self) -> list[str]:
        """Its cells in LaTeX."""
        return ["".join(text.write(self.width is not None) for text in cell) for cell in self.cells]


def render_table(table: ShownTable) -> dict[str, bytes]:
    """A table's files: tables/NAME.csv with every digit, and tables/NAME.tex with what the page shows."""
    written = make_lines_printable(table.frame.to_csv(index=False, lineterminator="\n"))
    files = {f"tables/{table.name}.csv": written.encode()}
    if table.latex:
        files[f"tables/{table.name}.tex"] = render_latex(table).encode()
    return files


def render_latex(table: ShownTable) -> str:
    """A table as LaTeX; its first lines are a comment with the packages that it needs."""
    rows = write_rows(table)
    columns = [
        _Placed(column, [[_Text(column.heading)], *(_cut_cell(row[place]) for row in rows)])
        for place, column in enumerate(table.columns)
    ]
    size, parts = _arrange_columns(columns)
    lines = sum(sum(max(row) for row in zip(*(column.lines for column in part), strict=True)) for part in parts)
    long, wrapped = lines > _MOST_LINES, any(column.width is not None for column in chain(*parts))
    title = [escape_latex(f"{table.title}."), "".join(map(_write_span, table.caption))]
    return load_template("table.tex.j2").render(
        packages=["amssymb", *(["array"] if wrapped else []), "booktabs", *(["longtable"] if long else [])],
        caption=" ".join(filter(None, title)),
        name=table.name,
        size=size,
        gap=f"{_GAP / 2:g}em",
        long=long,
        parts=[
            {
                "layout": "".join(column.layout for column in part),
                "headed": any(column.column.heading for column in part),
                "rows": [*zip(*(column.write() for column in part), strict=True)],
            }
            for part in parts
        ],
    )


def _arrange_columns(columns: Sequence[_Placed]) -> tuple[str, list[list[_Placed]]]:
    """The largest type in which the columns fit, with their widths; in parts with numbered rows where they never do."""
    for size, room in _SIZES.items():
        if (fitted := _fit_columns(columns, room)) is not None:
            return size, [fitted]
    rows = len(columns[0].cells)
    numbers = _Placed(Column("", "#", "count"), [[_Text("#")], *([_Text(f"{n:,}")] for n in range(1, rows))])
    parts: list[list[_Placed]] = []
    left = list(columns)
    while left:
        count = max((n for n in range(1, len(left) + 1) if _fit_columns([numbers, *left[:n]], room)), default=1)
        # One that is too wide by itself is broken wherever it must be.
        parts.append(_fit_columns([numbers, *left[:count]], room) or [numbers, _narrow_column(left[0], room / 2)])
        left = left[count:]
    return size, parts


def _fit_columns(columns: Sequence[_Placed], room: float) -> list[_Placed] | None:
    """The columns, none of them wider than it is by itself, within so many em; None where they can't be."""
    left = room - _GAP * (len(columns) - 1)
    if sum(column.least for column in columns) > left:
        return None
    free = list(columns)
    widths: dict[int, float] = {}
    while free:
        share = left / len(free)
        # What can't do with an equal share has the least that it needs, then what needs less has that; others share.
        fixed = [column for column in free if column.least > share] or [c for c in free if c.natural <= share]
        for column in fixed or free:
            widths[id(column)] = min(column.natural, max(column.least, share))
            left -= widths[id(column)]
        free = [column for column in free if id(column) not in widths]
    return [_narrow_column(column, widths[id(column)]) for column in columns]


def _narrow_column(column: _Placed, width: float) -> _Placed:
    return _Placed(column.column, column.cells, None if width >= column.natural else width)


def _cut_cell(cell: TableCell) -> list[_Text]:
    texts = [_Text(_strip_markup(cell.shown), cell.mono, tied=isinstance(cell.shown, Number))]
    if cell.of is not None:
        texts = [_Text(f"{_strip_markup(cell.shown)} of {cell.of.text}", cell.mono, tied=True)]
    if cell.low is not None and cell.high is not None:
        texts.append(_Text(f" ({_strip_markup(cell.low)} to {_strip_markup(cell.high)})", tied=True))
    return texts


def _strip_markup(shown: str | Number) -> str:
    return join_lines(shown if isinstance(shown, str) else shown.text)


def _write_span(span: Span) -> str:
    if isinstance(span, str):
        return escape_latex(span)
    command = "texttt" if isinstance(span, Mono) else "textbf"
    return rf"\{command}{{{escape_latex(span.text)}}}"
