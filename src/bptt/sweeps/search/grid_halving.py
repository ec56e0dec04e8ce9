"""Successive halving of a grid: at each rung the settings that fall behind are given up, with all of their seeds.

As Jamieson and Talwalkar have it (2016, "Non-stochastic best arm identification and hyperparameter optimization"):
all settings of a condition are trained to a rung, compared there by the median of a metric over their seeds, and the
best one of so many goes on to the next. Nothing is compared across conditions. A run has the bits of one that was
trained alone, up to where it was given up. What is decided depends on what was recorded alone, so a sweep that was
broken off decides the same again; runs that had not ended go on from their last rung, as far as that was kept.
"""

import hashlib
import itertools
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from bptt.analysis.tables import SEED, choose_conditions
from bptt.configuration.build import Configuration
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.owners import check_kernel_folder
from bptt.core.kernel import compiling_notice
from bptt.core.lanes import fusing_key
from bptt.core.run import Record, Run
from bptt.core.training import join_checkpoints, needs_compiling, select_lanes
from bptt.sweeps.jobs.plan import cut_blocks, find_groups, pick_blocks
from bptt.sweeps.search.halving import explain_giving_up
from bptt.sweeps.search.objectives import has_accuracy
from bptt.sweeps.search.settings import GridHalving, read_grid_halving
from bptt.sweeps.workers.training import LaneArrays, LaneResult, LaneTask
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.rungs import read_rungs, remove_rungs, write_rung

if TYPE_CHECKING:
    from bptt.sweeps.session import Session


def choose_halving(config: DictConfig) -> GridHalving | None:
    """The halving that a sweep's configuration asks for. Raises ConfigurationError, also where it tunes as well."""
    node = OmegaConf.to_container(config.hydra.sweeper)
    halving = read_grid_halving({str(key): value for key, value in node.items()} if isinstance(node, dict) else {})
    if halving is not None and config.get("tune") is not None:
        says = "each setting chooses its values by runs that were trained to their end; tune or halve"
        raise ConfigurationError([f"hydra.sweeper.halving: {says}"])
    return halving


def check_halving(halving: GridHalving, configurations: Sequence[Configuration]) -> None:
    """Raise ConfigurationError where settings can't be compared before their end."""
    key, runs = "hydra.sweeper.halving", [one.run for one in configurations]
    rungs: dict[str, set[tuple[int, ...]]] = {}
    settings: dict[str, set[str]] = {}
    for one in configurations:
        condition = _write_condition(one)
        rungs.setdefault(condition, set()).add(halving.rungs(one.run.train))
        settings.setdefault(condition, set()).add(repr({**one.resolved, SEED: None}))
    if not any(any(own) for own in rungs.values()):
        updates = max(run.train.updates for run in runs)
        raise ConfigurationError([f"{key}: no update below train.updates={updates} at which to compare"])
    if any(len(own) > 1 for own in rungs.values()):
        says = "are swept, and settings of one condition are compared at the same updates"
        raise ConfigurationError([f"{key}: updates that are recorded (train.updates, train.log_points) {says}"])
    if all(len(own) < 2 for own in settings.values()):
        raise ConfigurationError([f"{key}: there are no two settings to compare, in any condition"])
    if halving.metric == "accuracy/eval" and not all(map(has_accuracy, {id(run.task): run for run in runs}.values())):
        raise ConfigurationError([f"{key}.metric=accuracy/eval: the task has no notion of right"])


def _write_condition(configuration: Configuration) -> str:
    """What is equal for runs that are compared with each other."""
    if configuration.sweep.conditions is None:
        return repr(configuration.resolved["task"])
    return repr(
        [OmegaConf.select(OmegaConf.create(configuration.resolved), key) for key in configuration.sweep.conditions]
    )


@dataclass
class _Racer:
    """A run that takes part.

    updates, values  what it has recorded of the metric so far
    state            of this lane alone; None: it has not begun, or has ended
    record           as of its last rung, or its end
    ended            whether it has come to its end, or to be given up
    """

    job: SweepJob
    condition: tuple[str | None, ...]
    setting: tuple[tuple[str, str], ...]
    run: Run | None = None
    rungs: tuple[int, ...] = ()
    update: int = 0
    updates: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    state: LaneArrays | None = None
    record: Record | None = None
    began: float | None = None
    ended: bool = False
    failed: bool = False

    @property
    def known_run(self) -> Run:
        """Of one that has not ended."""
        assert self.run is not None
        return self.run

    def find_value(self, update: int) -> float:
        """What it was worth at an update: nan where it failed or diverged before; where it stopped, what it had."""
        there = np.flatnonzero(self.updates <= update)
        if not len(there) or (self.failed and self.updates[there[-1]] < update):
            return float("nan")
        return float(self.values[there[-1]])


_Contest = dict[tuple[tuple[str, str], ...], list[_Racer]]  # the settings of a condition, with their runs


def _give_up(racer: _Racer, why: str) -> RunResult:
    assert racer.record is not None
    record = replace(racer.record, outcome="early_stopped")
    racer.ended, racer.state, racer.record = True, None, None
    now = time.time()
    began = now if racer.began is None else racer.began
    return RunResult(
        job=racer.job.number, status="KILLED", record=record, error=None, began=began, ended=now, given_up=why
    )


def train_halved(session: "Session", runs: Mapping[int, Run], halving: GridHalving) -> None:
    """Train a sweep's runs, those that have not ended; some are given up. Raises what `Session.train` does.

    runs  by number; those that the archive has already are compared with
    """
    check_kernel_folder()
    _HalvedGrid(session, runs, halving).train()


def train_left(session: "Session", runs: Mapping[int, Run], blocks: Sequence[tuple[int, Sequence[int]]]) -> None:
    """Train what a sweep lacks that was broken off, with halving where it has one. Raises what `Session.train` does.

    runs, blocks  see `bptt.sweeps.reopen.missing`
    """
    searched = session.journal.searched
    if session.journal.search or searched is None or searched.halving is None:
        session.train(runs, blocks)
        return
    halving = read_grid_halving({"halving": searched.halving})
    assert halving is not None
    own = {number: run for number, run in runs.items() if session.jobs[number].stage == "result"}
    train_halved(session, own, halving)
    session.train(runs, [(block, members) for block, members in blocks if not own.keys() & {*members}])


class _HalvedGrid:
    def __init__(self, session: "Session", runs: Mapping[int, Run], halving: GridHalving) -> None:
        self._session, self._halving = session, halving
        archive = session.archive
        block = max([-1, *archive.blocks(), *(job.block for job in session.jobs)])
        self._next_block = itertools.count(block + 1)
        swept = dict.fromkeys(key for job in session.jobs.settings for key in job.swept)
        harder = choose_conditions(swept, session.journal.conditions)
        self._racers = {
            job.number: _Racer(
                job,
                tuple(job.swept.get(key) for key in harder),
                tuple((key, text) for key, text in job.swept.items() if key != SEED and key not in harder),
            )
            for job in session.jobs
            if job.stage == "result"
        }
        for number, racer in self._racers.items():
            racer.run = None if number in session.results else runs[number]
            racer.rungs = () if racer.run is None else halving.rungs(racer.run.train)
        for block in archive.blocks():
            for result in archive.results(block):
                self._take_ended(result)
        self._take_kept()
        self._kept = time.monotonic()

    def train(self) -> None:
        going = [racer for racer in self._racers.values() if not racer.ended]
        if not going:
            return
        found = {racer.job.number: racer.run for racer in going if racer.run is not None}
        groups = find_groups([*found.values()])
        numbers = [*found]
        if needs_compiling(pick_blocks(found, [[numbers[place] for place in group.places] for group in groups])):
            self._session.reporter.say(compiling_notice())
        self._session.begin(len(going))
        contests = self._list_contests()
        for rung in range(max((len(racer.rungs) for racer in going), default=0)):
            at = {racer.job.number: racer.rungs[rung] for racer in self._list_going() if rung < len(racer.rungs)}
            self._advance(at)
            for contest in contests:
                self._decide(contest, rung)
            left = sum(map(len, contests))
            updates = " and ".join(f"{update:,}" for update in sorted({*at.values()}))
            self._session.reporter.say(
                f"halving: after update {updates}, {left:,} {'setting goes' if left == 1 else 'settings go'} on"
            )
        self._advance({racer.job.number: racer.known_run.train.updates for racer in self._list_going()})
        remove_rungs(self._session.archive.folder)
        self._session.reporter.end()

    def _list_going(self) -> list[_Racer]:
        return [racer for racer in self._racers.values() if not racer.ended]

    def _list_contests(self) -> list[_Contest]:
        found: dict[tuple[str | None, ...], _Contest] = {}
        for racer in self._racers.values():
            found.setdefault(racer.condition, {}).setdefault(racer.setting, []).append(racer)
        return [*found.values()]

    def _decide(self, contest: _Contest, rung: int) -> None:
        """Give up the settings of a condition that fall behind at a rung; they are no longer in the contest."""
        at = {racer.rungs[rung] for racers in contest.values() for racer in racers if rung < len(racer.rungs)}
        if len(at) != 1 or len(contest) < 2:
            return
        (update,) = at
        goal = self._halving.goal
        costs = {
            setting: float(np.median([goal.cost(racer.find_value(update)) for racer in racers]))
            for setting, racers in contest.items()
        }
        order = sorted(contest, key=costs.__getitem__)  # of equals the first
        best = self._halving.count_best(len(order))
        given_up: dict[Any, list[RunResult]] = {}
        for place, setting in enumerate(order[best:], best + 1):
            racers = contest.pop(setting)
            value = costs[setting] if goal.minimize else -costs[setting]
            by = f"the median {goal.metric} of {len(racers)} seed{'s'[: len(racers) != 1]}, {value:.3g}"
            why = explain_giving_up(update, place, len(order), by, best)
            for racer in racers:
                if not racer.ended:
                    given_up.setdefault(fusing_key(racer.known_run), []).append(_give_up(racer, why))
        for results in given_up.values():
            self._session.take(next(self._next_block), results)

    def _advance(self, targets: Mapping[int, int]) -> None:
        """Train runs to these updates, by number; those that are beyond already are left."""
        tasks = self._make_tasks({number: to for number, to in targets.items() if self._racers[number].update <= to})
        by_number = {task.number: (task, numbers) for task, numbers in tasks}
        seconds = self._session.checkpoint_seconds
        with closing(self._session.advance([task for task, _ in tasks])) as results:
            for result in results:
                task, numbers = by_number[result.number]
                self._take(task, numbers, result, seconds is not None and time.monotonic() >= self._kept + seconds)
        if seconds is not None and time.monotonic() >= self._kept + seconds:
            self._kept = time.monotonic()

    def _make_tasks(self, targets: Mapping[int, int]) -> list[tuple[LaneTask, list[int]]]:
        together: dict[tuple[int, int], list[int]] = {}
        for number, to in targets.items():
            together.setdefault((self._racers[number].update, to), []).append(number)
        found = []
        for (_, to), members in together.items():
            runs = [self._racers[number].known_run for number in members]
            for part in cut_blocks(find_groups(runs), self._session.wanted):
                numbers = [members[place] for place in part]
                found.append((self._make_task(numbers, to), numbers))
        return found

    def _make_task(self, numbers: Sequence[int], to: int) -> LaneTask:
        racers = [self._racers[number] for number in numbers]
        states = [racer.state for racer in racers if racer.state is not None]
        identity = " ".join([*(racer.job.digest for racer in racers), f"to {to}"])
        number = int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16)  # the same when it is resumed
        session = self._session
        return LaneTask(
            number=number,
            runs=tuple(racer.known_run for racer in racers),
            update=to,
            start=join_checkpoints(states) if states else None,
            compared=to < racers[0].known_run.train.updates,
            checkpoint=session.archive.checkpoint(number).absolute(),
            checkpoint_seconds=session.checkpoint_seconds,
            sign=session.archive.place_sign(number, "stage"),
            identity=identity,
        )

    def _take(self, task: LaneTask, numbers: Sequence[int], result: LaneResult, kept: bool) -> None:
        """Take what came of a task. kept: whether what its runs go on from is kept, as it is time."""
        ended, going = list[RunResult](), list[int]()
        for number, lane in zip(numbers, result.lanes, strict=True):
            racer = self._racers[number]
            racer.began = result.began if racer.began is None else racer.began
            if lane.ended:
                status: Any = "FINISHED" if lane.error is None else "FAILED"
                ended.append(
                    RunResult(
                        job=number,
                        status=status,
                        record=lane.record,
                        error=lane.error,
                        began=racer.began,
                        ended=result.ended,
                    )
                )
                self._take_ended(ended[-1])
            else:
                assert result.state is not None
                racer.state, racer.update = select_lanes(result.state, [len(going)]), task.update
                racer.record = lane.record
                self._read_state(racer)
                going.append(number)
        if ended:
            self._session.take(next(self._next_block), ended)
        if kept and result.state is not None:
            write_rung(self._session.archive.folder, task.number, going, task.update, result.state)

    def _take_kept(self) -> None:
        """Go on from what was kept of runs that have not ended."""
        for number, update, state in read_rungs(self._session.archive.folder):
            racer = self._racers.get(number)
            if racer is not None and not racer.ended and update > racer.update:
                racer.update, racer.state = update, state
                self._read_state(racer)

    def _read_state(self, racer: _Racer) -> None:
        assert racer.state is not None
        racer.updates = racer.state["history.update"]
        racer.values = racer.state[f"metric.{self._halving.metric}"][0]

    def _take_ended(self, result: RunResult) -> None:
        racer = self._racers.get(result.job)
        if racer is None:
            return
        racer.ended, racer.state, racer.record = True, None, None
        if result.record is None:
            racer.failed = True
            return
        racer.updates = result.record.history["update"]
        racer.values = np.asarray(result.record.history[self._halving.metric], np.float64)
        racer.failed = result.status == "FAILED" or result.record.outcome == "diverged"
