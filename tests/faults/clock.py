"""The clock goes back in the middle of a sweep, in its main process and in its workers."""

import os

from tests.faults.proof import prove
from tests.faults.sweep import RUNS, begin
from tests.faults.trial import Blow, Trial

# Python runs it when it starts, in the workers too; the times of files, which the system notes, stay as they are.
_SITE = """
import time
_time, _ns, _start = time.time, time.time_ns, time.monotonic()
def _back():
    return {hours} * 3600 if time.monotonic() - _start > {delay} else 0
time.time = lambda: _time() - _back()
time.time_ns = lambda: _ns() - int(_back() * 10**9)
"""


def goes_back(trial: Trial) -> None:
    """By up to two days, each process at a moment of its own."""
    hours, delay = 0.5 + trial.seconds(48), trial.seconds(6)
    path = trial.folder / "site"
    path.mkdir()
    (path / "sitecustomize.py").write_text(_SITE.format(hours=hours, delay=delay))
    before = os.environ.get("PYTHONPATH")
    env = {"PYTHONPATH": os.pathsep.join(filter(None, [str(path), before]))}
    program = begin(trial, report=True, workers=2, env=env)
    trial.recoveries.append(program.ended_with(0))
    trial.blows.append(Blow("training" if delay > 3 else "starting", RUNS, kills=0))
    prove(trial, program.process.pid)
