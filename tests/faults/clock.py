"""The clock goes back, jumps or is far ahead in a sweep, in its main process and in its workers."""

import os

from tests.faults.proof import prove
from tests.faults.sweep import RUNS, begin
from tests.faults.trial import Blow, Trial

# Python runs it when it starts, in the workers too; the times of files, which the system notes, stay as they are.
_SITE = """
import time
_time, _ns, _start = time.time, time.time_ns, time.monotonic()
def _back():
    passed = time.monotonic() - _start
    return next((hours for begin, hours in {jumps} if passed > begin), 0) * 3600
time.time = lambda: _time() - _back()
time.time_ns = lambda: _ns() - int(_back() * 10**9)
"""
_HOURS_TO_2100 = 24 * 365.25 * 74
_ZONES = (
    "Pacific/Kiritimati",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Europe/Lisbon",
    "Pacific/Pago_Pago",
    "NoSuch/Zone",
)


def goes_back(trial: Trial) -> None:
    """By up to two days, each process at a moment of its own."""
    starting = trial.undisturbed.starting
    hours, delay = 0.5 + trial.seconds(48), trial.seconds(2 * starting)
    _go(trial, [(delay, hours)], "training" if delay > starting else "starting")


def jumps(trial: Trial) -> None:
    """Forwards and back, by up to a day, every other second."""
    moments = [(second, float(trial.rng.uniform(-24, 24))) for second in range(60, 0, -2)]
    _go(trial, [*moments, (0, 0)], "training")


def in_2100(trial: Trial) -> None:
    """The year is 2100, and the time zone far away, or one that there is not."""
    _go(trial, [(0, -_HOURS_TO_2100)], "starting", TZ=trial.one_of(*_ZONES))


def _go(trial: Trial, back: list[tuple[float, float]], phase: str, **env: str) -> None:
    """back: after which second how many hours, the last second first"""
    path = trial.folder / "site"
    path.mkdir()
    (path / "sitecustomize.py").write_text(_SITE.format(jumps=back))
    before = os.environ.get("PYTHONPATH")
    env |= {"PYTHONPATH": os.pathsep.join(filter(None, [str(path), before]))}
    program = begin(trial, report=True, workers=2, env=env)
    trial.recoveries.append(program.ended_with(0))
    trial.blows.append(Blow(phase, RUNS, kills=0))
    prove(trial, program.process.pid)
