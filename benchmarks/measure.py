"""Measuring in alternating rounds, so that what disturbs the machine disturbs every side alike."""

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

Name = TypeVar("Name")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Spread:
    """The median of some measurements, the smallest and the largest."""

    median: float
    lowest: float
    highest: float


def summarise(values: Iterable[float]) -> Spread:
    found = list(values)
    return Spread(statistics.median(found), min(found), max(found))


def alternate(sides: Mapping[Name, Callable[[], float]], rounds: int) -> dict[Name, list[float]]:
    """Measure every side once per round, in the order given, and return what each measured.

    Who was last in one round is followed by the first of the next: a side's neighbours are always the same, and no side
    has a stretch of time to itself.
    """
    measured: dict[Name, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            measured[name].append(measure())
    return measured


def find_least(sides: Mapping[Name, Callable[[], float]], rounds: int) -> dict[Name, float]:
    """The smallest measurement of each side: a disturbance only ever adds."""
    return {name: min(values) for name, values in alternate(sides, rounds).items()}


def compare_rounds(other: Iterable[float], ours: Iterable[float]) -> Spread:
    """How many times ours the other took, round by round: what slows a whole round down cancels."""
    return summarise(a / b for a, b in zip(other, ours, strict=True))


_clock = time.perf_counter


def count_processor_time() -> None:
    """From now on the clock is this process's own time: for a machine whose cores others use too.

    What they do to caches and to the processor's speed it does not see.
    """
    global _clock
    _clock = time.process_time


def time_call(work: Callable[[], object]) -> float:
    """Seconds of one call, without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        start = _clock()
        work()
        return _clock() - start
    finally:
        gc.enable()


def measure_core_share(work: Callable[[], Result]) -> tuple[Result, float]:
    """What `work` gives, and the share of the time in which this process had the core: below 1, others used it too."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.process_time() - cpu) / (time.perf_counter() - wall)


def choose_updates(target: float, seconds_per_update: float, *, step: int = 1, most: int | None = None) -> int:
    """How many updates take about `target` seconds: a multiple of `step`, at least one of it, at most `most`."""
    wanted = max(1, round(target / seconds_per_update / step)) * step
    return wanted if most is None else max(1, min(wanted, most))
