"""Which phase a sweep is in, seen from outside, and the moment at which one is to be disturbed.

How long a command takes is measured, once in a process of these tests: machines differ, and commands become faster.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final, Literal

from bptt.tracking.folder.sweep import SweepFolder
from tests.faults.programs import Program, until
from tests.faults.sweep import swept
from tests.faults.trial import Trial

Phase = Literal["starting", "training", "archiving", "storing", "ending"]
PHASES: Final[tuple[Phase, ...]] = ("starting", "training", "archiving", "storing", "ending")

_SECONDS_OF: Final[dict[Phase, float]] = {"training": 0.2, "archiving": 0.004, "storing": 0.03}
_measured: Final[dict[str, tuple[float, ...]]] = {}


def phase(folder: Path | None) -> Phase:
    """What goes on in a sweep: starting as long as it has no folder, ending once all is stored."""
    if folder is None:
        return "starting"
    archive = SweepFolder(folder)
    held, stored = archive.blocks(), archive.stored()
    if any(path.suffix == ".part" and path.is_dir() for path in (folder / "blocks").glob(".*")):
        return "archiving"
    if held - stored:
        return "storing"
    return "ending" if len(held) == _blocks(folder) else "training"


def await_moment(trial: Trial, program: Program, *aims: Phase) -> Phase | None:
    """Wait for a random moment in one of these phases; the phase that it hit, or None if the program ended before."""
    aim = trial.one_of(*(aims or PHASES))

    def reached(wanted: int) -> bool:
        if not program.running:
            return True
        folder = swept(trial.folder)
        if folder is None:
            return False
        return phase(folder) == aim and len(SweepFolder(folder).blocks()) >= wanted

    if aim == "starting":
        program.runs_for(trial.seconds(trial.undisturbed.starting))
    else:
        before = swept(trial.folder)
        there = 0 if before is None else len(SweepFolder(before).blocks())
        wanted = there + int(trial.rng.integers(4))
        until(lambda: reached(wanted), 120)
        program.runs_for(trial.seconds(_SECONDS_OF.get(aim, trial.undisturbed.ending)))
    return phase(swept(trial.folder)) if program.running else None


def measure(trial: Trial, what: str, command: Callable[[Trial], tuple[float, ...]]) -> tuple[float, ...]:
    """The seconds that a command takes which nothing disturbs, as it finds them itself in a trial apart."""
    if what not in _measured:
        folder = trial.folder / "undisturbed"
        folder.mkdir()
        _measured[what] = command(replace(trial, folder=folder, blows=[], recoveries=[]))
        shutil.rmtree(folder)
    return _measured[what]


@cache
def _blocks(folder: Path) -> int:
    """How many blocks a sweep has in all."""
    return len({job.block for job in SweepFolder(folder).jobs()})
