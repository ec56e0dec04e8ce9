"""Which runs may be trained together, and their hyperparameters side by side."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from bptt.core.annotations import per_lane_fields
from bptt.core.run import Run
from bptt.core.sequences import Floats
from bptt.core.simd import WIDTH, aligned_zeros


def fusing_key(run: Run) -> tuple[Any, ...]:
    """Runs fuse when their keys are equal: all but the seed, the init and the PerLane hyperparameters."""
    early_stop = dataclasses.replace(run.train.early_stop, threshold=0.0)
    train = dataclasses.replace(run.train, early_stop=early_stop)
    return (run.task, train, *(_shared(part) for part in (run.model, run.loss, run.optimizer, run.clip)))


def _shared(component: Any) -> tuple[Any, ...]:
    varying = per_lane_fields(component)
    values = ((f.name, getattr(component, f.name)) for f in dataclasses.fields(component) if f.name not in varying)
    return (type(component), *values)


def hyperparameters(components: Sequence[Any], side_by_side: bool) -> Floats:
    """(K, WIDTH): the K PerLane fields of each lane's component; one run's fill the vectors unless side_by_side."""
    names = per_lane_fields(components[0])
    hyper = aligned_zeros(max(len(names), 1), WIDTH)
    for k, name in enumerate(names):
        values = [float(getattr(component, name)) for component in components]
        hyper[k, : len(values)] = values
        if not side_by_side:
            hyper[k] = values[0]
    return hyper


def recorded_updates(updates: int, points: int, spacing: str) -> np.ndarray:
    """The updates that are recorded: some `points` of 1..updates, evenly or logarithmically spaced, and both ends."""
    space = np.geomspace if spacing == "log" else np.linspace
    middle = np.rint(space(1, updates, points)).astype(np.int64)
    return np.unique(np.concatenate([[1], middle, [updates]]))
