"""Delayed match to sample (Miller, Erickson & Desimone 1996, "Neural Mechanisms of Visual Working Memory …")."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import Readout, Shares, find_baseline, one_hot, score_classes
from bptt.tasks.drawn import Drawn

_FIXATION, _SAMPLE, _TEST, _DECISION = 3, 5, 5, 9  # timesteps of 100 ms, as in neurogym
_WAIT, _MATCH, _OTHER = range(3)


@dataclass(frozen=True, kw_only=True)
class MatchToSample(Drawn):
    """Say whether two stimuli with a delay between them were the same.

    A trial as neurogym's DelayMatchSample defines it, with timesteps of 100 ms: 3 of fixation, 5 of a sample, a delay,
    5 of a test stimulus, and 9 in which the answer is asked for. A stimulus is one of two opposite directions, 1 in one
    channel and 0 in the other, with noise of N(0, noise²) in both; the fixation channel is 1 until the answer is asked
    for, and 0 then. Targets are the classes wait, until then, and match or other, which are equally likely.
    Accuracy: the share of the timesteps of the answer at which the right class has the largest output.

    delay      timesteps between the stimuli; neurogym has 10
    noise      standard deviation; neurogym has 0.1
    eval_size  trials of the evaluation, drawn once
    test_size  those of the test, likewise; 0: there is none

    x (N, 22 + delay, 3): fixation, the two channels; y (N, 22 + delay, 3): wait, match, other.
    """

    everywhere: ClassVar[bool] = True
    inputs: ClassVar[int] = 3
    outputs: ClassVar[int] = 3

    delay: Annotated[int, Range(at_least=0)]
    noise: Annotated[float, Range(at_least=0)]
    eval_size: Annotated[int, Range(at_least=1)]
    test_size: Annotated[int, Range(at_least=0)] = 0
    readout: Readout

    @property
    def timesteps(self) -> int:
        return _FIXATION + _SAMPLE + self.delay + _TEST + _DECISION

    def make(self, rng: Generator, count: int) -> Sequences:
        sample, other = rng.integers(2, size=(2, count))
        noise = self.noise * rng.standard_normal((count, _SAMPLE + _TEST, 2))
        x = np.zeros((count, self.timesteps, 3))
        x[:, : self._asked, 0] = 1
        first, second = _FIXATION, _FIXATION + _SAMPLE + self.delay
        x[:, first : first + _SAMPLE, 1:] = one_hot(sample, 2)[:, None] + noise[:, :_SAMPLE]
        x[:, second : second + _TEST, 1:] = one_hot(sample ^ other, 2)[:, None] + noise[:, _SAMPLE:]
        classes = np.full((count, self.timesteps), _WAIT)
        classes[:, self._asked :] = np.where(other == 1, _OTHER, _MATCH)[:, None]
        return Sequences(x, one_hot(classes, 3))

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        answered = Sequences(sequences.x[..., self._asked :, :], sequences.y[..., self._asked :, :])
        return score_classes(output[..., self._asked :, :], answered)

    def baseline(self, loss: Any) -> float | None:
        """Of wait until the answer is asked for, and then 1/2 for either answer: a cross-entropy of 9 ln 2."""
        share = np.array([0.0, 0.5, 0.5])
        return find_baseline(loss, share, share * (1 - share), _DECISION)

    @property
    def _asked(self) -> int:
        return self.timesteps - _DECISION
