"""One workload: first that all sides train the same, then how long each takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import limit
from benchmarks.measure import (
    Spread,
    alternate,
    choose_updates,
    compare_rounds,
    find_least,
    measure_core_share,
    summarise,
)
from benchmarks.problem import Disagreement, Problem, Trained, build_problem, measure_difference
from benchmarks.sides import cpp_side, jax_side, ours, torch_side
from benchmarks.workloads import Workload

_CHECKED = 32  # updates
_MOST_NUMBERS = 6_000_000  # of data kept for the others: 48 MB
_MOST_UPDATES = 65_536


@dataclass(frozen=True)
class Side:
    """Who is compared.

    list_variants  problem → the forms in which this side is written; none: it has nothing of the kind
    prepare        (problem, form) → what can be trained and timed
    agreement      relative to ours: what its losses and parameters may differ by
    """

    list_variants: Callable[[Problem], Sequence[Any]]
    prepare: Callable[[Problem, Any], Any]
    agreement: float = 1e-9


SIDES: Mapping[str, Side] = {
    "torch": Side(torch_side.list_variants, torch_side.prepare),
    "torch32": Side(torch_side.list_float32_variants, torch_side.prepare, 1e-3),
    "jax": Side(jax_side.list_variants, jax_side.prepare),
    "cpp": Side(cpp_side.list_variants, cpp_side.prepare),
}


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was found for one workload; times in µs per lane and update, ratios are the other's time over ours.

    limit       µs that the machine needs at least (`limit.count_work`); share: of it in our time
    forms       of each side in each form the fastest of a few short tries, µs; `variants` has the fastest form
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
    forms: Mapping[str, Mapping[str, float]]
    jax_compile_seconds: float | None
    disagreement: Mapping[str, float]
    core_share: float


def check(side: str, trained: Trained, forms: Mapping[Any, Any], title: str) -> float:
    """The worst difference of any form of a side; raises Disagreement above the side's bound."""
    worst = {form: measure_difference(trained, prepared.trained()) for form, prepared in forms.items()}
    for form, found in worst.items():
        if not found <= SIDES[side].agreement:  # NaN too
            raise Disagreement(f"{title}: {side} ({form}) differs by {found:.1e}")
    return max(worst.values())


def measure(workload: Workload, rates: limit.Rates, rounds: int, target: float, say: Callable[[str], None]) -> Result:
    """Alternating rounds of about `target` seconds a side."""
    title = f"{workload.name}, lanes {workload.lanes}"
    say(f"{title}: the same training, and each side's fastest form")
    checked = min(_CHECKED, workload.checked)
    small, trained = build_problem(workload, checked), ours.train_workload(workload, checked)
    least: dict[str, Mapping[Any, float]] = {}
    worst: dict[str, float] = {}
    for side in workload.sides:
        forms = {form: SIDES[side].prepare(small, form) for form in SIDES[side].list_variants(small)}
        if forms:
            worst[side] = check(side, trained, forms, title)
            timed = {form: prepared.seconds_per_update for form, prepared in forms.items()}
            least[side] = find_least(timed, workload.tries)
    chosen = {side: min(times, key=times.__getitem__) for side, times in least.items()}
    fastest = {side: min(times.values()) for side, times in least.items()}
    most = max(1, min(_MOST_UPDATES, _MOST_NUMBERS * small.updates // (small.x.size + small.y.size)))
    reading = min(
        seconds for side, seconds in fastest.items() if side != "cpp"
    )  # C++ reads few numbers again and again
    data = build_problem(workload, choose_updates(target, reading, most=most))
    mine = ours.prepare(workload, target)
    prepared = {
        side: SIDES[side].prepare(data.first(choose_updates(target, fastest[side], most=most)), form)
        for side, form in chosen.items()
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
        ratios={side: compare_rounds(micros[side], micros["ours"]) for side in prepared},
        limit=bound,
        share=summarise(bound / value for value in micros["ours"]),
        updates={"ours": mine.updates} | {name: side.updates for name, side in prepared.items()},
        variants={name: str(form) for name, form in chosen.items()},
        forms={
            side: {str(form): seconds / workload.lanes * 1e6 for form, seconds in times.items()}
            for side, times in least.items()
        },
        jax_compile_seconds=prepared["jax"].compile_seconds if "jax" in prepared else None,
        disagreement=worst,
        core_share=share,
    )
