"""Words for numbers: what they say is worked out from the numbers, never the other way round."""

from collections.abc import Iterable, Sequence
from textwrap import fill

from docs.make_results.tables import Share, Tables


def compare(one: Share, other: Share) -> str:
    """How the first share compares with the second: `less often, by 28 percentage points (14 to 41)`."""
    difference = one - other
    value, low, high = (100 * part for part in (difference.value, difference.low, difference.high))
    if low > 0:
        return f"more often, by {value:.0f} percentage points ({low:.0f} to {high:.0f})"
    if high < 0:
        return f"less often, by {-value:.0f} percentage points ({-high:.0f} to {-low:.0f})"
    signed = f"{value:+.0f} percentage points, {low:+.0f} to {high:+.0f}".replace("-", "−")
    return f"about as often (a difference of {signed})"


def find_direction(one: Share, other: Share) -> int:
    """1 where the first share is larger, beyond doubt at 95 %, −1 where it is smaller, else 0."""
    difference = one - other
    return int(difference.low > 0) - int(difference.high < 0)


def choose_verdict(way: int, expected: int, holds: str, opposite: str, open_: str) -> str:
    """The sentence that fits: the difference has the expected direction, the opposite one, or none that shows."""
    return {expected: holds, -expected: opposite}.get(way, open_)


def write_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; the first column to the left, the others to the right."""
    align = ["---", *("---:" for _ in headings[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, align, *rows))


def write_plain_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of text in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, ["---" for _ in headings], *rows))


def choose_figure(tables: Tables, *names: str) -> str:
    """The first of these figures that a sweep's report has, in Markdown."""
    name = next((name for name in names if tables.has_figure(name)), names[0])
    return f"![{tables.alt(name)}]({tables.name}/figures/{name}.png)"


def write_link(tables: Tables) -> str:
    """To a sweep's report."""
    return f"[report]({tables.name}/report.md)"


def wrap(text: str) -> str:
    """Markdown whose paragraphs have lines of at most 120 characters; tables, figures and headings stay as they are."""
    blocks = text.split("\n\n")
    return "\n\n".join(block if block.lstrip().startswith(("|", "#", "![")) else _fill(block) for block in blocks)


def _fill(block: str) -> str:
    lines = fill(" ".join(block.split()), 120, break_long_words=False, break_on_hyphens=False)
    return lines + "\n" * (len(block) - len(block.rstrip("\n")))


def join(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
