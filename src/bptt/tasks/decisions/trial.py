"""What trials share in which one of two answers is asked for at the end: three channels in, three classes out."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import Shares, find_baseline, score_classes
from bptt.tasks.drawn import Drawn


@dataclass(frozen=True, kw_only=True)
class DecisionTrial(Drawn):
    """A trial with a fixation channel and two channels of stimuli, in timesteps of 100 ms.

    Targets are the classes wait, until the answer is asked for, and there the first or the second answer, which are
    equally likely. Every timestep is scored. Accuracy: the share of the timesteps of the answer at which the right
    class has the largest output.

    noise  standard deviation of the stimuli

    x (N, T, 3): fixation, the two channels; y (N, T, 3): wait, first, second.
    """

    everywhere: ClassVar[bool] = True
    inputs: ClassVar[int] = 3
    outputs: ClassVar[int] = 3
    #: Timesteps in which the answer is asked for, the last ones.
    answer: ClassVar[int] = 1

    noise: Annotated[float, Range(at_least=0)]

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        answered = Sequences(sequences.x[..., -self.answer :, :], sequences.y[..., -self.answer :, :])
        return score_classes(output[..., -self.answer :, :], answered)

    def baseline(self, loss: Any) -> float | None:
        """Of wait until the answer is asked for, and then 1/2 for either: a cross-entropy of ln 2 a timestep of it."""
        share = np.array([0.0, 0.5, 0.5])
        return find_baseline(loss, share, share * (1 - share), self.answer)
