"""The sweeper `optuna`: asks Optuna for many trials at once, so that they fuse, and tells it what they were worth."""

from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from bptt.sweeps.task import SweepTask

#: What the settings mean, and how `params` are written, says `bptt.sweeps.search.settings`.
_NODE: dict[str, Any] = {
    "_target_": "hydra_plugins.bptt_optuna.OptunaSweeper",
    "params": {},
    "trials": None,  # must be given, but for a grid
    "batch": 64,
    "metric": "loss/eval",
    "direction": None,
    "objectives": None,
    "sampler": "tpe",
    "sampler_seed": 0,
    "halving": None,
    "storage": None,
    "study_name": "search",
}

ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=_NODE, provider="bptt")


class OptunaSweeper(Sweeper):
    """Searches what `hydra.sweeper.params` and the command line vary.

    Hands the search to a `SweepTask`, and trains it for any other task function by the launcher, batch by batch.
    """

    def __init__(self, **_settings: Any) -> None:  # the search reads the node of the configuration
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None
        self.task_function: Any = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Search until no trial remains; returns the search's outcome."""
        from bptt.sweeps.search.search import Search

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        loader, launcher = self.hydra_context.config_loader, self.launcher
        search = Search.of(self.config, arguments, loader)
        if isinstance(self.task_function, SweepTask):
            return self.task_function.search(self.config, loader, search)
        return search.by_batches(lambda jobs, first: launcher.launch(jobs, initial_job_idx=first))
