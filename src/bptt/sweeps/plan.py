"""What a sweep does: which of its jobs are the same run, which runs fuse, and how they are cut into blocks of lanes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from bptt.configuration.build import Configuration
from bptt.core.blocks import parameter_blocks, parameter_count
from bptt.core.lanes import fusing_key, lanes_per_vector, recorded_updates
from bptt.core.run import Run
from bptt.tracking.digest import digest

MOST_LANES: Final = 64  # of a block; more would not train faster, and a killed sweep would lose more of them
_BLOCKS_PER_WORKER: Final = 8  # so that the workers end at about the same time
_MOST_BYTES: Final = 256 * 2**20  # of a block, in its worker
_PAGE_BYTES: Final = 2**20  # of a lane's training data and the indices into it
_MACHINE_BYTES: Final = 8


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A run of a sweep: its overrides, what they make, and the digest that says which run it is."""

    overrides: tuple[str, ...]
    configuration: Configuration
    digest: str

    @property
    def run(self) -> Run:
        return self.configuration.run


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs that fuse.

    places  of the runs, in the sequence that the group was found in
    cost    of one run, in multiplications: what decides how long it takes
    bytes   of one run's lane while it is trained
    """

    first: Run
    places: tuple[int, ...]
    cost: float
    bytes: int

    @cached_property
    def lanes_per_vector(self) -> int:
        """How many lanes stand in a vector; blocks are filled with whole vectors."""
        return lanes_per_vector(self.first)


def without_duplicates(
    jobs: Sequence[tuple[Sequence[str], Configuration]], version: str
) -> tuple[list[PlannedRun], list[tuple[Sequence[str], PlannedRun]]]:
    """The different runs among jobs, in their order, and the overrides of each job that repeats one, with that one."""
    runs: dict[str, PlannedRun] = {}
    duplicates = []
    for overrides, configuration in jobs:
        own = digest(configuration.resolved, version)
        if own in runs:
            duplicates.append((overrides, runs[own]))
        else:
            runs[own] = PlannedRun(overrides=tuple(overrides), configuration=configuration, digest=own)
    return list(runs.values()), duplicates


def groups(runs: Sequence[Run]) -> list[Group]:
    """The runs that fuse, whatever their order, together."""
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, run in enumerate(runs):
        places.setdefault(fusing_key(run), []).append(place)
    return [_group(runs[found[0]], tuple(found)) for found in places.values()]


def blocks(found: Sequence[Group], workers: int) -> list[tuple[int, ...]]:
    """The places of the runs that are trained together: blocks that fit the memory and keep all workers busy.

    The longest come first, so that none is waited for at the end.
    """
    share = sum(group.cost * len(group.places) for group in found) / (workers * _BLOCKS_PER_WORKER)
    cut = []
    for group in found:
        lanes = min(MOST_LANES, _MOST_BYTES // group.bytes, share / group.cost)
        vectors = max(1, int(lanes) // group.lanes_per_vector)
        size = vectors * group.lanes_per_vector
        parts = [group.places[start : start + size] for start in range(0, len(group.places), size)]
        cut += [(group.cost * len(part), part) for part in parts]
    return [part for _, part in sorted(cut, key=lambda block: -block[0])]


def _group(run: Run, places: tuple[int, ...]) -> Group:
    task, settings = run.task, run.train
    parameters = parameter_count(parameter_blocks(run.model, task.inputs, task.outputs))
    points = len(recorded_updates(settings.updates, settings.log_points, settings.log_spacing))
    evaluated = task.evaluation(np.random.Generator(np.random.PCG64(run.seed))).count
    # A training step goes over the weights forward, backward and for the gradient; an evaluation forward only.
    per_weight = 3 * settings.updates * settings.batch_size + points * evaluated
    # The gates, and what surrounds a weight, cost something too where the weights are few.
    cost = float(per_weight * task.timesteps * (parameters + 8 * run.model.hidden_size))
    model = run.model
    recorded = points * (task.timesteps + task.outputs + 16)
    state = settings.batch_size * (model.layers * model.cell.slots * model.hidden_size + task.outputs)
    numbers = recorded + (2 + run.optimizer.slots) * parameters + 2 * state
    return Group(first=run, places=places, cost=cost, bytes=_MACHINE_BYTES * numbers + _PAGE_BYTES)
