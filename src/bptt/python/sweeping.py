"""Sweeps from Python: `bptt.sweep`, and `bptt.load`, which reads what was recorded."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hydra._internal.callbacks import Callbacks
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode

from bptt.analysis.sweep import load_sweep
from bptt.configuration.compose import COMPOSING, Composer
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.hydra import asks_for_sweep, refuse_unused
from bptt.configuration.owners import check_kernel_folder
from bptt.python.composing import KeptFolder, add_tracking, list_given, list_overrides, make_composer, place_data
from bptt.python.keywords import write_override_value
from bptt.python.progress import choose_reporter
from bptt.python.sweep import TrainedSweep, load_kept
from bptt.sweeps.task import SweepTask, TrainTask

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig

    from bptt.sweeps.search.search import Search

_MAIN: Final = "__main__"
_DIR: Final = "hydra.sweep.dir"


def sweep(
    *overrides: str | Sequence[str],
    folder: str | Path | None = None,
    tracking: bool | Mapping[str, Any] | None = None,
    config_dir: str | Path | None = None,
    progress: bool | None = None,
    **keys: Any,
) -> TrainedSweep:
    """Train a sweep, and return its results: `bptt.sweep(model=["elman", "lstm"], seed=range(5))`.

    overrides   as for `bptt train -m`: choices, values, and `hydra.launcher.workers=1`; texts that are parted at their
                blanks as a shell does, so that a value with a blank stands in quotes, or lists of them
    keys        keys of the configuration, as for `bptt.train`; a list, a range or an array are the values to be swept,
                each with each. Whatever is said of the sweep as a whole is none: `conditions`, `allow`, `tune`
    folder      a new folder for its files; None: one below multirun, or, with tracking=False, a temporary one that goes
                with the object that is returned, and has its report when that is asked for
    tracking    False: no MLflow, no store; a mapping: keys of `tracking`; None: as the configuration says
    config_dir  a folder with choices of your own, as `--config-dir`
    progress    True or False: it is shown, or not; None: in a notebook and on a terminal

    Everything is recorded as on the command line. A run that fails is a row with status FAILED, and no exception. What
    an experiment sets for a choice that is replaced falls away, with a warning. Interrupted (Ctrl-C, a notebook's stop
    button), it gives back the runs that have ended, with a warning that says how to go on. The current folder is never
    changed, and several threads may call this at once.

    Raises bptt.configuration.errors.ConfigurationError with a line for everything that is wrong, before anything is
    trained, and bptt.tracking.store.address.StoreError where the store can't be used; one that is away, or does not
    take all, is warned of. Worker processes import the caller's main module, so a script calls this below
    `if __name__ == "__main__":`.
    """
    keys = add_tracking(keys, tracking)
    temporary = KeptFolder() if tracking is False and folder is None else None
    place = temporary.path / "sweep" if temporary is not None else None if folder is None else Path(folder)
    with list_overrides(overrides, keys, place_data(place), swept=True) as (found, choices):
        if _MAIN in choices.allowed:
            says = "is of this notebook or script alone, which workers can't import; put it into a module: mine.py"
            raise ConfigurationError([f"task: a class of {_MAIN} {says}"])
        if place is not None:
            found.append(f"{_DIR}={write_override_value(place)}")
        if temporary is not None and not any(text.startswith("report=") for text in found):
            found.append("report=false")
        own = [folder for folder in (config_dir, choices.own) if folder is not None]
        reporter = choose_reporter(progress)
        task = TrainTask(_write_command(own, found), reporter)
        asked = ask_for(found, own)
        for line in asked.told:
            warnings.warn(line, stacklevel=2)
        interrupted = _train(task, asked)
    assert task.session is not None
    given = keys.get("allow", ())
    allow = [*choices.allowed, *([given] if isinstance(given, str) else given)]
    return _load_trained(task, interrupted, temporary, tuple(allow))


def _write_command(folders: Sequence[str | Path], overrides: Sequence[str]) -> list[str]:
    given = [word for folder in folders for word in ("--config-dir", str(folder))]
    return ["bptt", "train", "-m", *given, *overrides]


class AskedSweep(SweepTask):
    """What a call asks for: jobs, or a search; taken from Hydra, so that it is trained when Hydra is done."""

    def __init__(self) -> None:
        self.jobs: Sequence[Sequence[str]] | None = None
        self.searched: Search | None = None
        self.config: DictConfig | None = None
        self.loader: ConfigLoader | None = None
        self.told: list[str] = []

    def __call__(self, _config: "DictConfig", /) -> Any:
        """Raise ConfigurationError: another launcher was asked for."""
        raise ConfigurationError(["hydra/launcher: a sweep is trained by the launcher lanes"])

    def sweep(
        self, config: "DictConfig", loader: "ConfigLoader", jobs: Sequence[Sequence[str]]
    ) -> "Sequence[JobReturn]":
        """Keep the jobs."""
        self.config, self.loader, self.jobs = config, loader, jobs
        return []

    def search(self, config: "DictConfig", loader: "ConfigLoader", search: "Search") -> None:
        """Keep the search."""
        self.config, self.loader, self.searched = config, loader, search


def ask_for(overrides: Sequence[str], folders: Sequence[str | Path]) -> AskedSweep:
    """What overrides ask for, composed as far as Hydra does it for all jobs. Raises ConfigurationError."""
    check_kernel_folder()
    asked = AskedSweep()
    with COMPOSING:
        composer: Composer = make_composer(folders)
        config = composer.compose(overrides, RunMode.MULTIRUN)
        parsed, _ = composer.parse(overrides)
        asks_for_sweep(config, parsed, multirun=True)
        refuse_unused(config, parsed, sweep=True)
        asked.told = composer.take_told()
        sweeper = Plugins.instance().instantiate_sweeper(
            config=config,
            hydra_context=HydraContext(config_loader=composer.loader, callbacks=Callbacks()),
            task_function=asked,
        )
        sweeper.sweep(arguments=list_given(config))
    return asked


def _train(task: TrainTask, asked: AskedSweep) -> bool:
    """Train what was asked for, and end it; whether it was interrupted. Before it has begun that is raised."""
    assert asked.config is not None
    assert asked.loader is not None
    try:
        if asked.searched is not None:
            task.search(asked.config, asked.loader, asked.searched)
        else:
            task.sweep(asked.config, asked.loader, asked.jobs or [])
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        task.finish(interrupted)
        if not interrupted or task.session is None:
            raise
        return True
    summary = task.finish(interrupted=False)
    if summary is not None and summary.unstored is not None and task.session is not None:
        later = f"bptt.sync({str(task.session.archive.folder)!r})"
        warnings.warn(f"the store doesn't have all of it: {summary.unstored}; later: {later}", stacklevel=3)
    return summary is not None and summary.interrupted


def _load_trained(
    task: TrainTask, interrupted: bool, temporary: KeptFolder | None, allow: tuple[str, ...]
) -> TrainedSweep:
    assert task.session is not None
    folder = task.session.archive.folder
    found = load_kept(folder, temporary, allow)
    if interrupted:
        ended = int(found.runs["outcome"].notna().sum())
        going_on = "" if temporary is not None else f"; bptt.resume({str(folder)!r}) goes on with it"
        says = f"{found.name}: interrupted when {ended:,} of {len(found.runs):,} runs had ended{going_on}"
        warnings.warn(says, stacklevel=3)
    return found


def load(
    source: str | Path,
    *,
    uri: str | None = None,
    solved: str | None = None,
    conditions: Sequence[str] | None = None,
    allow: Sequence[str] = (),
) -> TrainedSweep:
    """What was recorded of a sweep or of runs, as tidy tables: `bptt.load("multirun/2026-05-01_12-00-00-000000").runs`.

    source  a sweep's folder, a single run's folder, a sweep's name, the id of a run in the MLflow store (a sweep's own
            run: the sweep), a query in MLflow's words (`params.model = 'gru' AND metrics."loss/eval" < 0.1`), or
            `latest`, the newest sweep or run in ./multirun. `SOURCE:12` is its run number 12,
            `SOURCE:model=lstm,alpha=0.1` those of its runs with these values, and `SOURCE:best` the one that did best:
            of the best setting (of each condition) the run with the smallest loss of the network that it keeps
    uri     of the store; None: the one that `bptt train` would use in this folder
    solved  when a run has solved its task, as `loss/eval<=0.01`; None: as the sweep says, else `accuracy/eval>=1` where
            there is an accuracy, and a hundredth of the first loss where there is none
    conditions  the swept keys that make the task harder, across which nothing is ranked or compared; None: as the sweep
            says, else those of the task
    allow   packages whose classes its configurations may name, for what needs a network: `.run(12).predict(x)`

    A sweep's folder is read where it is there, and the store otherwise. See `bptt.analysis.sweep.Sweep` for the tables,
    and `bptt.python.sweep.TrainedSweep` for what is made of them; of a single run, `load(…).run()` is that run.
    Raises bptt.tracking.history.find.SourceError, bptt.tracking.folder.block.ArchiveError and
    bptt.tracking.store.address.StoreError, each with one line for the user.
    """
    return TrainedSweep.of(load_sweep(source, uri=uri, solved=solved, conditions=conditions), allow=allow)
