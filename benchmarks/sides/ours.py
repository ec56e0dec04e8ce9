"""Our side: the core as a sweep uses it, drawing its data as it goes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.measure import choose_updates, time_call
from benchmarks.workloads import Workload
from bptt.core.run import seed_of
from bptt.core.sequences import Floats
from bptt.core.training import Training, train

_LARGE = 256  # hidden units, whose spectral radius takes as long as some updates
_PLANNED = 10**9  # updates of all lanes: what is measured is a part of a long sweep, which has a kernel for its shape


def train_workload(workload: Workload, updates: int) -> tuple[Floats, Mapping[str, Floats]]:
    """The losses (updates, lanes) and the last parameters, name → (lanes, …)."""
    records = train(workload.runs(updates, updates))
    names = records[0].parameters
    losses = np.stack([record.history["loss/train"] for record in records], axis=1)
    return losses, {name: np.stack([record.parameters[name] for record in records]) for name in names}


@dataclass(frozen=True)
class Ours:
    """Some updates of a workload, recorded at the first and the last.

    further  only what they take more than two updates, which are recorded too: a record then counts for nothing
    """

    workload: Workload
    updates: int
    further: bool = False

    def seconds_per_update(self) -> float:
        if self.further:
            return (self._time(self.updates + 2) - self._time(2)) / self.updates
        return self._time(self.updates) / self.updates

    def _time(self, updates: int) -> float:
        training = Training(self.workload.runs(updates, 1), planned=_PLANNED)

        def work() -> None:
            while training.advance() is not None:
                pass

        return time_call(work)


def prepare(workload: Workload, target: float) -> Ours:
    """As many updates as take about `target` seconds: whole pages of data, so that none is drawn and left unused.

    Of large networks drawing is little and a record is much: as many updates as take that time, without their records.
    """
    Ours(workload, 2).seconds_per_update()  # compiles, or loads what was compiled
    if workload.run(0, 1, 1).model.hidden_size >= _LARGE:
        few = Ours(workload, 8, further=True).seconds_per_update()
        return Ours(workload, max(4, choose_updates(target, few)), further=True)
    some = _choose_updates(workload, 0.0, 1.0)
    trial = min(Ours(workload, some).seconds_per_update() for _ in range(2))
    return Ours(workload, _choose_updates(workload, target, trial))


def _choose_updates(workload: Workload, target: float, seconds_per_update: float) -> int:
    """Updates at the end of a page, as few as take `target` seconds or more."""
    run = workload.run(0, 1, 1)
    stream, end = run.task.training(), 0
    while True:
        end = stream.page(seed_of(run, 1), end, run.train.batch_size).end
        if end * seconds_per_update >= target:
            return end
