"""LEFTBIT: say the bit that arrived one timestep before."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from bptt.core.sequences import Floats, Pool, Sequences
from bptt.tasks.accuracy import Predict, Readout, Shares, score_bits
from bptt.tasks.encoding import format_bits, parse_bits


@dataclass(frozen=True, kw_only=True)
class Leftbit:
    """One bit arrives per timestep; the target is the one before: y_t = x_{t−1}. The first has none and isn't scored.

    Training: of a stream of m bits, the m − 1 windows X[s..m−1], s = 0..m−2, of lengths m to 2; each sequence of a
    batch is one of them, drawn uniformly. Accuracy: the share of the scored bits that round right.

    stream           the m bits of training, e.g. "0 0 1 1"
    evaluation_bits  the one sequence of evaluation

    x (N, m, 1), y (N, m, 1).
    """

    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 1

    stream: str
    evaluation_bits: str
    readout: Readout

    def __post_init__(self) -> None:
        parse_bits("stream", self.stream)
        parse_bits("evaluation_bits", self.evaluation_bits)

    @property
    def timesteps(self) -> int:
        return max(self._windows.timesteps, self._evaluation.timesteps)

    @cached_property
    def _windows(self) -> Sequences:
        bits = parse_bits("stream", self.stream)
        return _make_sequences([bits[start:] for start in range(len(bits) - 1)])

    @cached_property
    def _evaluation(self) -> Sequences:
        return _make_sequences([parse_bits("evaluation_bits", self.evaluation_bits)])

    def training(self) -> Pool:
        return Pool(self._windows, "random")

    def evaluation(self, rng: np.random.Generator) -> Sequences:  # noqa: ARG002 (always the same set)
        return self._evaluation

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_bits(output, sequences)

    def show(self, predict: Predict) -> list[str]:
        """The evaluation's bits: fed, expected and predicted."""
        sequences = self._evaluation
        scored = sequences.full_scored[0]
        return [
            f"fed       {format_bits(sequences.x[0, :, 0])}",
            f"expected  {format_bits(sequences.y[0, :, 0], scored)}",
            f"predicted {format_bits(predict(sequences)[0, :, 0], scored)}",
        ]


def _make_sequences(sequences: list[Floats]) -> Sequences:
    """Sequences of bits, the longest first, with their targets."""
    x = np.zeros((len(sequences), len(sequences[0]), 1))
    for row, bits in zip(x, sequences, strict=True):
        row[: len(bits), 0] = bits
    y = np.zeros_like(x)
    y[:, 1:] = x[:, :-1]
    return Sequences(x, y, np.array([len(bits) for bits in sequences]), np.arange(x.shape[1]) > 0)
