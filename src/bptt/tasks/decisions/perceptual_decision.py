"""The perceptual decision (Britten, Shadlen, Newsome & Movshon 1992, "The analysis of visual motion")."""

from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Sequences
from bptt.tasks.common import one_hot
from bptt.tasks.decisions.trial import DecisionTrial

_FIXATION = 1  # timesteps of 100 ms, as in neurogym
_COHERENCES: Final = np.array([0.0, 6.4, 12.8, 25.6, 51.2])  # percent


@dataclass(frozen=True, kw_only=True)
class PerceptualDecision(DecisionTrial):
    """Say which of two noisy channels was the stronger one.

    A trial as neurogym's PerceptualDecisionMaking defines it, with timesteps of 100 ms: one of fixation, `stimulus` of
    two channels with means 1/2 ± c/200 and noise of N(0, noise²), and one in which the answer is asked for. The
    coherence c is one of 0, 6.4, 12.8, 25.6 and 51.2 %, equally likely; at 0 there is nothing to be known. The fixation
    channel is 1 in the first timestep alone. The answers are the first and the second channel; see `DecisionTrial`.

    stimulus  timesteps of the stimulus; neurogym has 20
    noise     standard deviation; neurogym has 0.1

    x (N, stimulus + 2, 3): fixation, the two channels; y (N, stimulus + 2, 3): wait, first, second.
    """

    stimulus: Annotated[int, Range(at_least=1)]

    @property
    def timesteps(self) -> int:
        return _FIXATION + self.stimulus + self.answer

    def make(self, rng: Generator, count: int) -> Sequences:
        choice = rng.integers(2, size=count)
        apart = _COHERENCES[rng.integers(len(_COHERENCES), size=count)] / 200
        noise = self.noise * rng.standard_normal((count, self.stimulus, 2))
        means = 0.5 + apart[:, None] * (2 * one_hot(choice, 2) - 1)
        x = np.zeros((count, self.timesteps, 3))
        x[:, :_FIXATION, 0] = 1
        x[:, _FIXATION : -self.answer, 1:] = means[:, None] + noise
        classes = np.zeros((count, self.timesteps), np.int64)
        classes[:, -self.answer :] = 1 + choice[:, None]
        return Sequences(x, one_hot(classes, 3))
