"""What Hydra is given for a sweep: an object that takes all jobs at once; and sweeps from Python, through it.

Hydra's plugins import this whatever the command, so what trains is imported when there is something to train.
"""

import shlex
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig

    from bptt.analysis.sweep import Sweep
    from bptt.sweeps.finish import Summary
    from bptt.sweeps.launch import Launch
    from bptt.sweeps.search.search import Search
    from bptt.sweeps.session import Session, SweepReporter
    from bptt.tracking.folder.block import RunResult


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


def sweep(overrides: str | Sequence[str], config_dir: Path | None = None) -> "Sweep":
    """Train a sweep as `bptt train -m` does, quietly; see `bptt.sweep`."""
    if isinstance(overrides, str):
        overrides = _split_overrides(overrides)
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    from bptt.analysis.sweep import load_sweep
    from bptt.configuration.compose import Composer, add_folder
    from bptt.configuration.hydra import asks_for_sweep, choose_defaults, refuse_unused
    from bptt.configuration.owners import check_kernel_folder
    from bptt.configuration.vocabulary import find_conf_folder

    check_kernel_folder()
    choose_defaults()
    path = create_config_search_path(str(find_conf_folder()))
    if config_dir is not None:
        add_folder(path, config_dir)
    own = [] if config_dir is None else ["--config-dir", str(config_dir)]
    task = TrainTask(["bptt", "train", "-m", *own, *overrides], _Quiet())
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        hydra = Hydra.create_main_hydra2(task_name="bptt", config_search_path=path)
        composer = Composer(hydra.config_loader, "config")
        hydra.config_loader = composer.loader
        config = composer.compose(overrides, RunMode.MULTIRUN)
        parsed, _ = composer.parse(overrides)
        asks_for_sweep(config, parsed, multirun=True)
        refuse_unused(config, parsed, sweep=True)
        for line in composer.take_told():
            warnings.warn(line, stacklevel=3)
        hydra.multirun(config_name="config", task_function=task, overrides=[*overrides])
        summary = task.finish(interrupted=False)
    except BaseException as error:
        task.finish(interrupted=isinstance(error, KeyboardInterrupt))
        raise
    finally:
        GlobalHydra.instance().clear()
        GlobalHydra.instance().hydra = before
    assert task.session is not None
    folder = task.session.archive.folder
    if summary is not None and summary.unstored is not None:
        warnings.warn(f"the store doesn't have all of it: {summary.unstored}; later: bptt sync {folder}", stacklevel=3)
    return load_sweep(folder)


def _split_overrides(text: str) -> list[str]:
    """A text's overrides, as a shell parts them. Raises ConfigurationError."""
    try:
        return shlex.split(text)
    except ValueError as error:
        from bptt.configuration.errors import ConfigurationError, cut

        raise ConfigurationError([f"{cut(text)}: can't be parted into overrides ({str(error).lower()})"]) from None


class _Quiet:
    """Tells nobody what goes on."""

    def say(self, text: str) -> None: ...
    def begin(self, runs: int) -> None: ...
    def ended(self, results: "Sequence[RunResult]") -> None: ...
    def end(self) -> None: ...
