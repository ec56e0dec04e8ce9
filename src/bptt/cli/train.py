"""`bptt train`: a run, or with -m a sweep of runs, trained and recorded."""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bptt.cli import hydra_app
from bptt.cli.common import say

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from bptt.cli.sweep import SweepCommand


def train_one(config: "DictConfig") -> int:
    """Train the run and record it; returns the exit code. Raises KeyboardInterrupt when it was interrupted."""
    from hydra.core.hydra_config import HydraConfig

    from bptt.cli.progress import RunProgress
    from bptt.cli.summary import tell
    from bptt.configuration.build import check_configuration
    from bptt.configuration.errors import ConfigurationError
    from bptt.sweeps.single import train_single
    from bptt.tracking.store.address import StoreError

    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        trained = train_single(check_configuration(config), folder, RunProgress())
    except (ConfigurationError, StoreError) as error:
        say(str(error))
        return 2
    tell(trained)
    if trained.interrupted:
        raise KeyboardInterrupt
    return int(trained.ended.status == "FAILED" or trained.ended.unstored is not None)


def main(argv: Sequence[str]) -> int:
    """Train what these overrides ask for. 0: all went well, 1: a run failed, 2: a wrong request, 130: interrupted."""
    task = _Task(argv)
    # A fifth of the time until training begins would go into searching what is being imported for garbage.
    gc.disable()
    try:
        try:
            code = hydra_app.run(argv, task)
        except KeyboardInterrupt:
            return task.close(interrupted=True) or 130
        return max(code, task.close(interrupted=False))
    finally:
        gc.enable()


class _Task:
    """What Hydra is given to call: with one run's configuration, or, by the launcher `lanes`, with all jobs."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._sweep: SweepCommand | None = None

    def __call__(self, config: "DictConfig") -> int:
        return train_one(config)

    def sweep(self, *arguments: Any) -> Any:
        """Train all jobs of a sweep."""
        return self._command().sweep(*arguments)

    def search(self, *arguments: Any) -> Any:
        """Train what a search asks for."""
        return self._command().search(*arguments)

    def close(self, interrupted: bool) -> int:
        """End the sweep, where it was one; returns its exit code."""
        return 0 if self._sweep is None else self._sweep.close(interrupted)

    def _command(self) -> "SweepCommand":
        from bptt.cli.sweep import SweepCommand

        if self._sweep is None:
            self._sweep = SweepCommand(["bptt", "train", *self._argv])
        return self._sweep
