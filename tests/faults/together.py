"""Several commands at the same instant: sweeps in a fresh folder, and `bptt resume` of one sweep."""

from pathlib import Path

from bptt.tracking.folder.sweep import SweepFolder
from tests.faults.phases import await_moment
from tests.faults.programs import Program
from tests.faults.proof import prove, prove_clean, prove_stored
from tests.faults.sweep import DATABASE, begin, swept, with_empty_store, words
from tests.faults.trial import Blow, Trial
from tests.sweeping import assert_same_results


def two_sweeps(trial: Trial) -> None:
    """Two sweeps begin at once where there is no store yet."""
    _sweeps(trial, 2)


def three_sweeps(trial: Trial) -> None:
    """Three of them."""
    _sweeps(trial, 3)


def four_sweeps(trial: Trial) -> None:
    """Four of them."""
    _sweeps(trial, 4)


def same_sweep_twice(trial: Trial) -> None:
    """One command is started twice at once: each sweep has all its runs. What both train is recorded in both, and one
    of them says so; what one finds in the store already it takes from there.
    """
    with_empty_store(trial.folder, trial.undisturbed.archive.folder.parents[1])
    begun = [Program.start(trial.folder, *words()) for _ in range(2)]
    trial.blows.append(Blow("starting", 0, kills=0))
    trial.recoveries.append(max(program.ended_with(0) for program in begun))
    for folder in _list_swept(trial, 2):
        assert_same_results(SweepFolder(folder), trial.undisturbed.archive)
    trained = sum("training" in program.told() for program in begun)
    told = sum("they are trained twice, and recorded in both sweeps" in program.told() for program in begun)
    assert told >= trained - 1, [program.told() for program in begun]
    if told == 0:
        prove_stored(trial, trial.folder / DATABASE, taken=1)


def _list_swept(trial: Trial, count: int) -> list[Path]:
    folders = [path for path in (trial.folder / "multirun").iterdir() if path.is_dir()]
    assert len(folders) == count
    return folders


def _sweeps(trial: Trial, count: int) -> None:
    begun = [Program.start(trial.folder, *words("reuse=false")) for _ in range(count)]
    trial.blows.append(Blow("starting", 0, kills=0))
    trial.recoveries.append(max(program.ended_with(0) for program in begun))
    for folder in _list_swept(trial, count):
        assert_same_results(SweepFolder(folder), trial.undisturbed.archive)
        prove_clean(trial, folder, *(program.process.pid for program in begun))
    prove_stored(trial, trial.folder / DATABASE, sweeps=count)


def resumed_twice(trial: Trial) -> None:
    """A killed sweep is resumed by two commands at once: one of them is refused, or finds it done."""
    _resumed_at_once(trial, 2)


def resumed_thrice(trial: Trial) -> None:
    """By three."""
    _resumed_at_once(trial, 3)


def resumed_while_it_runs(trial: Trial) -> None:
    """Three commands resume a sweep that its own process still trains: they are refused, or find it done."""
    program = begin(trial)
    phase = await_moment(trial, program, "training", "archiving", "storing")
    folder = swept(trial.folder)
    assert folder is not None
    others = [Program.start(trial.folder, "resume", str(folder)) for _ in range(3)]
    trial.blows.append(Blow(phase or "ending", len([*SweepFolder(folder).ended()]), kills=0))
    _one_goes_on(others)
    trial.recoveries.append(program.ended_with(0))
    prove(trial, program.process.pid, *(one.process.pid for one in others))


def _one_goes_on(commands: list[Program]) -> None:
    """The others are told in a line that the sweep is being trained."""
    for one in commands:
        one.ended_with(0, 2)
        if one.process.returncode == 2:
            assert one.told().count("\n") == 1, one.told()
            assert "is still being trained, by another process" in one.told()


def _resumed_at_once(trial: Trial, count: int) -> None:
    program = begin(trial)
    phase = await_moment(trial, program, "training", "archiving", "storing")
    program.kill()
    folder = swept(trial.folder)
    assert folder is not None
    trial.blows.append(Blow(phase or "ending", len([*SweepFolder(folder).ended()]), kills=1))
    commands = [Program.start(trial.folder, "resume", str(folder)) for _ in range(count)]
    _one_goes_on(commands)
    assert 0 in [one.process.returncode for one in commands], [one.told() for one in commands]
    trial.recoveries.append(max(one.seconds for one in commands))
    prove(trial, program.process.pid, *(one.process.pid for one in commands))
