"""Sweeps from Python, without the command line."""

from collections.abc import Sequence
from pathlib import Path

from bptt.analysis.load import load
from bptt.analysis.sweep import Sweep
from bptt.configuration.composing import Composer, add_folder
from bptt.configuration.hydra_release import choose_defaults
from bptt.configuration.paths import conf_folder
from bptt.sweeps.hydra_task import SweepTask
from bptt.tracking.block_files import RunResult


def sweep(overrides: Sequence[str], config_dir: Path | None = None) -> Sweep:
    """Train a sweep as `bptt train -m` does, quietly; see `bptt.sweep`."""
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    choose_defaults()
    path = create_config_search_path(str(conf_folder()))
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
    return load(task.session.archive.folder)


class _Quiet:
    """Tells nobody."""

    def say(self, text: str) -> None: ...
    def begin(self, runs: int) -> None: ...
    def ended(self, results: Sequence[RunResult]) -> None: ...
    def end(self) -> None: ...
