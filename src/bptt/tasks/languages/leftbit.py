"""LEFTBIT: say the bit that arrived one timestep before."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.tasks.common import (
    FAIR_BIT,
    Integers,
    Predict,
    Readout,
    Shares,
    find_baseline,
    format_bits,
    parse_bits,
    score_bits,
    score_sequences,
)


@dataclass(frozen=True, kw_only=True)
class Leftbit:
    """One bit arrives per timestep; the target is the one before: y_t = x_{t−1}. The first has none and isn't scored.

    Training: of a stream of m bits, the m − 1 windows X[s..m−1], s = 0..m−2, of lengths m to 2; each sequence of a
    batch is one of them, drawn uniformly. Evaluation and test: sequences of m fair bits, drawn once. Accuracy: the
    share of the scored bits that round right. A few would prove nothing: coins have six right once in 64 times.

    stream           the m bits of training, e.g. "0 0 1 1"
    evaluation_bits  those of the article's evaluation, which `show` has
    eval_size        scored bits of the evaluation, in as many whole sequences as that takes; None: evaluation_bits
    test_size        sequences of the test; 0: there is none

    x (N, m, 1), y (N, m, 1).
    """

    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 1

    stream: str
    evaluation_bits: str
    eval_size: Annotated[int, Range(at_least=1)] | None = None
    test_size: Annotated[int, Range(at_least=0)] = 0
    readout: Readout

    def __post_init__(self) -> None:
        parse_bits("stream", self.stream)
        parse_bits("evaluation_bits", self.evaluation_bits)

    @property
    def timesteps(self) -> int:
        return max(self._windows.timesteps, self._shown.timesteps)

    @cached_property
    def _windows(self) -> Sequences:
        return _list_windows(parse_bits("stream", self.stream))

    @cached_property
    def _shown(self) -> Sequences:
        return _ask_before(parse_bits("evaluation_bits", self.evaluation_bits)[None])

    def training(self) -> Pool:
        return Pool(self._windows, "random")

    def make(self, rng: Generator, count: int) -> Sequences:
        """`count` fresh sequences of m bits."""
        return _ask_before(rng.integers(2, size=(count, self._windows.timesteps)).astype(np.float64))

    def evaluation(self, rng: Generator) -> Sequences:
        if self.eval_size is None:
            return self._shown
        return self.make(rng, -(-self.eval_size // (self._windows.timesteps - 1)))

    def test(self, rng: Generator) -> Sequences | None:
        return self.make(rng, self.test_size) if self.test_size else None

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_bits(output, sequences)

    def all_right(self, output: Floats, sequences: Sequences) -> Shares:
        """The share of the sequences of which every scored bit rounds right."""
        return score_sequences(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of 1/2: each bit is fair."""
        return find_baseline(loss, *FAIR_BIT, (self._shown if self.eval_size is None else self._windows).timesteps - 1)

    def show(self, predict: Predict) -> list[str]:
        """The article's evaluation: bits fed, expected and predicted."""
        sequences = self._shown
        scored = sequences.full_scored[0]
        return [
            f"fed       {format_bits(sequences.x[0, :, 0])}",
            f"expected  {format_bits(sequences.y[0, :, 0], scored)}",
            f"predicted {format_bits(predict(sequences)[0, :, 0], scored)}",
        ]


def _list_windows(bits: Floats) -> Sequences:
    """The windows of a stream, the longest first, with their targets."""
    x = np.zeros((len(bits) - 1, len(bits)))
    for start, row in enumerate(x):
        row[: len(bits) - start] = bits[start:]
    return _ask_before(x, np.arange(len(bits), 1, -1))


def _ask_before(bits: Floats, lengths: Integers | None = None) -> Sequences:
    """(N, T) bits as sequences, with their targets."""
    x, y = bits[:, :, None], np.zeros((*bits.shape, 1))
    y[:, 1:] = x[:, :-1]
    return Sequences(x, y, lengths, np.arange(bits.shape[1]) > 0)
