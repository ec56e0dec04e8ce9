"""The sweep that is disturbed, and its folder."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from bptt.tracking.folder.sweep import SweepFolder, is_sweep
from tests.faults.contents import Contents, stored
from tests.faults.programs import Program, until
from tests.faults.trial import Trial

RUNS = 16
UPDATES = 30_000
UPDATES_ALONE = 250_000  # some seconds
DATABASE = "mlflow.db"
_SECONDS = "seconds.json"

_EXPERIMENT = ("experiment=roelants_counting", "train.log_points=20", "tracking.checkpoint_seconds=0.1")


def words(*more: str, report: bool = False, workers: int = 1) -> tuple[str, ...]:
    """The sweep's command."""
    what = (*_EXPERIMENT, f"train.updates={UPDATES}", f"seed=range({RUNS})")
    how = (f"report={str(report).lower()}", f"hydra.launcher.workers={workers}")
    return ("train", "-m", *what, *how, *more)


def alone(*more: str) -> tuple[str, ...]:
    """The command of a run on its own."""
    what = (*_EXPERIMENT, f"train.updates={UPDATES_ALONE}", "seed=3")
    return ("train", *what, *more)


def swept(folder: Path) -> Path | None:
    """The sweep of a trial's folder; None: none was begun yet."""
    found = [path for path in (folder / "multirun").glob("*") if is_sweep(path)]
    assert len(found) < 2, f"one sweep was asked for, and there are {len(found)}"
    return found[0] if found else None


def undisturbed(folder: Path) -> Contents:
    """Train the sweep, and the run on its own, in this folder; what they left, and how long the sweep takes."""
    Program.start(folder, *words(report=True)).ended_with(0)
    Program.start(folder, *alone()).ended_with(0)
    (folder / _SECONDS).write_text(json.dumps(_time_sweep(folder)))
    return contents_of(folder)


def contents_of(folder: Path) -> Contents:
    """What `undisturbed` left in this folder."""
    found = swept(folder)
    assert found is not None
    runs = stored(folder / DATABASE, folder)
    (single,) = [run for run in runs if not run.below and run.name != found.name]
    starting, ending = json.loads((folder / _SECONDS).read_text())
    return Contents(SweepFolder(found), {run.name: run for run in runs if run.below}, single, starting, ending)


def _time_sweep(like: Path) -> tuple[float, float]:
    """How long a sweep takes to have its folder, and to end once all is stored, in a folder with an empty store."""
    folder = like / "timed"
    folder.mkdir()
    with_empty_store(folder, like)
    program = Program.start(folder, *words(report=True))
    until(lambda: swept(folder) is not None or not program.running, 120)
    starting = program.seconds
    until(lambda: _is_stored(folder) or not program.running, 120)
    begins = program.seconds
    return starting, program.ended_with(0) - begins


def _is_stored(folder: Path) -> bool:
    found = swept(folder)
    if found is None:
        return False
    archive = SweepFolder(found)
    return len([*archive.ended()]) == RUNS and archive.stored() == archive.blocks()


def with_empty_store(folder: Path, like: Path) -> None:
    """Give the folder the store that another one has, without its runs: to make one anew takes seconds."""
    with closing(sqlite3.connect(like / DATABASE)) as source, closing(sqlite3.connect(folder / DATABASE)) as target:
        source.backup(target)
        for table in ("latest_metrics", "metrics", "params", "tags", "experiment_tags", "runs"):
            target.execute(f"DELETE FROM {table}")
        place = (folder / "mlruns").as_uri()
        target.execute("UPDATE experiments SET artifact_location = replace(artifact_location, ?, ?)", (
            (like / "mlruns").as_uri(), place,
        ))  # fmt: skip
        target.commit()
        target.execute("PRAGMA journal_mode=WAL").fetchone()


def begin(
    trial: Trial,
    *more: str,
    report: bool = False,
    workers: int = 1,
    cold: bool = False,
    **options: Any,
) -> Program:
    """Start the trial's sweep; cold: its store has to be made first."""
    if not cold:
        with_empty_store(trial.folder, trial.undisturbed.archive.folder.parents[1])
    command = words(*more, report=report, workers=workers)
    return Program.start(trial.folder, *command, **options)


def go_on(trial: Trial, **options: Any) -> Program:
    """What a user does then: `bptt resume`, or the command again where nothing was begun."""
    folder = swept(trial.folder)
    return Program.start(trial.folder, *(words() if folder is None else ("resume", str(folder))), **options)
