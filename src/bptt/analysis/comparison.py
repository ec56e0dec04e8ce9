"""Which does better, all else being equal, and how sure that is: values of a swept key, and several sets of runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.analysis.factors import Factor, combine_factors, drop_decided_factors, find_factors
from bptt.analysis.statistics.conclusions import Comparison, ConditionRuns, Measure, Question, conclude
from bptt.analysis.statistics.intervals import Interval, Location, clopper_pearson, location_intervals, median_updates
from bptt.analysis.tables import (
    ACCURACY,
    FITS,
    LOSS,
    SEED,
    drop_seed,
    is_smaller_better,
    take_final,
    take_kept_loss,
    write_settings,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from bptt.analysis.sweep import Sweep


_ALL_PAIRS: Final = 4  # levels of a key, of which each is compared with each
_MOST_LEVELS: Final = 12  # of a key about which something is asked
_MOST: Final = 24  # questions of a sweep
_OUTCOMES: Final[Mapping[Measure, tuple[str, str, str]]] = {
    "solved": ("more often", "less often", "about as often"),
    "updates": ("sooner", "later", "about as soon"),
    "accuracy": ("better", "worse", "about as well"),
    "loss": ("better", "worse", "about as well"),
}


def choose_measure(runs: "pd.DataFrame") -> Measure:
    """By what runs that ended are compared: whether they solved their task, where some did and some did not; when,
    where all did; else their last accuracy or, without one that tells them apart, their last loss, or that of the
    network that is kept.
    """
    solved = runs["solved"].astype(bool) if "solved" in runs else np.zeros(len(runs), bool)
    if np.any(solved):
        return "updates" if np.all(solved) else "solved"
    return "accuracy" if len(take_final(runs, ACCURACY).dropna().unique()) > 1 else "loss"


def take_measure(runs: "pd.DataFrame", measure: Measure) -> "NDArray[np.float64]":
    """What each run came to: 1 or 0 as it solved its task or not, its last loss, or that of its kept network, or its
    last accuracy, or the updates until it solved its task, infinite where it never did.
    """
    if measure == "solved":
        return runs["solved"].to_numpy(float)
    if measure == "updates":
        return runs["solved_update"].fillna(np.inf).to_numpy(float)
    return (take_final(runs, ACCURACY) if measure == "accuracy" else take_kept_loss(runs)).to_numpy(float)


def take_metric(runs: "pd.DataFrame", metric: str) -> "NDArray[np.float64]":
    """What each run that ended recorded last; of one that diverged the worst there is, of losses and accuracies."""
    ended = select_ended(runs)
    return (ended[metric] if is_smaller_better(metric) is None else take_final(ended, metric)).to_numpy(float)


def select_ended(runs: "pd.DataFrame") -> "pd.DataFrame":
    """The runs that count."""
    return runs[runs["outcome"].notna()].reset_index(drop=True)


def find_horizon(runs: "pd.DataFrame") -> float:
    """The updates that every run was watched for unless it solved its task before."""
    unsolved = runs.loc[~runs["solved"].astype(bool), "observed"]
    return float(unsolved.min() if len(unsolved) else runs["observed"].max())


def ask_about(
    runs: "pd.DataFrame", swept: Sequence[str], conditions: Sequence[str], common: Sequence[str] = ()
) -> list[Question]:
    """What may be asked of a sweep, a question for two values of one key; each key's first question is of its extremes.

    runs        as of `load(…).runs`; those that have not ended don't count
    swept       the swept keys
    conditions  those across which nothing is compared: they are the conditions of each question
    common      what all runs have in common and may decide, as `clip norm 1`

    The runs of the two values are pairs where they have equal seeds and all else that was swept is equal. Runs with no
    such combination on the other side count for neither, since what else they have may decide; two values that have
    none in common are not asked about. Of a key with up to four values each is compared with each; of more numbers each
    with the next, and the first with the last; of more choices, which have no order, each with the sweep's first. Where
    numbers stand beside a choice, as biases beside the default, they are compared both with it and with each other.
    Nothing is asked about keys with more than twelve values, nor beyond 24 questions.
    """
    ended = select_ended(runs)
    if ended.empty:
        return []
    measure = choose_measure(ended)
    found = find_factors(ended, swept)
    harder = drop_decided_factors([factor for factor in found if factor.key in conditions])
    every: list[Question] = []
    for factor in found:
        if factor.key in conditions or not 2 <= len(factor.levels) <= _MOST_LEVELS:
            continue
        others = [other for other in found if other is not factor and other.key not in conditions]
        added = [
            Question(
                a=_write_level(factor, first),
                b=_write_level(factor, second),
                measure=measure,
                conditions=_gather(ended, factor, (first, second), others, harder, measure),
                horizon=find_horizon(ended) if measure == "updates" else None,
                common=tuple(common),
            )
            for first, second in _choose_pairs(factor)
        ]
        added = [question for question in added if any(runs.a and runs.b for runs in question.conditions)]
        if len(every) + len(added) <= _MOST:
            every += added
    return every


def ask_between(
    a: "Sweep", b: "Sweep", names: tuple[str, str], measure: Measure, metric: str | None = None
) -> Question:
    """Whether the runs of one sweep, or of a part of it, do better than those of another.

    measure, metric  what is compared; metric: another one than that which `measure` takes, of losses or accuracies

    The runs are pairs where they have equal seeds and equal values of what was swept on both sides, in each condition
    that both have.
    """
    both = [key for key in drop_seed(a.swept) if key in b.swept]
    harder = [key for key in both if key in a.conditions or key in b.conditions]
    sides = [_take_runs(side, both, harder, measure, metric) for side in (a, b)]
    conditions = [name for name in sides[0] if name in sides[1]]
    return Question(
        a=names[0],
        b=names[1],
        measure=measure,
        conditions=[ConditionRuns(name, sides[0][name], sides[1][name]) for name in conditions],
        horizon=min(find_horizon(select_ended(side.runs)) for side in (a, b)) if measure == "updates" else None,
        called=FITS.get((metric or "").partition("/")[0]),
    )


def choose_leading(found: Sequence[Comparison], most: int = 2) -> list[Comparison]:
    """The answers that come first: of each key one, a difference that is sure before one that is not; keys likewise, of
    those with sure differences the largest first.
    """
    by_key: dict[str, list[Comparison]] = {}
    for one in found:
        by_key.setdefault(one.question.a.partition("=")[0], []).append(one)
    leading = [min(answers, key=rank_answer) for answers in by_key.values()]

    def rank(one: Comparison) -> tuple[int, float]:
        sure = one.outcome in ("more", "less")
        return rank_answer(one)[0], -abs(one.difference.value - one.centre) if sure else 0.0

    return sorted(leading, key=rank)[:most]


def rank_answer(found: Comparison) -> tuple[int, float]:
    """How important an answer is, the least first: by what is sure, then by the corrected p-value."""
    order = {"more": 0, "less": 0, "same": 1, "unsettled": 2, "silent": 3, "missing": 4}
    return order[found.outcome], found.corrected


def name_outcome(found: Comparison) -> str:
    """What the first of a question's two does, in a few words: `more often`, `about as often`, `not settled`."""
    more, less, same = _OUTCOMES[found.question.measure]
    return {"more": more, "less": less, "same": same, "unsettled": "not settled", "silent": "can't tell"}.get(
        found.outcome, "no runs"
    )


def conclude_about(
    runs: "pd.DataFrame", swept: Sequence[str], conditions: Sequence[str], common: Sequence[str] = ()
) -> list[Comparison]:
    """The answers to all that `ask_about` asks."""
    return conclude(ask_about(runs, swept, conditions, common))


def describe_common(common: Mapping[str, Any]) -> tuple[str, ...]:
    """What all runs have in common and may decide: clipping, learning rate, updates; common as `Findings.common`."""
    told = []
    if (kind := _name_class(common.get("optimizer._target_"))) is not None:
        alpha = common.get("optimizer.alpha")
        told.append(f"the optimizer {kind}" + ("" if alpha is None else f" with the learning rate {alpha:g}"))
    if (kind := _name_class(common.get("clip._target_"))) is not None:
        threshold = common.get("clip.threshold")  # which may be swept
        at = "" if threshold is None else f" at {threshold:g}"
        told.append("no clipping" if kind == "none" else f"clipping by {kind}{at}")
    if (updates := common.get("train.updates")) is not None:
        told.append(f"{updates:,} updates")
    return tuple(told)


def _name_class(target: object) -> str | None:
    return target.split(".")[-2] if isinstance(target, str) and "." in target else None


def _take_runs(
    sweep: "Sweep", keys: Sequence[str], harder: Sequence[str], measure: Measure, metric: str | None
) -> dict[str, dict[Any, float]]:
    """A sweep's runs that ended by their condition, each by its seed and the values of keys."""
    ended = select_ended(sweep.runs)
    values = take_measure(ended, measure) if metric is None else take_metric(ended, metric)
    seeds = ended[SEED] if SEED in ended else [sweep.configs[int(run)].get(SEED) for run in ended["run"]]
    beside = write_settings(ended, [key for key in keys if key not in harder])
    names = write_settings(ended, harder) if harder else [""] * len(ended)
    found: dict[str, dict[Any, float]] = {}
    for run, (name, seed, same, value) in enumerate(zip(names, seeds, beside, values, strict=True)):
        side = found.setdefault(name, {})
        # Runs that nothing tells apart have no partner of their own.
        side[(seed, same) if (seed, same) not in side else (seed, same, run)] = float(value)
    return found


def _choose_pairs(factor: Factor) -> Iterator[tuple[int, int]]:
    levels = len(factor.levels)
    choices = sum(isinstance(level, str) for level in factor.levels)  # which come before the numbers
    if levels > _ALL_PAIRS and choices:
        yield from ((level, 0) for level in range(1, levels))
    numbers = range(choices if levels > _ALL_PAIRS else 0, levels)
    if len(numbers) <= _ALL_PAIRS:
        yield from combinations(reversed(numbers), 2)
    else:
        yield numbers[-1], numbers[0]
        yield from ((later, earlier) for earlier, later in pairwise(numbers))


def _write_level(factor: Factor, level: int) -> str:
    beside = factor.beside.get(factor.levels[level])
    return f"{factor.label}={factor.texts[level]}" + (f" with {beside}" if beside else "")


def _gather(
    ended: "pd.DataFrame",
    factor: Factor,
    levels: tuple[int, int],
    others: Sequence[Factor],
    harder: Sequence[Factor],
    measure: Measure,
) -> list[ConditionRuns]:
    """The two levels' runs by condition, each by its seed and all else that was swept."""
    size = len(ended)
    condition, beside = combine_factors(harder, size), combine_factors(others, size)
    seeds = ended[SEED].tolist() if SEED in ended else [0] * size
    values = take_measure(ended, measure)
    found = []
    for place, name in enumerate(_name_levels(condition) if harder else [""]):
        sides: list[dict[Any, float]] = []
        here = [np.flatnonzero((condition.codes == place) & (factor.codes == level)) for level in levels]
        alike = np.intersect1d(beside.codes[here[0]], beside.codes[here[1]])
        for runs in here:
            side: dict[Any, float] = {}
            for run in runs[np.isin(beside.codes[runs], alike)]:
                same = (seeds[run], int(beside.codes[run]))
                # Runs that nothing tells apart have no partner of their own.
                side[same if same not in side else (*same, int(run))] = float(values[run])
            sides.append(side)
        found.append(ConditionRuns(name, *sides))
    return found


def _name_levels(factor: Factor) -> list[str]:
    return [f"{factor.label}={text}" if factor.label else text for text in factor.texts]


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
