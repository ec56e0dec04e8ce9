"""One workload: first that all sides train the same, then how long each takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks import jax_side, our_side, torch_side
from benchmarks.measure import Spread, alternate, ratios, spread, with_core_share
from benchmarks.workloads import Problem, Workload, problem
from bptt.core.sequences import Floats

_CHECKED = 30  # updates
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
    """The largest difference of losses and parameters, relative to the largest number of each array (each loss to itself)."""
    worst = float(np.max(np.abs(other[0] - ours[0]) / np.abs(ours[0])))
    for name, value in ours[1].items():
        worst = max(worst, float(np.max(np.abs(other[1][name] - value)) / np.max(np.abs(value))))
    return worst


def _check(workload: Workload) -> dict[str, float]:
    """The worst disagreement of every variant of each other side; raises Disagreement above the bound."""
    small = problem(workload, _CHECKED)
    ours = our_side.trained(workload, _CHECKED)
    found = {
        "torch": max(difference(ours, torch_side.trained(small, form)) for form in torch_side.variants(small)),
        "jax": max(difference(ours, jax_side.trained(small, form)) for form in jax_side.variants(small)),
    }
    for side, worst in found.items():
        if not worst <= _AGREEMENT:  # NaN too
            raise Disagreement(f"{workload.name}, {workload.lanes} lanes: {side} differs by {worst:.1e}")
    return found


def _data(workload: Workload) -> Problem:
    one = problem(workload, 1)
    return problem(workload, max(1, min(_MOST_UPDATES, _MOST_NUMBERS // (one.x.size + one.y.size))))


def measure(workload: Workload, rounds: int, target: float, say: Callable[[str], None]) -> Result:
    """Alternating rounds of about `target` seconds a side."""
    title = f"{workload.name}, lanes {workload.lanes}"
    say(f"{title}: the same training?")
    disagreement = _check(workload)
    say(f"{title}: choosing each side's fastest form")
    data = _data(workload)
    ours = our_side.prepared(workload, target)
    torch, jax = torch_side.prepared(data, target), jax_side.prepared(data, target)
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
        updates={"ours": ours.updates, "torch": len(torch.data[0]), "jax": jax.updates},
        variants={"torch": str(torch.variant), "jax": str(jax.variant)},
        jax_compile_seconds=jax.compile_seconds,
        disagreement=disagreement,
        core_share=share,
    )
