"""The sweeper `grid`: the runs of a sweep from its grammar, handed to the launcher in one batch."""

from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from bptt.sweeps.task import SweepTask

_NODE: dict[str, Any] = {
    "_target_": "hydra_plugins.bptt_grid.GridSweeper",
    "params": {},
    "zip": [],
    "unions": [],
    "blocks": [],  # unions, as files of before call them
    "exclude": [],
    "seeds": None,
    "halving": None,  # see `bptt.sweeps.search.settings.GridHalving`
}

ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=_NODE, provider="bptt")


class GridSweeper(Sweeper):
    """Expands `hydra.sweeper` and the command line, as `bptt.sweeps.jobs.grammar` says."""

    def __init__(self, **_settings: Any) -> None:  # the grammar reads the node of the configuration
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None
        self.together = False

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        self.hydra_context, self.config = hydra_context, config
        self.together = isinstance(task_function, SweepTask)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Launch all runs; returns what the launcher returns, in a list, as Hydra's basic sweeper does.

        The exception of a job that failed is raised, unless the task takes all jobs at once: it tells of them itself.
        """
        from bptt.sweeps.jobs.composition import expand_sweep

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        jobs = expand_sweep(self.config, arguments, self.hydra_context.config_loader)
        returns = self.launcher.launch([list(job) for job in jobs], initial_job_idx=0)
        if not self.together:
            for job in returns:
                _ = job.return_value
        return [returns]
