"""A search: its settings and its space, a study that is kept and resumed, whole batches, and halving with real runs."""

import builtins
import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import Composer
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.hydra import version_base
from bptt.configuration.vocabulary import find_conf_folder
from bptt.core.run import Record, Run
from bptt.core.training import train
from bptt.sweeps.jobs.composition import Composition
from bptt.sweeps.search.search import Prepared, Search, list_searched_keys
from bptt.sweeps.search.settings import Choices, Numbers, Space, search_space
from bptt.sweeps.search.study import Outcome
from bptt.sweeps.task import SweepTask
from bptt.sweeps.workers.training import LaneResult, LaneTask, lose_lanes, train_lanes
from bptt.tracking.folder.block import RunResult
from bptt.tracking.provenance.digest import compute_digest
from tests.core.comparing import assert_same_record

optuna = pytest.importorskip("optuna")

SMALL = ["task=xor", "model.hidden_size=3", "train.updates=54", "train.log_points=18", "task.eval_size=16"]
SEARCHED = ["optimizer.alpha=tag(log,interval(0.001,1))", "init.scale=interval(0.1,2.0)"]


@pytest.fixture
def loader() -> Iterator[ConfigLoader]:
    with initialize_config_dir(str(find_conf_folder()), job_name="bptt", **version_base()):
        yield GlobalHydra.instance().config_loader()


class Made:
    """Searches as `bptt train -m hydra/sweeper=optuna` makes them, in a folder."""

    def __init__(self, loader: ConfigLoader, folder: Path) -> None:
        self.loader, self.folder = loader, folder
        self.composer = Composer(loader, "config")

    def config(self, *overrides: str) -> DictConfig:
        own = ["hydra/sweeper=optuna", f"hydra.sweep.dir={self.folder}", *overrides]
        config = self.composer.compose(own, RunMode.MULTIRUN)
        config.hydra.job.config_name = "config"
        return config

    def search(self, *overrides: str) -> Search:
        task = [text for text in overrides if not text.startswith("hydra")]
        return Search.of(self.config(*overrides), task, self.loader)


@pytest.fixture
def made(loader: ConfigLoader, tmp_path: Path) -> Made:
    return Made(loader, tmp_path / "sweep")


def space_of(made: Made, *overrides: str, **params: Any) -> Space:
    return search_space(made.config(), {key.replace("__", "."): v for key, v in params.items()}, overrides, made.loader)


def test_a_space_in_hydras_grammar(made: Made) -> None:
    space = space_of(
        made,
        "optimizer.alpha=tag(log, interval(0.01, 1))",
        "init.scale=interval(1, 2)",
        "model.hidden_size=interval(4,64)",
        "task.bits=range(3,9,2)",
        "optimizer.beta1=range(0.8,1.0,0.05)",
        "model=gru,lstm",
        "train.batch_size=choice(1,16)",
        "loss.weight=int(interval(1.2, 5.7))",
        "seed=7",
    )
    assert space.fixed == ("seed=7",)
    assert space.varied == {
        "optimizer.alpha": Numbers(low=0.01, high=1.0, log=True),
        "init.scale": Numbers(low=1.0, high=2.0),  # the file has 1.0
        "model.hidden_size": Numbers(low=4, high=64),
        "task.bits": Numbers(low=3, high=7, step=2),
        "optimizer.beta1": Numbers(low=0.8, high=0.95, step=0.05),
        "model": Choices(("gru", "lstm")),
        "train.batch_size": Choices(("1", "16")),
        "loss.weight": Numbers(low=1, high=5),
    }
    whole = {key for key, numbers in space.varied.items() if isinstance(numbers, Numbers) and type(numbers.low) is int}
    assert whole == {"model.hidden_size", "task.bits", "loss.weight"}


def test_the_command_line_replaces_what_params_say(made: Made) -> None:
    params = {
        "optimizer__alpha": "interval(0.1, 1.0)",
        "init__scale": [0.5, 1, 2],
        "model": "lstm",
        "seed": "range(4)",
        "task__bits": [5],
    }
    space = space_of(made, **params)
    assert space.fixed == ("model=lstm", "task.bits=5")
    assert list(space.varied) == ["optimizer.alpha", "init.scale", "seed"]
    assert space.varied["init.scale"] == Choices(("0.5", "1", "2"))
    space = space_of(made, "optimizer.alpha=0.3", "seed=interval(0,9)", "init.scale=1,3", **params)
    assert space.fixed == ("model=lstm", "task.bits=5", "optimizer.alpha=0.3")
    assert space.varied == {"seed": Numbers(low=0, high=9), "init.scale": Choices(("1", "3"))}


def test_values_are_short_enough_to_be_read(made: Made) -> None:
    space = space_of(made, "a=interval(0.1,0.9999999)", "b=range(0.1,0.5,0.1)", "c=x,y", "d=interval(1,9)")
    assert space.overrides({"a": 0.123456789, "b": 0.1 + 0.2, "c": "y", "d": 3}) == [
        "a=0.123457",
        "b=0.3",
        "c=y",
        "d=3",
    ]
    assert space.overrides({"a": 0.99999989}) == ["a=0.99999989"]  # 1 would be outside


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["optimizer.alpha=interval(1.0,0.5)"], "optimizer.alpha=interval(1.0,0.5): must begin below where it ends"),
        (["optimizer.alpha=tag(log,interval(0,1.0))"], "optimizer.alpha=tag(log,interval(0,1.0)): a logarithmic scale"),
        (["seed=tag(lgo,interval(1,9))"], "seed=tag(lgo,interval(1,9)): unknown tag lgo (allowed: log)"),
        (["seed=1"], "hydra.sweeper: nothing is varied; give some key an interval"),
        (["seed=shuffle(range(9))"], "seed=shuffle(range(9)): shuffle gives another order each time"),
        (["seed=1", "seed"], "seed: not of the form key=value"),
    ],
)
def test_a_wrong_space_is_told_in_a_line(made: Made, overrides: list[str], line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        space_of(made, *overrides)
    assert [told[: len(line)] for told in caught.value.lines] == [line]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ([], "hydra.sweeper.trials: missing; must be a whole number at least 1"),
        (["hydra.sweeper.trials=0"], "hydra.sweeper.trials=0: must be a whole number at least 1"),
        (
            ["hydra.sweeper.sampler=tpee"],
            "hydra.sweeper.sampler=tpee: must be one of tpe, cmaes, gp, qmc, random, grid, nsgaii; did you mean tpe?",
        ),
        (
            ["hydra.sweeper.metric=loss"],
            "hydra.sweeper.metric=loss: must be one of loss/eval, loss/train, accuracy/eval",
        ),
        (["hydra.sweeper.halving={eta: 1}"], "hydra.sweeper.halving.eta=1: must be a whole number at least 2"),
        (["hydra.sweeper.halving={eat: 3}"], "hydra.sweeper.halving.eat=3: unknown key; did you mean"),
        (["+hydra.sweeper.seeds=3"], "hydra.sweeper.seeds=3: unknown key"),
    ],
)
def test_wrong_settings_are_told_in_a_line(made: Made, overrides: list[str], line: str) -> None:
    trials = [] if not overrides or overrides[0].startswith("hydra.sweeper.trials") else ["hydra.sweeper.trials=4"]
    with pytest.raises(ConfigurationError) as caught:
        made.search(*SMALL, *SEARCHED, *trials, *overrides)
    assert [told[: len(line)] for told in caught.value.lines] == [line]


def test_without_optuna_one_line_says_what_to_install(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "optuna":
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        ConfigurationError, match=r"^hydra/sweeper=optuna: Optuna is missing; pip install 'bptt\[optuna\]'$"
    ):
        made.search(*SMALL, *SEARCHED, "hydra.sweeper.trials=4")


class Batches:
    """A launcher whose jobs have a loss that their overrides decide: best where alpha is 0.1 and the scale is 1.

    last     the job from which on there are no results: the launch was given up
    failing  jobs that fail
    silent   jobs that recorded nothing
    """

    def __init__(self, last: int = 10**9, failing: Sequence[int] = (), silent: Sequence[int] = ()) -> None:
        self.jobs: list[list[list[str]]] = []
        self.first: list[int] = []
        self.last, self.failing, self.silent = last, failing, silent

    def __call__(self, jobs: list[list[str]], first: int) -> list[JobReturn]:
        self.jobs.append(jobs)
        self.first.append(first)
        return [self.result(job, number) for number, job in enumerate(jobs, first) if number < self.last]

    def result(self, job: list[str], number: int) -> JobReturn:
        given = dict(text.split("=", 1) for text in job)
        loss = np.log10(float(given["optimizer.alpha"]) / 0.1) ** 2 + (float(given["init.scale"]) - 1.0) ** 2
        if number in self.failing:
            return JobReturn(status=JobStatus.FAILED, _return_value=RuntimeError())
        values = {} if number in self.silent else {"loss/eval": loss, "loss/train": -loss}
        return JobReturn(status=JobStatus.COMPLETED, _return_value=values)

    @property
    def all(self) -> list[list[str]]:
        return [job for jobs in self.jobs for job in jobs]


def trials_of(made: Made, name: str = "search") -> list[Any]:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{made.folder / 'study.db'}").trials


def test_whole_batches_find_what_is_best_and_are_kept(made: Made) -> None:
    launch = Batches()
    search = made.search(*SMALL, *SEARCHED, "hydra.sweeper.trials=80", "hydra.sweeper.batch=32")
    outcome = search.by_batches(launch)
    assert [len(jobs) for jobs in launch.jobs] == [32, 32, 16]
    assert launch.first == [0, 32, 64]
    assert all(job[: len(SMALL)] == SMALL for job in launch.all)
    assert len({tuple(job) for job in launch.all}) == 80
    assert outcome.counts == (80, 0, 0)
    assert outcome.best is not None
    overrides, value = outcome.best
    assert value < 0.05
    assert [text.partition("=")[0] for text in overrides] == ["optimizer.alpha", "init.scale"]
    assert str(outcome).startswith("search: 80 trials finished, 0 stopped early, 0 failed; best loss/eval 0.0")
    kept = trials_of(made)
    assert [trial.state.name for trial in kept] == ["COMPLETE"] * 80
    assert min(trial.value for trial in kept) == value
    later = [float(launch.result(job, -1).return_value["loss/eval"]) for job in launch.jobs[2]]
    sooner = [float(launch.result(job, -1).return_value["loss/eval"]) for job in launch.jobs[0]]
    assert np.median(later) < np.median(sooner)


def test_the_same_seed_asks_for_the_same_trials(loader: ConfigLoader, tmp_path: Path) -> None:
    asked = []
    for number, sampler in itertools.product(range(3), ("tpe", "random")):
        launch = Batches()
        seed = f"hydra.sweeper.sampler_seed={number // 2}"
        how = [seed, f"hydra.sweeper.sampler={sampler}", "hydra.sweeper.trials=24", "hydra.sweeper.batch=8"]
        Made(loader, tmp_path / f"{number}{sampler}").search(*SMALL, *SEARCHED, *how).by_batches(launch)
        asked.append(launch.all)
    assert asked[0] == asked[2] != asked[4]
    assert asked[1] == asked[3] != asked[5]
    assert asked[0] != asked[1]


def test_a_search_goes_on_with_what_remains(made: Made) -> None:
    how = [*SMALL, *SEARCHED, "hydra.sweeper.trials=40", "hydra.sweeper.batch=10"]
    first = Batches(last=25, failing=[3], silent=[7])
    outcome = made.search(*how).by_batches(first)
    assert outcome.counts == (23, 0, 2)
    assert len(first.all) == 30  # of which 5 were in flight when it was given up
    second = Batches()
    outcome = made.search(*how).by_batches(second)
    assert outcome.counts == (38, 0, 2)
    assert [len(jobs) for jobs in second.jobs] == [10, 5]
    assert not {tuple(job) for job in first.all} & {tuple(job) for job in second.all}
    assert len(trials_of(made)) == 40
    failed = [trial for trial in trials_of(made) if trial.state.name == "FAIL"]
    assert [trial.user_attrs["error"] for trial in failed] == ["the run failed"] * 2
    assert made.search(*how).by_batches(Batches()).counts == (38, 0, 2)  # nothing remains
    more = Batches()
    made.search(*how[:-2], "hydra.sweeper.trials=44", "hydra.sweeper.batch=10").by_batches(more)
    assert len(more.all) == 4


def test_a_file_that_holds_another_search_is_refused(made: Made) -> None:
    made.search(*SMALL, *SEARCHED, "hydra.sweeper.trials=2").by_batches(Batches())
    kind = [*SMALL, "optimizer.alpha=0.1,0.2", "init.scale=1,2", "hydra.sweeper.trials=4"]
    with pytest.raises(ConfigurationError) as caught:
        made.search(*kind)
    assert [line.partition(": ")[2] for line in caught.value.lines] == [
        "holds another search (optimizer.alpha has other values); give hydra.sweeper.study_name another name",
        "holds another search (init.scale has other values); give hydra.sweeper.study_name another name",
    ]
    with pytest.raises(ConfigurationError, match="its direction is to minimize"):
        made.search(*SMALL, *SEARCHED, "hydra.sweeper.trials=4", "hydra.sweeper.metric=accuracy/eval")
    made.search(*kind, "hydra.sweeper.study_name=other").by_batches(Batches())
    assert len(trials_of(made, "other")) == 4
    (made.folder / "study.db").write_text("no database")
    with pytest.raises(ConfigurationError, match=r"study.db: can't be read: "):
        made.search(*SMALL, *SEARCHED, "hydra.sweeper.trials=4")


def test_the_study_can_be_kept_elsewhere(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere" / "all.db"
    made.search(*SMALL, *SEARCHED, "hydra.sweeper.trials=2", f"hydra.sweeper.storage={file}").by_batches(Batches())
    assert not made.folder.exists()
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("select count(*) from trials").fetchall() == [(2,)]


def test_a_wrong_request_leaves_nothing_behind(made: Made) -> None:
    accuracy = ["task=sine", "optimizer.alpha=interval(0.1,1.0)", "hydra.sweeper.metric=accuracy/eval"]
    with pytest.raises(ConfigurationError, match="accuracy/eval: the task has no notion of right"):
        made.search(*accuracy, "hydra.sweeper.trials=2").by_batches(Batches())
    rungs = [*SMALL, *SEARCHED, "hydra.sweeper.trials=2", "hydra.sweeper.halving={min_updates: 54}"]
    with pytest.raises(ConfigurationError, match=r"hydra.sweeper.halving: no update below train.updates=54"):
        made.search(*rungs).by_halving(Real(made))
    assert not made.folder.exists()


class Real:
    """A sweep that trains its runs in this process; `lost` ones lose their worker, `stored` ones are there already."""

    workers = 2

    def __init__(self, made: Made, lost: Sequence[int] = (), stored: Sequence[int] = ()) -> None:
        self.composition, self.lost, self.stored = Composition(made.composer), lost, stored
        self.numbers: dict[str, int] = {}
        self.runs: dict[int, Run] = {}
        self.overrides: list[list[str]] = []
        self.results: dict[int, RunResult] = {}

    def prepare(self, jobs: Sequence[Sequence[str]]) -> list[Prepared]:
        prepared = []
        for job, configuration in zip(jobs, self.composition.all(jobs), strict=True):
            number = self.numbers.setdefault(compute_digest(configuration.resolved, ""), len(self.numbers))
            self.overrides.append(list(job))
            self.runs[number] = configuration.run
            prepared.append(Prepared(number, configuration.run, self.record(number)))
        return prepared

    def record(self, number: int) -> Record | None:
        return train([self.runs[number]])[0] if number in self.stored else None

    def advance(self, tasks: Sequence[LaneTask]) -> Iterator[LaneResult]:
        seeds = [self.runs[number] for number in self.lost if number in self.runs]
        for task in tasks:
            if any(run is other for run in task.runs for other in seeds):
                yield lose_lanes(task, "its worker died")
            else:
                yield train_lanes(task)

    def ended(self, results: Sequence[RunResult]) -> None:
        assert not {result.job for result in results} & self.results.keys()
        self.results |= {result.job: result for result in results}


RUNGS = [4, 13, 38]  # the recorded updates from 4, 12 and 36 on
HALVED = ["hydra.sweeper.trials=30", "hydra.sweeper.batch=12", "hydra.sweeper.halving={eta: 3, min_updates: 4}"]


def counted(real: Real) -> tuple[int, int, int]:
    statuses = [result.status for result in real.results.values()]
    return statuses.count("FINISHED"), statuses.count("KILLED"), statuses.count("FAILED")


def test_halving_trains_the_best_to_their_end_with_their_own_bits(made: Made) -> None:
    real = Real(made)
    outcome = made.search(*SMALL, *SEARCHED, *HALVED).by_halving(real)
    assert outcome.counts == counted(real)
    assert sum(outcome.counts) == 30
    assert 1 <= outcome.counts[0] <= 6
    losses = {}
    for number, result in real.results.items():
        if result.status == "FINISHED":
            assert result.record is not None
            assert_same_record(result.record, train([real.runs[number]])[0])
            losses[number] = float(result.record.history["loss/eval"][-1])
    assert outcome.best is not None
    assert outcome.best[1] == min(losses.values())
    kept = trials_of(made)
    for trial in kept:
        reached = list(trial.intermediate_values)
        assert reached == RUNGS[: len(reached)]
        assert trial.state.name == "COMPLETE" or reached
    states = [trial.state.name for trial in kept]
    assert (states.count("COMPLETE"), states.count("PRUNED"), states.count("FAIL")) == outcome.counts


def test_a_search_with_halving_goes_on_with_what_remains(made: Made) -> None:
    class Broken(Real):
        def advance(self, tasks: Sequence[LaneTask]) -> Iterator[LaneResult]:
            if len(self.results) > 10:
                raise KeyboardInterrupt
            return super().advance(tasks)

    broken = Broken(made)
    with pytest.raises(KeyboardInterrupt):
        made.search(*SMALL, *SEARCHED, *HALVED).by_halving(broken)
    assert 10 < len(trials_of(made)) == len(broken.results) < 30
    real = Real(made)
    outcome = made.search(*SMALL, *SEARCHED, *HALVED).by_halving(real)
    assert sum(outcome.counts) == 30
    assert len(real.results) == 30 - len(broken.results)
    assert not {tuple(job) for job in real.overrides} & {tuple(job) for job in broken.overrides}


def test_runs_whose_worker_is_lost_have_failed(made: Made) -> None:
    real = Real(made, lost=[1])
    outcome = made.search(*SMALL, *SEARCHED, *HALVED).by_halving(real)
    assert outcome.counts == counted(real)
    assert real.results[1].error == "its worker died"
    assert outcome.counts[2] >= 1
    assert sum(outcome.counts) == 30


def test_a_run_that_is_asked_for_again_is_trained_once(made: Made) -> None:
    few = ["optimizer.alpha=0.01,0.02", "init.scale=0.5,1"]
    real = Real(made)
    outcome = made.search(*SMALL, *few, *HALVED).by_halving(real)
    assert sum(outcome.counts) == 30
    assert len(real.results) == 4
    finished = [trial for trial in trials_of(made) if trial.state.name == "COMPLETE"]
    assert len(finished) == outcome.counts[0]
    values = {trial.value for trial in finished}
    assert values == {
        float(result.record.history["loss/eval"][-1])
        for result in real.results.values()
        if result.status == "FINISHED" and result.record is not None
    }
    assert all(trial.intermediate_values for trial in trials_of(made))


def test_a_run_that_the_store_holds_is_taken_from_there(made: Made) -> None:
    real = Real(made, stored=range(0, 30, 2))
    outcome = made.search(*SMALL, *SEARCHED, *HALVED).by_halving(real)
    assert set(real.results) == set(range(1, 30, 2))
    assert outcome.counts[0] >= 15
    assert sum(outcome.counts) == 30


def test_a_diverged_run_is_worth_as_little_as_can_be(made: Made) -> None:
    wild = [
        "task=sine",
        "model=linear",
        "optimizer=sgd",
        "model.hidden_size=3",
        "train.updates=54",
        "train.log_points=18",
    ]
    real = Real(made)
    search = made.search(*wild, "optimizer.alpha=tag(log,interval(1e-4,1e9))", *HALVED)
    outcome: Outcome = search.by_halving(real)
    diverged = [r.job for r in real.results.values() if r.record is not None and r.record.outcome == "diverged"]
    assert diverged
    assert outcome.counts == counted(real)
    # Whose loss overflows at a rung is stopped there, before it has diverged: that is no value of an ended run.
    told = [trial.value for trial in trials_of(made) if trial.state.name == "COMPLETE"]
    assert told.count(float("inf")) == len(diverged)
    assert len(told) == outcome.counts[0]
    assert {run.record.outcome for run in real.results.values() if run.status == "FINISHED" and run.record} == {
        "diverged",
        "completed",
    }
    assert outcome.best is not None
    assert np.isfinite(outcome.best[1])


def test_what_is_searched_is_known_from_the_configuration(made: Made) -> None:
    config = made.config(*SMALL, *SEARCHED, "+hydra.sweeper.params.seed='range(3)'")
    assert list_searched_keys(config, made.loader) == ["seed", "optimizer.alpha", "init.scale"]


def test_the_shipped_search_asks_for_what_it_says(made: Made) -> None:
    config = made.composer.compose(["sweep=optuna_adder", f"hydra.sweep.dir={made.folder}"], RunMode.MULTIRUN)
    config.hydra.job.config_name = "config"
    search = Search.of(config, ["sweep=optuna_adder"], made.loader)
    assert search.settings.halving is not None
    assert set(search.space.varied) == {"optimizer.alpha", "init.scale", "model.hidden_size"}
    assert search.space.fixed == ("sweep=optuna_adder",)
    run = check_configuration(made.composer.compose(["sweep=optuna_adder"])).run
    assert search.settings.halving.rungs(run.train) == (405, 1213, 3637)


class Task(SweepTask):
    """What Hydra is given to call: by the launcher `lanes` with whole batches, by the sweeper with a halved search."""

    def __init__(self, made: Made) -> None:
        self.launch, self.real = Batches(), Real(made)

    def __call__(self, config: DictConfig, /) -> None:
        raise AssertionError

    def sweep(self, config: DictConfig, loader: ConfigLoader, jobs: Sequence[Sequence[str]]) -> list[JobReturn]:
        return self.launch([list(job) for job in jobs], 0)

    def search(self, config: DictConfig, loader: ConfigLoader, search: Search) -> Outcome:
        return search.by_halving(self.real) if search.settings.halving else search.by_batches(self.launch)


def swept(made: Made, task: Task, *overrides: str) -> Outcome:
    context = HydraContext(config_loader=made.loader, callbacks=Callbacks())
    config = made.config(*overrides)
    sweeper = Plugins.instance().instantiate_sweeper(hydra_context=context, task_function=task, config=config)
    return sweeper.sweep([text for text in overrides if not text.startswith("hydra")])


def test_hydra_finds_the_sweeper(made: Made) -> None:
    task = Task(made)
    outcome = swept(made, task, *SMALL, *SEARCHED, "hydra.sweeper.trials=10", "hydra.sweeper.batch=8")
    assert [len(jobs) for jobs in task.launch.jobs] == [8, 2]
    assert outcome.counts == (10, 0, 0)
    halved = swept(made, task, *SMALL, *SEARCHED, *HALVED, "hydra.sweeper.study_name=halved")
    assert len(task.launch.jobs) == 2
    assert halved.counts == counted(task.real)
    assert sum(halved.counts) == 30
