"""Delayed match to sample (Miller, Erickson & Desimone 1996, "Neural Mechanisms of Visual Working Memory …")."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Sequences
from bptt.tasks.common import one_hot
from bptt.tasks.decisions.trial import DecisionTrial

_FIXATION, _SAMPLE, _TEST = 3, 5, 5  # timesteps of 100 ms, as in neurogym
_WAIT, _MATCH, _OTHER = range(3)


@dataclass(frozen=True, kw_only=True)
class MatchToSample(DecisionTrial):
    """Say whether two stimuli with a delay between them were the same.

    A trial as neurogym's DelayMatchSample defines it, with timesteps of 100 ms: 3 of fixation, 5 of a sample, a delay,
    5 of a test stimulus, and 9 in which the answer is asked for. A stimulus is one of two opposite directions, 1 in one
    channel and 0 in the other, with noise of N(0, noise²) in both; the fixation channel is 1 until the answer is asked
    for, and 0 then. The answers are match and other; see `DecisionTrial`.

    delay  timesteps between the stimuli; neurogym has 10
    noise  standard deviation; neurogym has 0.1

    x (N, 22 + delay, 3): fixation, the two channels; y (N, 22 + delay, 3): wait, match, other.
    """

    answer: ClassVar[int] = 9

    delay: Annotated[int, Range(at_least=0)]

    @property
    def timesteps(self) -> int:
        return _FIXATION + _SAMPLE + self.delay + _TEST + self.answer

    def make(self, rng: Generator, count: int) -> Sequences:
        sample, other = rng.integers(2, size=(2, count))
        noise = self.noise * rng.standard_normal((count, _SAMPLE + _TEST, 2))
        x = np.zeros((count, self.timesteps, 3))
        x[:, : -self.answer, 0] = 1
        first, second = _FIXATION, _FIXATION + _SAMPLE + self.delay
        x[:, first : first + _SAMPLE, 1:] = one_hot(sample, 2)[:, None] + noise[:, :_SAMPLE]
        x[:, second : second + _TEST, 1:] = one_hot(sample ^ other, 2)[:, None] + noise[:, _SAMPLE:]
        classes = np.full((count, self.timesteps), _WAIT)
        classes[:, -self.answer :] = np.where(other == 1, _OTHER, _MATCH)[:, None]
        return Sequences(x, one_hot(classes, 3))
