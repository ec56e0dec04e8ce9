"""Two cores against one: each of two processes has a core and half of the lanes, and both train at the same time."""

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import machine
from benchmarks.measure import Spread, compare_rounds, summarise
from benchmarks.workloads import TABLE, Workload

_NAMES = ("adder", "leftbit", "sine")
LANES = 256
TARGET = 1.8


@dataclass(frozen=True, kw_only=True)
class Cores:
    """How much faster two cores train 256 lanes; micros per lane and update, of one core and of two."""

    name: str
    lanes: int
    one: Spread
    two: Spread
    gain: Spread


def measure(cores: Sequence[int], rounds: int, target: float) -> list[Cores]:
    """All workloads on one core and on two, turn by turn; nothing where there is one core."""
    if len(cores) < 2:
        return []
    return [_measure(name, cores[-2:], rounds, target) for name in _NAMES]


def _measure(name: str, cores: Sequence[int], rounds: int, target: float) -> Cores:
    with _Worker(cores[1], name, LANES, target) as whole:
        halves = [_Worker(core, name, LANES // 2, target, whole.updates) for core in cores]
        with halves[0], halves[1]:
            one, two = [], []
            for _ in range(rounds):
                one.append(_time_together([whole]))
                two.append(_time_together(halves))
    micros = [[seconds / whole.updates / LANES * 1e6 for seconds in times] for times in (one, two)]
    return Cores(
        name=name, lanes=LANES, one=summarise(micros[0]), two=summarise(micros[1]), gain=compare_rounds(*micros)
    )


def _time_together(workers: "Sequence[_Worker]") -> float:
    """Seconds until the last of them is done."""
    start = time.perf_counter()
    for worker in workers:
        worker.ask()
    for worker in workers:
        worker.wait()
    return time.perf_counter() - start


class _Worker:
    """A process on one core that trains some lanes whenever it is asked to."""

    def __init__(self, core: int, name: str, lanes: int, target: float, updates: int | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, core, name, lanes, target, updates), daemon=True)

    def __enter__(self) -> "_Worker":
        self._process.start()
        self.updates = int(self._pipe.recv())
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send(False)
        self._process.join()

    def ask(self) -> None:
        self._pipe.send(True)

    def wait(self) -> None:
        self._pipe.recv()


def _serve(pipe: Any, core: int, name: str, lanes: int, target: float, updates: int | None) -> None:
    machine.settle(core)
    from benchmarks.sides import ours

    run = next(workload.run for workload in TABLE if workload.name == name)
    workload = Workload(name=name, run=run, lanes=lanes)
    side = ours.prepare(workload, target) if updates is None else ours.Ours(workload, updates)
    side.seconds_per_update()
    pipe.send(side.updates)
    while pipe.recv():
        side.seconds_per_update()
        pipe.send(True)
