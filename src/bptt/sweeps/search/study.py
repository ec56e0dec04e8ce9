"""Optuna's study of a search: asked in memory, which takes a millisecond; what has ended is kept in SQLite."""

import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from bptt.configuration.errors import ConfigurationError
from bptt.sweeps.search.settings import Choices, Numbers, SearchSettings, Space
from bptt.tracking.store.address import StoreError

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

_ERROR: Final = "error"  # the attribute of a trial that failed


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a search came to.

    counts  finished, stopped early, failed
    best    what the best trial that finished is of, and its value; None: none did
    """

    counts: tuple[int, int, int]
    metric: str
    best: tuple[list[str], float] | None

    def __str__(self) -> str:
        finished, stopped, failed = self.counts
        text = f"search: {finished} trials finished, {stopped} stopped early, {failed} failed"
        if self.best is None:
            return text
        overrides, value = self.best
        return f"{text}; best {self.metric} {value:.6g} with {' '.join(overrides)}"


class Study:
    """The trials of a search, and of those that an interrupted one with the same file has left.

    Trials that had not ended when their process was killed were never kept: others are asked for in their place. Making
    one raises ConfigurationError where Optuna is missing, or where the file holds another search.
    """

    def __init__(self, settings: SearchSettings, space: Space, file: Path) -> None:
        optuna = _optuna()
        self._settings, self._space, self._file = settings, space, file
        self._distributions = {key: _distribution(varied) for key, varied in space.varied.items()}
        self._stored: OptunaStudy | None = None
        if file.is_symlink():  # SQLite would write into what it leads to
            raise ConfigurationError([f"hydra.sweeper.storage={file}: is a link; name the file itself"])
        earlier = self._earlier() if file.exists() else []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = _sampler(settings, len(earlier))
        self._study: OptunaStudy = optuna.create_study(sampler=sampler, direction=self._direction)
        self._study.add_trials(earlier)
        self._asked = len(earlier)
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
    def remaining(self) -> int:
        """How many trials may still be asked for."""
        return max(0, self._settings.trials - self._asked)

    def ask(self, count: int) -> "list[Trial]":
        """So many new trials, fewer where no more remain."""
        count = min(count, self.remaining)
        self._asked += count
        return [self._study.ask(self._distributions) for _ in range(count)]

    def overrides(self, trial: "Trial") -> list[str]:
        """What a trial is of."""
        return [*self._space.fixed, *self._space.overrides(trial.params)]

    def finished(self, trial: "Trial", value: float) -> None:
        """A trial was trained to its end. A value that is no number is as bad as can be."""
        self._study.tell(trial, self._settings.worst if np.isnan(value) else value)
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
        finished = [trial for trial in trials if trial.state is TrialState.COMPLETE and np.isfinite(_value(trial))]
        best = (min if self._settings.minimize else max)(finished, key=_value, default=None)
        return Outcome(
            counts=(counts[TrialState.COMPLETE], counts[TrialState.PRUNED], counts[TrialState.FAIL]),
            metric=self._settings.metric,
            best=None if best is None else (self._space.overrides(best.params), _value(best)),
        )

    @property
    def _direction(self) -> Any:
        return "minimize" if self._settings.minimize else "maximize"

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
        return optuna.create_study(
            storage=f"sqlite:///{self._file.absolute()}",
            study_name=self._settings.study_name,
            direction=self._direction,
            load_if_exists=True,
        )

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
        if self._stored.direction.name.lower() != self._direction:
            problems.append(f"its direction is to {self._stored.direction.name.lower()}")
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


def _sampler(settings: SearchSettings, begun: int) -> "BaseSampler":
    """begun: the trials of an interrupted search, which goes on with others than it began with."""
    from optuna.samplers import RandomSampler, TPESampler

    seed = int(np.random.SeedSequence([settings.sampler_seed, begun]).generate_state(1)[0])
    # With its constant liar the trials of a batch keep away from each other.
    return RandomSampler(seed) if settings.sampler == "random" else TPESampler(seed=seed, constant_liar=True)


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
