"""Two sets of runs side by side: what tells their configurations apart, and how sure it is which does better."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.questions import ask_between, select_ended, take_metric
from bptt.analysis.statistics.conclusions import Comparison, Question, conclude
from bptt.analysis.statistics.intervals import Interval, Location, clopper_pearson, location_intervals
from bptt.analysis.statistics.survival import median_updates
from bptt.analysis.tables import ACCURACY, LOSS, drop_seed, is_smaller_better, write_settings

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.sweep import Sweep

METRICS: Final = (LOSS, f"best/{LOSS}", ACCURACY)


@dataclass(frozen=True)
class KeyDifference:
    """A key of the configuration, and which values it has in each set of runs; None: a configuration without it."""

    key: str
    a: frozenset[str | None]
    b: frozenset[str | None]


@dataclass(frozen=True)
class SuccessComparison:
    """The shares of the runs that solved their task, of those that ended; answer: who does so more often."""

    a: Interval
    b: Interval
    answer: Comparison


@dataclass(frozen=True)
class SpeedComparison:
    """The median number of updates until runs solve their task; nan: fewer than half did.

    answer  who is sooner; None: that was not asked, as on one side no run solved it
    """

    a: Interval
    b: Interval
    answer: Comparison | None


@dataclass(frozen=True)
class MetricComparison:
    """A metric as recorded last.

    smaller_is_better  None: it is neither
    answer             who does better; whose is larger, where none is better
    """

    metric: str
    smaller_is_better: bool | None
    a: Location
    b: Location
    answer: Comparison


@dataclass(frozen=True)
class SideComparison:
    """Two sets of runs, in all that they were compared by; success, speed: None without a criterion for both."""

    success: SuccessComparison | None
    speed: SpeedComparison | None
    metrics: tuple[MetricComparison, ...]

    @property
    def answers(self) -> list[tuple[str, Comparison]]:
        """What was asked, empty of solving a task, else the metric; and the answer, where one can be better."""
        found = [("", one.answer) for one in (self.success, self.speed) if one is not None and one.answer is not None]
        return found + [(one.metric, one.answer) for one in self.metrics if one.smaller_is_better is not None]


def find_differences(
    a: "Iterable[Mapping[str, str]]", b: "Iterable[Mapping[str, str]]"
) -> tuple[list[KeyDifference], list[KeyDifference]]:
    """The keys whose values in the flat configurations of a aren't those in b's; and those that vary in both alike."""
    every, other = ([*configs] for configs in (a, b))
    keys = dict.fromkeys(key for config in (*every, *other) for key in config)
    found = [
        KeyDifference(key, *(frozenset(config.get(key) for config in configs) for configs in (every, other)))
        for key in keys
    ]
    return [one for one in found if one.a != one.b], [one for one in found if one.a == one.b and len(one.a) > 1]


def compare_sides(
    sides: "Sequence[tuple[Sweep, Sweep]]",
    metrics: Sequence[str],
    names: Sequence[tuple[str, str]] | None = None,
    by_criterion: bool = True,
    by_speed: bool = True,
) -> list[SideComparison]:
    """Sets of runs two by two, with all questions asked together, see `conclude` and `ask_between`.

    names         of both, for each; None: A and B
    by_criterion  whether the same criterion says of both when a run has solved its task
    by_speed      whether to ask, too, who solves it sooner

    Runs that did not end don't count. A run that diverged has an infinite loss and an accuracy of 0; of other metrics,
    what it recorded last.
    """
    named = [("A", "B")] * len(sides) if names is None else names
    asked = [dict(_ask(a, b, both, metrics, by_criterion, by_speed)) for (a, b), both in zip(sides, named, strict=True)]
    answers = iter(conclude([question for questions in asked for question in questions.values()]))
    return [
        _estimate(a.runs, b.runs, metrics, {what: next(answers) for what in questions})
        for (a, b), questions in zip(sides, asked, strict=True)
    ]


def split_settings(a: "Sweep", b: "Sweep") -> "list[tuple[str, Sweep, Sweep]]":
    """The settings that both sweeps have, in the order of a, with their runs; empty where other keys were swept."""
    keys = drop_seed(a.swept)
    if not keys or {*keys} != {*drop_seed(b.swept)}:
        return []
    first, second = (
        dict(iter(one.runs.groupby(np.array(write_settings(one.runs, keys)), sort=False))) for one in (a, b)
    )
    return [
        (setting, replace(a, runs=runs), replace(b, runs=second[setting]))
        for setting, runs in first.items()
        if setting in second
    ]


def name_better(found: Comparison) -> str | None:
    """Which of A and B is better, as far as that is sure; None: it isn't."""
    return {"more": "A", "less": "B"}.get(found.outcome)


def _ask(
    a: "Sweep", b: "Sweep", names: tuple[str, str], metrics: Sequence[str], by_criterion: bool, by_speed: bool
) -> Iterator[tuple[str, Question]]:
    if by_criterion:
        yield "solved", ask_between(a, b, names, "solved")
        if by_speed and all(select_ended(side.runs)["solved"].any() for side in (a, b)):
            yield "updates", ask_between(a, b, names, "updates")
    for metric in metrics:
        yield metric, ask_between(a, b, names, "loss" if is_smaller_better(metric) else "accuracy", metric)


def _estimate(
    a: "pd.DataFrame", b: "pd.DataFrame", metrics: Sequence[str], answers: Mapping[str, Comparison]
) -> SideComparison:
    success = speed = None
    if "solved" in answers:
        first, second = select_ended(a), select_ended(b)
        shares = [clopper_pearson(int(runs["solved"].sum()), len(runs)) for runs in (first, second)]
        success = SuccessComparison(shares[0], shares[1], answers["solved"])
        medians = [median_updates(runs["observed"], runs["solved"]) for runs in (first, second)]
        speed = SpeedComparison(medians[0], medians[1], answers.get("updates"))
    measured = []
    for metric in metrics:
        left, right = location_intervals([take_metric(runs, metric) for runs in (a, b)])
        measured.append(MetricComparison(metric, is_smaller_better(metric), left, right, answers[metric]))
    return SideComparison(success, speed, tuple(measured))
