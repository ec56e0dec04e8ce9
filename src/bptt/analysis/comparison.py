"""Two sets of runs side by side: what tells their configurations apart, and how sure it is which does better."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.statistics.intervals import (
    Interval,
    Location,
    clopper_pearson,
    location_intervals,
    probability_of_improvement,
    share_difference,
)
from bptt.analysis.statistics.survival import median_updates
from bptt.analysis.tables import ACCURACY, LOSS, take_final, write_settings

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

METRICS: Final = (LOSS, f"best/{LOSS}", ACCURACY)
_LARGER_IS_BETTER: Final = ("accuracy/", "best/accuracy/")
_SMALLER_IS_BETTER: Final = ("loss/", "best/loss/")


@dataclass(frozen=True)
class KeyDifference:
    """A key of the configuration, and which values it has in each set of runs; None: a configuration without it."""

    key: str
    a: frozenset[str | None]
    b: frozenset[str | None]


@dataclass(frozen=True)
class SuccessComparison:
    """The shares of the runs that solved their task, of those that ended, and a's share less b's."""

    a: Interval
    b: Interval
    difference: Interval


@dataclass(frozen=True)
class SpeedComparison:
    """The median number of updates until runs solve their task; nan: fewer than half did.

    sooner  P(a run of a solves it sooner than one of b) + ½ P(neither does, or both at the same update)
    """

    a: Interval
    b: Interval
    sooner: Interval


@dataclass(frozen=True)
class MetricComparison:
    """A metric as recorded last.

    smaller_is_better  None: it is neither
    improvement        P(a run of a is better than one of b) + ½ P(alike); P(it is larger), where none is better
    """

    metric: str
    smaller_is_better: bool | None
    a: Location
    b: Location
    improvement: Interval


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


def compare_success(a: "pd.DataFrame", b: "pd.DataFrame") -> SuccessComparison:
    """How many runs of two tables, as of `load(…).runs`, solved their task, by the same criterion."""
    first, second = _select_ended(a), _select_ended(b)
    solved = int(first["solved"].sum()), int(second["solved"].sum())
    ended = len(first), len(second)
    a, b = (clopper_pearson(count, of) for count, of in zip(solved, ended, strict=True))
    return SuccessComparison(a, b, share_difference(solved, ended))


def compare_speed(a: "pd.DataFrame", b: "pd.DataFrame") -> SpeedComparison:
    """How soon the runs of two tables, as of `load(…).runs`, solved their task, by the same criterion."""
    first, second = _select_ended(a), _select_ended(b)
    return SpeedComparison(
        median_updates(first["observed"], first["solved"]),
        median_updates(second["observed"], second["solved"]),
        probability_of_improvement(*(runs["solved_update"].fillna(np.inf) for runs in (first, second))),
    )


def compare_metric(a: "pd.DataFrame", b: "pd.DataFrame", metric: str) -> MetricComparison:
    """A metric of the runs of two tables, as of `load(…).runs`, that ended.

    A run that diverged has an infinite loss and an accuracy of 0; of other metrics, what it recorded last.
    """
    smaller = is_smaller_better(metric)
    first, second = _take_values(a, metric), _take_values(b, metric)
    left, right = location_intervals([first, second])
    return MetricComparison(metric, smaller, left, right, probability_of_improvement(first, second, bool(smaller)))


def is_smaller_better(metric: str) -> bool | None:
    """True of losses, False of accuracies; None: neither less nor more is better."""
    return True if metric.startswith(_SMALLER_IS_BETTER) else False if metric.startswith(_LARGER_IS_BETTER) else None


def compare_settings(
    a: "pd.DataFrame", b: "pd.DataFrame", keys: Sequence[str], metric: str = LOSS
) -> list[tuple[str, SuccessComparison, MetricComparison]]:
    """The settings that both tables have, in the order of a: text, success, and a metric.

    keys: what makes a setting, see `tables.drop_seed`
    """
    first, second = (dict(iter(runs.groupby(np.array(write_settings(runs, keys)), sort=False))) for runs in (a, b))
    return [
        (setting, compare_success(runs, second[setting]), compare_metric(runs, second[setting], metric))
        for setting, runs in first.items()
        if setting in second
    ]


def name_better(improvement: Interval) -> str | None:
    """Which of a and b is better, as far as that is sure; None: it isn't."""
    return "A" if improvement.low > 0.5 else "B" if improvement.high < 0.5 else None


def _select_ended(runs: "pd.DataFrame") -> "pd.DataFrame":
    return runs[runs["outcome"].notna()]


def _take_values(runs: "pd.DataFrame", metric: str) -> "NDArray[Any]":
    ended = _select_ended(runs)
    worst_known = metric.startswith((*_SMALLER_IS_BETTER, *_LARGER_IS_BETTER))
    return (take_final(ended, metric) if worst_known else ended[metric]).to_numpy(float)
