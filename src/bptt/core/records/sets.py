"""Sets that a network is seen on when its training has ended, beside the evaluation: the test's, and other lengths."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from bptt.core.random import Generator, make_generator
from bptt.core.run import Run, seed_of
from bptt.core.sequences import Sequences

_TEST, _LENGTHS = 3, 6  # streams, see `seed_of`


@dataclass(frozen=True)
class SetToSee:
    """A set of each run.

    part  what stands in place of `eval` in the names of its metrics: test, eval_200
    key   of the stream that it is drawn from
    make  generator → the set; None where there is none
    """

    part: str
    key: tuple[int, ...]
    make: Callable[[Generator], Sequences | None]

    def draw(self, run: Run) -> Sequences | None:
        stream, *rest = self.key
        return self.make(make_generator(seed_of(run, stream), *rest))


def list_sets(task: Any) -> Iterator[SetToSee]:
    """The sets of a task's runs, beside the evaluation's."""
    if hasattr(task, "test"):
        yield SetToSee("test", (_TEST,), task.test)
    if hasattr(task, "at_length"):
        for length in task.eval_lengths:
            yield SetToSee(f"eval_{length}", (_LENGTHS, length), partial(task.at_length, length))


def name_in(metric: str, part: str) -> str:
    """A metric's name in a part: `accuracy/eval` in `eval_200` is `accuracy/eval_200`."""
    name, _, _ = metric.rpartition("/")
    return f"{name}/{part}"
