"""Successive halving inside a batch of lanes: at each rung those that fall behind are stopped, and others follow.

As in the asynchronous variant (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning") a run is
compared with all that have come to the same rung, and is judged at once. Those that go on wait until they fill whole
vectors, as long as new runs come. Training goes in rounds, each as long as the shortest way to a rung: the workers end
at about the same time, and what is decided does not depend on which of them was faster.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bptt.core.lanes import fusing_key, lanes_per_vector, recorded_updates
from bptt.core.run import Record, Run
from bptt.core.training import join_checkpoints, select_lanes
from bptt.sweeps.search.settings import SearchSettings
from bptt.sweeps.workers.training import LaneArrays, LaneResult, LaneTask
from bptt.tracking.folder.block import RunResult


@dataclass(frozen=True)
class Candidate:
    """A run that takes part, and the number of its job."""

    job: int
    run: Run


@dataclass(frozen=True)
class _Racer:
    """state: of this lane alone; None: it has not begun."""

    candidate: Candidate
    began: float
    state: LaneArrays | None = None


@dataclass
class _Group:
    """Lanes that are trained together, on their way to the rung of this number, or behind the last one to their end."""

    lanes: list[_Racer]
    rung: int
    update: int
    state: LaneArrays | None


@dataclass
class _Waiting:
    """Lanes that have come through a rung, of runs that fuse."""

    rung: int
    update: int
    lanes: list[_Racer] = field(default_factory=list)


class SuccessiveHalving:
    """The runs of a search, from the first that is asked for to the last that ends.

    ask      gives so many new runs, fewer where there are no more
    advance  trains stages, by `train_lanes`, and gives their results in any order
    reached  is told of the metric's value of a job at an update, one of its rungs, before it is decided on
    ended    is told of runs of the same shape that have ended: KILLED those that were stopped
    """

    def __init__(
        self,
        settings: SearchSettings,
        workers: int,
        *,
        ask: Callable[[int], Sequence[Candidate]],
        advance: Callable[[Sequence[LaneTask]], Iterable[LaneResult]],
        reached: Callable[[int, int, float], None],
        ended: Callable[[Sequence[RunResult]], None],
    ) -> None:
        assert settings.halving is not None
        self._settings, self._halving = settings, settings.halving
        self._workers = workers
        self._ask, self._advance, self._reached, self._ended = ask, advance, reached, ended
        self._seen: dict[int, list[tuple[float, int]]] = {}  # by rung: the cost of all that came there, and who it was
        self._groups: list[_Group] = []
        self._waiting: dict[Any, _Waiting] = {}
        self._more = True

    def remember(self, values: Sequence[float]) -> None:
        """Take what an earlier run was worth at its rungs, from the first on, as something to be compared with."""
        for rung, value in enumerate(values):
            seen = self._seen.setdefault(rung, [])
            seen.append((self._cost(value), -1 - len(seen)))

    def run(self) -> None:
        """Train until no run is left."""
        self._fill()
        while self._groups:
            self._round()
            self._fill()

    def _round(self) -> None:
        length = min(self._target(group) - group.update for group in self._groups)
        tasks = [self._task(number, group, length) for number, group in enumerate(self._groups)]
        results = {result.number: result for result in self._advance(tasks)}
        over: dict[Any, list[RunResult]] = {}
        arrived: list[tuple[_Group, _Racer, Record, float]] = []
        left = []
        for task in tasks:
            group, result = self._groups[task.number], results[task.number]
            key = fusing_key(task.runs[0])
            over.setdefault(key, []).extend(_final(group.lanes, result))
            going_on = [place for place, lane in enumerate(result.lanes) if not lane.ended]
            group.lanes = [group.lanes[place] for place in going_on]
            assert task.update is not None
            group.state, group.update = result.state, task.update
            if not task.compared:
                left += [group] if group.lanes else []
                continue
            for place, lane in enumerate(group.lanes):
                record = result.lanes[going_on[place]].record
                assert group.state is not None
                assert record is not None
                value = float(record.history[self._settings.goal.metric][-1])
                alone = replace(lane, state=select_lanes(group.state, [place]))
                arrived.append((group, alone, record, value))
        self._groups = left
        for key, results_of in self._decided(arrived).items():
            over.setdefault(key, []).extend(results_of)
        for ended in over.values():
            if ended:
                self._ended(ended)

    def _decided(self, arrived: Sequence[tuple[_Group, _Racer, Record, float]]) -> dict[Any, list[RunResult]]:
        """Who goes on of those that came to their rungs together waits for it; returns the others, by fusing key."""
        for group, lane, _, value in arrived:
            self._seen.setdefault(group.rung, []).append((self._cost(value), lane.candidate.job))
            self._reached(lane.candidate.job, group.update, value)
        # Of those that are equally good, the first.
        ranked = {rung: sorted(seen) for rung, seen in self._seen.items()}
        best = {rung: seen[: self._halving.count_best(len(seen))] for rung, seen in ranked.items()}
        stopped: dict[Any, list[RunResult]] = {}
        for group, lane, record, value in arrived:
            key, cost = fusing_key(lane.candidate.run), self._cost(value)
            if cost < math.inf and (cost, lane.candidate.job) in best[group.rung]:
                waiting = self._waiting.setdefault((key, group.update), _Waiting(group.rung + 1, group.update))
                waiting.lanes.append(lane)
            else:
                early = replace(record, outcome="early_stopped")
                why = explain_giving_up(
                    group.update,
                    1 + ranked[group.rung].index((cost, lane.candidate.job)),
                    len(ranked[group.rung]),
                    f"{self._settings.goal.metric} {value:.3g}",
                    len(best[group.rung]),
                )
                stopped.setdefault(key, []).append(replace(_result(lane, "KILLED", early, None), given_up=why))
        return stopped

    def _cost(self, value: float) -> float:
        return self._settings.goal.cost(value)

    def _target(self, group: _Group) -> int:
        """The update of the group's next rung, or its last one."""
        train = group.lanes[0].candidate.run.train
        rungs = self._halving.rungs(train)
        return rungs[group.rung] if group.rung < len(rungs) else train.updates

    def _task(self, number: int, group: _Group, length: int) -> LaneTask:
        """The group's way of this round: about so many updates, to a recorded one, and to the next one at least."""
        train, target = group.lanes[0].candidate.run.train, self._target(group)
        recorded = recorded_updates(train.updates, train.log_points, train.log_spacing)
        ahead = recorded[recorded > group.update]
        update = int(ahead[np.abs(ahead - (group.update + length)).argmin()])
        return LaneTask(
            number=number,
            runs=tuple(lane.candidate.run for lane in group.lanes),
            start=group.state,
            update=update,
            compared=update == target < train.updates,
        )

    def _fill(self) -> None:
        """Put lanes in the free places: those that wait in whole vectors, the furthest first, then new runs."""
        free = self._settings.batch - sum(len(group.lanes) for group in self._groups)
        free -= self._go_on(free, whole=True)
        if free > 0 and self._more:
            new = self._ask(free)
            self._more = len(new) == free
            free -= len(new)
            self._begin(new)
        if not self._more:
            self._go_on(free, whole=False)

    def _go_on(self, free: int, whole: bool) -> int:
        placed = 0
        for key, waiting in sorted(self._waiting.items(), key=lambda item: -item[1].rung):
            vector = self._vector(waiting.lanes[0].candidate.run) if whole else 1
            count = min(len(waiting.lanes), free - placed) // vector * vector
            if count <= 0:
                continue
            self._launch(waiting.lanes[:count], waiting.rung, waiting.update)
            placed += count
            waiting.lanes = waiting.lanes[count:]
            if not waiting.lanes:
                del self._waiting[key]
        return placed

    def _begin(self, new: Sequence[Candidate]) -> None:
        fused: dict[Any, list[_Racer]] = {}
        now = time.time()
        for candidate in new:
            fused.setdefault(fusing_key(candidate.run), []).append(_Racer(candidate, now))
        for lanes in fused.values():
            self._launch(lanes, 0, 0)

    def _launch(self, lanes: Sequence[_Racer], rung: int, update: int) -> None:
        """Let lanes be trained in groups of whole vectors, such that every worker has some."""
        vector = self._vector(lanes[0].candidate.run)
        vectors = -(-len(lanes) // vector)
        parts = -(-len(lanes) * self._workers // self._settings.batch)
        size = -(-vectors // parts) * vector
        for start in range(0, len(lanes), size):
            part = lanes[start : start + size]
            states = [lane.state for lane in part if lane.state is not None]
            together = join_checkpoints(states) if states else None
            self._groups.append(_Group([replace(lane, state=None) for lane in part], rung, update, together))

    def _vector(self, run: Run) -> int:
        """How many lanes of such runs make a vector."""
        return min(lanes_per_vector(run), self._settings.batch)


def explain_giving_up(update: int, place: int, of: int, by: str, best: int) -> str:
    """Why a run was given up: at which update, as the how maniest of how many, by what, and how many went on."""
    return f"at update {update:,}: number {place:,} of {of:,} by {by}, and the best {best:,} went on"


def _final(lanes: Sequence[_Racer], result: LaneResult) -> list[RunResult]:
    return [
        _result(lane, "FINISHED" if found.error is None else "FAILED", found.record, found.error)
        for lane, found in zip(lanes, result.lanes, strict=True)
        if found.ended
    ]


def _result(lane: _Racer, status: Any, record: Record | None, error: str | None) -> RunResult:
    return RunResult(
        job=lane.candidate.job, status=status, record=record, error=error, began=lane.began, ended=time.time()
    )
