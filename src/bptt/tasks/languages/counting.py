"""Count the ones in a sequence of bits."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.tasks.common import Predict, Readout, Shares, find_baseline_of, format_bits, parse_bits, score_sequences


@dataclass(frozen=True, kw_only=True)
class Counting:
    """The target of a sequence of random bits is the number of its ones.

    One fixed set: sequence r of update u is number (u·batch + r) mod count, so `train.batch_size` = count makes each
    update see all. The evaluation is on the same set, as in the article that the task comes from; the test's sequences
    are drawn afresh, and `show` has one that isn't in the set. Accuracy: the share of the sequences whose output rounds
    to the right count.

    data_seed  the set's own seed, of NumPy's legacy RandomState: `around(rand(count, length))`
    count      sequences
    length     bits of a sequence
    test_size  sequences of the test, drawn once; 0: there is none

    x (count, length, 1), y (count, 1).
    """

    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 1

    data_seed: Annotated[int, Range(at_least=0, at_most=2**32 - 1)]
    count: Annotated[int, Range(at_least=1)]
    length: Annotated[int, Range(at_least=1)]
    test_size: Annotated[int, Range(at_least=0)] = 0
    readout: Readout

    @property
    def timesteps(self) -> int:
        return self.length

    @cached_property
    def _sequences(self) -> Sequences:
        rng = np.random.RandomState(self.data_seed)  # the article's own
        return _count_ones(np.around(rng.rand(self.count, self.length)))

    def training(self) -> Pool:
        return Pool(self._sequences, "sequential")

    def evaluation(self, rng: Generator) -> Sequences:  # noqa: ARG002 (always the same set)
        return self._sequences

    def test(self, rng: Generator) -> Sequences | None:
        if not self.test_size:
            return None
        return _count_ones(rng.integers(2, size=(self.test_size, self.length)).astype(np.float64))

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_sequences(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of the set's mean count."""
        return find_baseline_of(loss, self._sequences)

    def show(self, predict: Predict) -> list[str]:
        """The article's test: the number of ones and the network's output, '5 vs 5.00'."""
        bits = parse_bits("bits", "0 1 1 0 0 0 0 1 0 0 1 1")
        output = predict(Sequences(bits[None, :, None], bits.sum()[None, None]))
        return [f"{format_bits(bits)}: {bits.sum():.0f} vs {output[0, 0]:.2f}"]


def _count_ones(bits: Floats) -> Sequences:
    """(N, length) → the sequences, with their counts as targets."""
    return Sequences(bits[:, :, None], bits.sum(axis=1, keepdims=True))
