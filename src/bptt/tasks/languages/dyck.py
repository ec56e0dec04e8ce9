"""Dyck languages of bounded depth (Hewitt et al. 2020, "RNNs can generate bounded hierarchical languages …")."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from bptt.core.annotations import Range
from bptt.core.random import Generator
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import Integers, Shares, find_baseline, one_hot, score_bits, score_sequences
from bptt.tasks.drawn import DrawnByLength


@dataclass(frozen=True, kw_only=True)
class Dyck(DrawnByLength):
    """Say which brackets may come next in a string of well-nested brackets.

    There are k kinds of brackets, and never more than `depth` are open. At every timestep a bracket arrives; where
    there is a choice, it opens or closes with equal chance, and the kind of one that opens is uniform. The target is
    the set of brackets that may follow: all k that open, below the greatest depth, and the one that closes the last
    open one. A network has to keep a stack of at most `depth` kinds. Accuracy: the share of the output numbers that
    round right; of sequences with all of them right, `accuracy/all_right`.

    length     timesteps
    kinds      k: 1 is Dyck-1, 2 is Dyck-2
    depth      the greatest number of open brackets

    x (N, length, 2k), y (N, length, 2k): the k that open, then the k that close.
    """

    everywhere: ClassVar[bool] = True

    length: Annotated[int, Range(at_least=1)]
    kinds: Annotated[int, Range(at_least=1, at_most=1000)]
    depth: Annotated[int, Range(at_least=1, at_most=1000)]

    @property
    def inputs(self) -> int:
        return 2 * self.kinds

    @property
    def outputs(self) -> int:
        return 2 * self.kinds

    def make_of(self, rng: Generator, lengths: Integers) -> Sequences:
        count = len(lengths)
        opens = rng.integers(2, size=(count, self.length))
        kinds = rng.integers(self.kinds, size=(count, self.length))
        stack, height, every = np.zeros((count, self.depth), np.int64), np.zeros(count, np.int64), np.arange(count)
        shown = np.zeros((count, self.length), np.int64)
        may = np.zeros((count, self.length, 2 * self.kinds))
        for t in range(self.length):
            opened = (height == 0) | ((height < self.depth) & (opens[:, t] == 1))
            top = stack[every, height - 1]
            shown[:, t] = np.where(opened, kinds[:, t], self.kinds + top)
            stack[every[opened], height[opened]] = kinds[opened, t]
            height = height + np.where(opened, 1, -1)
            may[:, t, : self.kinds] = (height < self.depth)[:, None]
            some = height > 0
            may[every[some], t, self.kinds + stack[every[some], height[some] - 1]] = 1
        return Sequences(one_hot(shown, self.inputs), may)

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares:
        return score_bits(output, sequences)

    def all_right(self, output: Floats, sequences: Sequences) -> Shares:
        """The share of the sequences in which at every timestep the right brackets are said to be allowed."""
        return score_sequences(output, sequences)

    def baseline(self, loss: Any) -> float | None:
        """Of the shares of timesteps after which a bracket may come, by the chances of how many are open.

        One that opens may come below the greatest depth, one of the k kinds that close where some are open.
        """
        chances, opens, closes = [1.0] + [0.0] * self.depth, 0.0, 0.0
        for _ in range(self.length):
            after = [0.0] * (self.depth + 1)
            for height, chance in enumerate(chances):
                up = 1.0 if height == 0 else 0.0 if height == self.depth else 0.5
                if up:
                    after[height + 1] += up * chance
                if height:
                    after[height - 1] += (1.0 - up) * chance
            chances = after
            opens += 1.0 - chances[self.depth]
            closes += 1.0 - chances[0]
        each = [opens / self.length] * self.kinds + [closes / self.length / self.kinds] * self.kinds
        share = np.array(each)
        return find_baseline(loss, share, share * (1 - share), self.length)
