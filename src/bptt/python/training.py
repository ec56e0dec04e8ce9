"""One run from Python: `bptt.train`."""

import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from bptt.configuration.errors import ConfigurationError
from bptt.python.composing import ComposedRun, KeptFolder, add_tracking, compose_run, place_data
from bptt.python.progress import choose_reporter
from bptt.python.run import RunFailedError, TrainedRun
from bptt.sweeps.execution import RunReporter
from bptt.sweeps.single import Trained, hold_run_folder, illustrate_run, train_single
from bptt.tracking.folder.files import write_text
from bptt.tracking.folder.run import OVERRIDES
from bptt.tracking.history.find import find_past_runs
from bptt.tracking.store.pages import write_page

#: Matplotlib's settings are those of a whole process.
_DRAWING: Final = threading.Lock()


def train(
    *overrides: str | Sequence[str],
    folder: str | Path | None = None,
    tracking: bool | Mapping[str, Any] | None = None,
    config_dir: str | Path | None = None,
    progress: bool | None = None,
    **keys: Any,
) -> TrainedRun:
    """Train one run, and return what it has left: `bptt.train("experiment=zhu_adder", model="gru", seed=3)`.

    overrides   as for `bptt train`, parted at blanks as a shell does, or as a list
    keys        keys of the configuration: choices by name, `model="gru"`; values nested, `train={"updates": 500}`, a
                choice with values, `model={"name": "gru", "hidden_size": 8}`, or by a key in full,
                `**{"optimizer.alpha": 0.01}`. A task may be an object: `task=bptt.tasks.Arrays(x, y)`, or one of a
                class of your own, see docs/python.md
    folder      a new folder for its files; None: one below multirun/runs, or, with tracking=False, a temporary one that
                goes with the object that is returned
    tracking    False: no MLflow, no store; a mapping: keys of `tracking`; None: as the configuration says
    config_dir  a folder with choices of your own, as `--config-dir`
    progress    True or False: it is shown, or not; None: in a notebook and on a terminal

    Interrupted (Ctrl-C, a notebook's stop button), it gives back what was trained until then, with status KILLED and a
    warning that says how to go on. Several threads may train at once: each run has the bits that it has alone. The
    current folder is never changed.

    Raises bptt.configuration.errors.ConfigurationError with a line for everything that is wrong, before anything is
    begun; bptt.tracking.store.address.StoreError where the store can't be used; and `RunFailedError`, which has the
    run, where training raised.
    """
    keys = add_tracking(keys, tracking)
    temporary = KeptFolder() if tracking is False and folder is None else None
    place = temporary.path / "run" if temporary is not None else None if folder is None else Path(folder)
    asked = compose_run(overrides, keys, config_dir, place_data(place))
    for line in asked.told:
        warnings.warn(line, stacklevel=2)
    reporter = choose_reporter(progress)
    if asked.fitted is not None:
        reporter.say(asked.fitted)
    trained = _train_in(asked.folder if place is None else place, asked, reporter, illustrated=temporary is None)
    run = take_trained(trained, kept=temporary)
    _warn(trained, temporary is not None)
    if trained.ended.error is not None:
        raise RunFailedError(run, trained.ended.error)
    return run


def _train_in(folder: Path, asked: ComposedRun, reporter: RunReporter, *, illustrated: bool) -> Trained:
    with hold_run_folder(folder):
        try:
            (folder / OVERRIDES).parent.mkdir(exist_ok=True)
            write_text(folder / OVERRIDES, yaml.safe_dump(asked.overrides, allow_unicode=True))
        except OSError as error:
            says = f"hydra.run.dir={folder}: can't be written: {error.strerror or error}"
            raise ConfigurationError([says]) from None
        trained = train_single(asked.configuration, folder, reporter)
        if illustrated:
            with _DRAWING:
                illustrate_run(trained, reporter)
    return trained


def take_trained(trained: Trained, kept: object = None) -> TrainedRun:
    """What a run that was trained here has left; kept: what keeps its folder there."""
    (past,) = find_past_runs(trained.folder)
    tracker, page = trained.tracker, None
    if tracker is not None:
        page = write_page(tracker.store.address, tracker.store.experiment_id, tracker.run_id)
    return TrainedRun(past, run=trained.run, record=trained.ended.record, page=page, kept=kept)


def _warn(trained: Trained, temporary: bool) -> None:
    """Warn of what did not go as it should, and say what is to be done about it."""
    ended, folder = trained.ended, trained.folder
    if ended.unwritten is not None:
        warnings.warn(ended.unwritten, stacklevel=3)
    elif ended.unstored is not None:
        says = f"the store doesn't have all of it: {ended.unstored}; later: bptt.sync({str(folder)!r})"
        warnings.warn(says, stacklevel=3)
    if ended.status == "KILLED":
        record = ended.record
        after = f"after update {record.updates:,}" if record is not None else "before its first recorded update"
        going_on = "" if temporary else f"; bptt.resume({str(folder)!r}) goes on with it"
        warnings.warn(f"{trained.journal.name}: interrupted {after}{going_on}", stacklevel=3)
