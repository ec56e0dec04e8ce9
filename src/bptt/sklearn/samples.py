"""The task of an estimator's fit: sequences in memory, a part to train on and a part to choose by."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from bptt.core.random import Generator
from bptt.core.run import Target
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.tasks.common import Shares, score_bits, score_classes
from bptt.tasks.own_data.preparation import Preparation


@dataclass(frozen=True)
class Samples:
    """Sequences, each with one target at its end; equal ones hold the same numbers, so that runs of them fuse.

    target       what the targets are, by which accuracy is counted
    preparation  how the numbers were scaled
    validated    whether the evaluation set was held back from training; else it is some training sequence, and says
                 nothing
    """

    digest: str
    target: Target
    validated: bool
    preparation: Preparation = field(compare=False)
    fitted: Sequences = field(compare=False, repr=False)
    held_back: Sequences = field(compare=False, repr=False)

    @property
    def inputs(self) -> int:
        return self.fitted.x.shape[2]

    @property
    def outputs(self) -> int:
        return self.fitted.y.shape[1]

    @property
    def timesteps(self) -> int:
        return self.fitted.timesteps

    def training(self) -> Pool:
        return Pool(self.fitted, "shuffled")

    def evaluation(self, rng: Generator) -> Sequences:  # noqa: ARG002 (always the same set)
        return self.held_back

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares | None:
        if self.target == "numbers":
            return None
        shares: Shares = (score_classes if self.target == "classes" else score_bits)(output, sequences)
        return shares


def make_samples(target: Target, preparation: Preparation, fitted: Sequences, held_back: Sequences | None) -> Samples:
    """The task of these sequences; held_back None: nothing is validated."""
    validated = held_back is not None
    if held_back is None:
        lengths = None if fitted.lengths is None else fitted.lengths[:1]
        held_back = Sequences(fitted.x[:1], fitted.y[:1], lengths)
    return Samples(_digest(target, fitted, held_back), target, validated, preparation, fitted, held_back)


def _digest(target: str, *sets: Sequences) -> str:
    found = hashlib.sha256(target.encode())
    for sequences in sets:
        for array in (sequences.x, sequences.y, sequences.full_lengths):
            found.update(str(array.shape).encode())
            found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
