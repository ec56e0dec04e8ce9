"""Predict the next character of a text."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np

from bptt.core.annotations import InvalidValue, Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Generated, Sequences
from bptt.tasks.common import Integers, Predict, Readout, Shares, find_baseline_of, one_hot, score_classes
from bptt.tasks.data_files import read_text

_SHOWN = 60  # characters


@dataclass(frozen=True, kw_only=True)
class Charlm:
    """One character of a text arrives per timestep; the target is the next.

    A character is one-hot over the vocabulary: the sorted characters of the whole text. The text's first 1 − held_out
    trains: windows that begin anywhere in it, drawn uniformly with replacement. Evaluation: windows of the rest, one
    behind the other; where that makes more than eval_size, eval_size of them, evenly spread. No window crosses from one
    part into the other. Accuracy: the share of the next characters that have the largest output.

    path       a text file in UTF-8; None: the shipped one
    window     timesteps of a sequence
    held_out   the share of the text, at its end, that evaluates
    eval_size  windows of the evaluation, at most

    x (N, window, vocabulary), y (N, window, vocabulary).
    """

    path: str | None
    window: Annotated[int, Range(at_least=1)]
    held_out: Annotated[float, Range(above=0, below=1)]
    eval_size: Annotated[int, Range(at_least=1)]
    readout: Readout

    def __post_init__(self) -> None:
        shortest = min(len(self._training_codes), len(self._held_out_codes))
        if self.inputs < 2:
            raise InvalidValue("path", self.path, "a text of at least two different characters")
        if shortest < 2:
            says = f"too short a text: a part of it (task.held_out={self.held_out}) has only {shortest} characters"
            raise InvalidValue("path", self.path, says)
        if shortest <= self.window:
            raise InvalidValue(
                "window",
                self.window,
                f"below {shortest}: a part of the text (task.held_out={self.held_out}) has only {shortest} characters",
            )

    @property
    def inputs(self) -> int:
        return len(self.vocabulary)

    @property
    def outputs(self) -> int:
        return len(self.vocabulary)

    @property
    def timesteps(self) -> int:
        return self.window

    @cached_property
    def _text(self) -> str:
        return read_text(self.path, "charlm.txt")

    @cached_property
    def vocabulary(self) -> str:
        """The characters, in the order of the inputs."""
        return "".join(sorted(set(self._text)))

    @cached_property
    def _codes(self) -> Integers:
        number = {character: code for code, character in enumerate(self.vocabulary)}
        return np.array([number[character] for character in self._text], np.int64)

    @property
    def _cut(self) -> int:
        return round(len(self._text) * (1 - self.held_out))

    @property
    def _training_codes(self) -> Integers:
        return self._codes[: self._cut]

    @property
    def _held_out_codes(self) -> Integers:
        return self._codes[self._cut :]

    def _windows(self, codes: Integers, starts: Integers) -> Sequences:
        taken = one_hot(codes[starts[:, None] + np.arange(self.window + 1)], self.inputs)
        return Sequences(taken[:, :-1], taken[:, 1:])

    def make(self, rng: Generator, count: int) -> Sequences:
        """`count` windows of the training part."""
        codes = self._training_codes
        return self._windows(codes, rng.integers(len(codes) - self.window, size=count))

    def training(self) -> Generated:
        return Generated(self.make, 2 * self.window * self.inputs)

    def evaluation(self, rng: Generator) -> Sequences:  # noqa: ARG002 (always the same set)
        return self._evaluation

    @cached_property
    def _evaluation(self) -> Sequences:
        codes = self._held_out_codes
        whole = (len(codes) - 1) // self.window
        kept = min(whole, self.eval_size)
        return self._windows(codes, np.arange(kept) * whole // kept * self.window)

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_classes(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of the characters' shares of the evaluation."""
        return find_baseline_of(loss, self._evaluation)

    def show(self, predict: Predict) -> list[str]:
        """The start of the held-out text and how the network goes on, each time with its most likely character."""
        codes = self._held_out_codes[: self.window]
        for _ in range(_SHOWN):
            x = one_hot(codes[None, -self.window :], self.inputs)
            codes = np.append(codes, predict(Sequences(x, x))[0, -1].argmax())
        text = "".join(self.vocabulary[code] for code in codes)
        return [f"given   {text[: self.window]!r}", f"goes on {text[self.window :]!r}"]
