"""Several commands at the same instant: sweeps in a fresh folder, and `bptt resume` of one sweep."""

from bptt.tracking.folder.sweep import SweepFolder
from tests.faults.phases import await_moment
from tests.faults.programs import Program
from tests.faults.proof import prove, prove_clean, prove_stored
from tests.faults.sweep import DATABASE, begin, swept, words
from tests.faults.trial import Blow, Trial
from tests.sweeping import assert_same_results


def two_sweeps(trial: Trial) -> None:
    """Two sweeps begin at once where there is no store yet."""
    _sweeps(trial, 2)


def three_sweeps(trial: Trial) -> None:
    """Three of them."""
    _sweeps(trial, 3)


def _sweeps(trial: Trial, count: int) -> None:
    begun = [Program.start(trial.folder, *words("reuse=false")) for _ in range(count)]
    trial.blows.append(Blow("starting", 0, kills=0))
    trial.recoveries.append(max(program.ended_with(0) for program in begun))
    folders = [path for path in (trial.folder / "multirun").iterdir() if path.is_dir()]
    assert len(folders) == count
    for folder in folders:
        assert_same_results(SweepFolder(folder), trial.undisturbed.archive)
        prove_clean(trial, folder, *(program.process.pid for program in begun))
    prove_stored(trial, trial.folder / DATABASE, sweeps=count)


def resumed_twice(trial: Trial) -> None:
    """A killed sweep is resumed by two commands at once: one of them is refused, or finds it done."""
    program = begin(trial)
    phase = await_moment(trial, program, "training", "archiving", "storing")
    program.kill()
    folder = swept(trial.folder)
    assert folder is not None
    trial.blows.append(Blow(phase or "ending", len(SweepFolder(folder).ended()), kills=1))
    both = [Program.start(trial.folder, "resume", str(folder)) for _ in range(2)]
    codes = sorted(one.wait() for one in both)
    assert codes in ([0, 0], [0, 2]), [one.told() for one in both]
    for one in both:
        if one.process.returncode == 2:
            assert one.told().count("\n") == 1, one.told()
            assert "is still being trained, by another process" in one.told()
    trial.recoveries.append(max(one.seconds for one in both))
    prove(trial, program.process.pid, *(one.process.pid for one in both))
