"""Workers that are jobs of Slurm: dask-jobqueue submits as many as there is work for, and they are replaced.

The scheduler of Dask is this process, so that jobs have to reach the machine it runs on. Whoever talks to it needs a
key that is made for the sweep and handed to its jobs alone.
"""

import logging
import os
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import ceil
from tempfile import NamedTemporaryFile
from typing import Any, Final

import dask
from dask_jobqueue.slurm import SLURMCluster, SLURMJob
from distributed import Security, Status

from bptt.configuration.errors import ConfigurationError, write_problem
from bptt.sweeps.workers.dask import DaskCluster, DaskPool
from bptt.sweeps.workers.pool import SlurmSettings

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS: Final = 5.0


_SECONDS_TO_ANSWER: Final = 30


_SECONDS_IDLE: Final = 60.0


_SECONDS_AFTER_TROUBLE: Final = 60.0


_MOST_IN_VAIN: Final = 3


_UNDONE: Final = ("waiting", "queued", "no-worker", "processing")


def open_slurm(_address: str | None, workers: int | None, _most: int | None, settings: SlurmSettings) -> DaskPool:
    """See `backends.Backend`. Raises ConfigurationError where Slurm takes no such job."""
    return DaskPool(SlurmCluster(workers, settings))


class SlurmCluster(DaskCluster):
    """See `clusters.Cluster`. A worker that dies is held against a task only if the task was not kept since."""

    def __init__(self, workers: int | None, settings: SlurmSettings) -> None:
        self._jobs = Jobs(settings, self.cancel)
        super().__init__(self._jobs.keep(), settings.count_workers(workers))

    def note_progress(self, task: str) -> None:
        self._jobs.absolve(task)

    def gone(self, error: Exception, /) -> str | None:
        return self._jobs.trouble or super().gone(error)


class _Job(SLURMJob):
    @contextmanager
    def job_file(self) -> Iterator[str]:
        """The script of a job in a file that only its owner can read: it has a key."""
        with NamedTemporaryFile("w", suffix=".sh") as file:
            file.write(self.job_script())
            file.flush()
            yield file.name

    async def start(self) -> None:
        try:
            await super().start()
        except BaseException:
            self.status = Status.failed  # as whoever closes the cluster wants to see
            raise


class _Cluster(SLURMCluster):
    job_cls = _Job

    def _get_worker_security(self, _security: Security) -> None:
        """Keys are in the script rather than in files that nodes may not see."""


class Jobs:
    """The jobs of a sweep, looked after by a thread: queued while there is work for them, replaced when they end.

    trouble  why there will be no job any more; None: there is no such trouble

    give_up is called when it comes about.
    """

    def __init__(self, settings: SlurmSettings, give_up: Callable[[], None]) -> None:
        self.trouble: str | None = None
        self._settings, self._give_up = settings, give_up
        self._over = threading.Event()
        self._seen: set[str] = set()  # jobs whose workers have reported
        self._needed: dict[str, float] = {}  # job → when there was work for it last
        self._in_vain = 0  # how many jobs in a row have ended, or were refused, before a worker reported
        self._again = 0.0  # when the next one is submitted, after so many in vain

    @contextmanager
    def keep(self) -> Iterator[SLURMCluster]:
        """Queue a first job, so that what Slurm takes no job for is known; end all in the end."""
        if shutil.which("sbatch") is None:
            says = "there is no sbatch here: the command runs where jobs are submitted"
            raise ConfigurationError([write_problem("hydra.launcher.backend", "slurm", says)])
        security = Security.temporary()
        with dask.config.set({"distributed.admin.low-level-log-length": 1000}):
            self._cluster = _open(self._settings, security)
        thread = threading.Thread(target=self._look_after, name="jobs", daemon=True)
        try:
            if (refused := self._cluster.sync(self._submit, max(1, self._settings.minimum))) is not None:
                raise ConfigurationError([f"hydra.launcher.slurm: no such job can be had ({refused})"])
            thread.start()
            yield self._cluster
        finally:
            self._over.set()
            if thread.ident is not None:
                thread.join()
            with suppress(TimeoutError):
                self._cluster.close()

    def absolve(self, task: str) -> None:
        """Forget which workers have died with a task."""
        state = self._cluster.scheduler.tasks.get(task)
        if state is not None:
            state.suspicious = 0

    def _look_after(self) -> None:
        while not self._over.wait(_SECONDS_BETWEEN_LOOKS):
            there = _list_jobs()
            if there is None:
                continue  # Slurm does not answer for now
            try:
                self._cluster.sync(self._tend, there)
            except Exception as error:
                _log.warning("slurm: %s", error)
            if self._in_vain >= _MOST_IN_VAIN and not self._cluster.scheduler.workers and self.trouble is None:
                where = self._settings.logs or "nowhere: hydra.launcher.slurm.logs names a folder for it"
                self.trouble = (
                    f"slurm: {self._in_vain} jobs in a row ended before a worker of theirs reported; what they printed"
                    f" is kept {where if self._settings.logs is None else f'in {where}'}"
                )
                self._give_up()

    async def _tend(self, there: set[str]) -> None:
        """Replace jobs that have ended, and give those back that have been idle."""
        cluster, now = self._cluster, time.monotonic()
        states = {name: self._workers_of(name) for name in cluster.workers}
        for name, job in list(cluster.workers.items()):
            if states[name] and name not in self._seen:
                self._seen.add(name)
                self._in_vain = 0
            if job.job_id in there:
                continue
            if name not in self._seen:
                self._note_in_vain(now)
            _log.warning("slurm: job %s has ended; what its workers were at is done by others", job.job_id)
            self._seen.discard(name)
            del cluster.workers[name]
            cluster.worker_spec.pop(name, None)
        wanted = self._count_wanted()
        surplus = len(cluster.worker_spec) - wanted
        for name in cluster.worker_spec:
            if surplus <= 0 or any(state.processing for state in states.get(name, ())):
                self._needed[name] = now
        spare = [name for name in cluster.worker_spec if now > self._needed.setdefault(name, now) + _SECONDS_IDLE]
        if surplus > 0 and spare:
            await cluster.scale_down(spare[:surplus])
        if now < self._again:  # as where a node ends each job that it is given
            return
        if (refused := await self._submit(wanted)) is not None:
            self._note_in_vain(now)
            _log.warning("slurm: %s", refused)

    def _note_in_vain(self, now: float) -> None:
        self._in_vain += 1
        if self._in_vain >= _MOST_IN_VAIN:
            self._again = now + _SECONDS_AFTER_TROUBLE

    def _count_wanted(self) -> int:
        """How many jobs there should be for what is to be computed."""
        undone = sum(task.state in _UNDONE for task in self._cluster.scheduler.tasks.values())
        wanted = ceil(undone / self._settings.cores)
        return min(max(wanted, self._settings.minimum), self._settings.maximum)

    def _workers_of(self, job: str) -> list[Any]:
        workers = self._cluster.scheduler.workers.values()
        return [worker for worker in workers if str(worker.name) == job or str(worker.name).rpartition("-")[0] == job]

    async def _submit(self, wanted: int) -> str | None:
        """Submit jobs until there are so many; returns why that can't be, in Slurm's words."""
        cluster = self._cluster
        while len(cluster.worker_spec) < wanted:
            cluster.worker_spec.update(cluster.new_worker_spec())
        try:
            await cluster
        except (RuntimeError, OSError) as error:
            for name in [name for name, job in cluster.workers.items() if job.job_id is None]:
                del cluster.workers[name], cluster.worker_spec[name]
            return _shorten(str(error))
        return None


def _open(settings: SlurmSettings, security: Security) -> SLURMCluster:
    keys = security.get_tls_config_for_role("worker")
    variables = {"REQUIRE_ENCRYPTION": "True", "TLS__CA_FILE": keys["ca_file"]}
    variables |= {"TLS__WORKER__CERT": keys["cert"], "TLS__WORKER__KEY": keys["key"]}
    exports = [f"export DASK_DISTRIBUTED__COMM__{name}={shlex.quote(value)}" for name, value in variables.items()]
    own = dask.config.get("jobqueue.slurm")
    return _Cluster(
        queue=settings.partition,
        account=settings.account,
        cores=settings.cores,
        processes=settings.cores,
        memory=settings.memory,
        walltime=settings.walltime,
        interface=settings.interface,
        name="bptt",
        job_name="bptt",
        job_extra_directives=[
            *(["--output=/dev/null", "--error=/dev/null"] if settings.logs is None else []),
            *settings.list_directives(),
            *own["job-extra-directives"],
        ],
        log_directory=None if settings.logs is None else str(settings.logs),
        job_script_prologue=[*exports, *own["job-script-prologue"]],
        # Slurm itself watches over memory. A worker whose sweep is gone ends by itself.
        worker_extra_args=[*own["worker-extra-args"], "--memory-limit", "0", "--no-dashboard"],
        scheduler_options={"dashboard_address": None, **own["scheduler-options"]},
        security=security,
        silence_logs=logging.CRITICAL + 1,
    )


def _list_jobs() -> set[str] | None:
    """Numbers of the user's jobs that wait or run; None: Slurm does not answer."""
    command = ["squeue", "--noheader", f"--user={os.getuid()}", "--format=%A"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS_TO_ANSWER, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return set(done.stdout.split())


def _shorten(says: str) -> str:
    """What sbatch says, of all that dask-jobqueue says of it."""
    lines = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in says.splitlines() if "sbatch: " in line]
    return "; ".join(lines) or " ".join(says.split())
