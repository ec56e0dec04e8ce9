"""A trained network apart from what trained it: what an estimator predicts with, and pickles."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from bptt.configuration.owners import check_kernel_folder
from bptt.core.evaluation import Evaluation
from bptt.core.kernel import cache_folder
from bptt.core.parameters import list_parameters, to_flat
from bptt.core.run import Loss, Model
from bptt.core.sequences import Floats, Sequences
from bptt.sklearn.inputs import Lengths


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A model with weights, `parameters` by name as in `weights.npz`."""

    model: Model
    loss: Loss
    inputs: int
    outputs: int
    parameters: Mapping[str, Floats]

    def compute_outputs(self, x: Floats, lengths: Lengths) -> Floats:
        """What it gives at the end of each sequence of x (N, T, inputs): (N, outputs).

        Raises ConfigurationError where the kernels could be another user's.
        """
        _check_once(cache_folder())
        blocks = list_parameters(self.model, self.inputs, self.outputs)
        sequences = Sequences(x, np.zeros((len(x), self.outputs)), lengths)
        _, outputs = Evaluation(self.model, self.loss, [sequences]).evaluate(to_flat(blocks, self.parameters)[None])
        return outputs[0]


@cache
def _check_once(folder: Path) -> None:  # noqa: ARG001 (of each that kernels may lie in)
    """Let a process that unpickled a network, and has trained none, ask once whose the kernels are."""
    check_kernel_folder()
