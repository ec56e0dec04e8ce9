"""Who computes a sweep's tasks, from the values of `hydra.launcher`: workers, from entering to leaving.

`hydra.launcher.slurm` says which jobs Slurm is asked for.
"""

import re
import sys
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Final, Generic, Literal, Self, TypeVar
from weakref import WeakSet

from bptt.configuration.errors import ConfigurationError
from bptt.configuration.fields import construct
from bptt.core.annotations import InvalidValue, Range
from bptt.sweeps.workers.backends import BACKENDS, HearingPool, WorkerPool, check_allowed, load_backend, refuse_name
from bptt.sweeps.workers.calls import Answer, Retry

_WORD: Final = re.compile(r"[\w.,:@%+=&|*()\[\]/][\w.,:@%+=&|*()\[\]/-]*", re.ASCII)  # nothing that begins an option

_MEMORY: Final = re.compile(r"\d+(\.\d+)? ?[KMGT]i?B", re.ASCII)

_WALLTIME: Final = re.compile(r"(\d+-)?\d+:\d\d:\d\d", re.ASCII)

#: Settings that are options of sbatch, under the same names.
_OPTIONS: Final = ("qos", "constraint", "reservation", "nodelist", "exclude", "licenses", "gres", "nice")


@dataclass(frozen=True, kw_only=True)
class SlurmSettings:
    """The jobs of a sweep: each is so many workers, which train a block each.

    partition    where jobs are queued; None: the cluster's own choice, or that of the user's configuration of Dask
    account      that pays for them; None: the same
    cores        of a job, each of which is a worker
    memory       of a job, as 2GB; all workers share it
    walltime     after which Slurm ends a job, as 01:00:00 or 1-00:00:00; a job that was ended is replaced
    minimum      of the jobs that are kept, however little there is to train
    maximum      of the jobs that are queued or run at a time
    interface    network interface by which nodes and this machine reach each other, as ib0; None: that of the host name
    logs         folder for what jobs print, which this machine and the nodes must have; None: it is thrown away
    qos, constraint, reservation, nodelist, exclude, licenses, gres, nice
                 as sbatch takes them; None: not said
    exclusive    whether nodes are shared with no other job
    """

    partition: str | None = None
    account: str | None = None
    cores: Annotated[int, Range(at_least=1)] = 1
    memory: str = "2GB"
    walltime: str = "01:00:00"
    minimum: Annotated[int, Range(at_least=0)] = 0
    maximum: Annotated[int, Range(at_least=1)] = 4
    interface: str | None = None
    logs: Path | None = None
    qos: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    nodelist: str | None = None
    exclude: str | None = None
    licenses: str | None = None
    gres: str | None = None
    nice: Annotated[int, Range(at_least=-(2**31), at_most=2**31)] | None = None
    exclusive: bool = False

    def __post_init__(self) -> None:
        for name in (one.name for one in fields(self)):
            value = getattr(self, name)
            if name not in ("memory", "walltime") and isinstance(value, str) and not _WORD.fullmatch(value):
                raise InvalidValue(name, value, "must be a word as sbatch takes it, without blanks and quotes")
        if not _MEMORY.fullmatch(self.memory):
            raise InvalidValue("memory", self.memory, "must be a number and a unit, as 500MB or 2GB")
        if not _WALLTIME.fullmatch(self.walltime):
            raise InvalidValue("walltime", self.walltime, "must be HOURS:MINUTES:SECONDS or DAYS-HOURS:MINUTES:SECONDS")
        if self.minimum > self.maximum:
            raise InvalidValue("minimum", self.minimum, f"must be at most maximum={self.maximum}")
        if self.logs is not None and not re.fullmatch(r"[^\s%\\]+", str(self.logs)):
            raise InvalidValue("logs", str(self.logs), "must be a folder's path without blanks, % and backslashes")

    def count_workers(self, wanted: int | None) -> int:
        """How many tasks are computed at a time: one for each core of all jobs, and no more than are wanted."""
        return min(wanted or sys.maxsize, self.maximum * self.cores)

    def list_directives(self) -> list[str]:
        """Options of sbatch beside those that dask-jobqueue has arguments for."""
        given = {name: getattr(self, name) for name in _OPTIONS}
        options = [f"--{name}={value}" for name, value in given.items() if value is not None]
        return options + ["--exclusive"] * self.exclusive


T = TypeVar("T")


R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """Which workers: the values of `hydra.launcher`.

    backend  a name of `backends.BACKENDS`: loky (processes of this machine), dask, ray or slurm; or the path of a
             function of the user's own, see `backends.Backend`
    workers  how many tasks are computed at a time; None: one per core, of this machine or of the cluster, but for a
             sweep that is trained sooner than loky's start. loky's only worker is this process
    address  of the cluster; None: one on this machine is started, and ends with the sweep
    slurm    the jobs of backend=slurm
    """

    backend: str = "loky"
    workers: Annotated[int, Range(at_least=1)] | None = None
    address: str | None = None
    slurm: SlurmSettings = field(default_factory=SlurmSettings)

    def __post_init__(self) -> None:
        if (wrong := refuse_name(self.backend)) is not None:
            raise InvalidValue("backend", self.backend, wrong)
        shipped = BACKENDS.get(self.backend)
        if self.address is not None and shipped is not None and not shipped.addressed:
            others = " or ".join(f"backend={name}" for name, other in BACKENDS.items() if other.addressed)
            raise InvalidValue("address", self.address, f"needs {others}; {self.backend} has no address")

    @property
    def elsewhere(self) -> bool:
        """Whether the workers may be on other machines, and not answer."""
        return self.backend not in BACKENDS or BACKENDS[self.backend].elsewhere

    @property
    def may_stay(self) -> bool:
        """Whether runs may be trained in this process as well, as nobody has said how many workers there are to be."""
        return self.backend == "loky" and self.workers is None

    @property
    def wanted(self) -> int:
        """How many workers are asked for, as far as that is known before a cluster has answered."""
        from joblib import cpu_count

        if self.backend == "slurm":
            return self.slurm.count_workers(self.workers)
        return self.workers or cpu_count()


@dataclass(frozen=True)
class Lost(Generic[T]):
    """A task without a result, and why: the traceback of its function, or how its workers died."""

    task: T
    reason: str


class Workers:
    """The workers of a sweep, from entering to leaving; leaving stops what still runs, within seconds.

    count  how many tasks are computed at a time

    Entering raises ConfigurationError where a package is missing or a cluster does not answer.
    """

    count: int
    _pool: WorkerPool

    def __init__(self, settings: WorkerSettings, tasks: int | None = None) -> None:
        """tasks: how many there will be at most, where that is known; more workers than that are not started."""
        self._settings, self._most = settings, tasks
        self._given: WeakSet[Generator[Any]] = WeakSet()

    def __enter__(self) -> Self:
        settings = self._settings
        own = BACKENDS[settings.backend].settings if settings.backend in BACKENDS else None
        more = () if own is None else (getattr(settings, own),)
        self._pool = load_backend(settings.backend)(settings.address, settings.workers, self._most, *more)
        self.count = self._pool.count
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for outcomes in list(self._given):
            outcomes.close()
        self._pool.close()

    def warm(self) -> None:
        """Let worker processes start and import what training needs while this one does something else."""
        self._pool.warm()

    @property
    def can_be_heard(self) -> bool:
        """Whether these workers can tell of what they compute; see `backends.HearingPool`."""
        return isinstance(self._pool, HearingPool)

    def listen(self, hear: Callable[[str, Any], None]) -> None:
        """See `backends.HearingPool`, which these workers must be."""
        assert isinstance(self._pool, HearingPool)
        self._pool.listen(hear)

    def run(
        self, function: Callable[[T], R], tasks: Sequence[T], retried: Callable[[T, str], None] | None = None
    ) -> Generator[R | Lost[T]]:
        """function(task) of every task, in the order in which they finish.

        retried: is told of each task that is computed once more since its worker died, and how that died

        `Lost` where the function raised, or where the workers that computed it died, three times. Closing the iterator
        stops what still runs. Raises WorkersError where no worker can go on.
        """
        outcomes = _outcomes(self._pool.answers(function, tasks), tasks, retried)
        self._given.add(outcomes)
        return outcomes


def _outcomes(
    answers: Generator[Answer | Retry], tasks: Sequence[T], retried: Callable[[T, str], None] | None
) -> Generator[Any]:
    with closing(answers):
        for answer in answers:
            if isinstance(answer, Answer):
                yield answer.result if answer.lost is None else Lost(tasks[answer.place], answer.lost)
            elif retried is not None:
                retried(tasks[answer.place], answer.why)


@dataclass(frozen=True, kw_only=True)
class Conduct:
    """By which workers a sweep is trained, what an error does to the other runs, how often a block is checkpointed.

    allow  packages whose classes its configurations may name
    """

    workers: WorkerSettings
    on_error: Literal["continue", "stop"]
    checkpoint_seconds: float | None
    allow: tuple[str, ...] = ()


def read_worker_settings(values: Mapping[str, Any], allow: Collection[str]) -> WorkerSettings:
    """The values of hydra.launcher, checked; allow: packages whose code may run. Raises ConfigurationError."""
    problems: list[str] = []
    given = {str(name): value for name, value in values.items() if name != "_target_"}
    settings = construct("hydra.launcher", given, WorkerSettings, problems)
    if problems:
        raise ConfigurationError(problems)
    assert isinstance(settings, WorkerSettings)
    check_allowed(settings.backend, allow)
    return settings
