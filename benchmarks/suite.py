"""One workload: first that all sides train the same, then how long each takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import limit
from benchmarks.measure import (
    Spread,
    alternate,
    choose_updates,
    compare_rounds,
    find_fastest,
    measure_core_share,
    summarise,
)
from benchmarks.problem import build_problem
from benchmarks.sides import jax_side, ours, torch_side
from benchmarks.workloads import OTHERS, Workload
from bptt.core.sequences import Floats

_CHECKED = 32  # updates
_TRIAL_ROUNDS = 3
_AGREEMENT = 1e-9  # relative
_MOST_NUMBERS = 6_000_000  # of data kept for the others: 48 MB
_MOST_UPDATES = 65_536

SIDES: Mapping[str, Any] = {"torch": torch_side, "jax": jax_side}

Trained = tuple[Floats, Mapping[str, Floats]]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was found for one workload; times in µs per lane and update, ratios are the other's time over ours.

    limit       µs that the machine needs at least (`limit.work`); share: of it in our time
    core_share  of the time, how much this process had the core; below 1, others used it too
    """

    name: str
    lanes: int
    targets: Mapping[str, float]
    micros: Mapping[str, Spread]
    ratios: Mapping[str, Spread]
    limit: float
    share: Spread
    updates: Mapping[str, int]
    variants: Mapping[str, str]
    jax_compile_seconds: float
    disagreement: Mapping[str, float]
    core_share: float


class Disagreement(Exception):
    """Two sides did not train the same: their times say nothing about each other."""


def measure_difference(ours_trained: Trained, other: Trained) -> float:
    """The largest difference of a loss, relative to that loss, or of a parameter, relative to its block's largest."""
    worst = float(np.max(np.abs(other[0] - ours_trained[0]) / np.abs(ours_trained[0])))
    for name, value in ours_trained[1].items():
        worst = max(worst, float(np.max(np.abs(other[1][name] - value)) / np.max(np.abs(value))))
    return worst


def check(side: str, trained: Trained, forms: Mapping[Any, Any], title: str) -> float:
    """The worst difference of any form of a side; raises Disagreement above the bound."""
    worst = {form: measure_difference(trained, prepared.trained()) for form, prepared in forms.items()}
    for form, found in worst.items():
        if not found <= _AGREEMENT:  # NaN too
            raise Disagreement(f"{title}: {side} ({form}) differs by {found:.1e}")
    return max(worst.values())


def measure(workload: Workload, rates: limit.Rates, rounds: int, target: float, say: Callable[[str], None]) -> Result:
    """Alternating rounds of about `target` seconds a side."""
    title = f"{workload.name}, lanes {workload.lanes}"
    say(f"{title}: the same training, and each side's fastest form")
    small, trained = build_problem(workload, _CHECKED), ours.train_workload(workload, _CHECKED)
    chosen, least, worst = {}, {}, {}
    for side, module in SIDES.items():
        forms = {form: module.prepared(small, form) for form in module.variants(small)}
        worst[side] = check(side, trained, forms, title)
        timed = {form: prepared.seconds_per_update for form, prepared in forms.items()}
        chosen[side], least[side] = find_fastest(timed, _TRIAL_ROUNDS)
    most = max(1, min(_MOST_UPDATES, _MOST_NUMBERS * small.updates // (small.x.size + small.y.size)))
    data = build_problem(workload, choose_updates(target, min(least.values()), most=most))
    mine = ours.prepare(workload, target)
    prepared = {
        side: module.prepared(data.first(choose_updates(target, least[side], most=most)), chosen[side])
        for side, module in SIDES.items()
    }
    say(f"{title}: measuring")
    sides = {"ours": mine.seconds_per_update} | {name: side.seconds_per_update for name, side in prepared.items()}
    seconds, share = measure_core_share(lambda: alternate(sides, rounds))
    micros = {side: [value / workload.lanes * 1e6 for value in values] for side, values in seconds.items()}
    bound = limit.count_work(small.run).micros(rates)
    return Result(
        name=workload.name,
        lanes=workload.lanes,
        targets=workload.targets,
        micros={side: summarise(values) for side, values in micros.items()},
        ratios={side: compare_rounds(micros[side], micros["ours"]) for side in OTHERS},
        limit=bound,
        share=summarise(bound / value for value in micros["ours"]),
        updates={"ours": mine.updates} | {name: side.problem.updates for name, side in prepared.items()},
        variants={name: str(form) for name, form in chosen.items()},
        jax_compile_seconds=prepared["jax"].compile_seconds,
        disagreement=worst,
        core_share=share,
    )
