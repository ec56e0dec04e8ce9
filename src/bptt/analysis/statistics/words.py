"""The sentence that a comparison allows, and no other."""

from collections.abc import Sequence
from typing import Final

from bptt.analysis.statistics.conclusions import Comparison, Question
from bptt.analysis.statistics.intervals import Interval
from bptt.analysis.statistics.power import MOST
from bptt.analysis.statistics.roc import Foretelling

_DOES: Final = {
    "solved": "solves the task more often than",
    "loss": "does better than",
    "accuracy": "does better than",
    "updates": "solves the task sooner than",
}
_DOES_NOT: Final = {
    "solved": "solves the task less often than",
    "loss": "does worse than",
    "accuracy": "does worse than",
    "updates": "solves the task later than",
}
_ALIKE: Final = {
    "solved": "solve the task about as often",
    "loss": "do about as well",
    "accuracy": "do about as well",
    "updates": "solve the task about as soon",
}
_OPEN: Final = {
    "solved": "solves the task more often",
    "loss": "does better",
    "accuracy": "does better",
    "updates": "solves the task sooner",
}
_BEATS: Final = {"loss": "lower", "accuracy": "higher"}
_MOST_DIGITS: Final = 6


def write_conclusion(found: Comparison) -> str:
    """Whole sentences, in plain English; the same for the same comparison."""
    question = found.question
    a, b, measure = question.a, question.b, question.measure
    if found.outcome == "missing":
        return f"{a} and {b} can't be compared: not both have runs that ended in the same condition."
    if found.outcome == "silent":
        opening = f"Whether {a} or {b} {_OPEN[measure]}, these runs can't tell"
        return _finish(f"{opening}: {_list_silent(found)}", found)
    if found.outcome == "same":
        head = f"{a} and {b} {_ALIKE[measure]}"
    elif found.outcome == "unsettled":
        head = f"Whether {a} or {b} {_OPEN[measure]} is not settled by these runs"
    else:
        head = f"{a} {(_DOES if found.outcome == 'more' else _DOES_NOT)[measure]} {b}"
    sentences = [f"{head}: {_write_numbers(found)}"]
    sentences += _write_effect(found) + _write_needs(found)
    if found.silent:
        sentences.append(f"Left out, since no difference can show there: {_list_silent(found)}")
    return _finish(". ".join(sentences), found)


def write_foretelling(found: Foretelling, conditions: bool = False) -> str:
    """Whole sentences on what a number at the start says of whether a run will be solved.

    conditions  whether runs are compared within several conditions
    """
    name, area = found.name, found.area
    if found.outcome == "silent":
        where = "In each condition all runs or none" if conditions else "All runs or none"
        return f"{where} were solved, so that these can't tell what the {name} at the start says of it."
    if found.outcome in ("larger", "smaller"):
        head = f"Runs whose {name} is {found.outcome} at the start are solved rather"
    elif found.outcome == "nothing":
        head = f"The {name} at the start says next to nothing of whether a run will be solved"
    else:
        head = f"Whether the {name} at the start says anything of whether a run will be solved is not settled"
    borders = (0.5, 0.5 - found.margin, 0.5 + found.margin)
    turned = found.outcome == "smaller"
    ends = (found.interval.high, found.interval.low) if turned else (found.interval.low, found.interval.high)
    value, low, high = (
        "–" if end != end else _round(1.0 - end if turned else end, borders) for end in (found.interval.value, *ends)
    )
    same = " of one condition" if conditions else ""
    within = ""
    if found.outcome == "nothing":
        within = f", all of it within 50 ± {_round(found.margin, ())} %"
    several = f", corrected for {found.comparisons} comparisons" if found.comparisons > 1 else ""
    between = f"95 % interval {low} to {high}{within}, " if low != "–" else "too few seeds for an interval, "
    text = (
        f"{head}: of a solved and an unsolved run{same} it is the solved one that has the "
        f"{'smaller' if turned else 'larger'} with a probability of {value} % ({between}{sum(area.runs):,} runs of "
        f"{area.seeds:,} seeds{several})."
    )
    if found.outcome != "unsettled" or low == "–":
        return text
    told = [f"{_write_need(found.to_differ)} seeds would settle a difference like this one"] * (area.value != 0.5)
    if abs(area.value - 0.5) < found.margin:
        told.append(f"{_write_need(found.to_equal)} seeds that it says next to nothing")
    return f"{text} {_capitalise(', '.join(told))}."


def _write_numbers(found: Comparison) -> str:
    question, difference = found.question, found.difference
    borders = (found.centre, found.centre - question.margin, found.centre + question.margin)
    value, low, high = (_round(end, borders) for end in (difference.value, difference.low, difference.high))
    if found.shares is not None:
        a, b, value = _round_shares(*found.shares, difference.value)
        points = "percentage point" if value in ("1", "−1") else "percentage points"
        told = f"{a} % against {b} %, a difference of {value} {points}"
    elif found.paired:
        told = f"on {value} % of the pairs it is {question.a} that {_write_lead(question, 'the')}, ties counted half"
    else:
        told = (
            f"a run of {question.a} {_write_lead(question, 'a')} than one of {question.b} "
            f"with a probability of {value} %, ties counted half"
        )
    within = ""
    if found.outcome == "same":
        margin = _round(question.margin, ())
        within = f", all of it within {f'±{margin} points' if found.shares is not None else f'50 ± {margin} %'}"
    several = f", corrected for {found.comparisons} comparisons" if found.comparisons > 1 else ""
    return f"{told} (95 % interval {low} to {high}{within}, {_count_runs(found)}, {_write_p(found)}{several})"


def _write_lead(question: Question, article: str) -> str:
    """`has the lower loss`, of the one that does better."""
    if question.measure == "updates":
        return "is sooner"
    return f"has {article} {_BEATS[question.measure]} {question.called or question.measure}"


def _count_runs(found: Comparison) -> str:
    if not found.paired:
        return f"{found.runs[0]:,} and {found.runs[1]:,} runs that are no pairs"
    pairs = f"{found.runs[0]:,} pair{'' if found.runs[0] == 1 else 's'} of equal seeds"
    if found.unmatched:
        pairs += f", {found.unmatched:,} run{'' if found.unmatched == 1 else 's'} without a partner left out"
    return pairs


def _write_p(found: Comparison) -> str:
    solved, several = found.question.measure == "solved", len(found.conditions) > 1
    if found.paired:
        test = "exact McNemar" if solved else "exact sign test"
    elif solved:
        test = "exact stratified test" if several else "Fisher's exact test"
    else:
        test = "stratified rank test" if several else "Mann–Whitney test"
    return f"{test} {write_p(found.corrected)}"


def write_p(p: float) -> str:
    """A p-value with two digits, `p = 0.021`; below a thousandth only that it is."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _write_effect(found: Comparison) -> list[str]:
    if found.effect is None:
        return []
    measure, (value, low, high) = found.question.measure, _write_ends(found.effect)
    if measure == "updates":
        what = f"The mean number of updates, none counted beyond {found.question.horizon:,.0f},"
    else:
        what = f"The median difference in {found.question.called or measure}"
    told = f"{what} {'differs by' if measure == 'updates' else 'is'} {value}"
    return [f"{told} (95 % interval {low} to {high})" if low != "nan" else told]


def _write_ends(interval: Interval) -> tuple[str, ...]:
    return tuple(
        f"{end:,.3g}".replace("-", "−").replace("inf", "∞") for end in (interval.value, interval.low, interval.high)
    )


def _write_needs(found: Comparison) -> list[str]:
    if found.outcome != "unsettled":
        return []
    where = " in each condition" if len(found.conditions) > 1 else ""
    margin = _round(found.question.margin, ())
    told = []
    if found.difference.value != found.centre:
        told.append(f"{_write_need(found.to_differ)} seeds{where} would settle a difference like this one")
    near = abs(found.difference.value - found.centre) < found.question.margin
    if near and (found.paired or found.shares is not None):
        told.append(f"{_write_need(found.to_equal)} seeds{where} that there is none of {margin} points")
    if len(told) == 1 and found.difference.value == found.centre:
        told = [told[0].replace("that there", "would settle that there")]
    return [_capitalise(", ".join(told))] if told else []


def _write_need(needed: int | None) -> str:
    return f"more than {MOST:,}" if needed is None else f"about {needed:,}"


def _list_silent(found: Comparison) -> str:
    told = {
        "all": "all runs of both solve it",
        "none": "no run of either solves it",
        "same": "all runs of both end alike",
    }
    parts = []
    for reason, words in told.items():
        names = [name for name, why in found.silent if why == reason]
        if names:
            where = _join([name for name in names if name])
            parts.append(f"at {where} {words}" if where else words)
    return _join(parts)


def _finish(text: str, found: Comparison) -> str:
    common = found.question.common
    also = f" All of these runs have {_join(common)}, which may decide." if common else ""
    return f"{text}.{also}"


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]


def _round_shares(a: float, b: float, difference: float) -> tuple[str, ...]:
    """All in percent: in whole numbers where the rounded difference is that of the rounded shares, else with a digit
    behind the point; with more where the difference would be rounded away.
    """
    for digits in range(_MOST_DIGITS):
        first, second, apart = (round(100 * one, digits) for one in (a, b, difference))
        fits = digits > 0 or abs(first - second - apart) < 10.0**-_MOST_DIGITS
        if fits and (apart != 0 or difference == 0):
            break
    return tuple(_write(one, digits) for one in (first, second, apart))


def _round(share: float, borders: Sequence[float]) -> str:
    """In percent, with as many digits as it takes to stand on the same side of each border."""
    for digits in range(_MOST_DIGITS):
        shown = round(100 * share, digits)
        if all((shown > 100 * border) == (share > border) for border in borders if share != border) and all(
            (shown < 100 * border) == (share < border) for border in borders if share != border
        ):
            break
    return _write(shown, digits)


def _write(number: float, digits: int) -> str:
    return f"{number + 0.0:.{digits}f}".replace("-", "−")  # no −0
