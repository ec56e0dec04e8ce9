"""Who computes a sweep's tasks, from the values of `hydra.launcher`: workers, from entering to leaving."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Annotated, Any, Generic, Literal, Self, TypeVar
from weakref import WeakSet

from bptt.configuration.errors import ConfigurationError
from bptt.configuration.fields import construct
from bptt.core.annotations import InvalidValue, Range
from bptt.sweeps.workers.backends import BACKENDS, WorkerPool, check_allowed, load_backend, refuse_name
from bptt.sweeps.workers.calls import Answer, Retry

T = TypeVar("T")


R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """Which workers: the values of `hydra.launcher`.

    backend  a name of `backends.BACKENDS`: loky (processes of this machine), dask or ray; or the path of a function of
             the user's own, see `backends.Backend`
    workers  how many tasks are computed at a time; None: one per core, of this machine or of the cluster. loky's only
             worker is this process
    address  of the cluster; None: one on this machine is started, and ends with the sweep
    """

    backend: str = "loky"
    workers: Annotated[int, Range(at_least=1)] | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if (wrong := refuse_name(self.backend)) is not None:
            raise InvalidValue("backend", self.backend, wrong)
        if self.address is not None and not self.addressed:
            others = " or ".join(f"backend={name}" for name, shipped in BACKENDS.items() if shipped.addressed)
            raise InvalidValue("address", self.address, f"needs {others}; {self.backend} has no address")

    @property
    def addressed(self) -> bool:
        """Whether the workers may be elsewhere, and not answer."""
        return self.backend not in BACKENDS or BACKENDS[self.backend].addressed

    @property
    def wanted(self) -> int:
        """How many workers are asked for, as far as that is known before a cluster has answered."""
        from joblib import cpu_count

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
        self._pool = load_backend(settings.backend)(settings.address, settings.workers, self._most)
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
    """By which workers a sweep is trained, what an error does to the other runs, how often a block is checkpointed."""

    workers: WorkerSettings
    on_error: Literal["continue", "stop"]
    checkpoint_seconds: float | None


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
