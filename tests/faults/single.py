"""A single run that is killed or interrupted, and goes on from its last checkpoint."""

import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

from bptt.tracking.folder.files import CHECKPOINT
from bptt.tracking.folder.run import ResumeError, read_journal
from tests.faults.contents import stored
from tests.faults.phases import measure
from tests.faults.programs import Program, until
from tests.faults.proof import assert_same, prove_clean
from tests.faults.sweep import DATABASE, alone, with_empty_store
from tests.faults.trial import Blow, Trial


def killed(trial: Trial) -> None:
    """kill -9, again and again, from its start to its end."""
    _again_and_again(trial, signal.SIGKILL)


def interrupted(trial: Trial) -> None:
    """Ctrl-C or SIGTERM, again and again."""
    _again_and_again(trial, trial.one_of(signal.SIGINT, signal.SIGTERM))


def _again_and_again(trial: Trial, number: signal.Signals) -> None:
    with_empty_store(trial.folder, trial.undisturbed.archive.folder.parents[1])
    starting, rest = measure(trial, "a run", _time_run)
    program = _begin(trial)
    pids = [program.process.pid]
    for _ in range(int(trial.rng.integers(1, trial.most_blows + 1))):
        if trial.one_of(True, False):  # only then, so that training and ending are hit as often as starting
            until(partial(_has_checkpoint, trial.folder, program), 60)
            program.runs_for(trial.seconds(rest))
        else:
            program.runs_for(trial.seconds(starting))
        if not program.running:
            break
        trial.blows.append(Blow(_phase(trial.folder), 0, kills=1))
        program.signal(number)
        program.wait(60)
        folder = _folder(trial.folder)
        program = _begin(trial) if folder is None else Program.start(trial.folder, "resume", str(folder))
        pids.append(program.process.pid)
    code = program.wait()
    if code == 2:
        assert "its run has finished" in program.told(), program.told()
    else:
        assert code == 0, f"{program} ended with {code}: {program.told()}"
    trial.recoveries.append(program.seconds)
    _prove(trial, *pids)


def _time_run(apart: Trial) -> tuple[float, ...]:
    """How long a run takes until it has a checkpoint, and how long from there to its end."""
    with_empty_store(apart.folder, apart.undisturbed.archive.folder.parents[1])
    program = _begin(apart)
    until(partial(_has_checkpoint, apart.folder, program), 120)
    started = program.seconds
    return started, program.ended_with(0) - started


def _begin(trial: Trial) -> Program:
    return Program.start(trial.folder, *alone())


def _folder(folder: Path) -> Path | None:
    """The run's folder, once it has a journal."""
    found = [path.parent for path in folder.glob("multirun/runs/*/run.json")]
    assert len(found) < 2, f"one run was asked for, and there are {len(found)}"
    return found[0] if found else None


def _has_checkpoint(folder: Path, program: Program) -> bool:
    found = _folder(folder)
    return not program.running or (found is not None and (found / CHECKPOINT).exists())


def _phase(folder: Path) -> str:
    found = _folder(folder)
    if found is None:
        return "starting"
    with suppress(ResumeError):
        if read_journal(found).status == "FINISHED":
            return "ending"
    if (found / "history.parquet").exists():
        return "storing"
    return "training" if (found / CHECKPOINT).exists() else "starting"


def _prove(trial: Trial, *pids: int) -> None:
    folder = _folder(trial.folder)
    assert folder is not None
    assert read_journal(folder).status == "FINISHED"
    found = stored(trial.folder / DATABASE, trial.folder)
    assert len(found) == 1, f"runs in the store: {[(run.name, run.status) for run in found]}"
    assert_same(found[0], trial.undisturbed.alone)
    prove_clean(trial, folder, *pids)
