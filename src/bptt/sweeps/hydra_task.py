"""What Hydra is given to call for a sweep: with all jobs by the launcher `lanes`, with a search by `optuna`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from bptt.configuration.composing import Composer
from bptt.configuration.problems import ConfigurationError
from bptt.sweeps.finish import Summary, finish
from bptt.sweeps.launch import Launch
from bptt.sweeps.returns import job_returns
from bptt.sweeps.session import Reporter, Session

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.utils import JobReturn

    from bptt.sweeps.search import Search
    from bptt.sweeps.search_study import Outcome


class SweepTask:
    """One sweep; `command` is what repeats it."""

    def __init__(self, command: Sequence[str], reporter: Reporter) -> None:
        self._command, self._reporter = command, reporter
        self._launch: Launch | None = None

    def __call__(self, _config: DictConfig) -> None:
        """What another launcher calls with one job after the other."""
        raise ConfigurationError(["hydra/launcher: a sweep is trained by the launcher lanes"])

    @property
    def session(self) -> Session | None:
        """None as long as nothing was begun."""
        return None if self._launch is None else self._launch.session

    def sweep(
        self, config: DictConfig, loader: "ConfigLoader", jobs: Sequence[Sequence[str]], _first: int
    ) -> "list[JobReturn]":
        """Train jobs, given by their overrides. Raises what `Launch.launch` does."""
        launch = self._begun(config, loader, None)
        results = launch.launch(jobs)
        assert launch.session is not None
        return job_returns(launch.session, results)

    def search(self, config: DictConfig, loader: "ConfigLoader", search: "Search") -> "Outcome":
        """Train what a search asks for. Raises what `Launch.launch` does."""
        from bptt.sweeps.search import searched_keys
        from bptt.sweeps.searching import searched

        outcome = searched(self._begun(config, loader, searched_keys(config, loader)), search)
        self._reporter.say(str(outcome))
        return outcome

    def finish(self, interrupted: bool) -> Summary | None:
        """End the sweep; None where none was begun."""
        if self._launch is None:
            return None
        try:
            return None if self._launch.session is None else finish(self._launch.session, interrupted)
        finally:
            self._launch.close()

    def _begun(self, config: DictConfig, loader: "ConfigLoader", keys: Sequence[str] | None) -> Launch:
        if self._launch is None:
            composer = Composer(loader, config.hydra.job.config_name)
            self._launch = Launch(config, composer, self._command, self._reporter, keys)
        return self._launch
