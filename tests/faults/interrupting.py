"""Ctrl-C, SIGTERM, an impatient second Ctrl-C, a terminal that goes away: at any moment, in whatever goes on."""

import fcntl
import os
import pty
import signal
import termios
from functools import partial

from bptt.tracking.folder.sweep import SweepFolder
from tests.faults.contents import stored
from tests.faults.killing import again_and_again
from tests.faults.phases import await_moment
from tests.faults.programs import Program, until
from tests.faults.proof import prove
from tests.faults.sweep import DATABASE, RUNS, begin, go_on, swept
from tests.faults.trial import Blow, Trial

_SECONDS_TO_STOP = 45.0  # on a machine that others use too


def ctrl_c(trial: Trial) -> None:
    """All processes of the terminal get SIGINT."""
    again_and_again(trial, partial(_stopped, trial, signal.SIGINT, True))


def sigterm(trial: Trial) -> None:
    """The main process gets SIGTERM, as from `kill` or a service manager."""
    again_and_again(trial, partial(_stopped, trial, signal.SIGTERM, False))


def sigterm_to_all(trial: Trial) -> None:
    """All processes get SIGTERM, as when a container is stopped."""
    again_and_again(trial, partial(_stopped, trial, signal.SIGTERM, True))


def twice(trial: Trial) -> None:
    """A second Ctrl-C, soon after the first."""

    def blow(program: Program) -> None:
        early = not program.listens
        program.signal(signal.SIGINT, group=True)
        program.runs_for(trial.seconds(0.5))
        _stopped(trial, signal.SIGINT, True, program, early, at_once=True)

    again_and_again(trial, blow)


def _stopped(
    trial: Trial, number: signal.Signals, group: bool, program: Program, early: bool = False, at_once: bool = False
) -> None:
    """Send the signal: the program ends soon, says how to go on, and has marked what it didn't train as KILLED.

    early  whether it got a signal before it listened
    """
    early |= not program.listens
    program.signal(number, group)
    assert until(lambda: not program.running, _SECONDS_TO_STOP, pause=0.01), f"{program} goes on: {program.told()}"
    code, folder = program.process.returncode, swept(trial.folder)
    if folder is not None and SweepFolder(folder).journal.status == "FINISHED":
        return  # it was at its end when the signal came
    assert code == 130 or (early and code == -number), f"{code}: {program.told()}"
    if folder is None or early:
        return
    assert "Traceback" not in program.told(), program.told()
    if not at_once and program.words[0] == "train":
        assert "go on with: bptt resume" in program.told() or "later: bptt sync" in program.told(), program.told()
        assert SweepFolder(folder).journal.status == "KILLED"
        runs = [run for run in stored(trial.folder / DATABASE, trial.folder) if run.below]
        assert len(runs) == RUNS
        assert {run.status for run in runs} <= {"FINISHED", "KILLED"}


def hangup(trial: Trial) -> None:
    """The terminal that a sweep was started in is closed: the sweep ends as with Ctrl-C."""
    terminal, own = pty.openpty()
    program = begin(trial, stdin=own, stdout=own, stderr=own, preexec_fn=lambda: fcntl.ioctl(own, termios.TIOCSCTTY, 0))
    os.close(own)
    phase = await_moment(trial, program, "training", "archiving", "storing", "ending")
    os.close(terminal)
    assert until(lambda: not program.running, _SECONDS_TO_STOP, pause=0.01), "it goes on without a terminal"
    folder = swept(trial.folder)
    assert folder is not None
    if phase is not None:
        code, status = program.process.returncode, SweepFolder(folder).journal.status
        assert status == "FINISHED" or (code, status) == (130, "KILLED"), (code, status)
        trial.blows.append(Blow(phase, len([*SweepFolder(folder).ended()]), kills=1))
    again = go_on(trial)
    trial.recoveries.append(again.ended_with(0))
    prove(trial, program.process.pid, again.process.pid)


def closed_pipe(trial: Trial) -> None:
    """Whoever read along, as `head -1` does, goes away: the sweep goes on to its end."""
    reader, writer = os.pipe()
    program = begin(trial, stdout=writer, stderr=writer)
    os.close(writer)
    phase = await_moment(trial, program, "starting", "training", "storing")
    os.close(reader)
    assert program.wait() == 0
    trial.blows.append(Blow(phase or "ending", RUNS, kills=0))
    trial.recoveries.append(program.seconds)
    prove(trial, program.process.pid)
