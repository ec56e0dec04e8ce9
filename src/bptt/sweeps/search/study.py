"""Optuna's study of a search: asked in memory, which takes a millisecond; what has ended is kept in SQLite."""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from bptt.configuration.errors import ConfigurationError
from bptt.sweeps.search.objectives import Objective
from bptt.sweeps.search.samplers import count_grid, list_sampler_problems, make_sampler, shuffle_grid
from bptt.sweeps.search.settings import Choices, Numbers, SearchSettings, Space
from bptt.tracking.store.address import StoreError

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna.trial import FrozenTrial, Trial

_ERROR: Final = "error"  # the attribute of a trial that failed


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a search came to.

    counts  finished, stopped early, failed
    goals   what counted
    best    what the best trial that finished is of, and its value; None: none did
    front   how many trials no other one is better than in every objective; of one objective it is not told
    """

    counts: tuple[int, int, int]
    goals: tuple[Objective, ...]
    best: tuple[list[str], float] | None
    front: int = 0

    def __str__(self) -> str:
        finished, stopped, failed = self.counts
        text = f"search: {finished} trials finished, {stopped} stopped early, {failed} failed"
        names = [goal.metric for goal in self.goals]
        if self.front:
            return f"{text}; {self.front} on the Pareto front of {' and '.join(names)}"
        if self.best is None:
            return text
        overrides, value = self.best
        return f"{text}; best {names[0]} {value:.6g} with {' '.join(overrides)}"


class Study:
    """The trials of a search, and of those that an interrupted one with the same file has left.

    Trials that had not ended when their process was killed were never kept: others are asked for in their place. Making
    one raises ConfigurationError where Optuna is missing, or where the file holds another search.
    """

    def __init__(self, settings: SearchSettings, space: Space, file: Path) -> None:
        optuna = _optuna()
        if problems := list_sampler_problems(settings, space):
            raise ConfigurationError(problems)
        if settings.sampler == "grid":
            settings = replace(settings, trials=min(settings.trials, count_grid(space)))
        self._settings, self._space, self._file = settings, space, file
        self._distributions = {key: _distribution(varied) for key, varied in space.varied.items()}
        self._stored: OptunaStudy | None = None
        if file.is_symlink():  # SQLite would write into what it leads to
            raise ConfigurationError([f"hydra.sweeper.storage={file}: is a link; name the file itself"])
        earlier = self._earlier() if file.exists() else []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = make_sampler(settings, self._distributions, len(earlier))
        self._study: OptunaStudy = optuna.create_study(sampler=sampler, directions=self._directions)
        self._study.add_trials(earlier)
        self._asked = len(earlier)
        self._grid = self._list_grid(earlier)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="study")
        self._written: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until everything is kept. Raises StoreError where it can't be."""
        self._writer.shutdown()
        # Not before: two threads that import it at once may each find half of it.
        from sqlalchemy.exc import SQLAlchemyError

        try:
            for written in self._written:
                written.result()
        except (SQLAlchemyError, OSError) as trouble:
            raise StoreError(f"{self._file}: can't be written: {_first_line(trouble)}") from trouble

    @property
    def settings(self) -> SearchSettings:
        """With as many trials as there can be."""
        return self._settings

    @property
    def remaining(self) -> int:
        """How many trials may still be asked for."""
        return max(0, self._settings.trials - self._asked)

    def ask(self, count: int) -> "list[Trial]":
        """So many new trials, fewer where no more remain."""
        count = min(count, self.remaining)
        self._asked += count
        for values in self._grid[:count]:
            self._study.enqueue_trial(values)
        del self._grid[:count]
        return [self._study.ask(self._distributions) for _ in range(count)]

    def _list_grid(self, earlier: "Sequence[FrozenTrial]") -> list[dict[str, Any]]:
        """The combinations of a grid that no earlier trial has, in the order in which they are asked for."""
        if self._settings.sampler != "grid":
            return []
        had = {tuple(trial.params.get(key) for key in self._space.varied) for trial in earlier}
        return [one for one in shuffle_grid(self._settings, self._space) if tuple(one.values()) not in had]

    def overrides(self, trial: "Trial") -> list[str]:
        """What a trial is of."""
        return [*self._space.fixed, *self._space.overrides(trial.params)]

    def finished(self, trial: "Trial", values: Sequence[float]) -> None:
        """A trial was trained to its end; what it is worth, by each goal."""
        self._study.tell(trial, [*values])
        self._keep(trial)

    def stopped(self, trial: "Trial") -> None:
        """A trial was stopped early; what it was worth was reported."""
        from optuna.trial import TrialState

        self._study.tell(trial, state=TrialState.PRUNED)
        self._keep(trial)

    def failed(self, trial: "Trial", error: str) -> None:
        """A trial raised."""
        from optuna.trial import TrialState

        trial.set_user_attr(_ERROR, error.strip().rpartition("\n")[2])
        self._study.tell(trial, state=TrialState.FAIL)
        self._keep(trial)

    def reports(self) -> Iterator[list[float]]:
        """What each earlier trial was worth at its rungs, from the first on."""
        for trial in self._study.get_trials(deepcopy=False):
            if trial.intermediate_values:
                yield [value for _, value in sorted(trial.intermediate_values.items())]

    def outcome(self) -> Outcome:
        """What the search has come to."""
        from optuna.trial import TrialState

        trials = self._study.get_trials(deepcopy=False)
        counts = Counter(trial.state for trial in trials)
        told = (counts[TrialState.COMPLETE], counts[TrialState.PRUNED], counts[TrialState.FAIL])
        goals = self._settings.goals
        if len(goals) > 1:
            return Outcome(counts=told, goals=goals, best=None, front=len(self._study.best_trials))
        finished = [trial for trial in trials if trial.state is TrialState.COMPLETE and np.isfinite(_value(trial))]
        best = (min if goals[0].minimize else max)(finished, key=_value, default=None)
        return Outcome(
            counts=told,
            goals=goals,
            best=None if best is None else (self._space.overrides(best.params), _value(best)),
        )

    @property
    def _directions(self) -> list[Any]:
        return [goal.direction for goal in self._settings.goals]

    def _keep(self, trial: "Trial") -> None:
        """Write a trial that has ended, which takes longer than to ask for one, while others are trained."""
        frozen = self._study.get_trials(deepcopy=False)[trial.number]
        self._written.append(self._writer.submit(self._write, frozen))

    def _write(self, trial: "FrozenTrial") -> None:
        if self._stored is None:
            self._stored = self._opened()
        self._stored.add_trial(trial)

    def _opened(self) -> "OptunaStudy":
        import optuna

        self._file.parent.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            storage=f"sqlite:///{self._file.absolute()}",
            study_name=self._settings.study_name,
            directions=self._directions,
            load_if_exists=True,
        )
        if not study.trials:  # so that a dashboard calls the objectives by their names
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names([goal.metric for goal in self._settings.goals])
        return study

    def _earlier(self) -> "list[FrozenTrial]":
        """The trials of the file's study that have ended."""
        from optuna.distributions import check_distribution_compatibility
        from sqlalchemy.exc import SQLAlchemyError

        try:
            self._stored = self._opened()
            trials = self._stored.get_trials(deepcopy=False)
        except (SQLAlchemyError, RuntimeError) as error:
            raise ConfigurationError(
                [f"hydra.sweeper.storage={self._file}: can't be read: {_first_line(error)}"]
            ) from error
        problems = []
        directions = [direction.name.lower() for direction in self._stored.directions]
        if directions != self._directions:
            what = "direction is" if len(directions) == 1 else "directions are"
            problems.append(f"its {what} to {', '.join(directions)}")
        for trial in trials:
            for key, distribution in trial.distributions.items():
                if key in self._distributions:
                    try:
                        check_distribution_compatibility(distribution, self._distributions[key])
                    except ValueError:
                        problems.append(f"{key} has other values")
        if problems:
            raise ConfigurationError(
                f"hydra.sweeper.storage={self._file}: holds another search ({text}); give"
                " hydra.sweeper.study_name another name"
                for text in dict.fromkeys(problems)
            )
        return [trial for trial in trials if trial.state.is_finished()]


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ConfigurationError(["hydra/sweeper=optuna: Optuna is missing; pip install 'bptt[optuna]'"]) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(varied: Numbers | Choices) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(varied, Choices):
        return CategoricalDistribution(varied.texts)
    if isinstance(varied.low, int) and isinstance(varied.high, int):
        return IntDistribution(varied.low, varied.high, log=varied.log, step=int(varied.step or 1))
    return FloatDistribution(varied.low, varied.high, log=varied.log, step=varied.step)


def _value(trial: "FrozenTrial") -> float:
    assert trial.value is not None
    return trial.value


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
