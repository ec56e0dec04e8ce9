"""Words for numbers: what they say is worked out from the numbers, never the other way round."""

from collections.abc import Iterable, Sequence
from textwrap import fill

from bptt.analysis.statistics.conclusions import Comparison
from docs.make_results.tables import Share, Tables


def compare(one: Share, other: Share) -> str:
    """How the first share compares with the second, see `describe`."""
    return describe(one - other)


def describe(found: Comparison) -> str:
    """How the first share compares with the second: `less often, by 28 percentage points (14 to 41)`.

    About as often: the whole interval lies within ten points. Where neither is sure, that is said, with the number of
    seeds that would settle it.
    """
    value, low, high = (100 * part for part in (found.difference.value, found.difference.low, found.difference.high))
    left = ", ".join(name for name, _ in found.silent)
    beside = f"; left out, as either all or none of them do: {left}" if left else ""
    if found.outcome == "silent":
        return "as often as these runs can tell, of which either all or none do"
    if found.outcome == "more":
        return f"more often, by {value:.0f} percentage points ({low:.0f} to {high:.0f}{beside})"
    if found.outcome == "less":
        return f"less often, by {-value:.0f} percentage points ({-high:.0f} to {-low:.0f}{beside})"
    signed = f"{value:+.0f} percentage points, {low:+.0f} to {high:+.0f}".replace("-", "−")
    if found.outcome == "same":
        return f"about as often (a difference of {signed}{beside})"
    needed = "" if found.to_differ is None else f"; about {found.to_differ:,} seeds would settle one like this"
    return f"as often as these runs can tell, which does not settle it (a difference of {signed}{needed}{beside})"


def write_section(title: str, question: str, answer: str, figure: str, detail: str, link: str) -> str:
    """A section of the index: what is asked, the answer in a sentence, the figure that shows it, where all of it is;
    and then the numbers.

    figure  in Markdown; empty: there is none
    """
    parts = [
        f"### {title}",
        f"**Question.** {question}",
        f"**Answer. {' '.join(answer.split())}**",
        *([figure] if figure else []),
        link,
        detail.strip(),
    ]
    return "\n\n".join(parts) + "\n"


def sum_up(
    does: str, found: Iterable[tuple[str, Comparison]], beside: str = "than without", with_: str = "with"
) -> str:
    """One sentence of several comparisons: `Adding is learned more often with Ω than without; whether it is ...`.

    does    what the runs do, `adding is learned`
    found   what they do it with, and how that compares
    beside  what it is compared with
    with_   what stands before what they do it with
    """
    named: dict[str, list[str]] = {}
    for name, one in found:
        named.setdefault(one.outcome, []).append(name)
    same = beside.replace("than", "as", 1)
    clauses = [
        f"{often} {with_} {join(named[outcome])} {than}"
        for outcome, often, than in (
            ("more", "more often", beside),
            ("less", "less often", beside),
            ("same", "about as often", same),
        )
        if outcome in named
    ]
    told = [f"{does} {join(clauses)}"] if clauses else []
    if "unsettled" in named:
        told.append(f"whether {does} more often or less often {with_} {join(named['unsettled'])} is not settled")
    if "silent" in named:
        told.append(f"{with_} {join(named['silent'])} nothing can be told, as either all runs do or none does")
    text = "; ".join(told)
    return f"{text[:1].upper()}{text[1:]}."


def find_direction(one: Share, other: Share) -> int:
    """1 where the first share is larger, beyond doubt at 95 %, −1 where it is smaller, else 0."""
    return read_direction(one - other)


def read_direction(found: Comparison) -> int:
    """1 where the first share is larger, beyond doubt at 95 %, −1 where it is smaller, else 0."""
    return {"more": 1, "less": -1}.get(found.outcome, 0)


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
