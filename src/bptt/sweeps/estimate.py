"""How long a sweep will take, and how much memory: measured on a few updates of one vector of lanes of each group."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bptt.core.lanes import recorded_updates
from bptt.core.run import Run
from bptt.core.training import Training
from bptt.sweeps.plan import Group

_SECONDS: Final = 0.1  # of measuring per group, about
_FIRST: Final = 64  # updates
_WORKER_BYTES: Final = 200 * 2**20  # of a process that has the program loaded
_RECORDING_SECONDS: Final = 0.01  # archive and store, per run


@dataclass(frozen=True)
class Pace:
    """Seconds of one update and of one record, of a whole vector of lanes."""

    update: float
    record: float

    def seconds(self, run: Run) -> float:
        """Of a vector of such runs, from beginning to end."""
        settings = run.train
        points = len(recorded_updates(settings.updates, settings.log_points, settings.log_spacing))
        return settings.updates * self.update + points * self.record


def measured(runs: Sequence[Run]) -> Pace:
    """The pace of runs that fill a vector; their first updates are trained, again and again more of them."""
    most = runs[0].train.updates
    updates = min(most, _FIRST)
    while True:
        pace, taken = _timed(runs, updates)
        if taken >= _SECONDS or updates == most:
            return pace
        updates = min(most, 4 * updates)


def seconds(groups: Sequence[Group], paces: Sequence[Pace], workers: int) -> float:
    """Of a whole sweep on so many workers; what else a run costs is shared by them."""
    trained = sum(
        -(-len(group.places) // group.lanes_per_vector) * pace.seconds(group.first)
        for group, pace in zip(groups, paces, strict=True)
    )
    return (trained + _RECORDING_SECONDS * sum(len(group.places) for group in groups)) / workers


def memory(groups: Sequence[Group], blocks: Sequence[Sequence[int]], workers: int) -> int:
    """Bytes of the whole program while it trains its largest blocks at once."""
    group_of = {place: group for group in groups for place in group.places}
    sizes = sorted((len(block) * group_of[block[0]].bytes for block in blocks), reverse=True)
    busy = min(workers, len(blocks))
    return (1 + busy * (workers > 1)) * _WORKER_BYTES + sum(sizes[:busy])


def _timed(runs: Sequence[Run], updates: int) -> tuple[Pace, float]:
    settings = dataclasses.replace(runs[0].train, updates=updates, log_points=3, log_spacing="log")
    training = Training([dataclasses.replace(run, train=settings) for run in runs])
    training.advance()  # the first update also makes the data
    # Two stretches of different length, each with one record, tell an update's time from a record's.
    stretches = []
    before = training.update
    while True:
        began = time.perf_counter()
        if training.advance() is None:
            break
        stretches.append((training.update - before, time.perf_counter() - began))
        before = training.update
    if len(stretches) < 2:
        taken = stretches[0][1] if stretches else 0.0
        return Pace(taken / max(updates, 1), taken), taken
    (short, short_time), (long, long_time) = stretches
    update = max(0.0, (long_time - short_time) / (long - short))
    return Pace(update, max(0.0, short_time - short * update)), short_time + long_time
