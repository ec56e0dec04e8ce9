"""The copying-memory task (Arjovsky, Shah & Bengio 2016, "Unitary Evolution Recurrent Neural Networks")."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import Readout, Shares, find_baseline, one_hot, score_class_sequences, score_classes
from bptt.tasks.drawn import Drawn, EvalLengths, check_lengths

_SYMBOLS = 8
_BLANK, _DELIMITER = _SYMBOLS, _SYMBOLS + 1
_COPIED = 10  # timesteps


@dataclass(frozen=True, kw_only=True)
class Copying(Drawn):
    """Keep ten symbols in memory and repeat them when asked.

    Of T + 20 timesteps, the first 10 hold symbols drawn uniformly from 8, then T − 1 blanks, one delimiter, and 10
    blanks. The target is blank for T + 10 timesteps, then the ten symbols in their order. Every timestep is scored, so
    always to say blank and then to guess has a cross-entropy of 10 ln 8 per sequence. Accuracy: the share of the ten
    last timesteps' symbols that have the largest output (guessing: 1/8).

    length     T
    eval_size  sequences of the evaluation, drawn once
    test_size  those of the test, likewise; 0: there is none
    eval_lengths  further lengths on which a run is seen when it has ended

    x (N, T + 20, 10): the 8 symbols, blank, delimiter; y (N, T + 20, 9): the 8 symbols, blank.
    """

    everywhere: ClassVar[bool] = True
    inputs: ClassVar[int] = _SYMBOLS + 2
    outputs: ClassVar[int] = _SYMBOLS + 1

    length: Annotated[int, Range(at_least=1)]
    eval_size: Annotated[int, Range(at_least=1)]
    test_size: Annotated[int, Range(at_least=0)] = 0
    eval_lengths: EvalLengths = ()
    readout: Readout

    def __post_init__(self) -> None:
        check_lengths(self.length, self.eval_lengths)

    @property
    def timesteps(self) -> int:
        return self.length + 2 * _COPIED

    def make(self, rng: Generator, count: int) -> Sequences:
        """`count` fresh sequences."""
        symbols = rng.integers(_SYMBOLS, size=(count, _COPIED))
        fed = np.full((count, self.timesteps), _BLANK)
        asked = fed.copy()
        fed[:, :_COPIED] = symbols
        fed[:, -_COPIED - 1] = _DELIMITER
        asked[:, -_COPIED:] = symbols
        return Sequences(one_hot(fed, self.inputs), one_hot(asked, self.outputs))

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_classes(output[..., -_COPIED:, :], _select_recalled(sequences))

    def all_right(self, output: Floats, sequences: Sequences) -> Shares:
        """The share of the sequences of which all ten symbols are recalled."""
        return score_class_sequences(output[..., -_COPIED:, :], _select_recalled(sequences))

    def baseline(self, loss: Any) -> float | None:
        """Of blank for T + 10 timesteps, and then 1/8 for each symbol: a cross-entropy of 10 ln 8."""
        share = np.append(np.full(_SYMBOLS, 1 / _SYMBOLS), 0)
        return find_baseline(loss, share, share * (1 - share), _COPIED)


def _select_recalled(sequences: Sequences) -> Sequences:
    return Sequences(sequences.x[..., -_COPIED:, :], sequences.y[..., -_COPIED:, :])
