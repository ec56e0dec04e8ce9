"""Predict the next value of a sine curve."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bptt.core.annotations import Range
from bptt.core.elementwise import compute_sine
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.tasks.common import Predict, Readout, find_baseline_of


@dataclass(frozen=True, kw_only=True)
class Sine:
    """Windows of a sampled sine curve; the target is the value that follows.

    v_k = amplitude · sin(step · k). A window is v_i … v_{i+window−1}, its target v_{i+window}. The curve's first
    `windows` windows train, each once per epoch in an order drawn anew; the `eval_size` windows that come after the
    last of them, and share no value with them, evaluate; the `test_size` windows after those, likewise, test. With a
    step that is no fraction of π, as any decimal number, the curve never repeats a value, so these are new to the
    network. There is no accuracy, as no output is exactly right; `show` gives the mean absolute error.

    amplitude  the curve's largest value
    step       radians from one value to the next
    window     timesteps of a sequence
    windows    training windows: an epoch is windows / train.batch_size updates
    eval_size  windows of the evaluation
    test_size  windows of the test; 0: there is none

    x (N, window, 1), y (N, 1).
    """

    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 1

    amplitude: Annotated[float, Range(above=0)]
    step: Annotated[float, Range(above=0, at_most=3)]
    window: Annotated[int, Range(at_least=1)]
    windows: Annotated[int, Range(at_least=1)]
    eval_size: Annotated[int, Range(at_least=1)]
    test_size: Annotated[int, Range(at_least=0)] = 0
    readout: Readout

    @property
    def timesteps(self) -> int:
        return self.window

    @cached_property
    def _training(self) -> Sequences:
        return self._windows_from(0, self.windows)

    @cached_property
    def _evaluation(self) -> Sequences:
        return self._windows_from(self.windows + self.window, self.eval_size)

    def _windows_from(self, first: int, count: int) -> Sequences:
        """The `count` windows that begin at the values `first`, `first` + 1, …"""
        angles = self.step * np.arange(first, first + count + self.window, dtype=np.float64)
        values = self.amplitude * compute_sine(angles)
        windows = sliding_window_view(values, self.window + 1)
        return Sequences(np.ascontiguousarray(windows[:, :-1, None]), np.ascontiguousarray(windows[:, -1:]))

    def training(self) -> Pool:
        return Pool(self._training, "shuffled")

    def evaluation(self, rng: Generator) -> Sequences:  # noqa: ARG002 (always the same set)
        return self._evaluation

    def test(self, rng: Generator) -> Sequences | None:  # noqa: ARG002 (always the same set)
        first = self.windows + self.window + self.eval_size + self.window
        return self._windows_from(first, self.test_size) if self.test_size else None

    def baseline(self, loss: Any) -> float | None:
        """Of the mean target of the evaluation: a squared error of amplitude² / 2, but for where the windows end."""
        return find_baseline_of(loss, self._evaluation)

    def accuracy(self, output: Floats, sequences: Sequences) -> None:  # noqa: ARG002 (no notion of right)
        return None

    def show(self, predict: Predict) -> list[str]:
        """A few predictions, '0.0523 for 0.0510', and the mean absolute error, all of the evaluation's windows."""
        sequences = self._evaluation
        output, y = predict(sequences)[:, 0], sequences.y[:, 0]
        some = np.linspace(0, len(y) - 1, min(4, len(y))).astype(int)
        lines = [f"{output[i]:.4f} for {y[i]:.4f}" for i in some]
        error = np.abs(output - y).mean()
        return [*lines, f"mean absolute error {error:.6f} on {len(y)} windows that were not trained on"]
