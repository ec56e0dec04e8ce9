"""Who computes a sweep's tasks: this process, worker processes, a Dask or a Ray cluster; joblib hands them out.

How a sweep is trained, from the values of `hydra.launcher` and `on_error`.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Annotated, Any, Generic, Literal, Protocol, Self, TypeVar
from weakref import WeakSet

from bptt.configuration.errors import ConfigurationError
from bptt.configuration.fields import construct
from bptt.core.annotations import InvalidValue, Range
from bptt.sweeps.workers.calls import Answer, Retry

T = TypeVar("T")


R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Which workers: the values of `hydra.launcher`.

    backend  loky (processes of this machine), dask or ray
    workers  how many tasks are computed at a time; None: one per core, of this machine or of the cluster. loky's only
             worker is this process
    address  of the cluster; None: one on this machine is started, and ends with the sweep
    """

    backend: Literal["loky", "dask", "ray"] = "loky"
    workers: Annotated[int, Range(at_least=1)] | None = None
    address: str | None = None

    def __post_init__(self) -> None:
        if self.backend == "loky" and self.address is not None:
            raise InvalidValue("address", self.address, "needs backend=dask or backend=ray; loky has no address")

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


class Pool(Protocol):
    """What computes `calls.answer` for every task.

    count  how many tasks are computed at a time
    """

    count: int

    def warm(self) -> None:
        """Let workers start, without waiting for them."""
        ...

    def answers(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> Generator[Answer | Retry]:
        """An answer for each task, as they come in, and before it a retry for each time that its workers died.

        Closing the iterator stops what still runs.
        """
        ...

    def close(self) -> None:
        """End all workers that were started."""
        ...


class Workers:
    """The workers of a sweep, from entering to leaving; leaving stops what still runs, within seconds.

    count  how many tasks are computed at a time

    Entering raises ConfigurationError where a package is missing or a cluster does not answer.
    """

    count: int
    _pool: Pool

    def __init__(self, settings: Settings, tasks: int | None = None) -> None:
        """tasks: how many there will be at most, where that is known; more workers than that are not started."""
        self._settings, self._most = settings, tasks
        self._given: WeakSet[Generator[Any]] = WeakSet()

    def __enter__(self) -> Self:
        self._pool = _pool(self._settings, self._most)
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


def _pool(settings: Settings, most: int | None) -> Pool:
    if settings.backend == "loky":
        from bptt.sweeps.workers.processes import Processes

        return Processes(min(settings.wanted, most or settings.wanted))
    from bptt.sweeps.workers.clusters import connected

    return connected(settings.backend, settings.address, settings.workers, most)


@dataclass(frozen=True, kw_only=True)
class Conduct:
    """By which workers a sweep is trained, what an error does to the other runs, how often a block is checkpointed."""

    workers: Settings
    on_error: Literal["continue", "stop"]
    checkpoint_seconds: float | None


def worker_settings(values: Mapping[str, Any]) -> Settings:
    """The values of hydra.launcher, checked. Raises ConfigurationError."""
    problems: list[str] = []
    given = {str(name): value for name, value in values.items() if name != "_target_"}
    settings = construct("hydra.launcher", given, Settings, problems)
    if problems:
        raise ConfigurationError(problems)
    assert isinstance(settings, Settings)
    return settings
