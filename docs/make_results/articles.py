"""What the five articles say, and what many seeds say of it."""

from collections.abc import Iterator, Mapping

from docs.make_results.clipping import write_clipping
from docs.make_results.initialisation import write_initialisation
from docs.make_results.momentum import write_momentum
from docs.make_results.tables import Share, Tables
from docs.make_results.wording import (
    choose_figure,
    choose_verdict,
    compare,
    find_direction,
    join,
    write_link,
    write_section,
    write_table,
)


def write_sections(every: Mapping[str, Tables]) -> Iterator[str]:
    """The sections in Markdown, from the tables of every sweep."""
    yield _hidden_units(every)
    yield from write_momentum(every)
    yield _rprop(every)
    yield from write_clipping(every)
    yield from write_initialisation(every)
    yield _adder_units(every)


def _hidden_units(every: Mapping[str, Tables]) -> str:
    tables = every["leftbit_hidden_size"]
    key = "model__hidden_size"
    one, two, three, most = (tables.held(**{key: size}) for size in (1, 2, 3, 8))
    once = join([_once(tables, size) for size in (2, 3)])
    answer = choose_verdict(
        find_direction(two, three),
        -1,
        "The claim holds: 2 hidden units learn it too, and not as often as 3."
        if two.count
        else "The claim holds in part: 2 hidden units are harder to train, and none of these networks learned it.",
        "The claim does not hold: 2 hidden units learn it more often than 3.",
        "Whether 2 hidden units learn it less often than 3 is not settled by these runs.",
    )
    detail = f"""At the end of training {two} networks with 2 units have all bits of the evaluation right, of those
with 3 units {three}: 2 units do so {compare(two, three)}. A single unit: {one}; 8 units: {most}. At some recorded
update, though, {once} have had all bits right."""
    return write_section(
        "LEFTBIT: 2 hidden units against 3",
        'outlace.com ("Recurrent neural network") says that 2 hidden units learn LEFTBIT as its 3 do, but are harder to'
        " train. Are they?",
        answer,
        choose_figure(tables, "success_hidden_size"),
        detail,
        write_link(tables),
    )


def _once(tables: Tables, size: int) -> str:
    share = tables.solved(model__hidden_size=size)
    half = tables.write_median_updates(model__hidden_size=size)
    return f"{share.short} with {size}" + (f" (half of all within {half} updates)" if half else "")


def _rprop(every: Mapping[str, Tables]) -> str:
    tables = every["eta"]
    settings = tables.settings
    article = tables.held(optimizer__eta_plus=1.2, optimizer__eta_minus=0.5)
    product = settings["optimizer.eta_plus"] * settings["optimizer.eta_minus"]
    below, above = (
        Share(int(settings.loc[chosen, "held"].sum()), int(settings.loc[chosen, "ended"].sum()))
        for chosen in (product < 1 - 1e-9, product >= 1 - 1e-9)
    )
    growing = settings.loc[product >= 1 - 1e-9, "diverged"].sum()
    best = settings[settings["held"] == settings["held"].max()]
    rates = best[["optimizer.eta_plus", "optimizer.eta_minus"]].to_numpy()
    named = join([f"η⁺ = {plus:g}, η⁻ = {minus:g}" for plus, minus in rates])
    answer = choose_verdict(
        find_direction(below, above),
        1,
        "It is learned more often where steps shrink more than they grow, η⁺·η⁻ < 1.",
        "It is learned more often where steps grow at least as much as they shrink, η⁺·η⁻ ≥ 1.",
        "Whether steps that shrink more than they grow help is not settled by these runs.",
    )
    detail = f"""With the article's values {article} starts end with all
counts right. Where η⁺·η⁻ < 1, {below} do, where it is 1 or more {above}; {tables.diverged().count} runs diverge,
{growing} of them
with a product of 1 or more. The most are right with {named}:
{Share(int(best.iloc[0]["held"]), int(best.iloc[0]["ended"]))}, the best of {len(settings)} settings on the same
runs."""
    return write_section(
        "Counting: Rprop's η⁺ and η⁻",
        'peterroelants.github.io ("How to implement a recurrent neural network") trains counting by Rprop with η⁺ = 1.2'
        " and η⁻ = 0.5, from wx = −1.5, wrec = 2. With which factors do linear networks learn it, from starts with both"
        " weights in U(−2, 2)?",
        answer,
        choose_figure(tables, "success_map"),
        detail,
        write_link(tables),
    )


def _adder_units(every: Mapping[str, Tables]) -> str:
    tables = every["hidden_size"]
    sizes = tables.levels("model.hidden_size")
    shares = [tables.held(model__hidden_size=size) for size in sizes]
    fewest = next((size for size, share in zip(sizes, shares, strict=True) if share.count), None)
    answer = "No network gets all sums right, with any of these sizes."
    if fewest is not None:
        answer = (
            f"{fewest:g} hidden units are the fewest, of the sizes that were tried, with which some network gets all"
            " sums right."
        )
    rows = [[f"{size:g}", str(share)] for size, share in zip(sizes, shares, strict=True)]
    detail = f"""With 16 units {tables.held(model__hidden_size=16)} networks have all of the evaluated sums right at
the end.

{write_table(["hidden units", "all sums right at the end"], rows)}"""
    return write_section(
        "Binary addition: hidden units",
        "How many hidden units does binary addition take? The article on learning to carry has 16.",
        answer,
        choose_figure(tables, "success_hidden_size"),
        detail,
        write_link(tables),
    )
