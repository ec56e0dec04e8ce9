"""What follows from runs for the question which of two settings is better, for all questions of a table at once.

The rules: settings are compared within conditions; runs with equal seeds are pairs; p-values are Holm's and intervals
Bonferroni's over all questions asked together. A difference is called one where its interval excludes none and the
corrected p-value is below 1 − level. Settings are called alike only where the whole interval lies within a margin
that was named. All else is not settled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, isinf
from typing import Any, Final, Literal

import numpy as np

from bptt.analysis.statistics.differences import (
    Successes,
    add_counts,
    compute_ranks_p,
    compute_shares_p,
    count_pairs,
    mcnemar,
    median_difference,
    paired_difference,
    probability_on_pairs,
    restricted_mean_difference,
    stratified_difference,
    stratified_improvement,
)
from bptt.analysis.statistics.intervals import LEVEL, Interval
from bptt.analysis.statistics.power import (
    count_pairs_for_difference,
    count_pairs_for_equivalence,
    count_runs_for_difference,
    count_runs_for_equivalence,
    count_runs_for_improvement,
)

MARGIN: Final = 0.1  # ten percentage points

Measure = Literal["solved", "loss", "accuracy", "updates"]
Outcome = Literal["more", "less", "same", "unsettled", "silent", "missing"]


@dataclass(frozen=True)
class ConditionRuns:
    """The runs of both settings in one condition: a number of each, by its seed.

    name  of the condition, as "length=50"; "" where there is one only
    a, b  whether it solved its task, its last loss or accuracy, or the updates until it solved its task (infinite: it
          never did), as the question asks; what is nan doesn't count
    """

    name: str
    a: Mapping[Any, float]
    b: Mapping[Any, float]


@dataclass(frozen=True)
class Question:
    """Which of two settings is better: solves its task more often, ends better, or is sooner.

    a, b        what they are called
    horizon     of updates: those that every run was trained for unless it solved its task before
    margin      how far from no difference still is about as often, as a share
    common      what all runs have in common and may decide, as "clip norm 1"
    called      what is compared, as RMSE, where that is neither the loss nor the accuracy; None: it is
    """

    a: str
    b: str
    measure: Measure
    conditions: Sequence[ConditionRuns]
    horizon: float | None = None
    margin: float = MARGIN
    common: tuple[str, ...] = ()
    called: str | None = None


@dataclass(frozen=True)
class Comparison:
    """The answer to a question.

    paired       whether runs with equal seeds are compared; else all runs of the one with all of the other
    runs         how many of each setting; of pairs both are the number of pairs
    unmatched    runs that were left out because the other setting has none with their seed
    conditions   those that the numbers are of
    silent       those that can't tell: their name, and whether "all" runs of both solve it, "none" does, or all have
                 the "same" value
    shares       of solved runs, the mean of the conditions; None of other measures
    difference   a's share less b's; or the probability that a is better, ties counting half
    effect       of losses and accuracies on pairs in one condition the median of a less b, of updates the difference
                 of their restricted means; None elsewhere
    p, corrected  before and after Holm's correction
    comparisons  how many questions were asked together
    level        of each interval, so that all of them together have the level that was asked for
    outcome      "more": a does (solves more often, is better, sooner); "less": b does; "same": within the margin;
                 "unsettled"; "silent": no condition can tell; "missing": a setting has no runs
    to_differ, to_equal  seeds in each condition that would settle a difference like this one, and that there is none,
                 with a probability of 80 %; None where that is more than can be said
    """

    question: Question
    paired: bool
    runs: tuple[int, int]
    unmatched: int
    conditions: tuple[str, ...]
    silent: tuple[tuple[str, str], ...]
    shares: tuple[float, float] | None
    difference: Interval
    effect: Interval | None
    p: float
    corrected: float
    comparisons: int
    level: float
    outcome: Outcome
    to_differ: int | None = None
    to_equal: int | None = None

    @property
    def centre(self) -> float:
        """The difference that is none."""
        return 0.0 if self.question.measure == "solved" else 0.5


def conclude(questions: Sequence[Question], level: float = LEVEL) -> list[Comparison]:
    """The answers to questions that are asked together, in their order."""
    gathered = [_gather(question) for question in questions]
    p = [_compute_p(one) if one.kept else 1.0 for one in gathered]
    each = correct_level(len(questions), level) if questions else level
    return [
        _answer(one, value, corrected, len(questions), level, each)
        for one, value, corrected in zip(gathered, p, correct_holm(p), strict=True)
    ]


@dataclass(frozen=True)
class _Gathered:
    """A question's runs, as they are compared."""

    question: Question
    paired: bool
    kept: Sequence[ConditionRuns]
    silent: tuple[tuple[str, str], ...]
    unmatched: int
    missing: bool

    @property
    def smaller_is_better(self) -> bool:
        return self.question.measure in ("loss", "updates")

    def pair(self) -> list[tuple[list[float], list[float]]]:
        """Values of both settings, by condition; of pairs in the order of their seeds."""
        if self.paired:
            return [([one.a[seed] for seed in one.a], [one.b[seed] for seed in one.a]) for one in self.kept]
        return [([*one.a.values()], [*one.b.values()]) for one in self.kept]


def _gather(question: Question) -> _Gathered:
    known = [
        ConditionRuns(one.name, *({k: float(v) for k, v in runs.items() if v == v} for runs in (one.a, one.b)))
        for one in question.conditions
    ]
    known = [one for one in known if one.a and one.b]
    fewer = min(sum(len(one.a) for one in known), sum(len(one.b) for one in known)) if known else 0
    matched = sum(len(one.a.keys() & one.b.keys()) for one in known)
    # Where few runs have a partner, leaving out the others would waste more than pairs gain.
    paired, unmatched = bool(matched) and 2 * matched >= fewer, 0
    if paired:
        unmatched = sum(len(one.a) + len(one.b) for one in known) - 2 * matched
        known = [_match(one) for one in known if one.a.keys() & one.b.keys()]
    reasons = [(one, _find_reason(one, question.measure)) for one in known]
    kept = [one for one, reason in reasons if reason is None]
    silent = tuple((one.name, reason) for one, reason in reasons if reason is not None)
    return _Gathered(question, paired, kept, silent, unmatched, not known)


def _match(runs: ConditionRuns) -> ConditionRuns:
    seeds = [seed for seed in runs.a if seed in runs.b]
    return ConditionRuns(runs.name, *({seed: values[seed] for seed in seeds} for values in (runs.a, runs.b)))


def _find_reason(runs: ConditionRuns, measure: Measure) -> str | None:
    """Why a condition can't tell the settings apart; None: it can."""
    values = {*runs.a.values(), *runs.b.values()}
    if len(values) > 1:
        return None
    value = values.pop()
    if measure == "solved":
        return "all" if value else "none"
    return "none" if measure == "updates" and isinf(value) else "same"


def _count_successes(gathered: _Gathered) -> list[Successes]:
    return [Successes((sum(map(int, a)), sum(map(int, b))), (len(a), len(b))) for a, b in gathered.pair()]


def _compute_p(gathered: _Gathered) -> float:
    if gathered.paired:
        counts = add_counts([count_pairs(a, b) for a, b in gathered.pair()])
        return mcnemar(counts.wins, counts.losses)
    if gathered.question.measure == "solved":
        return compute_shares_p(_count_successes(gathered))
    return compute_ranks_p(gathered.pair())


def _answer(gathered: _Gathered, p: float, corrected: float, comparisons: int, level: float, each: float) -> Comparison:
    question, values = gathered.question, gathered.pair()
    difference = _estimate(gathered, each) if values else Interval(np.nan, np.nan, np.nan)
    outcome = _decide(gathered, difference, corrected < 1 - level)
    found = Comparison(
        question=question,
        paired=gathered.paired,
        runs=(sum(len(a) for a, _ in values), sum(len(b) for _, b in values)),
        unmatched=gathered.unmatched,
        conditions=tuple(one.name for one in gathered.kept),
        silent=gathered.silent,
        shares=_share(gathered) if values and question.measure == "solved" else None,
        difference=difference,
        effect=_find_effect(gathered, each),
        p=p,
        corrected=corrected,
        comparisons=comparisons,
        level=each,
        outcome=outcome,
    )
    return _add_needs(gathered, found) if outcome == "unsettled" else found


def _estimate(gathered: _Gathered, level: float) -> Interval:
    solved = gathered.question.measure == "solved"
    if gathered.paired:
        counts = add_counts([count_pairs(a, b, gathered.smaller_is_better) for a, b in gathered.pair()])
        return paired_difference(counts, level) if solved else probability_on_pairs(counts, level)
    if solved:
        return stratified_difference(_count_successes(gathered), level)
    return stratified_improvement(gathered.pair(), gathered.smaller_is_better, level)


def _decide(gathered: _Gathered, difference: Interval, sure: bool) -> Outcome:
    if gathered.missing:
        return "missing"
    if not gathered.kept:
        return "silent"
    centre = 0.0 if gathered.question.measure == "solved" else 0.5
    if sure and difference.low > centre:
        return "more"
    if sure and difference.high < centre:
        return "less"
    margin = gathered.question.margin
    within = centre - margin < difference.low and difference.high < centre + margin
    return "same" if within else "unsettled"


def _share(gathered: _Gathered) -> tuple[float, float]:
    """Both shares, with the conditions' weights, so that they differ by what is said to be the difference."""
    strata = _count_successes(gathered)
    weights = np.array([m * n / (m + n) for m, n in (one.trials for one in strata)])
    shares = np.array([[hits / runs for hits, runs in zip(one.counts, one.trials, strict=True)] for one in strata])
    first, second = weights @ shares / weights.sum()
    return float(first), float(second)


def _find_effect(gathered: _Gathered, level: float) -> Interval | None:
    question, values = gathered.question, gathered.pair()
    if not gathered.paired or not values or question.measure == "solved":
        return None
    if question.measure == "updates":
        if question.horizon is None:
            return None
        a, b = (np.concatenate([pair[place] for pair in values]) for place in (0, 1))
        return restricted_mean_difference(a, b, question.horizon, level)
    return median_difference(*values[0], level) if len(values) == 1 else None


def _add_needs(gathered: _Gathered, found: Comparison) -> Comparison:
    """With how many seeds would settle it."""
    question, level, centre = gathered.question, found.level, found.centre
    scale = 1 if question.measure == "solved" else 2  # from a probability of ½ ± margin to a difference of shares
    near = abs(found.difference.value - centre) < question.margin
    differ = equal = None
    if gathered.paired:
        counts = add_counts([count_pairs(a, b, gathered.smaller_is_better) for a, b in gathered.pair()])
        differ = count_pairs_for_difference(counts, level)
        equal = count_pairs_for_equivalence(counts, scale * question.margin, level) if near else None
    elif found.shares is not None:
        differ = count_runs_for_difference(found.shares, level)
        equal = count_runs_for_equivalence(found.shares, question.margin, level) if near else None
    else:
        differ = count_runs_for_improvement(found.difference.value, level)
    per = len(found.conditions)
    each = [None if needed is None else ceil(needed / per) for needed in (differ, equal)]
    return replace(found, to_differ=each[0], to_equal=each[1])


def correct_holm(p: Sequence[float]) -> list[float]:
    """Each p-value as Holm's procedure corrects it, in their order.

    With p₍₁₎ ≤ … ≤ p₍ₘ₎ the i-th becomes max over j ≤ i of min(1, (m − j + 1) p₍ⱼ₎): S. Holm, "A Simple Sequentially
    Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6 (1979). Who calls what is at most α a
    difference is wrong anywhere in the family with probability α at most, however the comparisons depend on each other.
    """
    corrected, reached = [0.0] * len(p), 0.0
    for place, number in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        reached = max(reached, min(1.0, (len(p) - place) * p[number]))
        corrected[number] = reached
    return corrected


def correct_level(comparisons: int, level: float = LEVEL) -> float:
    """The level of each interval with which all of a family cover together: 1 − (1 − level)/m, Bonferroni's.

    Holm's procedure has no two-sided intervals of its own that are as simple. Bonferroni's are a little wider, so that
    one of them excludes 0 only where Holm's p-value is below 1 − level too.
    """
    return 1 - (1 - level) / comparisons
