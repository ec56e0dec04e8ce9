"""Shares of right outputs. A diverged network's NaN is never right.

Outputs and targets are (N, T, outputs), or (N, outputs) where only the last timestep has a target. Only scored
timesteps count.
"""

import numpy as np
from numpy.typing import NDArray

from bptt.core.sequences import Floats, Sequences


def bits_right(output: Floats, sequences: Sequences) -> float:
    """The share of the scored output numbers that round to their targets, which are whole numbers."""
    return float(_scored(_rounds(output, sequences), sequences).mean())


def sequences_right(output: Floats, sequences: Sequences) -> float:
    """The share of the sequences in which every scored output number rounds to its target."""
    right = _rounds(output, sequences).all(axis=-1)
    if not sequences.last_only:
        right = (right | ~sequences.full_scored).all(axis=-1)
    return float(right.mean())


def classes_right(output: Floats, sequences: Sequences) -> float:
    """The share of the scored timesteps at which the largest output stands where the one-hot target has its 1.

    Of equal outputs, the first is the largest.
    """
    right = (output.argmax(axis=-1) == sequences.y.argmax(axis=-1)) & ~np.isnan(output).any(axis=-1)
    return float(_scored(right, sequences).mean())


def close(output: Floats, sequences: Sequences, error: float) -> float:
    """The share of the scored output numbers that are less than `error` away from their targets."""
    return float(_scored(np.abs(output - sequences.y) < error, sequences).mean())


def _rounds(output: Floats, sequences: Sequences) -> NDArray[np.bool_]:
    return np.rint(output) == sequences.y


def _scored(right: NDArray[np.bool_], sequences: Sequences) -> NDArray[np.bool_]:
    return right if sequences.last_only else right[sequences.full_scored]
