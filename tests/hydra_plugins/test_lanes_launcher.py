"""The launcher `lanes`, by Hydra's own tests of launchers and by what it does beyond them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite
from omegaconf import DictConfig

from bptt.cli import hydra_app


@pytest.mark.parametrize(("launcher_name", "overrides"), [("lanes", ["hydra.job.chdir=true"])])
class TestAsHydraTestsLaunchers(LauncherTestSuite):
    """A task that takes one job at a time is called job by job."""


@pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=lanes"])])
class TestInHydrasApplications(IntegrationTestSuite):
    """The same, as programs."""


def test_hydra_finds_it() -> None:
    assert "LanesLauncher" in {kind.__name__ for kind in Plugins.instance().discover(Launcher)}


class Task(hydra_app.WholeTask):
    """A task that takes all jobs at once."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, config: DictConfig, /) -> int:
        raise AssertionError("called for a single job")

    def search(self, config: DictConfig, loader: Any, search: Any) -> None:
        raise AssertionError("called for a search")

    def sweep(self, config: DictConfig, loader: Any, jobs: Sequence[Sequence[str]]) -> list[JobReturn]:
        self.calls.append((config.hydra.launcher.workers, type(loader).__name__, [list(job) for job in jobs]))
        return []


def test_all_jobs_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    task = Task()
    batches = ["hydra/sweeper=basic", "hydra.sweeper.max_batch_size=2"]
    assert hydra_app.run(["-m", *batches, "hydra.launcher.workers=3", "clip=none,norm", "seed=1,2"], task) == 0
    jobs = [[f"clip={clip}", f"seed={seed}"] for clip in ("none", "norm") for seed in (1, 2)]
    assert task.calls == [(3, "Loader", jobs[:2]), (3, "Loader", jobs[2:])]
