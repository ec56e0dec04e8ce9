"""What tasks share whose sequences are drawn afresh: for every update, and once for the evaluation and the test."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self, cast

import numpy as np

from bptt.core.annotations import InvalidValue, Range
from bptt.core.random import Generator
from bptt.core.sequences import Generated, Sequences
from bptt.tasks.common import Integers

#: Further lengths on which a run is seen when it has ended.
EvalLengths = tuple[Annotated[int, Range(at_least=1)], ...]

#: A length, or the least and the greatest of lengths of which one is drawn for each update.
Lengths = Annotated[int, Range(at_least=1)] | tuple[Annotated[int, Range(at_least=1)], ...]


class Drawn:
    """A task that makes sequences.

    It has the sizes `eval_size` and `test_size`, and a method of two:
    make(rng, count)            `count` fresh sequences
    make_of(rng, lengths)       sequences of these lengths, (N,), where `length` may be two: the sequences of one update
                                then have one length, uniform between the two, and so has each of the other sets'
    """

    #: Further lengths on which a run is seen when it has ended.
    eval_lengths: EvalLengths = ()
    #: Whether every timestep has a target; False: the last alone.
    everywhere: ClassVar[bool] = False

    if TYPE_CHECKING:  # at run time these would be defaults of the fields of a class that has them

        @property
        def inputs(self) -> int: ...
        @property
        def outputs(self) -> int: ...
        @property
        def timesteps(self) -> int: ...
        @property
        def eval_size(self) -> int: ...
        @property
        def test_size(self) -> int: ...

    def make(self, rng: Generator, count: int) -> Sequences:
        """`count` fresh sequences, each of a length of its own where there are several."""
        return self.make_of(rng, self._draw_lengths(rng, count))

    def make_of(self, rng: Generator, lengths: Integers) -> Sequences:
        """Sequences of these lengths, (N,)."""
        raise NotImplementedError

    def training(self) -> Generated:
        numbers = self.timesteps * self.inputs + self.outputs * (self.timesteps if self.everywhere else 1)
        if len(self._bounds) == 1:
            return Generated(self.make, numbers)
        return Generated(self.make, numbers, self._make_batches)

    def evaluation(self, rng: Generator) -> Sequences:
        return self.make(rng, self.eval_size)

    def test(self, rng: Generator) -> Sequences | None:
        return self.make(rng, self.test_size) if self.test_size else None

    def at_length(self, length: int, rng: Generator) -> Sequences:
        """As many sequences as the evaluation has, of another length."""
        return cast(Self, replace(cast(Any, self), length=length, eval_lengths=())).make(rng, self.eval_size)

    def _make_batches(self, rng: Generator, updates: int, batch: int) -> Sequences:
        return self.make_of(rng, self._draw_lengths(rng, updates).repeat(batch))

    def _draw_lengths(self, rng: Generator, count: int) -> Integers:
        least, *above = self._bounds
        return rng.integers(least, above[0] + 1, size=count) if above else np.full(count, least)

    def say_lengths(self, lengths: Integers) -> Integers | None:
        """The lengths as `Sequences` has them: None where there is but one."""
        return lengths if len(self._bounds) > 1 else None

    @property
    def _bounds(self) -> tuple[int, ...]:
        return find_bounds(getattr(self, "length", 1))


def find_bounds(length: int | tuple[int, ...]) -> tuple[int, ...]:
    """(length,), or (least, greatest)."""
    return (length,) if isinstance(length, int) else length


_ONE_OR_TWO: Final = "a length, or the least and the greatest of several, as [50, 200]"


def check_lengths(length: int | tuple[int, ...], others: tuple[int, ...] = (), least: int = 1) -> None:
    """InvalidValue("length", …) for anything but a length, or two in their order, of at least `least`.

    others  the task's `eval_lengths`, of which the same is asked, and that none comes twice
    """
    bounds = find_bounds(length)
    if len(bounds) not in (1, 2) or sorted({*bounds}) != list(bounds):
        raise InvalidValue("length", list(bounds), _ONE_OR_TWO)
    if bounds[0] < least:
        raise InvalidValue("length", bounds[0] if len(bounds) == 1 else list(bounds), f"at least {least}")
    if len({*others}) < len(others) or min(others, default=least) < least:
        raise InvalidValue("eval_lengths", list(others), f"lengths of at least {least}, each once, as [100, 200]")


def pad_behind(lengths: Integers, timesteps: int) -> Any:
    """(N, timesteps) bool: which timesteps are within sequences of these lengths."""
    return np.arange(timesteps) < lengths[:, None]
