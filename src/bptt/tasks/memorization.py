"""Noiseless memorization (Martens & Sutskever 2011, "Learning Recurrent Neural Networks with Hessian-Free …")."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import Readout, Shares, find_baseline, one_hot, score_class_sequences, score_classes
from bptt.tasks.drawn import Drawn, EvalLengths, check_lengths


@dataclass(frozen=True, kw_only=True)
class Memorization(Drawn):
    """Keep symbols in memory through a pause and repeat them, as the program of Pascanu, Mikolov & Bengio (2013) does.

    Of T + 2k timesteps, the first k hold symbols drawn uniformly from v values; then come T blanks, a delimiter, and
    k − 1 blanks. The target is blank for T + k timesteps, then the symbols in their order, the first one at the
    delimiter. Every timestep is scored. 5 bits are k = 5 of v = 2 values, 20 bits k = 10 of v = 4.
    Pascanu's program has k = 10 of v = 5. Accuracy: the share of the k last timesteps' symbols that have the largest
    output (guessing: 1/v).

    length     T
    values     v
    symbols    k
    eval_size  sequences of the evaluation, drawn once
    test_size  those of the test, likewise; 0: there is none
    eval_lengths  further lengths on which a run is seen when it has ended

    x (N, T + 2k, v + 2): the values, blank, delimiter; y (N, T + 2k, v + 1): the values, blank.
    """

    everywhere: ClassVar[bool] = True

    length: Annotated[int, Range(at_least=1)]
    values: Annotated[int, Range(at_least=2, at_most=10**4)]
    symbols: Annotated[int, Range(at_least=1)]
    eval_size: Annotated[int, Range(at_least=1)]
    test_size: Annotated[int, Range(at_least=0)] = 0
    eval_lengths: EvalLengths = ()
    readout: Readout

    def __post_init__(self) -> None:
        check_lengths(self.length, self.eval_lengths)

    @property
    def inputs(self) -> int:
        return self.values + 2

    @property
    def outputs(self) -> int:
        return self.values + 1

    @property
    def timesteps(self) -> int:
        return self.length + 2 * self.symbols

    def make(self, rng: Generator, count: int) -> Sequences:
        symbols = rng.integers(self.values, size=(count, self.symbols))
        fed = np.full((count, self.timesteps), self.values)
        asked = fed.copy()
        fed[:, : self.symbols] = symbols
        fed[:, -self.symbols] = self.values + 1
        asked[:, -self.symbols :] = symbols
        return Sequences(one_hot(fed, self.inputs), one_hot(asked, self.outputs))

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_classes(output[..., -self.symbols :, :], self._select_recalled(sequences))

    def all_right(self, output: Floats, sequences: Sequences) -> Shares:
        """The share of the sequences of which all symbols are recalled."""
        return score_class_sequences(output[..., -self.symbols :, :], self._select_recalled(sequences))

    def baseline(self, loss: Any) -> float | None:
        """Of blank for T + k timesteps, and then 1/v for each value: a cross-entropy of k ln v."""
        share = np.append(np.full(self.values, 1 / self.values), 0)
        return find_baseline(loss, share, share * (1 - share), self.symbols)

    def _select_recalled(self, sequences: Sequences) -> Sequences:
        return Sequences(sequences.x[..., -self.symbols :, :], sequences.y[..., -self.symbols :, :])
