"""A search: trials are asked for, many at once so that they fuse, trained as a sweep's runs, and told their worth."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import Composer
from bptt.configuration.errors import ConfigurationError
from bptt.core.run import Record, Run
from bptt.sweeps.jobs.grammar import strip_key
from bptt.sweeps.launch import Launch
from bptt.sweeps.results import make_returns
from bptt.sweeps.search.halving import Candidate, SuccessiveHalving
from bptt.sweeps.search.objectives import PARAMETERS, count_parameters, has_accuracy, weigh_run
from bptt.sweeps.search.samplers import list_remarks
from bptt.sweeps.search.settings import SearchSettings, Space, describe_values, search_settings, search_space
from bptt.sweeps.search.study import Outcome, Study
from bptt.sweeps.session import Session
from bptt.sweeps.workers.training import LaneResult, LaneTask
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.files import STUDY
from bptt.tracking.folder.sweep import Searched

if TYPE_CHECKING:
    from optuna.trial import Trial


@dataclass(frozen=True)
class Prepared:
    """A run of the sweep. record: what the store has of it, where it was finished before; None: it is to be trained."""

    job: int
    run: Run
    record: Record | None = None


class Runs(Protocol):
    """The sweep whose runs a search with halving trains.

    workers  how many there are
    """

    workers: int

    def prepare(self, jobs: Sequence[Sequence[str]]) -> Sequence[Prepared]:
        """Add jobs, given by their overrides, to the sweep; one that repeats an earlier one has its number."""
        ...

    def advance(self, tasks: Sequence[LaneTask]) -> Iterator[LaneResult]:
        """`train_lanes` of every task, by the workers."""
        ...

    def ended(self, results: Sequence[RunResult]) -> None:
        """Record runs of the same shape, as one block."""
        ...


class Search:
    """What `hydra/sweeper=optuna` does."""

    def __init__(self, settings: SearchSettings, space: Space, folder: Path, composer: Composer) -> None:
        self.settings, self.space = settings, space
        self._study = Study(settings, space, settings.storage or folder / STUDY)
        self.settings = self._study.settings
        self._composer = composer

    @classmethod
    def of(cls, config: DictConfig, overrides: Sequence[str], loader: ConfigLoader) -> "Search":
        """The search that a sweep's configuration and its command line ask for. Raises ConfigurationError."""
        node = _node(config)
        settings = search_settings(node)
        space = search_space(config, node["params"], overrides, loader)
        return cls(settings, space, Path(str(config.hydra.sweep.dir)), Composer(loader, config.hydra.job.config_name))

    @property
    def remaining(self) -> int:
        """How many trials may still be asked for."""
        return self._study.remaining

    @property
    def remarks(self) -> list[str]:
        """What is to be known about how it searches."""
        return list_remarks(self.settings, self.space)

    def describe(self) -> Searched:
        """What the sweep's journal keeps of it."""
        settings = self.settings
        return Searched(
            objectives={goal.metric: goal.direction for goal in settings.goals},
            sampler=settings.sampler,
            space={key: describe_values(of) for key, of in self.space.varied.items()},
            halving=None if settings.halving is None else asdict(settings.halving),
        )

    def by_batches(self, launch: Callable[[list[list[str]], int], Sequence[JobReturn]]) -> Outcome:
        """Train whole batches, each to its end; `launch` returns fewer results than jobs where it was given up.

        What a job returns is the last value of each of its metrics.
        """
        first = 0
        with self._study as study:
            while trials := study.ask(self.settings.batch):
                jobs = [study.overrides(trial) for trial in trials]
                if first == 0:
                    self._check(jobs[0])
                results = launch(jobs, first)
                first += len(jobs)
                for trial, result in zip(trials, results, strict=False):
                    values = result.return_value if result.status is JobStatus.COMPLETED else {}
                    lacking = [goal.metric for goal in self.settings.goals if goal.metric not in values]
                    if lacking:
                        told = f"the run has no {lacking[0]}" if values else "the run failed"
                        study.failed(trial, told)
                    else:
                        study.finished(trial, weigh_run(values, self.settings.goals))
                if len(results) < len(jobs):
                    break
        return study.outcome()

    def by_halving(self, runs: Runs) -> Outcome:
        """Stop the runs that fall behind, and ask for others in their place."""
        with self._study as study:
            _Halved(self.settings, study, runs, self._check).run()
        return study.outcome()

    def _check(self, overrides: Sequence[str]) -> None:
        """Raise ConfigurationError where a trial can't be judged as the settings ask for."""
        run, settings = check_configuration(self._composer.compose(overrides)).run, self.settings
        named = [goal.metric for goal in settings.goals]
        if "accuracy/eval" in named and not has_accuracy(run):
            key = (
                "hydra.sweeper.objectives.accuracy/eval"
                if settings.objectives
                else "hydra.sweeper.metric=accuracy/eval"
            )
            raise ConfigurationError([f"{key}: the task has no notion of right"])
        if settings.halving is not None and not settings.halving.rungs(run.train):
            raise ConfigurationError(
                [f"hydra.sweeper.halving: no update below train.updates={run.train.updates} at which to compare"]
            )


class _Halved:
    """A search with halving, between Optuna's study and the sweep.

    A run that several trials ask for is trained once.
    """

    def __init__(
        self, settings: SearchSettings, study: Study, runs: Runs, check: Callable[[Sequence[str]], None]
    ) -> None:
        self._settings, self._study, self._runs, self._check = settings, study, runs, check
        self._trials: dict[int, list[Trial]] = {}  # of the jobs that have not ended
        self._over: dict[int, Callable[[Trial], None]] = {}  # what to tell of those that have
        self._values: dict[int, dict[int, float]] = {}  # of a job, at its rungs
        self._halving = SuccessiveHalving(
            settings, runs.workers, ask=self._ask, advance=runs.advance, reached=self._reached, ended=self._ended
        )

    def run(self) -> None:
        for values in self._study.reports():
            self._halving.remember(values)
        self._halving.run()

    def _ask(self, count: int) -> list[Candidate]:
        found: list[Candidate] = []
        while len(found) < count and (trials := self._study.ask(count - len(found))):
            jobs = [self._study.overrides(trial) for trial in trials]
            if not self._trials and not self._over:
                self._check(jobs[0])
            for trial, prepared in zip(trials, self._runs.prepare(jobs), strict=True):
                if prepared.record is not None and prepared.job not in self._over:
                    self._reuse(prepared.job, prepared.run, prepared.record)
                if prepared.job in self._values:
                    self._report(trial, prepared.job)
                if prepared.job in self._over:
                    self._over[prepared.job](trial)
                elif prepared.job in self._trials:
                    self._trials[prepared.job].append(trial)
                else:
                    self._trials[prepared.job] = [trial]
                    found.append(Candidate(prepared.job, prepared.run))
        return found

    def _reuse(self, job: int, run: Run, record: Record) -> None:
        """A run that was trained before is what others are compared with, too."""
        assert self._settings.halving is not None
        metric = dict(zip(record.history["update"].tolist(), record.history[self._settings.goal.metric], strict=True))
        rungs = self._settings.halving.rungs(run.train)
        self._values[job] = {rung: float(metric[rung]) for rung in rungs if rung in metric}
        self._halving.remember(list(self._values[job].values()))
        self._over[job] = self._finished(record)

    def _report(self, trial: "Trial", job: int) -> None:
        for update, value in self._values[job].items():
            trial.report(value, update)

    def _reached(self, job: int, update: int, value: float) -> None:
        self._values.setdefault(job, {})[update] = value
        for trial in self._trials[job]:
            trial.report(value, update)

    def _ended(self, results: Sequence[RunResult]) -> None:
        self._runs.ended(results)
        for result in results:
            tell = self._telling(result)
            self._over[result.job] = tell
            for trial in self._trials.pop(result.job):
                tell(trial)

    def _telling(self, result: RunResult) -> "Callable[[Trial], None]":
        if result.status == "KILLED":
            return self._study.stopped
        if result.status == "FINISHED" and result.record is not None:
            return self._finished(result.record)
        return lambda trial: self._study.failed(trial, result.error or "the run failed")

    def _finished(self, record: Record) -> "Callable[[Trial], None]":
        values = weigh_run({name: float(row[-1]) for name, row in record.history.items()}, self._settings.goals)
        return lambda trial: self._study.finished(trial, values)


def list_searched_keys(config: DictConfig, loader: ConfigLoader) -> list[str]:
    """The keys that the search of this configuration varies."""
    space = search_space(config, _node(config)["params"], list(config.hydra.overrides.task), loader)
    return [strip_key(key) for key in space.varied]


def _node(config: DictConfig) -> dict[str, Any]:
    """The node hydra.sweeper, without what has no value."""
    node = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items() if value != "???"}


def run_search(launch: Launch, search: Search) -> Outcome:
    """Search until no trial remains. Raises what `Launch.launch` does."""
    launch.trials, launch.searched = search.remaining, search.describe()
    if search.settings.halving is not None:
        return search.by_halving(_Runs(launch, search.settings.trials))
    counts = any(goal.metric == PARAMETERS for goal in search.settings.goals)
    runs: dict[int, Run] = {}

    def trained(jobs: list[list[str]], _first: int) -> Sequence[JobReturn]:
        results = launch.launch(jobs)
        assert launch.session is not None
        returns = [*make_returns(launch.session.jobs, launch.session.results, results)]
        if counts and launch.added is not None:
            runs.update(launch.added.runs)
            for number, made in zip(launch.added.numbers, returns, strict=False):
                if made.status is JobStatus.COMPLETED:
                    made.return_value = {**made.return_value, PARAMETERS: float(count_parameters(runs[number]))}
        return returns

    return search.by_batches(trained)


class _Runs:
    """The sweep as a search with halving sees it."""

    def __init__(self, launch: Launch, trials: int) -> None:
        self.workers = launch.settings.wanted
        self._launch, self._trials = launch, trials
        self._runs: dict[int, Run] = {}

    @property
    def _session(self) -> Session:
        assert self._launch.session is not None
        return self._launch.session

    def prepare(self, jobs: Sequence[Sequence[str]]) -> list[Prepared]:
        """Add jobs to the sweep."""
        begins = self._launch.session is None
        added = self._launch.add(jobs)
        self._runs |= added.runs
        if begins:
            self._session.begin(self._trials)
        return [Prepared(number, self._runs[number], added.records.get(number)) for number in added.numbers]

    def advance(self, tasks: Sequence[LaneTask]) -> Iterator[LaneResult]:
        """Train stages; Ctrl-C raises KeyboardInterrupt while it waits for one."""
        place = self._session.archive.place_sign
        return self._session.advance([replace(task, sign=place(task.number, "stage")) for task in tasks])

    def ended(self, results: Sequence[RunResult]) -> None:
        """Record runs of the same shape, as one block."""
        self._session.take(next(self._launch.next_block), results)
