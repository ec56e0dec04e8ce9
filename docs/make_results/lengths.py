"""The study of long dependencies: who learns over how many timesteps."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from bptt.analysis.statistics.conclusions import conclude
from docs.make_results.published import write_le, write_pascanu
from docs.make_results.tables import Tables
from docs.make_results.variants import LENGTH, VARIANTS, find_longest, find_reach, pool
from docs.make_results.wording import (
    choose_verdict,
    describe,
    find_direction,
    join,
    read_direction,
    write_link,
    write_plain_table,
    write_section,
    write_table,
)

_TASKS: Final = {
    "length_temporal_order": "Temporal order by length",
    "length_adding": "Adding by length",
    "length_copying": "Copying by length",
}


def write_sections(every: Mapping[str, Tables]) -> Iterator[str]:
    """The sections in Markdown, from the tables of every sweep."""
    findings: dict[str, Callable[[Tables], tuple[str, str, str]]] = {
        "length_temporal_order": _temporal_order,
        "length_adding": _adding,
        "length_copying": _copying,
    }
    for name, task in _TASKS.items():
        tables = every[name]
        question, answer, detail = findings[name](tables)
        yield write_section(
            task,
            question,
            answer,
            f"![{write_alt(tables)}]({name}.png)",
            f"{detail} {write_rates(tables)}\n\n{write_success_table(tables)}",
            write_link(tables),
        )
    yield write_pascanu(every["length_temporal_order"])
    yield write_le(every["length_adding"])


def write_gates(tables: Tables) -> str:
    """IRNNs beside LSTMs whose forget gates start half open, and open, in sentences."""
    irnn, half, open_ = (
        pool(tables, [variant], "norm") for variant in (VARIANTS[tables.name][place] for place in (2, 4, 5))
    )
    first, second, third = conclude([irnn.ask(half), irnn.ask(open_), open_.ask(half)])
    return (
        f"With clipping and over all lengths, {irnn} IRNNs solve it, {half} LSTMs whose forget gates start with a bias"
        f" of 0, and {open_} with one of 4. IRNNs do so, compared with the former, {describe(first)}; compared with the"
        f" latter, {describe(second)}. LSTMs with the latter do so, compared with the former, {describe(third)}: see"
        " [gates that start open](../experiments/others.md#gates-that-start-open). The intervals allow for all three"
        " comparisons."
    )


def write_rates(tables: Tables) -> str:
    """Which learning rates the runs have, in sentences."""
    tried = join([f"{rate:g}" for rate in tables.tuned["optimizer.alpha"]])
    edges, settings = tables.count_edges()
    told = (
        f"The learning rate of each cell, start, clipping and length is the one of {tried} that did best on three other"
        " seeds"
    )
    return (
        f"{told}; for {edges} of {settings} it is the smallest or the largest of them, beyond which may lie a better."
    )


def write_success_table(tables: Tables) -> str:
    """Solved runs by cell and start, with and without clipping, and length."""
    lengths = tables.levels(LENGTH)
    rows = [
        [
            f"{variant.name}{'' if clip == 'none' else ', clipped'}",
            *(
                variant.solved(tables, length, clip).short if length in variant.lengths(tables) else "–"
                for length in lengths
            ),
        ]
        for variant in VARIANTS[tables.name]
        for clip in ("none", "norm")
        if variant.has(tables, clip)
    ]
    return write_table(["solved, on the test set too, by timesteps", *(f"{length:g}" for length in lengths)], rows)


def write_alt(tables: Tables) -> str:
    """What one sees in the figure of a task."""
    told = [
        f"{variant.name}: "
        + join(
            [
                f"{100 * variant.solved(tables, length, 'norm').interval.value:.0f} % over {length:g}"
                for length in variant.lengths(tables)
            ]
        )
        for variant in VARIANTS[tables.name]
    ]
    return f"Solved runs in percent against the length, a panel for each cell and start. Clipped, {'; '.join(told)}."


def _reaches(tables: Tables) -> str:
    told = [f"{variant.name} {find_reach(tables, variant, 'norm')}" for variant in VARIANTS[tables.name]]
    return f"With clipping, more than half of the runs solve it over up to: {'; '.join(told)}."


def _clipping(tables: Tables) -> tuple[str, str]:
    """Clipping against none: over all that were trained with both, and of each of them; all are asked together."""
    variants = [one for one in VARIANTS[tables.name] if one.has(tables, "none")]
    both = [
        [pool(tables, some, clip) for clip in ("norm", "none")] for some in (variants, *([one] for one in variants))
    ]
    found = conclude([clipped.ask(none) for clipped, none in both])
    rates = tables.tuned["optimizer.alpha"]
    within = f"with learning rates from {rates[0]:g} to {rates[-1]:g}"
    finding = choose_verdict(
        read_direction(found[0]),
        1,
        f"Clipping helps, {within}.",
        f"Clipping hurts, {within}.",
        f"Whether clipping helps, {within}, is not settled by these runs.",
    )
    clipped, none = both[0]
    each = [
        [one.name, *(share.short for share in pair), describe(answer)]
        for one, pair, answer in zip(variants, both[1:], found[1:], strict=True)
    ]
    table = write_plain_table(["network", "clipped", "not clipped", "clipped it is solved"], each)
    return finding, (
        f"Over all lengths {clipped} runs solve it with clipping and {none} without, of cells and starts that"
        f" were trained with both: with it {describe(found[0])}. The intervals allow for all"
        f" {len(found)} comparisons.\n\n{table}\n\n"
    )


def _furthest(tables: Tables) -> str:
    """Who reaches the largest length, in a sentence."""
    reach = {variant.name: find_longest(tables, variant, "norm") for variant in VARIANTS[tables.name]}
    longest = max((length for length in reach.values() if length is not None), default=None)
    if longest is None:
        return "Clipped, none of the networks solves it in more than half of the runs, over any length."
    names = " and with ".join(name for name, length in reach.items() if length == longest)
    return f"Clipped, more than half of the runs solve it over up to {longest:g} timesteps with {names}."


def _temporal_order(tables: Tables) -> tuple[str, str, str]:
    finding, clipping = _clipping(tables)
    question = "Over how many timesteps do networks learn which of two symbols came first, and does clipping help?"
    return question, f"{_furthest(tables)} {finding}", f"{clipping} {_reaches(tables)}"


def _adding(tables: Tables) -> tuple[str, str, str]:
    finding, clipping = _clipping(tables)
    question = (
        "Over how many timesteps do networks learn to add two marked numbers, from which start, and does clipping help?"
    )
    return question, f"{_furthest(tables)} {finding}", f"{clipping} {write_gates(tables)} {_reaches(tables)}"


def _copying(tables: Tables) -> tuple[str, str, str]:
    orthogonal, glorot = VARIANTS[tables.name][:2]
    one, other = (pool(tables, [variant], "norm") for variant in (orthogonal, glorot))
    start = choose_verdict(
        find_direction(one, other),
        1,
        "A linear network does better from an orthogonal matrix than from Glorot's weights.",
        "A linear network does better from Glorot's weights than from an orthogonal matrix.",
        "Whether a linear network does better from Glorot's weights or from an orthogonal matrix is not settled.",
    )
    finding, clipping = _clipping(tables)
    detail = f"""With clipping and over all lengths {one} solve it from an orthogonal matrix, {other} from
Glorot's weights. {clipping} {_reaches(tables)}"""
    return (
        "Over which pause do networks carry symbols that they are to copy, and does the start matter?",
        f"{_furthest(tables)} {start} {finding}",
        detail,
    )
