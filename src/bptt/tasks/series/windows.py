"""What tasks share whose sequences are windows of one long series: parts one after the other, training first."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.tasks.common import Readout, find_baseline_of


@dataclass(frozen=True, kw_only=True)
class Windowed(ABC):
    """A task of windows: what is seen, and at each timestep what is seen `horizon` timesteps later.

    Parts share no value: the evaluation's windows come after the last of the training's, the test's after those. There
    is no accuracy, as no output is exactly right; the naive forecast is that all stays as it is.

    horizon    how far ahead the target is, timesteps
    window     timesteps of a sequence
    windows    training windows: an epoch is windows / train.batch_size updates
    eval_size  windows of the evaluation
    test_size  windows of the test; 0: there is none
    readout    what the loss expects
    """

    target: ClassVar[Literal["numbers"]] = "numbers"

    horizon: Annotated[int, Range(at_least=1, at_most=10**4)]
    window: Annotated[int, Range(at_least=1, at_most=10**4)]
    windows: Annotated[int, Range(at_least=1, at_most=10**5)]
    eval_size: Annotated[int, Range(at_least=1, at_most=10**5)]
    test_size: Annotated[int, Range(at_least=0, at_most=10**5)] = 0
    readout: Readout

    @abstractmethod
    def compute_series(self, steps: int) -> Floats:
        """(steps, numbers): the series, a function of its length alone."""

    @property
    def timesteps(self) -> int:
        return self.window

    def training(self) -> Pool:
        return Pool(self._parts[0], "shuffled")

    def evaluation(self, rng: Generator) -> Sequences:  # noqa: ARG002 (always the same set)
        return self._parts[1]

    def test(self, rng: Generator) -> Sequences | None:  # noqa: ARG002 (always the same set)
        return self._parts[2] if self.test_size else None

    def accuracy(self, output: Floats, sequences: Sequences) -> None:  # noqa: ARG002 (no notion of right)
        return None

    def naive(self, sequences: Sequences) -> Floats:
        """The forecast that all stays as it is."""
        return sequences.x

    def baseline(self, loss: Any) -> float | None:
        """Of the mean target of the evaluation."""
        return find_baseline_of(loss, self._parts[1])

    @cached_property
    def _parts(self) -> list[Sequences]:
        sizes = self.windows, self.eval_size, self.test_size
        span = self.window + self.horizon - 1
        series = self.compute_series(sum(sizes) + 3 * span)
        parts, first = [], 0
        for size in sizes:
            cut = sliding_window_view(series[first : first + size + span], self.window, axis=0).swapaxes(1, 2)
            x, y = (np.ascontiguousarray(cut[since : since + size]) for since in (0, self.horizon))
            parts.append(Sequences(x, y))
            first += size + span
        return parts
