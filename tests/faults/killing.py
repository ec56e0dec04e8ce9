"""kill -9: of a sweep's main process, of all its processes, of a worker, of commands that go on with it or read it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from bptt.tracking.folder.sweep import SweepFolder
from tests.faults.phases import Phase, await_moment, measure, phase
from tests.faults.programs import Program
from tests.faults.proof import prove
from tests.faults.sweep import DATABASE, RUNS, begin, go_on, swept
from tests.faults.trial import Blow, Trial

# The store takes nothing, so that all of it is left to `bptt sync`.
_AWAY = """
import bptt.tracking.store.writers as bulk
from bptt.tracking.store.address import StoreError
def write(self, runs):
    raise StoreError("the store is away")
bulk.DatabaseWriter.write = write
"""


def main_process(trial: Trial) -> None:
    """The process that the user started dies, again and again; its workers find out by themselves."""
    again_and_again(trial, Program.kill)


def process_group(trial: Trial) -> None:
    """All processes of the sweep die at the same moment."""
    # Among them is the one that would tidy up in shared memory.
    again_and_again(trial, lambda program: program.kill(group=True), tidied=False)


def during_resume(trial: Trial) -> None:
    """`bptt resume` dies, after the sweep itself has."""
    begun = begin(trial)
    while swept(trial.folder) is None:
        assert begun.running, begun.told()
    begun.kill()
    again_and_again(trial, Program.kill, go_on(trial))


def during_sync(trial: Trial) -> None:
    """`bptt sync` dies, while it sends a sweep of which the store has nothing."""

    def prepare(trial: Trial) -> None:
        begin(trial, first=_AWAY).ended_with(1)
        folder = swept(trial.folder)
        assert folder is not None
        assert not SweepFolder(folder).stored()

    def sync(trial: Trial) -> Program:
        return Program.start(trial.folder, "sync", str(swept(trial.folder)))

    def measured(apart: Trial) -> tuple[float, ...]:
        prepare(apart)
        return (sync(apart).ended_with(0),)

    (seconds,) = measure(trial, "bptt sync", measured)

    def within(trial: Trial, program: Program) -> Phase | None:
        return phase(swept(trial.folder)) if program.runs_for(trial.seconds(seconds)) else None

    prepare(trial)
    again_and_again(trial, Program.kill, sync(trial), sync, moment=within)


def worker(trial: Trial) -> None:
    """A worker process dies, twice in a sweep: it goes on by itself."""
    program = begin(trial, workers=2)
    for _ in range(2):
        hit = await_moment(trial, program, "training", "archiving", "storing")
        if hit is None or not (workers := program.workers()):
            break
        with suppress(psutil.NoSuchProcess):
            trial.one_of(*workers).kill()
        trial.blows.append(Blow(hit, ended(trial), kills=1))
    trial.recoveries.append(program.ended_with(0))
    prove(trial, program.process.pid)


def during_report(trial: Trial) -> None:
    """`bptt report` dies, and is called again: it leaves the sweep as it was, and a whole report."""
    out = trial.folder / "out"
    _killed_over(trial, "report", "-o", str(out))
    assert (out / "report.html").read_text().rstrip().endswith("</html>")
    prove(trial)


def during_reproduce(trial: Trial) -> None:
    """`bptt reproduce` dies, and is called again: it leaves the sweep as it was."""
    _killed_over(trial, "reproduce")
    prove(trial)


def during_rm(trial: Trial) -> None:
    """`bptt rm` dies, and is called again: nothing of the sweep is left."""
    folder = _killed_over(trial, "rm", "--yes")
    assert not folder.exists()
    with closing(sqlite3.connect(trial.folder / DATABASE)) as connection:
        assert connection.execute("SELECT name FROM runs WHERE lifecycle_stage = 'active'").fetchall() == []


def _killed_over(trial: Trial, *command: str) -> Path:
    """A sweep that has ended, and a command on it that is killed up to three times before it may end."""

    def prepare(trial: Trial) -> Path:
        begin(trial).ended_with(0)
        folder = swept(trial.folder)
        assert folder is not None
        return folder

    def measured(apart: Trial) -> tuple[float, ...]:
        return (Program.start(apart.folder, *command, str(prepare(apart))).ended_with(0),)

    (seconds,) = measure(trial, f"bptt {command[0]}", measured)
    folder = prepare(trial)
    # `bptt rm` that is killed when all is done already leaves nothing that the next one could delete.
    codes = (0, 2) if command[0] == "rm" else (0,)
    for _ in range(min(3, trial.most_blows)):
        program = Program.start(trial.folder, *command, str(folder))
        if not program.runs_for(trial.seconds(seconds)):
            program.ended_with(*codes)
            trial.recoveries.append(program.seconds)
            return folder
        program.kill()
        trial.blows.append(Blow("ending", RUNS, kills=1))
    last = Program.start(trial.folder, *command, folder.name if command[0] == "rm" else str(folder))
    trial.recoveries.append(last.ended_with(*codes))
    return folder


def again_and_again(
    trial: Trial,
    blow: Callable[[Program], None],
    program: Program | None = None,
    going_on: Callable[[Trial], Program] = go_on,
    tidied: bool = True,
    moment: Callable[[Trial, Program], Phase | None] = await_moment,
) -> None:
    """Let one blow after the other hit the sweep, whatever goes on with it, and at last let it come to its end."""
    if program is None:
        how = {"report": trial.one_of(True, False), "workers": trial.one_of(1, 1, 2)}
        program = begin(trial, cold=trial.one_of(True, False, False), **how)
    pids = [program.process.pid]
    for _ in range(int(trial.rng.integers(1, trial.most_blows + 1))):
        hit = moment(trial, program)
        if hit is None:
            break
        before = ended(trial)
        blow(program)
        trial.blows.append(Blow(hit, before, kills=1))
        program = going_on(trial)
        pids.append(program.process.pid)
    trial.recoveries.append(program.ended_with(0))
    prove(trial, *(pids if tidied else pids[-1:]))


def ended(trial: Trial) -> int:
    """How many runs the archive has."""
    folder = swept(trial.folder)
    return 0 if folder is None else len([*SweepFolder(folder).ended()])
