"""A training's checkpoint, lane by lane: some lanes chosen, or the lanes of several trainings brought together.

`Training.checkpoint()` gives arrays that have the lanes on their first axis, but for those in `COMMON`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Checkpoint = Mapping[str, NDArray[Any]]

#: What holds for all lanes alike: how many updates were recorded, and which.
COMMON = frozenset({"next", "history.update"})


def chosen(checkpoint: Checkpoint, lanes: Sequence[int]) -> dict[str, NDArray[Any]]:
    """These lanes alone, in this order."""
    return {name: array if name in COMMON else array[list(lanes)] for name, array in checkpoint.items()}


def joined(checkpoints: Sequence[Checkpoint]) -> dict[str, NDArray[Any]]:
    """All lanes of trainings of runs that fuse, one training's after the other's.

    Raises ValueError unless all have reached the same update.
    """
    first = checkpoints[0]
    if any(not np.array_equal(first[name], other[name]) for name in COMMON for other in checkpoints[1:]):
        raise ValueError("only trainings that have reached the same update can be joined")
    return {
        name: array if name in COMMON else np.concatenate([checkpoint[name] for checkpoint in checkpoints])
        for name, array in first.items()
    }
