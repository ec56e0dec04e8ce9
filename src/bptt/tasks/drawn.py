"""What tasks share whose sequences are drawn afresh: for every update, and once for the evaluation and the test."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Final

import numpy as np

from bptt.core.annotations import InvalidValue, Range
from bptt.core.random import Generator
from bptt.core.sequences import Generated, Sequences
from bptt.tasks.common import Integers, Readout


@dataclass(frozen=True, kw_only=True)
class Drawn(ABC):
    """A task that makes sequences.

    eval_size  sequences of the evaluation, drawn once
    test_size  those of the test, likewise; 0: there is none
    readout    what the loss expects
    """

    #: Whether every timestep has a target; False: the last alone.
    everywhere: ClassVar[bool] = False

    eval_size: Annotated[int, Range(at_least=1)]
    test_size: Annotated[int, Range(at_least=0)] = 0
    readout: Readout

    @property
    @abstractmethod
    def inputs(self) -> int: ...

    @property
    @abstractmethod
    def outputs(self) -> int: ...

    @property
    @abstractmethod
    def timesteps(self) -> int: ...

    @abstractmethod
    def make(self, rng: Generator, count: int) -> Sequences:
        """`count` fresh sequences."""

    def training(self) -> Generated:
        return Generated(self.make, self._numbers)

    def evaluation(self, rng: Generator) -> Sequences:
        return self.make(rng, self.eval_size)

    def test(self, rng: Generator) -> Sequences | None:
        return self.make(rng, self.test_size) if self.test_size else None

    @property
    def _numbers(self) -> int:
        """That a sequence holds, x and y."""
        return self.timesteps * self.inputs + self.outputs * (self.timesteps if self.everywhere else 1)


#: A length, or the least and the greatest of lengths of which one is drawn for each update.
Lengths = Annotated[int, Range(at_least=1)] | tuple[Annotated[int, Range(at_least=1)], ...]

_ONE_OR_TWO: Final = "a length, or the least and the greatest of several, as [50, 200]"


@dataclass(frozen=True, kw_only=True)
class DrawnByLength(Drawn):
    """A task whose sequences have a length that is chosen.

    length        timesteps, or what counts for them; or the least and the greatest, of which one, uniform between the
                  two, is drawn for each update, and one for each sequence of the other sets
    eval_lengths  further lengths on which a run is seen when it has ended
    """

    length: Lengths
    eval_lengths: tuple[Annotated[int, Range(at_least=1)], ...] = ()

    def __post_init__(self) -> None:
        """Raise InvalidValue for lengths that are none, or too short, and for one that comes twice."""
        bounds, least = self._bounds, self.shortest
        if len(bounds) not in (1, 2) or sorted({*bounds}) != list(bounds):
            raise InvalidValue("length", list(bounds), _ONE_OR_TWO)
        if bounds[0] < least:
            raise InvalidValue("length", bounds[0] if len(bounds) == 1 else list(bounds), f"at least {least}")
        others = self.eval_lengths
        if len({*others}) < len(others) or min(others, default=least) < least:
            raise InvalidValue("eval_lengths", list(others), f"lengths of at least {least}, each once, as [100, 200]")

    @property
    def shortest(self) -> int:
        """The least length there is a sequence of."""
        return 1

    @property
    def timesteps(self) -> int:
        return self._bounds[-1]

    @abstractmethod
    def make_of(self, rng: Generator, lengths: Integers) -> Sequences:
        """Sequences of these lengths, (N,)."""

    def make(self, rng: Generator, count: int) -> Sequences:
        return self.make_of(rng, self._draw_lengths(rng, count))

    def training(self) -> Generated:
        if len(self._bounds) == 1:
            return super().training()
        return Generated(self.make, self._numbers, self._make_batches)

    def at_length(self, length: int, rng: Generator) -> Sequences:
        """As many sequences as the evaluation has, of another length."""
        return replace(self, length=length, eval_lengths=()).make(rng, self.eval_size)

    def say_lengths(self, lengths: Integers) -> Integers | None:
        """The lengths as `Sequences` has them: None where there is but one."""
        return lengths if len(self._bounds) > 1 else None

    @property
    def _bounds(self) -> tuple[int, ...]:
        """(length,), or (least, greatest)."""
        return (self.length,) if isinstance(self.length, int) else self.length

    def _make_batches(self, rng: Generator, updates: int, batch: int) -> Sequences:
        return self.make_of(rng, self._draw_lengths(rng, updates).repeat(batch))

    def _draw_lengths(self, rng: Generator, count: int) -> Integers:
        least, *above = self._bounds
        return rng.integers(least, above[0] + 1, size=count) if above else np.full(count, least)


def mark_inside(lengths: Integers, timesteps: int) -> Any:
    """(N, timesteps) bool: which timesteps are within sequences of these lengths."""
    return np.arange(timesteps) < lengths[:, None]
