"""One workload: first that all sides train the same, then how long each takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import jax_side, our_side, torch_side
from benchmarks.measure import Spread, alternate, fastest, ratios, spread, updates_for, with_core_share
from benchmarks.workloads import Problem, Workload, problem
from bptt.core.sequences import Floats

_CHECKED = 32  # updates
_TRIAL_ROUNDS = 8
_AGREEMENT = 1e-9  # relative
_MOST_NUMBERS = 6_000_000  # of data kept for the others: 48 MB
_MOST_UPDATES = 65_536
OTHERS = ("torch", "jax")

Trained = tuple[Floats, Mapping[str, Floats]]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was found for one workload; times in µs per lane and update, ratios are the other's time over ours.

    core_share: of the time, how much this process had the core; below 1, others used it too.
    """

    name: str
    lanes: int
    targets: Mapping[str, float]
    micros: Mapping[str, Spread]
    ratios: Mapping[str, Spread]
    updates: Mapping[str, int]
    variants: Mapping[str, str]
    jax_compile_seconds: float
    disagreement: Mapping[str, float]
    core_share: float


class Disagreement(Exception):
    """Two sides did not train the same: their times say nothing about each other."""


def difference(ours: Trained, other: Trained) -> float:
    """The largest difference of a loss, relative to that loss, or of a parameter, relative to its block's largest."""
    worst = float(np.max(np.abs(other[0] - ours[0]) / np.abs(ours[0])))
    for name, value in ours[1].items():
        worst = max(worst, float(np.max(np.abs(other[1][name] - value)) / np.max(np.abs(value))))
    return worst


def _trials(module: Any, small: Problem, ours: Trained, title: str) -> tuple[Any, float, float]:
    """(the fastest form, its seconds per update, the worst difference of any); raises Disagreement above the bound."""
    sides = {form: module.prepared(small, form) for form in module.variants(small)}
    worst = {form: difference(ours, side.trained()) for form, side in sides.items()}
    for form, found in worst.items():
        if not found <= _AGREEMENT:  # NaN too
            raise Disagreement(f"{title}: {module.__name__} ({form}) differs by {found:.1e}")
    form, least = fastest({form: side.seconds_per_update for form, side in sides.items()}, _TRIAL_ROUNDS)
    return form, least, max(worst.values())


def _most_updates(small: Problem) -> int:
    """As many as keep the others' data small enough."""
    return max(1, min(_MOST_UPDATES, _MOST_NUMBERS * small.updates // (small.x.size + small.y.size)))


def measure(workload: Workload, rounds: int, target: float, say: Callable[[str], None]) -> Result:
    """Alternating rounds of about `target` seconds a side."""
    title = f"{workload.name}, lanes {workload.lanes}"
    say(f"{title}: the same training, and each side's fastest form")
    small, ours_trained = problem(workload, _CHECKED), our_side.trained(workload, _CHECKED)
    torch_form, torch_least, torch_worst = _trials(torch_side, small, ours_trained, title)
    jax_form, jax_least, jax_worst = _trials(jax_side, small, ours_trained, title)
    most = _most_updates(small)
    data = problem(workload, updates_for(target, min(torch_least, jax_least), most=most))
    ours = our_side.prepared(workload, target)
    torch = torch_side.prepared(data.first(updates_for(target, torch_least, most=most)), torch_form)
    jax = jax_side.prepared(data.first(updates_for(target, jax_least, most=most)), jax_form)
    say(f"{title}: measuring")
    sides = {"ours": ours.seconds_per_update, "torch": torch.seconds_per_update, "jax": jax.seconds_per_update}
    seconds, share = with_core_share(lambda: alternate(sides, rounds))
    micros = {side: [value / workload.lanes * 1e6 for value in values] for side, values in seconds.items()}
    return Result(
        name=workload.name,
        lanes=workload.lanes,
        targets=workload.targets,
        micros={side: spread(values) for side, values in micros.items()},
        ratios={side: ratios(micros[side], micros["ours"]) for side in OTHERS},
        updates={"ours": ours.updates, "torch": torch.problem.updates, "jax": jax.problem.updates},
        variants={"torch": str(torch_form), "jax": str(jax_form)},
        jax_compile_seconds=jax.compile_seconds,
        disagreement={"torch": torch_worst, "jax": jax_worst},
        core_share=share,
    )
