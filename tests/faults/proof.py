"""Nothing is lost, nothing is there twice, every bit is the same, and nothing is left lying about."""

from pathlib import Path

import psutil  # type: ignore[import-untyped]

from bptt.tracking.folder.files import LOCK
from bptt.tracking.folder.lock import file_lock
from bptt.tracking.folder.sweep import SweepFolder
from tests.faults.contents import Stored, stored
from tests.faults.programs import of_trial, until
from tests.faults.sweep import DATABASE, swept
from tests.faults.trial import Trial
from tests.sweeping import assert_same_results

_SHARED_MEMORY = Path("/dev/shm")
_SECONDS_FOR_ORPHANS = 10.0


def prove(trial: Trial, *pids: int, database: Path | None = None, folder: Path | None = None) -> None:
    """Raise AssertionError unless the trial's one sweep is what it would be had nothing disturbed it.

    pids    of its main processes
    folder  of the sweep, where it is not the trial's own
    """
    found = folder or swept(trial.folder)
    assert found is not None
    archive = SweepFolder(found)
    assert archive.journal.status == "FINISHED"
    assert_same_results(archive, trial.undisturbed.archive)
    assert archive.stored() == archive.blocks()
    prove_stored(trial, database or trial.folder / DATABASE)
    prove_clean(trial, found, *pids)


def prove_stored(trial: Trial, database: Path, sweeps: int = 1, taken: int = 0) -> None:
    """The store holds so many sweeps, each of the undisturbed one's runs once per sweep, and nothing else.

    taken  sweeps beside these, that took all of their runs from them
    """
    found = stored(database, database.parent / "mlartifacts")
    own = [run.status for run in found if not run.below]
    assert own == ["FINISHED"] * (sweeps + taken), f"sweeps in the store: {own}"
    runs, expected = [run for run in found if run.below], trial.undisturbed.runs
    assert sorted(run.name for run in runs) == sorted([*expected] * sweeps)
    for run in runs:
        assert_same(run, expected[run.name])


def assert_same(run: Stored, expected: Stored) -> None:
    """What the store has of a run is what it has of the undisturbed one, to the last bit."""
    assert run.files.keys() == expected.files.keys(), run.name
    differ = [name for name, value in vars(expected).items() if getattr(run, name) != value]
    assert not differ, f"{run.name}: other {', '.join(differ)}"


def prove_clean(trial: Trial, folder: Path, *pids: int) -> None:
    """No process, no lock, no temporary file is left of a trial's sweeps."""
    until(lambda: not of_trial(trial.folder), _SECONDS_FOR_ORPHANS, pause=0.1)
    orphans = [_shown(process) for process in of_trial(trial.folder)]
    assert not orphans, f"still running: {orphans}"
    with file_lock(folder / LOCK, wait=False):
        pass
    parts = [str(path) for path in trial.folder.rglob("*") if path.name.endswith((".part", ".checkpoint.npz"))]
    assert not parts, f"left over: {parts}"
    temporary = [path.name for path in (trial.folder / "tmp").iterdir() if not path.name.endswith(".lock")]
    assert not temporary, f"left over in TMPDIR: {temporary}"
    if _SHARED_MEMORY.is_dir():
        shared = [
            path.name
            for path in _SHARED_MEMORY.iterdir()
            if any(f"-{pid}-" in path.name or f"_{pid}_" in path.name for pid in pids)
        ]
        assert not shared, f"left over in shared memory: {shared}"


def _shown(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())}"
    except psutil.Error:
        return str(process.pid)
