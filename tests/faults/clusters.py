"""A sweep on a Dask cluster whose workers die, and one whose own process does."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil  # type: ignore[import-untyped]

from tests.dask_programs import await_listener, program
from tests.faults.killing import again_and_again, ended
from tests.faults.phases import await_moment
from tests.faults.programs import Program
from tests.faults.proof import prove
from tests.faults.sweep import begin
from tests.faults.trial import Blow, Trial
from tests.serving import free_port

_WORKERS = 2


def dask_worker(trial: Trial) -> None:
    """A worker process of the cluster dies, twice in a sweep; its nanny starts another one."""
    with _cluster() as (address, nanny):
        sweep = begin(trial, *_on(address))
        for _ in range(2):
            phase = await_moment(trial, sweep, "training", "archiving", "storing")
            if phase is None or not (workers := _workers(nanny)):
                break
            with suppress(psutil.NoSuchProcess):
                trial.one_of(*workers).kill()
            trial.blows.append(Blow(phase, ended(trial), kills=1))
        trial.recoveries.append(sweep.ended_with(0))
    prove(trial, sweep.process.pid)


def dask_client(trial: Trial) -> None:
    """The sweep's own process dies; the cluster stays, and what goes on uses it again."""
    with _cluster() as (address, _):
        again_and_again(trial, Program.kill, begin(trial, *_on(address)))


def _on(address: str) -> tuple[str, ...]:
    return "hydra.launcher.backend=dask", f"hydra.launcher.address={address}"


@contextmanager
def _cluster() -> Iterator[tuple[str, psutil.Process]]:
    """A scheduler and its workers: its address, and the process whose children the workers are."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with program("scheduler", "--host", "127.0.0.1", "--port", str(port)):
        await_listener(port)
        with program("worker", address, "--nthreads", "1", "--nworkers", str(_WORKERS)) as worker:
            yield address, psutil.Process(worker.pid)


def _workers(nanny: psutil.Process) -> list[psutil.Process]:
    return [child for child in nanny.children() if "resource_tracker" not in " ".join(child.cmdline())]
