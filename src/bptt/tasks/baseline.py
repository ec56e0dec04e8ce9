"""What the best answer costs that does not depend on what was fed: the loss that says that nothing was learned.

An answer is a number for each output, whatever the network's read-out could give. Its cost depends on the targets' mean
and variance alone, and on the loss, whose `constant_cost` says how; a loss without one has no baseline.
"""

from typing import Any

import numpy as np

from bptt.core.elementwise import add_up
from bptt.core.sequences import Sequences

FAIR_BIT = (0.5, 0.25)  # mean and variance


def find_baseline(loss: Any, mean: Any, variance: Any, timesteps: float = 1.0) -> float | None:
    """The cost per sequence of so many scored timesteps, whose targets have this mean and variance, (outputs,)."""
    constant_cost = getattr(loss, "constant_cost", None)
    if constant_cost is None:
        return None
    return float(timesteps * constant_cost(np.atleast_1d(mean), np.atleast_1d(variance)))


def find_baseline_of(loss: Any, sequences: Sequences) -> float | None:
    """The cost per sequence of the one answer that is best for all scored targets of a fixed set."""
    targets = sequences.y if sequences.last_only else sequences.y[sequences.full_scored]
    mean = add_up(targets.T) / len(targets)
    variance = add_up(((targets - mean) ** 2).T) / len(targets)
    return find_baseline(loss, mean, variance, len(targets) / sequences.count)
