"""The perceptual decision (Britten, Shadlen, Newsome & Movshon 1992, "The analysis of visual motion")."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import Readout, Shares, find_baseline, one_hot, score_classes
from bptt.tasks.drawn import Drawn

_FIXATION, _DECISION = 1, 1  # timesteps of 100 ms, as in neurogym
_COHERENCES: Final = np.array([0.0, 6.4, 12.8, 25.6, 51.2])  # percent


@dataclass(frozen=True, kw_only=True)
class PerceptualDecision(Drawn):
    """Say which of two noisy channels was the stronger one.

    A trial as neurogym's PerceptualDecisionMaking defines it, with timesteps of 100 ms: one of fixation, `stimulus` of
    two channels with means 1/2 ± c/200 and noise of N(0, noise²), and one in which the answer is asked for. The
    coherence c is one of 0, 6.4, 12.8, 25.6 and 51.2 %, equally likely; at 0 there is nothing to be known. The fixation
    channel is 1 in the first timestep alone. Targets are the classes wait, until the last timestep, and first or second
    channel there. Accuracy: the share of the trials in which the right channel has the largest output.

    stimulus   timesteps of the stimulus; neurogym has 20
    noise      standard deviation; neurogym has 0.1
    eval_size  trials of the evaluation, drawn once
    test_size  those of the test, likewise; 0: there is none

    x (N, stimulus + 2, 3): fixation, the two channels; y (N, stimulus + 2, 3): wait, first, second.
    """

    everywhere: ClassVar[bool] = True
    inputs: ClassVar[int] = 3
    outputs: ClassVar[int] = 3

    stimulus: Annotated[int, Range(at_least=1)]
    noise: Annotated[float, Range(at_least=0)]
    eval_size: Annotated[int, Range(at_least=1)]
    test_size: Annotated[int, Range(at_least=0)] = 0
    readout: Readout

    @property
    def timesteps(self) -> int:
        return _FIXATION + self.stimulus + _DECISION

    def make(self, rng: Generator, count: int) -> Sequences:
        choice = rng.integers(2, size=count)
        apart = _COHERENCES[rng.integers(len(_COHERENCES), size=count)] / 200
        noise = self.noise * rng.standard_normal((count, self.stimulus, 2))
        means = 0.5 + apart[:, None] * (2 * one_hot(choice, 2) - 1)
        x = np.zeros((count, self.timesteps, 3))
        x[:, :_FIXATION, 0] = 1
        x[:, _FIXATION:-_DECISION, 1:] = means[:, None] + noise
        classes = np.zeros((count, self.timesteps), np.int64)
        classes[:, -_DECISION:] = 1 + choice[:, None]
        return Sequences(x, one_hot(classes, 3))

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        answered = Sequences(sequences.x[..., -_DECISION:, :], sequences.y[..., -_DECISION:, :])
        return score_classes(output[..., -_DECISION:, :], answered)

    def baseline(self, loss: Any) -> float | None:
        """Of wait until the answer is asked for, and then 1/2 for either channel: a cross-entropy of ln 2."""
        share = np.array([0.0, 0.5, 0.5])
        return find_baseline(loss, share, share * (1 - share), _DECISION)
