"""Momentum against none: LEFTBIT and binary addition."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from bptt.analysis.statistics.conclusions import conclude
from docs.make_results.tables import Share, Tables
from docs.make_results.wording import (
    choose_figure,
    describe,
    join,
    sum_up,
    write_link,
    write_section,
    write_table,
)

_NEVER: Final = "–"
#: Of α/(1 − ε), by which the runs of binary addition are told apart.
_BINS: Final = ((0, 0.05), (0.05, 0.2), (0.2, 2), (2, 20), (20, 200))


def write_momentum(every: Mapping[str, Tables]) -> Iterator[str]:
    """The sections on momentum, in Markdown."""
    yield _write_leftbit(every["leftbit_momentum"])
    yield _write_adder(every["alpha_epsilon"])


def _write_leftbit(left: Tables) -> str:
    plain = _rates(left, 0.1, 0)
    rows = [
        [
            _rate(alpha, epsilon),
            str(_rates(left, alpha, epsilon)),
            str(_once(left, alpha, epsilon)),
            _half(left, alpha, epsilon),
        ]
        for alpha, epsilon in _pairs(left)
    ]
    headings = [
        "LEFTBIT",
        "all bits right at the end",
        "at some recorded update",
        "updates until half have once had them right",
    ]
    if all(row[-1] == _NEVER for row in rows):
        headings, rows = headings[:-1], [row[:-1] for row in rows]
    pairs = [
        (epsilon, _rates(left, 0.1, epsilon), _rates(left, 0.1 / (1 - epsilon), 0))
        for epsilon in left.levels("optimizer.epsilon")
        if epsilon
    ]
    # All of these are asked together.
    found = conclude([with_it.ask(other) for _, with_it, larger in pairs for other in (plain, larger)])
    against_none, against_larger = (
        [(f"ε = {epsilon:g}", one) for (epsilon, _, _), one in zip(pairs, answers, strict=True)]
        for answers in (found[::2], found[1::2])
    )
    does = "LEFTBIT is learned"
    answer = (
        f"Compared with no momentum at the same α: {_go_on(sum_up(does, against_none))} Compared with the learning rate"
        f" α/(1 − ε) that it amounts to: {_go_on(sum_up(does, against_larger, 'than by that rate alone'))}"
    )
    at_none, at_larger = (
        join([f"with {name} {describe(one)}" for name, one in answers]) for answers in (against_none, against_larger)
    )
    detail = f"""All bits are right at the end, compared with no momentum at the same α = 0.1,
{at_none}; compared with no momentum and the learning rate α/(1 − ε) that it amounts to, {at_larger}.
The intervals allow for all {len(found)} comparisons.

{write_table(headings, rows)}"""
    return write_section(
        "LEFTBIT: momentum against none",
        "The articles name momentum among the remedies; outlace.com trains LEFTBIT with α = 0.1, ε = 0.3. Does it help,"
        " and more than a larger learning rate would?",
        answer,
        choose_figure(left, "success_epsilon"),
        detail,
        write_link(left),
    )


def _write_adder(adder: Tables) -> str:
    detail = f"""{_by_effective_rate(adder)}

Rows are ranges of α/(1 − ε), how far a constant gradient moves the weights."""
    return write_section(
        "Binary addition: momentum against none",
        "Is momentum more than a larger learning rate? A constant gradient moves weights α/(1 − ε) far.",
        _adder_finding(adder),
        choose_figure(adder, "success_map"),
        detail,
        write_link(adder),
    )


def _rates(tables: Tables, alpha: float, epsilon: float) -> Share:
    return tables.held(optimizer__alpha=alpha, optimizer__epsilon=epsilon)


def _pairs(tables: Tables) -> list[tuple[float, float]]:
    keys = ["optimizer.epsilon", "optimizer.alpha"]
    return [(row[1], row[0]) for row in sorted(map(tuple, tables.settings[keys].to_numpy()))]


def _rate(alpha: float, epsilon: float) -> str:
    return f"α = {alpha:.3g}, ε = {epsilon:g}" + (f", α/(1 − ε) = {alpha / (1 - epsilon):.3g}" if epsilon else "")


def _once(tables: Tables, alpha: float, epsilon: float) -> Share:
    return tables.solved(optimizer__alpha=alpha, optimizer__epsilon=epsilon)


def _half(tables: Tables, alpha: float, epsilon: float) -> str:
    return tables.write_median_updates(optimizer__alpha=alpha, optimizer__epsilon=epsilon) or _NEVER


def _effective(tables: Tables) -> list[tuple[Share | None, Share | None]]:
    """For each of the bins of α/(1 − ε) the runs without momentum and those with it, where there are any."""
    return [(_of_bin(tables, low, high, False), _of_bin(tables, low, high, True)) for low, high in _BINS]


def _of_bin(tables: Tables, low: float, high: float, momentum: bool) -> Share | None:
    shares = [
        _rates(tables, alpha, epsilon)
        for alpha, epsilon in _pairs(tables)
        if low <= alpha / (1 - epsilon) < high and bool(epsilon) is momentum
    ]
    return sum(shares[1:], shares[0]) if shares else None


def _adder_finding(tables: Tables) -> str:
    pairs = _pairs(tables)
    alike = [
        (moved, plain) for moved in pairs for plain in pairs if moved[1] and not plain[1] and _is_alike(moved, plain)
    ]
    found = conclude([_rates(tables, *moved).ask(_rates(tables, *plain)) for moved, plain in alike])
    counts = Counter(str(one.outcome) for one in found)
    settled = [
        f"{words} in {counts[outcome]}"
        for outcome, words in (("more", "more often"), ("less", "less often"), ("same", "about as often"))
        if counts[outcome]
    ]
    open_ = [f"in {counts['unsettled']} it is not settled"] if counts["unsettled"] else []
    open_ += [f"in {counts['silent']} all runs do or none does"] if counts["silent"] else []
    told = join([*([f"they get all sums right {join(settled)}"] if settled else []), *open_])
    begins = "" if settled else "No difference is shown. "
    return f"{begins}Of {len(found)} pairs of settings with momentum and without, and with the same α/(1 − ε), {told}."


def _is_alike(moved: tuple[float, float], plain: tuple[float, float]) -> bool:
    return abs(moved[0] / (1 - moved[1]) - plain[0]) < 1e-9


def _by_effective_rate(tables: Tables) -> str:
    """Runs by α/(1 − ε), without momentum and with it."""
    rows = [
        [f"{low:g} to {high:g}", *("–" if share is None else str(share) for share in pair)]
        for (low, high), pair in zip(_BINS, _effective(tables), strict=True)
    ]
    return write_table(["α/(1 − ε)", "all sums right, without momentum", "with momentum"], rows)


def _go_on(sentence: str) -> str:
    """A sentence as what stands behind a colon."""
    return sentence.replace("Whether", "whether", 1) if sentence.startswith("Whether") else sentence
