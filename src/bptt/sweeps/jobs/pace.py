"""How long the runs of a sweep take, and how much memory, from a few updates of one vector of lanes of each group."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bptt.configuration.owners import check_kernel_folder
from bptt.core.lanes import recorded_updates
from bptt.core.run import EarlyStop, Run
from bptt.core.training import Training
from bptt.sweeps.jobs.plan import Group, number_blocks
from bptt.sweeps.workers.measurements import choose_measurements

_SECONDS: Final = 0.1  # of measuring per group, about
_ENOUGH: Final = 64  # updates, of which a mean tells the pace; the first ones are slower
_FIRST: Final = 4  # updates; one of a wide network over long sequences may take seconds
_MOST_SECONDS: Final = 1.0  # of measuring fewer than enough
_MOST_UNCLEAR: Final = 4.0  # seconds, where most of that was records, in whose noise an update's time is lost
_WORKER_BYTES: Final = 200 * 2**20  # of a process that has the program loaded
_ROW_BYTES: Final = 3_300  # of a run at the end, in tables and in figures of all runs
_POINT_BYTES: Final = 8 * 16  # of an update that it recorded, with some 16 metrics
_RECORDING_SECONDS: Final = 0.01  # archive and store, per run


@dataclass(frozen=True)
class Pace:
    """Seconds of one update, of one record and of the end, of a whole vector of lanes.

    At its end a run is seen on its test set and on sequences of other lengths, once.
    """

    update: float
    record: float
    end: float = 0.0

    def seconds(self, run: Run) -> float:
        """Of a vector of such runs, from beginning to end."""
        settings = run.train
        points = len(recorded_updates(settings.updates, settings.log_points, settings.log_spacing))
        return settings.updates * self.update + points * self.record + self.end


def measure_pace(runs: Sequence[Run], planned: int) -> Pace:
    """The pace of runs that fill a vector; their first updates are trained, again and again more of them.

    planned: updates of all lanes of a whole block.
    """
    check_kernel_folder()
    most = runs[0].train.updates
    updates = min(most, _FIRST)
    while True:
        pace, taken = _time_updates(runs, updates, planned)
        few = _MOST_SECONDS if pace.update * updates > taken / 2 else _MOST_UNCLEAR
        if updates == most or taken >= (_SECONDS if updates >= _ENOUGH else few):
            return dataclasses.replace(pace, end=_time_end(runs, pace, planned))
        updates = min(most, 4 * updates)


def estimate_seconds(groups: Sequence[Group], paces: Sequence[Pace], workers: int) -> float:
    """Of a whole sweep on so many workers; what else a run costs is shared by them."""
    trained = sum(
        -(-len(group.places) // group.lanes_per_vector) * pace.seconds(group.first)
        for group, pace in zip(groups, paces, strict=True)
    )
    return (trained + _RECORDING_SECONDS * sum(len(group.places) for group in groups)) / workers


def estimate_memory(groups: Sequence[Group], blocks: Sequence[Sequence[int]], workers: int, reports: bool) -> int:
    """Bytes of the whole program: while it trains its largest blocks at once, or at its end, when it has tables of all
    runs, and so has the process that makes its report.
    """
    numbers = number_blocks(groups, blocks)
    sizes = sorted((len(block) * groups[at].bytes for at, block in zip(numbers, blocks, strict=True)), reverse=True)
    busy = min(workers, len(blocks))
    tables = sum(len(group.places) * (_ROW_BYTES + group.points * _POINT_BYTES) for group in groups)
    training = (1 + busy * (workers > 1)) * _WORKER_BYTES + sum(sizes[:busy])
    return max(training, (1 + reports) * (_WORKER_BYTES + tables))


def _time_updates(runs: Sequence[Run], updates: int, planned: int) -> tuple[Pace, float]:
    """The pace of so many updates, without the end, and what they took."""
    # The updates 1, √n and n are recorded, and one behind them, which is not come to.
    stretches = _time_stretches(_begin(runs, round(updates**1.5), points=4, planned=planned), updates)
    # The first update also makes the data.
    taken = sum(seconds for _, seconds in stretches[1:])
    if len(stretches) < 3:
        length, taken = stretches[-1]
        return Pace(taken / length, 0.0), taken
    (short, short_time), (long, long_time) = stretches[1:]
    # Two stretches of different length, each with one record, tell an update's time from a record's.
    update = max(0.0, (long_time - short_time) / (long - short)) if long > short else long_time / long
    return Pace(update, max(0.0, short_time - short * update)), taken


def _time_end(runs: Sequence[Run], pace: Pace, planned: int) -> float:
    _, taken = _time_stretches(_begin(runs, 2, points=2, planned=planned), 2)[-1]
    return max(0.0, taken - pace.update - pace.record)


def _begin(runs: Sequence[Run], updates: int, points: int, planned: int) -> Training:
    settings = dataclasses.replace(
        runs[0].train, updates=updates, log_points=points, log_spacing="log", early_stop=EarlyStop()
    )
    trained = [dataclasses.replace(run, train=settings) for run in runs]
    return Training(trained, measurements=choose_measurements(runs[0]), planned=planned)


def _time_stretches(training: Training, updates: int) -> list[tuple[int, float]]:
    """From record to record, up to an update: how many updates lie between, and the seconds that they took."""
    stretches = []
    before = 0
    while before < updates:
        began = time.perf_counter()
        if training.advance() is None:
            break
        stretches.append((training.update - before, time.perf_counter() - began))
        before = training.update
    return stretches
