"""Worker backends by name: a function that opens the workers, be it bptt's or one of the user's own package."""

import importlib
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from bptt.configuration.errors import ConfigurationError, suggest, write_problem
from bptt.sweeps.workers.calls import Answer, Retry

KEY: Final = "hydra.launcher.backend"


class WorkerPool(Protocol):
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


@runtime_checkable
class HearingPool(WorkerPool, Protocol):
    """A pool whose workers can tell this process of what they compute, though they share no folder with it."""

    def listen(self, hear: Callable[[str, Any], None]) -> None:
        """From now on, hear(name, told) is called, in some thread, for what `relay.Relay` tells of a block's name."""
        ...


class Backend(Protocol):
    """Opens the workers that `hydra.launcher` asks for; a function of these three, by their places.

    address  where they are; None: they are started, on this machine unless the backend knows others
    workers  how many tasks are to be computed at a time; None: as many as there are cores
    most     how many tasks there will be at most; None: that is not known

    Raises ConfigurationError where they can't be had.
    """

    def __call__(self, address: str | None, workers: int | None, most: int | None, /) -> WorkerPool: ...


@dataclass(frozen=True)
class Shipped:
    """A backend that bptt brings.

    path       of its function
    addressed  whether hydra.launcher.address means something to it
    elsewhere  whether its workers may be on other machines, and not answer
    settings   the group of hydra.launcher that is its own, which its function gets as a fourth argument; None: none is
    """

    path: str
    addressed: bool = False
    elsewhere: bool = True
    settings: str | None = None


BACKENDS: Final = {
    "loky": Shipped("bptt.sweeps.workers.processes.open_processes", elsewhere=False),
    "dask": Shipped("bptt.sweeps.workers.dask.open_dask", addressed=True),
    "ray": Shipped("bptt.sweeps.workers.ray.open_ray", addressed=True),
    "slurm": Shipped("bptt.sweeps.workers.slurm.open_slurm", settings="slurm"),
}


def refuse_name(name: Any) -> str | None:
    """What is wrong with the name of a backend, in words; None: it is one of bptt's, or a path to one's own."""
    if name in BACKENDS or (
        isinstance(name, str) and all(part.isidentifier() for part in name.split(".")) and "." in name
    ):
        return None
    return f"must be one of {', '.join(BACKENDS)}{suggest(str(name), BACKENDS)}"


def check_allowed(name: str, allow: Collection[str]) -> None:
    """Raise ConfigurationError where a backend's code would run that the command has not allowed."""
    package = name.partition(".")[0]
    if name not in BACKENDS and package not in allow:
        says = (
            f"must be one of {', '.join(BACKENDS)}, or a function of a package that the command allows: `bptt train`"
            f" with allow=[{package}], any other command with --allow {package}"
        )
        raise ConfigurationError([write_problem(KEY, name, says)])


def load_backend(name: str) -> Callable[..., WorkerPool]:
    """The function that opens the workers of a backend: a `Backend`, or one that takes settings of its own, too.

    Raises ConfigurationError where it can't be imported.
    """
    shipped = BACKENDS.get(name)
    module, _, function = (name if shipped is None else shipped.path).rpartition(".")
    try:
        found = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        extra = "" if shipped is None else f": pip install 'bptt[{name}]'"
        raise ConfigurationError([write_problem(KEY, name, f"a package is missing ({error.name}){extra}")]) from error
    except Exception as error:  # importing a user's module can raise anything
        raise ConfigurationError(
            [write_problem(KEY, name, f"can't be imported ({type(error).__name__}: {error})")]
        ) from error
    if not callable(found):
        raise ConfigurationError([write_problem(KEY, name, "must be a function that opens workers")])
    return found
