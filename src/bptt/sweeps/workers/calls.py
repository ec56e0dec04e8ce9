"""A task on its way to a worker and back."""

import socket
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bptt.configuration.errors import ConfigurationError
from bptt.printable import OneLineError


class Stopped(OneLineError):
    """Training was given up; the message is one line for the user."""


class TooLittleMemory(MemoryError):
    """There is too little to begin; nothing was, and nothing has failed. The message is one line for the user."""


class WorkersError(OneLineError):
    """The workers as a whole can't go on; the message is one line for the user."""


@dataclass(frozen=True)
class Answer:
    """What became of the task at a place of a sequence of tasks.

    lost     why there is no result
    died     whether that is because workers died, be it through this task or through one that they had beside it
    refused  why no task may be computed where this one was sent
    """

    place: int
    result: Any = None
    lost: str | None = None
    died: bool = False
    refused: str | None = None


@dataclass(frozen=True)
class Retry:
    """The task at a place is computed once more, since a worker died that had it, or one beside it.

    why  how it died
    """

    place: int
    why: str


def answer(place: int, function: Callable[[Any], Any], task: Any, version: str | None) -> Answer:
    """function(task), in a worker. version: the numerical version that the worker must have; None: it is ours."""
    if version is not None:
        from bptt.tracking.provenance.digest import compute_version

        own = compute_version()
        if own != version:
            says = (
                f"{socket.gethostname()} has numerical version {own}, this program {version}: install the same versions"
            )
            return Answer(place, refused=f"{says} of bptt, numpy and numba there")
    try:
        return Answer(place, function(task))
    except (ConfigurationError, TooLittleMemory) as error:
        return Answer(place, refused=f"{socket.gethostname()}: {error}")
    except Exception:
        return Answer(place, lost=traceback.format_exc())


@contextmanager
def quietly_closed(outputs: Generator[Any]) -> Iterator[Generator[Any]]:
    """Close joblib's iterator in the end, without its advice about results that nobody wanted."""
    try:
        yield outputs
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outputs.close()
