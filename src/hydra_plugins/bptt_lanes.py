"""The launcher `lanes`: hands all jobs of a sweep to the task at once, where the task can take them so.

A module of its own and not a package: Hydra's search for plugins runs a package's `__init__` twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn

from bptt.sweeps.task import SweepTask
from bptt.sweeps.workers.pool import SlurmSettings


@dataclass
class LanesLauncherConf:
    """The node hydra.launcher.

    backend  what runs the workers, see `bptt.sweeps.workers.backends`
    workers  how many; null: one for each core, and none where the runs are trained sooner than they start; 1: none, the
             runs are trained in this process
    address  of a running Dask or Ray cluster; null: one is started on this machine
    slurm    the jobs of backend=slurm, see `bptt.sweeps.workers.pool.SlurmSettings`
    """

    _target_: str = "hydra_plugins.bptt_lanes.LanesLauncher"
    backend: str = "loky"
    workers: int | None = None
    address: str | None = None
    slurm: dict[str, Any] = field(default_factory=lambda: {one.name: one.default for one in fields(SlurmSettings)})


ConfigStore.instance().store(group="hydra/launcher", name="lanes", node=LanesLauncherConf, provider="bptt")


class LanesLauncher(BasicLauncher):
    """Hands its jobs to a `SweepTask`; any other task function is called job by job, as by Hydra's basic launcher."""

    def __init__(self, **_settings: Any) -> None:  # the task reads its node of the configuration
        super().__init__()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train the jobs, each given by its overrides; the first has the number initial_job_idx."""
        task = self.task_function
        if not isinstance(task, SweepTask):
            return super().launch(job_overrides, initial_job_idx)
        assert self.hydra_context is not None
        assert self.config is not None
        return task.sweep(self.config, self.hydra_context.config_loader, job_overrides)
