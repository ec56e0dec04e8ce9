"""`bptt train`: a run, or with -m a sweep of runs, trained and recorded."""

import gc
import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from bptt.cli.common import say
from bptt.cli.hydra_app import HydraTask, run
from bptt.cli.progress import RunProgress, SweepProgress
from bptt.sweeps.task import TrainTask

if TYPE_CHECKING:
    from bptt.configuration.build import Configuration
    from bptt.sweeps.execution import Progress


def train_one(configuration: "Configuration") -> int:
    """Train the run and record it; returns the exit code. Raises KeyboardInterrupt when it was interrupted."""
    from hydra.core.hydra_config import HydraConfig

    from bptt.cli.summary import tell, tell_interruption
    from bptt.configuration.errors import ConfigurationError
    from bptt.sweeps.single import illustrate_run, train_single
    from bptt.tracking.store.address import StoreError

    folder, reporter = Path(HydraConfig.get().runtime.output_dir), _RunProgress()
    try:
        trained = train_single(configuration, folder, reporter)
    except (ConfigurationError, StoreError) as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:  # a second one
        tell_interruption(folder)
        raise
    tell(trained)
    gc.disable()  # as in `main`: what comes is an import that takes as long as a short run
    illustrate_run(trained, reporter)
    if trained.interrupted:
        raise KeyboardInterrupt
    return int(trained.ended.status == "FAILED" or trained.ended.unstored is not None)


def main(argv: Sequence[str]) -> int:
    """Train what these overrides ask for. 0: all went well, 1: a run failed, 2: a wrong request, 130: interrupted."""
    task = _Training(argv)
    # A fifth of the time until training begins would go into searching what is being imported for garbage.
    gc.disable()
    try:
        try:
            code = run(argv, task)
        except KeyboardInterrupt:
            return task.close(interrupted=True) or 130
        return max(code, task.close(interrupted=False))
    finally:
        gc.enable()


class _Training(HydraTask, TrainTask):
    """What Hydra is given to call: with one run's configuration, or, by the launcher `lanes`, with all jobs."""

    def __init__(self, argv: Sequence[str]) -> None:
        HydraTask.__init__(self, train_one)
        TrainTask.__init__(self, ["bptt", "train", *argv], _Progress())

    def hold(self, folder: Path) -> AbstractContextManager[None]:
        from bptt.sweeps.single import hold_run_folder

        return hold_run_folder(folder)

    def close(self, interrupted: bool) -> int:
        """End the sweep, where it was one; returns its exit code."""
        if self.session is None:
            self.finish(interrupted)
            return 0
        from bptt.sweeps.workers.interrupts import Interrupts

        try:
            # A signal comes easily while that is imported; what is imported by halves might not be imported again.
            with Interrupts(requested=interrupted, insists=False) as asked:
                from bptt.cli.sweep import end_sweep
        except KeyboardInterrupt:  # a second one
            say(f"interrupted; go on with: bptt resume {shlex.quote(str(self.session.archive.folder))}")
            return 130
        return end_sweep(self.session, self.finish, asked.requested)


def _keep_imported() -> None:
    """What was imported and composed stays; see `main`."""
    gc.freeze()
    gc.enable()


class _Progress(SweepProgress):
    def begin(self, runs: int) -> None:
        _keep_imported()
        super().begin(runs)


class _RunProgress(RunProgress):
    def progress(self, name: str, updates: int, done: int) -> "AbstractContextManager[Progress]":
        _keep_imported()
        return super().progress(name, updates, done)
