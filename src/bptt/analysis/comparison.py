"""Several sets of runs side by side: what tells their configurations apart, and how sure it is which does better."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.questions import ask_between, choose_measure, select_ended, take_metric
from bptt.analysis.statistics.conclusions import Comparison, Question, conclude
from bptt.analysis.statistics.intervals import Interval, Location, clopper_pearson, location_intervals
from bptt.analysis.statistics.survival import median_updates
from bptt.analysis.tables import ACCURACY, LOSS, drop_seed, is_smaller_better, write_settings

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep

METRICS: Final = (LOSS, f"best/{LOSS}", ACCURACY)
SOLVED: Final = "solved"  # whether a run has solved its task
UPDATES: Final = "updates"  # how many it took until then


@dataclass(frozen=True)
class KeyDifference:
    """A key of the configuration, and which values it has in each set of runs; None: a configuration without it."""

    key: str
    sides: tuple[frozenset[str | None], ...]


@dataclass(frozen=True)
class SideEstimate:
    """What a set of runs came to, those that ended.

    share    of those that solved their task
    updates  the median until they did; nan: fewer than half did
    metrics  the middle of what they recorded last
    """

    share: Interval
    updates: Interval
    metrics: Mapping[str, Location]


def find_differences(
    sides: "Sequence[Iterable[Mapping[str, str]]]",
) -> tuple[list[KeyDifference], list[KeyDifference]]:
    """The keys whose values aren't those of all sides' flat configurations; and those that vary on all sides alike."""
    every = [[*configs] for configs in sides]
    keys = dict.fromkeys(key for configs in every for config in configs for key in config)
    found = [
        KeyDifference(key, tuple(frozenset(config.get(key) for config in configs) for configs in every)) for key in keys
    ]
    alike = [one for one in found if len(set(one.sides)) == 1 and len(one.sides[0]) > 1]
    return [one for one in found if len(set(one.sides)) > 1], alike


def estimate_sides(sides: "Sequence[Sweep]", metrics: Sequence[str]) -> list[SideEstimate]:
    """What each set of runs came to, with 95 % intervals; see `compare_sides` for which runs count, and as what."""
    located = {metric: location_intervals([take_metric(side.runs, metric) for side in sides]) for metric in metrics}
    found = []
    for place, side in enumerate(sides):
        ended = select_ended(side.runs)
        found.append(
            SideEstimate(
                clopper_pearson(int(ended["solved"].sum()), len(ended)),
                median_updates(ended["observed"], ended["solved"]),
                {metric: every[place] for metric, every in located.items()},
            )
        )
    return found


def compare_sides(
    pairs: "Sequence[tuple[Sweep, Sweep]]", asked: Sequence[str], names: Sequence[tuple[str, str]] | None = None
) -> list[dict[str, Comparison]]:
    """Sets of runs two by two, with all questions asked together, see `conclude` and `ask_between`.

    asked  SOLVED, which takes one criterion for all; UPDATES, which is asked where some run of both solved its task; or
           a metric, as recorded last: who does better, or whose is larger where neither less nor more is better
    names  of both, for each; None: A and B

    Returns the answers of each pair by what was asked. Runs that did not end don't count. A run that diverged has an
    infinite loss and an accuracy of 0; of other metrics, what it recorded last.
    """
    named = [("A", "B")] * len(pairs) if names is None else names
    questions = [dict(_ask(a, b, both, asked)) for (a, b), both in zip(pairs, named, strict=True)]
    answers = iter(conclude([question for each in questions for question in each.values()]))
    return [{what: next(answers) for what in each} for each in questions]


def choose_asked(sides: "Sequence[Sweep]", metrics: Sequence[str], by_criterion: bool) -> str:
    """The one thing by which many sets of runs are compared: `choose_measure` of them all together.

    metrics       those that all have recorded
    by_criterion  whether the same criterion says of all when a run has solved its task
    """
    import pandas as pd

    kept = ["outcome", *(["solved"] if by_criterion else []), *(one for one in (LOSS, ACCURACY) if one in metrics)]
    measure = choose_measure(pd.concat([select_ended(side.runs)[kept] for side in sides], ignore_index=True))
    return {"solved": SOLVED, "updates": UPDATES, "accuracy": ACCURACY, "loss": LOSS}[measure]


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


def _ask(a: "Sweep", b: "Sweep", names: tuple[str, str], asked: Sequence[str]) -> Iterator[tuple[str, Question]]:
    for what in asked:
        if what == SOLVED:
            yield what, ask_between(a, b, names, "solved")
        elif what != UPDATES:
            yield what, ask_between(a, b, names, "loss" if is_smaller_better(what) else "accuracy", what)
        elif all(select_ended(side.runs)["solved"].any() for side in (a, b)):
            yield what, ask_between(a, b, names, "updates")
