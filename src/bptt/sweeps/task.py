"""What Hydra is given to call for a sweep: with all jobs by the launcher `lanes`, with a search by `optuna`.

Sweeps from Python, without the command line.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from bptt.analysis.sweep import Sweep, load_sweep
from bptt.configuration.compose import Composer, add_folder
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.hydra_release import choose_defaults
from bptt.configuration.paths import find_conf_folder
from bptt.sweeps.finish import Summary, finish
from bptt.sweeps.launch import Launch
from bptt.sweeps.session import Reporter, Session, job_returns
from bptt.tracking.folder.block import RunResult

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.utils import JobReturn

    from bptt.sweeps.search.search import Search
    from bptt.sweeps.search.study import Outcome


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
        from bptt.sweeps.search.search import searched, searched_keys

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


def sweep(overrides: Sequence[str], config_dir: Path | None = None) -> Sweep:
    """Train a sweep as `bptt train -m` does, quietly; see `bptt.sweep`."""
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    choose_defaults()
    path = create_config_search_path(str(find_conf_folder()))
    if config_dir is not None:
        add_folder(path, config_dir)
    own = [] if config_dir is None else ["--config-dir", str(config_dir)]
    task = SweepTask(["bptt", "train", "-m", *own, *overrides], _Quiet())
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        hydra = Hydra.create_main_hydra2(task_name="bptt", config_search_path=path)
        Composer(hydra.config_loader, "config").compose(overrides, RunMode.MULTIRUN)
        hydra.multirun(config_name="config", task_function=task, overrides=[*overrides])
    except BaseException as error:
        task.finish(interrupted=isinstance(error, KeyboardInterrupt))
        raise
    finally:
        GlobalHydra.instance().clear()
        GlobalHydra.instance().hydra = before
    assert task.session is not None
    task.finish(interrupted=False)
    return load_sweep(task.session.archive.folder)


class _Quiet:
    """Tells nobody."""

    def say(self, text: str) -> None: ...
    def begin(self, runs: int) -> None: ...
    def ended(self, results: Sequence[RunResult]) -> None: ...
    def end(self) -> None: ...
