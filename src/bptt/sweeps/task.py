"""What Hydra is given for a sweep: an object that takes all jobs at once.

Hydra's plugins import this whatever the command, so what trains is imported when there is something to train.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig

    from bptt.sweeps.finish import Summary
    from bptt.sweeps.launch import Launch
    from bptt.sweeps.search.search import Search
    from bptt.sweeps.session import Session, SweepReporter


class SweepTask(ABC):
    """A task function that takes a sweep whole: from the launcher `lanes` its jobs, from the sweeper `optuna` a search.

    config  of the sweep, with its node `hydra`
    loader  that composes the jobs' configurations
    """

    @abstractmethod
    def __call__(self, config: "DictConfig", /) -> Any:
        """Take one job, from another launcher."""

    @abstractmethod
    def sweep(
        self, config: "DictConfig", loader: "ConfigLoader", jobs: Sequence[Sequence[str]]
    ) -> "Sequence[JobReturn]":
        """Take jobs, given by their overrides; a return for each, or none at all."""

    @abstractmethod
    def search(self, config: "DictConfig", loader: "ConfigLoader", search: "Search") -> Any:
        """Take a search; what is returned is what Hydra's caller gets."""


class TrainTask(SweepTask):
    """Trains one sweep; `command` is what repeats it."""

    def __init__(self, command: Sequence[str], reporter: "SweepReporter") -> None:
        self._command, self._reporter = command, reporter
        self._launch: Launch | None = None

    def __call__(self, _config: "DictConfig", /) -> Any:
        """Raise ConfigurationError: another launcher was asked for."""
        from bptt.configuration.errors import ConfigurationError

        raise ConfigurationError(["hydra/launcher: a sweep is trained by the launcher lanes"])

    @property
    def session(self) -> "Session | None":
        """None as long as nothing was begun."""
        return None if self._launch is None else self._launch.session

    def sweep(
        self, config: "DictConfig", loader: "ConfigLoader", jobs: Sequence[Sequence[str]]
    ) -> "Sequence[JobReturn]":
        """Train jobs. Raises what `Launch.launch` does."""
        from bptt.sweeps.results import make_returns

        launch = self._begin(config, loader, None)
        results = launch.launch(jobs)
        assert launch.session is not None
        return make_returns(launch.session.jobs, launch.session.results, results)

    def search(self, config: "DictConfig", loader: "ConfigLoader", search: "Search") -> Any:
        """Train what a search asks for; its outcome. Raises what `Launch.launch` does."""
        from bptt.sweeps.search.search import list_searched_keys, run_search

        for remark in search.remarks:
            self._reporter.say(remark)
        launch = self._begin(config, loader, list_searched_keys(config, loader))
        outcome = run_search(launch, search)
        self._reporter.say(str(outcome))
        launch.confirm()
        return outcome

    def finish(self, interrupted: bool) -> "Summary | None":
        """End the sweep; None where none was begun."""
        if self._launch is None:
            return None
        from bptt.sweeps.finish import finish

        try:
            return None if self._launch.session is None else finish(self._launch.session, interrupted)
        finally:
            self._launch.close()

    def _begin(self, config: "DictConfig", loader: "ConfigLoader", keys: Sequence[str] | None) -> "Launch":
        from bptt.configuration.compose import Composer
        from bptt.sweeps.launch import Launch

        if self._launch is None:
            composer = Composer(loader, config.hydra.job.config_name)
            self._launch = Launch(config, composer, self._command, self._reporter, keys)
        return self._launch
