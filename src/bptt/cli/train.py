"""`bptt train`: a run, or with -m one run per combination of values, trained and recorded."""

import gc
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from bptt.cli import hydra_app

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from bptt.cli.execute import Ended
    from bptt.cli.sweep_table import SweptRun
    from bptt.configuration.build import Configuration


def main(argv: Sequence[str]) -> int:
    """Train what these overrides ask for. 0: all went well, 1: a run failed, 2: a wrong request, 130: interrupted."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    command = _Command(argv)
    # A fifth of the time until training begins would go into searching what is being imported for garbage.
    gc.disable()
    try:
        code = hydra_app.run(argv, command.train)
        return command.close() or code
    except KeyboardInterrupt:
        command.interrupted = True
        command.close()
        return 130
    finally:
        gc.enable()
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Command:
    """The runs of one command.

    started, failed, refused  how many began; ended with an error or only partly recorded; could not begin
    sweep, swept              the name of the sweep that they are, where they are one, and what finished of it
    """

    def __init__(self, argv: Sequence[str]) -> None:
        from bptt.cli.records import Records

        self._argv, self._records = argv, Records()
        self.started = self.failed = self.refused = 0
        self.sweep: str | None = None
        self.swept: list[SweptRun] = []
        self.interrupted = False

    def train(self, config: "DictConfig") -> None:
        """One run, from its composed configuration to its end."""
        from bptt.configuration.build import checked
        from bptt.configuration.problems import ConfigurationError
        from bptt.tracking.address import StoreError

        try:
            self._train(checked(config))
        except (ConfigurationError, StoreError) as error:
            self.refused += 1
            print(error, file=sys.stderr)
            _remove_unused(_output_folder())

    def _train(self, configuration: "Configuration") -> None:
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        from bptt.cli.execute import Job, execute
        from bptt.cli.interrupts import Interrupts
        from bptt.cli.naming import run_name, swept_values
        from bptt.cli.records import as_recorded
        from bptt.cli.summary import result, whereabouts
        from bptt.cli.sweep_table import SweptRun
        from bptt.tracking.digest import current_version, digest
        from bptt.tracking.files import write_config
        from bptt.tracking.journal import LOCK, Journal, write_journal
        from bptt.tracking.lock import file_lock

        hydra, folder = HydraConfig.get(), _output_folder()
        swept: list[str] = []
        if not OmegaConf.is_missing(hydra.job, "num"):  # Hydra numbers the jobs of a multirun only
            self.sweep = Path(hydra.sweep.dir).name
            swept = swept_values(hydra.overrides.task, self._argv, hydra.sweeper.get("params"))
        store = self._records.open(configuration)
        name = run_name(configuration.resolved, swept)
        version = current_version()
        own_digest = digest(configuration.resolved, version)
        with Interrupts() as interrupts, file_lock(folder / LOCK):
            tracker = self._records.begin(configuration, name, own_digest, self.sweep)
            self.started += 1
            journal = Journal(
                run_id=None if tracker is None else tracker.run_id,
                uri=None if store is None else store.address.shown,
                experiment=None if store is None else store.experiment,
                name=name,
                digest=own_digest,
                numerical_version=version,
                current_folder=str(Path.cwd()),
                own_figures=self.sweep is None,
            )
            write_config(folder, as_recorded(configuration))
            write_journal(folder, journal)
            job = Job(
                run=configuration.run,
                journal=journal,
                folder=folder,
                checkpoint_seconds=configuration.tracking.checkpoint_seconds,
            )
            ended = execute(job, tracker, interrupts)
        print("\n".join(result(configuration.run, journal, ended)), flush=True)
        if self.sweep is None:
            print("\n".join(whereabouts(tracker, folder)), flush=True)
        elif ended.status == "FINISHED" and ended.record is not None:
            self.swept.append(SweptRun(swept=swept, record=ended.record))
        self._judge(ended, folder, interrupts.requested)

    def _judge(self, ended: "Ended", folder: Path, interrupted: bool) -> None:
        from bptt.cli.summary import remedies

        print("".join(f"{line}\n" for line in remedies(ended, folder)), end="", file=sys.stderr, flush=True)
        self.failed += ended.status == "FAILED" or ended.unstored is not None
        if interrupted:
            raise KeyboardInterrupt

    def close(self) -> int:
        """End the sweep, where it was one; returns the exit code of what was trained."""
        from bptt.tracking.address import StoreError

        trouble = self.failed + self.refused > 0
        try:
            self._records.close("KILLED" if self.interrupted else "FAILED" if trouble else "FINISHED")
        except StoreError as error:
            print(error, file=sys.stderr)
        if self.sweep is not None:
            print(f"sweep {self.sweep}: {self.started} runs, {self.failed} of them failed")
            if self.swept:
                from bptt.cli.sweep_table import sweep_table

                print("".join(f"  {line}\n" for line in sweep_table(self.swept)), end="")
        return 2 if self.refused and not self.started else int(trouble)


def _output_folder() -> Path:
    from hydra.core.hydra_config import HydraConfig

    return Path(HydraConfig.get().runtime.output_dir)


def _remove_unused(folder: Path) -> None:
    """Remove the folder that Hydra made for a run that never began."""
    if {path.name for path in folder.glob("*")} <= {".hydra"}:
        shutil.rmtree(folder, ignore_errors=True)
