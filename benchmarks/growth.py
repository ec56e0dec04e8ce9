"""How the time of an update grows: with the lanes, the hidden units, and the timesteps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from benchmarks import limit
from benchmarks.measure import Spread, summarise
from benchmarks.sides import ours
from benchmarks.workloads import Workload, build_adder, build_elman, build_sine

_LANES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_HIDDEN = (2, 4, 8, 16, 32, 64, 128, 256)
_TIMESTEPS = (4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True, kw_only=True)
class Growth:
    """A point: µs per lane and update, and what the machine needs at least.

    what  lanes of the adder (T 8, batch 1); of 8 lanes hidden units, of the adder and of the sine (T 20, batch 32), and
          the sine's timesteps
    """

    what: str
    series: str
    size: int
    micros: Spread
    limit: float


def measure(rates: limit.Rates, rounds: int, target: float, say: Callable[[str], None]) -> list[Growth]:
    found = []
    for what, series, size, workload in _list_points():
        say(f"growth with {what}: {series}, {size}")
        side = ours.prepare(workload, target)
        values = [side.seconds_per_update() / workload.lanes * 1e6 for _ in range(rounds)]
        bound = limit.count_work(workload.run(0, 1, 1)).micros(rates)
        found.append(Growth(what=what, series=series, size=size, micros=summarise(values), limit=bound))
    return found


def _list_points() -> Iterator[tuple[str, str, int, Workload]]:
    for lanes in _LANES:
        yield "lanes", "adder", lanes, Workload(name="adder", run=build_adder, lanes=lanes)
    for hidden in _HIDDEN:
        shipped: Any = build_adder(0, 1, 1).model
        model = replace(shipped, hidden_size=hidden)
        yield "hidden units", "adder", hidden, Workload(name="adder", run=partial(build_adder, model=model), lanes=8)
        run: Any = partial(build_sine, model=build_elman(hidden))
        yield "hidden units", "sine", hidden, Workload(name="sine", run=run, lanes=8)
    for timesteps in _TIMESTEPS:
        run = partial(build_sine, window=timesteps)
        yield "timesteps", "sine", timesteps, Workload(name="sine", run=run, lanes=8)
