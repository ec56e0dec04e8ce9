"""A disk that takes no more in the middle of a sweep: it is full, has no inode left, or can only be read by now."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bptt.tracking.folder.sweep import SweepFolder, is_sweep
from tests.faults.contents import Stored, stored
from tests.faults.phases import phase
from tests.faults.programs import Program, until
from tests.faults.proof import assert_same, prove
from tests.faults.sweep import DATABASE, RUNS, alone, begin, swept, with_empty_store, words
from tests.faults.trial import Blow, Trial

AVAILABLE = sys.platform == "linux" and os.geteuid() == 0
_ROOM = "64m"


def archive(trial: Trial) -> None:
    """The sweep's folder is on a disk that is soon full, of blocks and of checkpoints."""
    with _disk(trial.folder / "small", int(trial.rng.integers(20, 140))) as small:
        program = begin(trial, f"hydra.sweep.dir={small}/sweep")
        code = program.wait()
        folder = small / "sweep"
        _note(trial, program, folder if is_sweep(folder) else None, code)
        _resize(small, _ROOM)
        _go_on(trial, program, folder, trial.folder / DATABASE)


def project(trial: Trial) -> None:
    """All that a sweep writes is on one disk of 30 MB that is almost full."""
    small = trial.folder / "small"
    with _disk(small, 30_000):
        with_empty_store(small, trial.undisturbed.archive.folder.parents[1])
        used = sum(path.stat().st_blocks for path in small.iterdir()) // 2
        ballast = small / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 1024 * (29_900 - used - int(trial.rng.integers(100, 1500))))
        program = Program.start(trial.folder, *words(f"hydra.sweep.dir={small}/sweep"), env=_store_in(small))
        code = program.wait()
        folder = small / "sweep"
        _note(trial, program, folder if is_sweep(folder) else None, code)
        ballast.unlink()
        _go_on(trial, program, folder, small / DATABASE)


def inodes(trial: Trial) -> None:
    """The disk has room, but no inode for another file, be it for the archive, the database's log or an artifact."""
    small = trial.folder / "small"
    with _disk(small, 65536):
        with_empty_store(small, trial.undisturbed.archive.folder.parents[1])
        _leave_inodes(small, int(trial.rng.integers(6, 60)))
        program = Program.start(trial.folder, *words(f"hydra.sweep.dir={small}/sweep"), env=_store_in(small))
        code = program.wait()
        folder = small / "sweep"
        _note(trial, program, folder if is_sweep(folder) else None, code)
        _leave_inodes(small, 5000)
        _go_on(trial, program, folder, small / DATABASE)


def resumed_without_inodes(trial: Trial) -> None:
    """A killed sweep is resumed where no, or hardly any, inode is left: in a line, and nothing is lost."""
    small = trial.folder / "small"
    with _disk(small, 65536):
        program = begin(trial, f"hydra.sweep.dir={small}/sweep")
        folder = small / "sweep"
        until(lambda: not program.running or (is_sweep(folder) and bool(SweepFolder(folder).blocks())), 120)
        program.kill()
        _leave_inodes(small, int(trial.rng.integers(0, 4)))
        held = len([*SweepFolder(folder).ended()])
        again = Program.start(trial.folder, "resume", str(folder))
        code = again.wait()
        assert code in ((1, 2) if held < RUNS else (0, 1, 2)), again.told()
        assert "Traceback" not in again.told(), again.told()
        assert code == 0 or "No space left on device" in again.told(), again.told()
        assert len([*SweepFolder(folder).ended()]) >= held
        trial.blows.append(Blow("training", held, kills=0))
        _leave_inodes(small, 5000)
        _go_on(trial, program, folder, trial.folder / DATABASE)


def read_only(trial: Trial) -> None:
    """In the folders of the sweep nothing can be made, renamed or deleted from some moment on, by root neither."""
    program = begin(trial)
    wanted = int(trial.rng.integers(0, 2))
    until(lambda: not program.running or _count_blocks(trial) >= wanted, 120)
    folder = swept(trial.folder)
    assert folder is not None
    places = [str(folder), str(folder / "blocks"), str(folder / "stored")]
    try:
        held = subprocess.run(["chattr", "+i", *places], check=False, capture_output=True).returncode == 0
        code = program.wait()
        assert code in (0, 1, 2), program.told()
        assert "Traceback" not in program.told(), program.told()
        if code and held:
            assert "Operation not permitted" in program.told(), program.told()
            trial.blows.append(Blow(phase(folder), len([*SweepFolder(folder).ended()]), kills=0))
    finally:
        subprocess.run(["chattr", "-i", *places], check=False, capture_output=True)
    _go_on(trial, program, folder, trial.folder / DATABASE)


def _count_blocks(trial: Trial) -> int:
    """How many blocks the sweep has; −1 as long as it is not there."""
    folder = swept(trial.folder)
    return -1 if folder is None else len(SweepFolder(folder).blocks())


def _store_in(small: Path) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{small / DATABASE}"}


def _leave_inodes(small: Path, count: int) -> None:
    found = os.statvfs(small)
    _resize(small, _ROOM, f",nr_inodes={found.f_files - found.f_ffree + count}")


def database(trial: Trial) -> None:
    """The database is on a disk that is soon full."""
    small = trial.folder / "small"
    with _disk(small, 65536):
        with_empty_store(small, trial.undisturbed.archive.folder.parents[1])
        used = sum(path.stat().st_blocks for path in small.iterdir()) // 2
        _resize(small, f"{used + int(trial.rng.integers(40, 600))}k")
        program = Program.start(trial.folder, *words(), env=_store_in(small))
        code = program.wait()
        _note(trial, program, swept(trial.folder), code)
        _resize(small, _ROOM)
        _go_on(trial, program, swept(trial.folder), small / DATABASE)


def checkpoint(trial: Trial) -> None:
    """The folder of a single run is on a disk that takes none of its checkpoints, and at the end not all its files."""
    small = trial.folder / "small"
    with_empty_store(trial.folder, trial.undisturbed.archive.folder.parents[1])
    with _disk(small, int(trial.rng.integers(16, 120))):
        program = Program.start(trial.folder, *alone(f"hydra.run.dir={small}/run"))
        code = program.wait()
        assert code in (0, 1, 2), program.told()
        assert "Traceback" not in program.told(), program.told()
        if code == 0:
            trial.recoveries.append(program.seconds)
        trial.blows.append(Blow("training" if "has no checkpoint" in program.told() else "starting", 0, kills=0))
        _resize(small, _ROOM)
        if code:
            again = ("resume", str(small / "run")) if (small / "run" / "run.json").exists() else alone()
            trial.recoveries.append(Program.start(trial.folder, *again).ended_with(0))
        (run,) = stored(trial.folder / DATABASE, trial.folder)
        expected = trial.undisturbed.alone
        if "the figures can't be drawn" in program.told():
            run, expected = _without_figures(run), _without_figures(expected)
        assert_same(run, expected)


def _without_figures(run: Stored) -> Stored:
    """What a run has beside its figures, for which there was no room: the command has said so."""
    return replace(run, files={name: held for name, held in run.files.items() if not name.startswith("figures/")})


def _note(trial: Trial, program: Program, folder: Path | None, code: int) -> None:
    """The sweep has ended, and told why in lines; what had ended before is there."""
    assert code in (0, 1, 2), f"{program} ended with {code}: {program.told()}"
    assert "Traceback" not in program.told(), program.told()
    if code:
        told = program.told()
        # SQLite says of a log for which there is no inode that it can't be opened.
        assert any(words in told for words in ("No space left on device", "disk is full", "unable to open")), told
        held = 0 if folder is None else len([*SweepFolder(folder).ended()])
        trial.blows.append(Blow(phase(folder), held, kills=0))


def _go_on(trial: Trial, program: Program, folder: Path | None, database: Path) -> None:
    """There is room again."""
    begun = folder is not None and is_sweep(folder)
    again = ("resume", str(folder)) if begun else program.words
    going = Program.start(trial.folder, *again)
    trial.recoveries.append(going.ended_with(0))
    prove(trial, program.process.pid, going.process.pid, database=database, folder=folder or swept(trial.folder))


@contextmanager
def _disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of this size while the block lasts."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _resize(folder: Path, size: str, more: str = "") -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}{more}", str(folder)], check=True)
