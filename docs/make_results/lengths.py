"""The study of long dependencies: who learns over how many timesteps."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from bptt.analysis.statistics.conclusions import conclude
from docs.make_results.published import write_le, write_pascanu
from docs.make_results.tables import Tables
from docs.make_results.variants import LENGTH, VARIANTS, Variant, find_reach, pool
from docs.make_results.wording import (
    choose_verdict,
    compare,
    describe,
    find_direction,
    join,
    read_direction,
    write_link,
    write_table,
)

_TASKS: Final = {"length_temporal_order": "Temporal order", "length_adding": "Adding", "length_copying": "Copying"}


def write_sections(every: Mapping[str, Tables]) -> Iterator[str]:
    """The sections in Markdown, from the tables of every sweep."""
    findings: dict[str, Callable[[Tables], str]] = {
        "length_temporal_order": _temporal_order,
        "length_adding": _adding,
        "length_copying": _copying,
    }
    for name, task in _TASKS.items():
        tables = every[name]
        yield f"""### {task}

{findings[name](tables)} {write_rates(tables)}

{write_success_table(tables)}

![{write_alt(tables)}]({name}.png)

{write_link(tables)}
"""
    yield write_pascanu(every["length_temporal_order"])
    yield write_le(every["length_adding"])


def write_gates(tables: Tables) -> str:
    """IRNNs beside LSTMs whose forget gates start half open, and open, in sentences."""
    irnn, half, open_ = (
        pool(tables, [variant], "norm") for variant in (VARIANTS[tables.name][place] for place in (2, 4, 5))
    )
    first, second = conclude([irnn.ask(half), irnn.ask(open_)])
    decides = (
        " So the bias decides what is said of IRNNs and LSTMs: see [gates that start"
        " open](../experiments/others.md#gates-that-start-open)."
    )
    return (
        f"With clipping and over all lengths, {irnn} IRNNs solve it, {half} LSTMs whose forget gates start with a bias"
        f" of 0, and {open_} with one of 4. IRNNs do so, compared with the former, {describe(first)}; compared with the"
        f" latter, {describe(second)}. The intervals allow for both comparisons."
        f"{decides if read_direction(first) != read_direction(second) else ''}"
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
    return write_table(["solved, by timesteps", *(f"{length:g}" for length in lengths)], rows)


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


def _clipping(tables: Tables, variants: list[Variant]) -> str:
    clipped, none = (pool(tables, variants, clip) for clip in ("norm", "none"))
    finding = choose_verdict(
        find_direction(clipped, none),
        1,
        "Clipping helps.",
        "Clipping hurts.",
        "Whether clipping helps is not settled by these runs.",
    )
    names = join([variant.name for variant in variants])
    return (
        f"{finding} Over all lengths {clipped} runs solve it with clipping and {none} without ({names}):"
        f" with it {compare(clipped, none)}."
    )


def _temporal_order(tables: Tables) -> str:
    return f"{_clipping(tables, [*VARIANTS[tables.name][1:3]])} {_reaches(tables)}"


def _adding(tables: Tables) -> str:
    identity = VARIANTS[tables.name][2]
    return f"""{_clipping(tables, [identity])} {write_gates(tables)} {_reaches(tables)}"""


def _copying(tables: Tables) -> str:
    orthogonal, glorot = VARIANTS[tables.name][:2]
    one, other = (pool(tables, [variant], "norm") for variant in (orthogonal, glorot))
    finding = choose_verdict(
        find_direction(one, other),
        1,
        "A linear network does better from an orthogonal matrix than from Glorot's weights.",
        "A linear network does better from Glorot's weights than from an orthogonal matrix.",
        "Whether a linear network does better from Glorot's weights or from an orthogonal matrix is not settled.",
    )
    return f"""{finding} With clipping and over all lengths {one} solve it from an orthogonal matrix, {other} from
Glorot's weights. {_clipping(tables, [orthogonal, glorot])} {_reaches(tables)}"""
