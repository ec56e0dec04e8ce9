"""What a report is made of, before it has a format: sections of paragraphs, tables, figures and commands.

Text stands here as it is meant; each format escapes it when it is rendered. A part that can't be made is named in its
place, and the others are there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.figures import SweepFigure


@dataclass(frozen=True)
class Mono:
    """Words of a program: a key, a command, a file's name."""

    text: str
    kind: ClassVar[str] = "mono"


@dataclass(frozen=True)
class Strong:
    """Words that stand out."""

    text: str
    kind: ClassVar[str] = "strong"


Span = str | Mono | Strong


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `lead` is the one that opens a report."""

    spans: tuple[Span, ...]
    lead: bool = False
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Listing:
    """What is typed, or read by a program, to be copied as it stands; folded where a reader seldom wants it.

    summary  what it is, in words; told above it
    """

    text: str
    summary: tuple[Span, ...] = ()
    folded: bool = False
    kind: ClassVar[str] = "listing"


@dataclass(frozen=True)
class Column:
    """A column as a reader sees it.

    key        of the frame's column that it shows
    heading    what is written above it
    form       how its values are written: text, a whole number, a number to three digits, a share in percent, or as it
               is
    low, high  keys of an interval around it, which is written behind it
    after      key of the end after which it happened, where it was seen at its own value only: `300–320`
    of         key of the count that it is a part of, `39 of 100`
    mono       a program's word
    """

    key: str
    heading: str
    form: Literal["text", "count", "number", "share", "exact"] = "text"
    low: str | None = None
    high: str | None = None
    after: str | None = None
    of: str | None = None
    mono: bool = False

    @property
    def numeric(self) -> bool:
        """Whether it is set flush right."""
        return self.form != "text"

    @property
    def keys(self) -> list[str]:
        """All columns of the frame that it shows."""
        return [key for key in (self.key, self.after, self.of, self.low, self.high) if key is not None]


@dataclass(frozen=True)
class ShownTable:
    """A table: all of `frame` goes into its CSV file; `columns` and the first `most` rows are what a reader sees.

    name     of its files; unique in a report
    title    a few words
    caption  what is to be known about it, in whole sentences
    folded   shown when it is asked for
    latex    whether it is written as LaTeX too
    """

    name: str
    title: str
    caption: tuple[Span, ...]
    frame: "pd.DataFrame"
    columns: Sequence[Column]
    most: int = 200
    folded: bool = False
    latex: bool = True
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Figures:
    """Figures side by side, where there is room for that."""

    drawn: "Sequence[SweepFigure]"
    kind: ClassVar[str] = "figures"


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Missing:
    """What stands in the place of a part that can't be made: what that is, and why."""

    what: str
    why: str
    lead: ClassVar[bool] = False
    kind: ClassVar[str] = "paragraph"

    @property
    def spans(self) -> tuple[Span, ...]:
        """As those of a paragraph."""
        return (Strong(f"{self.what} can't be shown: "), Mono(self.why))

    def __str__(self) -> str:
        return f"{self.what} can't be shown: {self.why}"


Element = Paragraph | Listing | ShownTable | Figures | Heading | Missing


@dataclass(frozen=True)
class Section:
    """A section; its `id` is what a link names."""

    id: str
    title: str
    elements: Sequence[Element]


@dataclass(frozen=True)
class Report:
    """A whole report.

    title   what it is about
    facts   what is told below the title, in a few words each
    sections in their order
    """

    title: str
    facts: Sequence[str]
    sections: Sequence[Section]

    @property
    def tables(self) -> list[ShownTable]:
        """All tables, in their order."""
        return [element for element in self._elements() if isinstance(element, ShownTable)]

    @property
    def figures(self) -> "list[SweepFigure]":
        """All figures, in their order."""
        return [drawn for element in self._elements() if isinstance(element, Figures) for drawn in element.drawn]

    @property
    def missing(self) -> list[Missing]:
        """All that could not be made."""
        return [element for element in self._elements() if isinstance(element, Missing)]

    def _elements(self) -> Iterator[Element]:
        for section in self.sections:
            yield from section.elements


T = TypeVar("T")


def attempt(what: str, make: Callable[[], T]) -> T | Missing:
    """What `make` returns, or, where it raises, what says so; what: its name, as a sentence begins with it."""
    try:
        return make()
    except Exception as error:  # what was trained is told of, whatever a part of it leads to
        return name_missing(what, error)


def name_missing(what: str, error: Exception) -> Missing:
    """What stands in the place of a part that raised."""
    return Missing(what, " ".join(f"{type(error).__name__}: {error}".split()))


def attempt_section(id: str, title: str, write: Callable[[], Section], rest: Sequence[Element] = ()) -> Section:
    """The section that `write` returns, or one with this title that says why there is none, and has the rest."""
    made = attempt(f"The section “{title}”", write)
    return Section(id, title, [made, *rest]) if isinstance(made, Missing) else made


def attempt_some(id: str, title: str, write: Callable[[], Sequence[Section]]) -> Sequence[Section]:
    """The sections that `write` returns, which may be none, or one with this title that says why there are none."""
    made = attempt(f"The section “{title}”", write)
    return [Section(id, title, [made])] if isinstance(made, Missing) else made
