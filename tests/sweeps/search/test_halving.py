"""Successive halving: who goes on and who is stopped, with invented losses; and that stages change no bit."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.optimizers.adam import Adam
from bptt.core.optimizers.sgd import Sgd
from bptt.core.run import TIMED, Record, Run
from bptt.core.simd import WIDTH
from bptt.core.training import train
from bptt.sweeps.search.halving import Candidate, SuccessiveHalving
from bptt.sweeps.search.settings import HalvingSettings, SearchSettings
from bptt.sweeps.workers.training import Lane, LaneResult, LaneTask, train_lanes
from bptt.tracking.folder.block import RunResult
from tests.core.comparing import assert_same_bits, assert_same_record
from tests.core.making import make_model, make_run


def settings(**changes: Any) -> SearchSettings:
    halving = HalvingSettings(eta=changes.pop("eta", 3), min_updates=changes.pop("min_updates", 10))
    return SearchSettings(trials=1, halving=halving, **({"batch": 24} | changes))


class Sweep:
    """A sweep whose runs are not trained: a run's loss is what `worth` says of its job, its seed, at an update.

    rounds   the tasks of each round
    earlier  what runs of an earlier command were worth at their rungs
    """

    def __init__(
        self,
        worth: Callable[[int, int], float],
        runs: Sequence[Run],
        how: SearchSettings,
        workers: int = 2,
        earlier: Sequence[list[float]] = (),
    ) -> None:
        self.worth, self.left = worth, list(runs)
        self.rounds: list[list[LaneTask]] = []
        self.results: dict[int, RunResult] = {}
        self.blocks: list[list[int]] = []
        self.reached: dict[int, dict[int, float]] = {}
        self.asked: list[int] = []
        self.metric = how.metric
        halving = SuccessiveHalving(
            how, workers, ask=self.ask, advance=self.advance, reached=self.reach, ended=self.end
        )
        for values in earlier:
            halving.remember(values)
        halving.run()

    def ask(self, count: int) -> list[Candidate]:
        self.asked.append(count)
        new, self.left = self.left[:count], self.left[count:]
        return [Candidate(run.seed, run) for run in new]

    def advance(self, tasks: Sequence[LaneTask]) -> Iterator[LaneResult]:
        self.rounds.append(list(tasks))
        for task in reversed(tasks):  # in whatever order they end
            over = task.update == task.runs[0].train.updates
            lanes = [self.lane(run, task, over) for run in task.runs]
            left = [run.seed for run, lane in zip(task.runs, lanes, strict=True) if not lane.ended]
            if task.start is not None:
                assert task.start["seed"].tolist() == [run.seed for run in task.runs]
            checkpoint = {"next": np.array(0), "history.update": np.array([task.update]), "seed": np.array(left)}
            state = checkpoint if left else None
            yield LaneResult(number=task.number, lanes=tuple(lanes), state=state, began=0.0, ended=0.0)

    def lane(self, run: Run, task: LaneTask, over: bool) -> Lane:
        worth = self.worth(run.seed, task.update)
        if worth == -np.inf:
            return Lane(ended=True, record=None, error="Boom")
        diverged = worth == np.inf
        history = {"update": np.array([task.update]), self.metric: np.array([worth])}
        record = Record(
            "diverged" if diverged else "completed", task.update, history, np.zeros((1, 1)), {}, np.zeros(1)
        )
        return Lane(ended=over or diverged, record=record if over or diverged or task.compared else None)

    def reach(self, job: int, update: int, value: float) -> None:
        assert job not in self.results
        self.reached.setdefault(job, {})[update] = value

    def end(self, results: Sequence[RunResult]) -> None:
        self.blocks.append([result.job for result in results])
        for result in results:
            assert result.job not in self.results
            self.results[result.job] = result

    def statuses(self) -> Counter[str]:
        return Counter(result.status for result in self.results.values())

    def updates(self, job: int) -> int:
        record = self.results[job].record
        assert record is not None
        return record.updates


def runs_of(count: int, updates: int = 270, **changes: Any) -> list[Run]:
    """Runs of which every update is recorded, so that rungs are where they are asked for."""
    return [make_run(seed=seed, updates=updates, log_points=updates, **changes) for seed in range(count)]


def test_of_one_batch_the_best_third_goes_on_at_every_rung() -> None:
    found = Sweep(lambda seed, update: float(-seed), runs_of(27), settings(batch=27))
    expected = dict.fromkeys(range(18), 10) | dict.fromkeys(range(18, 24), 30) | {24: 90, 25: 90, 26: 270}
    assert {job: found.updates(job) for job in range(27)} == expected
    assert found.statuses() == {"KILLED": 26, "FINISHED": 1}
    assert found.reached[26] == {10: -26.0, 30: -26.0, 90: -26.0}
    assert found.reached[0] == {10: 0.0}
    outcomes = [result.record.outcome for _, result in sorted(found.results.items()) if result.record is not None]
    assert outcomes == ["early_stopped"] * 26 + ["completed"]
    assert all(result.error is None and result.began <= result.ended for result in found.results.values())


def test_an_accuracy_is_better_when_it_is_higher() -> None:
    found = Sweep(lambda seed, _: float(seed), runs_of(9), settings(batch=9, metric="accuracy/eval"))
    assert found.updates(8) == 270
    assert found.updates(0) == 10
    least = Sweep(lambda seed, _: float(seed), runs_of(9), settings(batch=9, direction="minimize"))
    assert least.updates(0) == 270


def test_free_places_are_filled_and_no_more_than_the_batch_is_trained() -> None:
    rng = np.random.default_rng(4)
    quality = rng.random(400)
    found = Sweep(lambda seed, _: quality[seed], runs_of(400), settings(batch=64, eta=2, min_updates=30))
    assert len(found.results) == 400
    in_flight = [sum(len(task.runs) for task in tasks) for tasks in found.rounds]
    assert max(in_flight) == 64
    while_new_ones_come = in_flight[: sum(1 for tasks in found.rounds if any(task.update == 30 for task in tasks))]
    assert min(while_new_ones_come[:-2]) == 64
    assert found.updates(int(quality.argmin())) == 270
    finished = [job for job in found.results if found.updates(job) == 270]
    assert 400 / 2**4 / 2 < len(finished) < 400 / 2**4 * 2
    assert np.median(quality[finished]) < np.sort(quality)[40]


def test_those_that_go_on_fill_vectors_as_long_as_new_runs_come() -> None:
    quality = np.random.default_rng(5).random(300)
    found = Sweep(lambda seed, _: quality[seed], runs_of(300), settings(batch=48))
    last = max(number for number, tasks in enumerate(found.rounds) if any(task.update == 10 for task in tasks))
    sizes = [len(task.runs) for tasks in found.rounds[:last] for task in tasks if task.update > 10]
    assert sizes
    assert all(size % WIDTH == 0 for size in sizes)


def test_a_round_is_as_long_as_the_shortest_way_to_a_rung() -> None:
    quality = np.random.default_rng(6).random(100)
    found = Sweep(lambda seed, _: quality[seed], runs_of(100), settings(batch=32))
    before: dict[int, int] = {}
    for tasks in found.rounds:
        ways = [task.update - before.get(run.seed, 0) for task in tasks for run in task.runs]
        assert len(set(ways)) == 1
        assert any(task.update in (10, 30, 90, 270) for task in tasks)
        for task in tasks:
            assert task.compared == (task.update in (10, 30, 90))
            for run in task.runs:
                assert not any(before.get(run.seed, 0) < rung < task.update for rung in (10, 30, 90))
                before[run.seed] = task.update


def test_runs_that_are_recorded_seldom_go_to_the_next_recorded_update_at_least() -> None:
    often = runs_of(4)
    seldom = [make_run(seed=seed, updates=270, log_points=4) for seed in range(4, 8)]  # 1, 91, 180, 270
    found = Sweep(lambda seed, _: float(seed), often + seldom, settings(batch=8))
    assert [found.updates(job) for job in range(8)] == [270, 10, 10, 10, 91, 91, 91, 91]
    assert found.reached[4] == {91: 4.0}


def test_what_is_decided_depends_on_no_order() -> None:
    """Neither on the order in which tasks end (`Sweep.advance` reverses it), nor on how many workers there are."""
    quality = np.random.default_rng(7).random(120)
    found = [Sweep(lambda seed, _: quality[seed], runs_of(120), settings(batch=40), workers) for workers in (1, 2, 7)]
    ends = [{job: sweep.updates(job) for job in range(120)} for sweep in found]
    assert ends[0] == ends[1] == ends[2]


def test_every_worker_has_lanes_to_train() -> None:
    found = Sweep(lambda seed, _: float(seed), runs_of(64), settings(batch=64), workers=4)
    assert [len(task.runs) for task in found.rounds[0]] == [16] * 4
    found = Sweep(
        lambda seed, _: float(seed),
        runs_of(64, model=make_model("elman", hidden_size=100)),
        settings(batch=64),
        workers=3,
    )
    assert [len(task.runs) for task in found.rounds[0]] == [22, 22, 20]


def test_of_equally_good_ones_the_first_go_on() -> None:
    found = Sweep(lambda *_: 0.0, runs_of(36), settings(batch=18))
    assert [job for job in range(36) if found.updates(job) > 10] == [0, 1, 2, 3, 4, 5]


def test_few_runs_have_a_best_one_too_and_none_is_worth_nothing() -> None:
    found = Sweep(lambda seed, _: float(seed), runs_of(2), settings())
    assert [found.updates(job) for job in range(2)] == [270, 10]
    lost = Sweep(lambda seed, update: float("nan"), runs_of(2), settings())
    assert lost.statuses() == {"KILLED": 2}


def test_runs_that_end_between_rungs_leave_the_batch() -> None:
    def worth(seed: int, update: int) -> float:
        if seed == 3:
            return np.inf  # diverged
        return -np.inf if seed == 5 and update > 10 else float(seed % 2 == 0 and seed)  # raised

    found = Sweep(worth, runs_of(18), settings(batch=18))
    assert (found.results[3].status, found.results[5].status) == ("FINISHED", "FAILED")
    assert found.results[5].error == "Boom"
    assert 3 not in found.reached
    assert found.statuses() == {"FINISHED": 2, "FAILED": 1, "KILLED": 15}


def test_runs_that_do_not_fuse_are_compared_but_trained_and_recorded_apart() -> None:
    small = runs_of(12)
    large = [dataclasses.replace(run, seed=run.seed + 12, model=make_model("gru")) for run in runs_of(12)]
    found = Sweep(lambda seed, _: float(-seed), small + large, settings(batch=24))
    assert all(found.updates(job) == 10 for job in range(12))
    assert all(len({type(run.model) for run in task.runs}) == 1 for tasks in found.rounds for task in tasks)
    assert all(len({job < 12 for job in block}) == 1 for block in found.blocks)


def test_earlier_runs_are_compared_with() -> None:
    better = [[-1.0 - number, 0.0] for number in range(30)]
    found = Sweep(lambda seed, _: float(seed), runs_of(9), settings(batch=9), earlier=better)
    assert {found.updates(job) for job in range(9)} == {10}
    worse = [[100.0], [101.0, 7.0], [102.0, 8.0, 9.0]]
    found = Sweep(lambda seed, _: float(seed), runs_of(9), settings(batch=9), earlier=worse)
    assert [found.updates(job) for job in range(5)] == [270, 90, 30, 30, 10]  # the best 4 of 12, 2 of 6, 1 of 3


def test_rungs_are_recorded_updates_below_the_last() -> None:
    train_settings = make_run(updates=1000, log_points=11).train
    assert HalvingSettings(eta=3, min_updates=90).rungs(train_settings) == (101, 301, 900)
    assert HalvingSettings(eta=10, min_updates=100).rungs(train_settings) == (101,)
    assert HalvingSettings(eta=3, min_updates=1000).rungs(train_settings) == ()
    assert HalvingSettings(eta=2).rungs(make_run(updates=80, log_points=80).train) == (10, 20, 40)
    assert HalvingSettings(eta=2, min_updates=1).rungs(make_run(updates=8, log_points=2).train) == (1,)


def real_runs(count: int, **changes: Any) -> list[Run]:
    return [
        make_run(
            seed=seed,
            updates=54,
            log_points=18,
            optimizer=Adam(alpha=0.002 * 1.4**seed, beta1=0.9, beta2=0.99, small_constant=1e-8),
            init=Initialisation(Normal(scale=0.2 + 0.03 * seed)),
            carry_state=True,
            **changes,
        )
        for seed in range(count)
    ]


@pytest.mark.parametrize("batch_size", [1, 9])
def test_a_run_that_came_through_has_the_bits_of_the_run_alone(batch_size: int) -> None:
    runs = real_runs(24, batch_size=batch_size)
    left, results = list(runs), dict[int, RunResult]()

    def ask(count: int) -> list[Candidate]:
        new = [left.pop(0) for _ in range(min(count, len(left)))]
        return [Candidate(run.seed, run) for run in new]

    SuccessiveHalving(
        settings(batch=12, min_updates=4),
        2,
        ask=ask,
        advance=lambda tasks: map(train_lanes, tasks),
        reached=lambda job, update, value: None,
        ended=lambda ended: results.update({result.job: result for result in ended}),
    ).run()
    assert len(results) == 24
    ends = Counter(result.status for result in results.values())
    assert ends["FINISHED"] >= 1
    assert ends["KILLED"] >= 16
    for job, result in results.items():
        alone = train([runs[job]])[0]
        assert result.record is not None
        if result.status == "FINISHED":
            assert_same_record(result.record, alone)
            continue
        points = len(result.record.history["update"])
        assert result.record.outcome == "early_stopped"
        assert result.record.updates == alone.history["update"][points - 1] < 54
        for name in alone.history.keys() - TIMED:
            assert_same_bits(result.record.history[name], alone.history[name][:points], name)


@dataclasses.dataclass(frozen=True)
class Raising:
    """An optimizer's init that raises."""

    def parameters(self, seed: np.random.SeedSequence, blocks: Any) -> Any:
        raise RuntimeError("no weights today")


def test_a_run_that_raises_in_a_stage_disturbs_no_other() -> None:
    runs = real_runs(5)
    runs[3] = dataclasses.replace(runs[3], init=Raising())  # type: ignore[arg-type]
    exploding = dataclasses.replace(runs[1], optimizer=Sgd(alpha=1e200), model=make_model("elman", readout="identity"))
    task = LaneTask(number=7, runs=tuple(runs), update=10)
    result = train_lanes(task)
    assert result.number == 7
    assert [lane.ended for lane in result.lanes] == [False, False, False, True, False]
    assert "no weights today" in (result.lanes[3].error or "")
    assert all(lane.record is None for lane in result.lanes)
    sound = [run for place, run in enumerate(runs) if place != 3]
    rest = train_lanes(LaneTask(number=0, runs=tuple(sound), start=result.state, update=54))
    assert rest.state is None
    for run, lane in zip(sound, rest.lanes, strict=True):
        assert lane.record is not None
        assert_same_record(lane.record, train([run])[0])
    diverged = train_lanes(LaneTask(number=0, runs=(exploding,), update=54)).lanes[0]
    assert diverged.ended
    assert diverged.record is not None
    assert diverged.record.outcome == "diverged"
