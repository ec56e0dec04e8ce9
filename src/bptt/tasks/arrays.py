"""The user's own data, from an npz file."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from bptt.core.random import Generator
from bptt.core.sequences import Floats, Pool, Sequences
from bptt.tasks.common import (
    Readout,
    Shares,
    find_baseline_of,
    score_bits,
    score_class_sequences,
    score_classes,
    score_sequences,
)
from bptt.tasks.data_files import load_sequences


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """Sequences from named arrays of a NumPy .npz file.

    x             (N, T, inputs)
    y             (N, T, outputs): a target at every timestep; or (N, outputs): one, at each sequence's last timestep
    lengths       (N,) optional: the valid timesteps of each sequence, 1..T. What stands behind them is ignored.
    eval_x, eval_y, eval_lengths   optional: the evaluation's, like the three above; their N and T are their own
    Numbers of any real type, finite. Without eval_x the evaluation is on the training data. InvalidValue says what is
    wrong with a file.

    Accuracy, where it means something: with readout=softmax and one-hot targets, the share of the scored timesteps
    whose largest output is at the target's; with readout=sigmoid and targets of 0 and 1, the share of the scored output
    numbers that round right; otherwise none.

    path   the file
    order  sequential: sequence r of update u is number (u·batch + r) mod N; shuffled: every sequence once per epoch, in
           an order drawn anew
    """

    path: str | None
    order: Literal["sequential", "shuffled"]
    readout: Readout

    def __post_init__(self) -> None:
        load_sequences(self.path)

    @property
    def inputs(self) -> int:
        return self._sequences[0].x.shape[-1]

    @property
    def outputs(self) -> int:
        return self._sequences[0].y.shape[-1]

    @property
    def timesteps(self) -> int:
        return max(sequences.timesteps for sequences in self._sequences)

    @cached_property
    def _sequences(self) -> tuple[Sequences, Sequences]:
        """The training's and the evaluation's."""
        return load_sequences(self.path)

    @cached_property
    def _targets_are_bits(self) -> bool:
        """Whether all that are scored are."""
        return all(bool(np.isin(_select_scored(sequences), (0, 1)).all()) for sequences in self._sequences)

    @cached_property
    def _targets_are_classes(self) -> bool:
        ones = all(bool((_select_scored(sequences).sum(axis=-1) == 1).all()) for sequences in self._sequences)
        return self._targets_are_bits and ones

    def training(self) -> Pool:
        return Pool(self._sequences[0], self.order)

    def evaluation(self, rng: Generator) -> Sequences:  # noqa: ARG002 (always the same set)
        return self._sequences[1]

    def accuracy(self, output: Floats, sequences: Sequences) -> Shares | None:
        if self.readout == "softmax" and self._targets_are_classes:
            return score_classes(output, sequences)
        if self.readout == "sigmoid" and self._targets_are_bits:
            return score_bits(output, sequences)
        return None

    def all_right(self, output: Floats, sequences: Sequences) -> Shares | None:
        """The share of the sequences with every scored target right; none where each has but one."""
        if sequences.last_only:
            return None
        if self.readout == "softmax" and self._targets_are_classes:
            return score_class_sequences(output, sequences)
        if self.readout == "sigmoid" and self._targets_are_bits:
            return score_sequences(output, sequences)
        return None

    def baseline(self, loss: Any) -> float | None:
        """Of the mean of the evaluation's targets."""
        return find_baseline_of(loss, self._sequences[1])


def _select_scored(sequences: Sequences) -> Floats:
    """(scored timesteps, outputs)."""
    return sequences.y if sequences.last_only else sequences.y[sequences.full_scored]
