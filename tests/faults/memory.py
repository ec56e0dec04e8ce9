"""Memory runs out: the system kills a worker, or gives a process no more, be it for numbers or for another thread."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.faults.killing import ended
from tests.faults.phases import await_moment
from tests.faults.programs import Program, until
from tests.faults.proof import prove
from tests.faults.sweep import begin, go_on, swept, words
from tests.faults.trial import Blow, Trial

_GROUPS = Path("/sys/fs/cgroup/memory")
AVAILABLE = _GROUPS.is_dir() and os.access(_GROUPS, os.W_OK)
_GIGABYTES = (0.7, 2.2)
_enough: list[float] = [_GIGABYTES[1]]  # of which a sweep had enough, less and less


def worker(trial: Trial) -> None:
    """The system kills a worker that is given no more memory: its block is trained again by another."""
    program = begin(trial, workers=2)
    with _group_without_memory() as group:
        phase = await_moment(trial, program, "training", "archiving", "storing")
        workers = program.workers()
        if phase is not None and workers:
            victim = trial.one_of(*workers)
            (group / "cgroup.procs").write_text(str(victim.pid))
            if until(lambda: not victim.is_running() or not program.running, 60):
                trial.blows.append(Blow(phase, ended(trial), kills=1))
        trial.recoveries.append(program.ended_with(0))
    prove(trial, program.process.pid)


def little(trial: Trial) -> None:
    """No process of the sweep gets more than some address space: it ends in lines that name memory, or at its end."""
    gigabytes = float(trial.rng.uniform(_GIGABYTES[0], _enough[-1]))
    limit = int(gigabytes * 2**30)
    program = Program.start(
        trial.folder,
        *words(workers=trial.one_of(1, 2)),
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_AS, (limit, limit)),
    )
    code = program.wait()
    told = program.told()
    assert code in (0, 1, 2), f"{code} with {limit} bytes: {told}"
    assert "Traceback" not in told, told
    if code:
        assert "memory" in told or "failed to map segment" in told or "MemoryError" in told, told
        trial.blows.append(Blow("training" if swept(trial.folder) else "starting", ended(trial), kills=0))
    else:
        _enough.append(gigabytes)
    again = go_on(trial)
    trial.recoveries.append(again.ended_with(0))
    prove(trial, program.process.pid, again.process.pid)


@contextmanager
def _group_without_memory() -> Iterator[Path]:
    """A control group whose processes get no page more than they have."""
    group = _GROUPS / f"bptt-faults-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text("64k")
        yield group
    finally:
        until(lambda: not (group / "cgroup.procs").read_text().split(), 30)
        group.rmdir()
