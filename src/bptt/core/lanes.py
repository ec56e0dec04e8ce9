"""Which runs may be trained together, what fills their vectors, and their hyperparameters side by side."""

import dataclasses
import math
from collections.abc import Sequence
from functools import cache
from typing import Any, cast, get_type_hints

import numpy as np

from bptt.core.annotations import PER_LANE
from bptt.core.elementwise import compute_exp, compute_log
from bptt.core.kernel import BATCH_LOSS, LANES, SOLVER, UNITS, Kernel
from bptt.core.optimizers.gauss_newton import multiply_curvature, try_parameters
from bptt.core.optimizers.noise import AddsNoise
from bptt.core.optimizers.recurrent_constraint import find_constraint
from bptt.core.optimizers.weight_decay import ShrinksWeights
from bptt.core.regularizers.omega import find_measured_omega
from bptt.core.run import Model, Run, Solver
from bptt.core.sequences import Floats
from bptt.core.simd import WIDTH, aligned_zeros


def per_lane_fields(component: Any) -> tuple[str, ...]:
    """The names of a dataclass's (or its type's) PerLane fields, in the order they are declared."""
    return _per_lane_fields(component if isinstance(component, type) else type(component))


@cache
def _per_lane_fields(kind: Any) -> tuple[str, ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        field.name for field in dataclasses.fields(kind) if PER_LANE in getattr(hints[field.name], "__metadata__", ())
    )


def fusing_key(run: Run) -> tuple[Any, ...]:
    """Runs fuse when their keys are equal: all but the seed, the init and the PerLane numbers."""
    early_stop = dataclasses.replace(run.train.early_stop, threshold=0.0, patience=None)
    train = dataclasses.replace(run.train, early_stop=early_stop)
    parts = (run.model, run.loss, run.optimizer, run.schedule, run.regularizer, run.clip)
    return (run.task, train, *(_shared(part) for part in parts))


def _shared(component: Any) -> tuple[Any, ...]:
    varying = per_lane_fields(component)
    values = ((f.name, getattr(component, f.name)) for f in dataclasses.fields(component) if f.name not in varying)
    return (type(component), *values)


def fewest_lanes(model: Model, batch: int) -> int:
    """From how many lanes on vectors of lanes are faster than vectors of units, as measured; above WIDTH: never.

    Both give the same bits. Vectors of units are full where layers are large; sums of several rows share the weights
    they load, which vectors of lanes need at every size; and weights of WIDTH runs soon outgrow the nearest cache. With
    feedback rows are added until they fill vectors of places, for nothing.
    """
    if model.cell.feedback:
        return min(batch, WIDTH)
    units_per_lane = 5.4 if batch == 1 else 4.5 if batch < 8 else 2.3
    size = model.hidden_size * math.sqrt(model.cell.gates)
    return math.ceil((2.0 + size / units_per_lane) * WIDTH / 8)


def lanes_per_vector(run: Run) -> int:
    """How many such runs fill the vectors that they are trained with."""
    return WIDTH if fewest_lanes(run.model, run.train.batch_size) <= WIDTH else 1


def blocks_of_lanes(model: Model, batch: int, lanes: int) -> list[tuple[str, range]]:
    """Lanes 0 ≤ l < lanes cut into those whose numbers share vectors, each with the mode: LANES, or UNITS for one."""
    fewest, blocks, first = fewest_lanes(model, batch), [], 0
    while fewest <= WIDTH and lanes - first >= fewest:
        blocks.append((LANES, range(first, min(first + WIDTH, lanes))))
        first = blocks[-1][1].stop
    return blocks + [(UNITS, range(lane, lane + 1)) for lane in range(first, lanes)]


def component_kernels(run: Run) -> tuple[Kernel | None, ...]:
    """The kernels of a run, in the order of `updates.Addresses`; None: nothing is called."""
    cell, parts = run.model.cell, (run.loss, run.regularizer, run.clip, run.schedule)
    first, step = (cell.forward, cell.backward, *(part.kernel for part in parts)), run.optimizer.kernel
    beside = find_measured_omega(run), find_constraint(run)
    if find_solver(run) is None:
        return (*first, step, *beside, *[None] * 5)
    curvature = run.loss.curvature  # type: ignore[attr-defined]
    return (*first, None, *beside, step, cell.tangent, curvature, multiply_curvature, try_parameters)


def find_solver(run: Run) -> Solver | None:
    """The optimizer, if it asks for more than a gradient.

    Raises ValueError where it can't have that of such a run.
    """
    if run.optimizer.kernel.kind is not SOLVER:
        return None
    solver = cast(Solver, run.optimizer)
    if says := solver.find_unfit(run):
        raise ValueError(f"{type(solver).__name__} {says}")
    return solver


def alpha_row(run: Run) -> int:
    """The row of the optimizer's hyperparameters that the schedule scales; 0 where there is nothing to scale.

    Raises ValueError where the optimizer has no α, and the schedule is not constant.
    """
    names = run.optimizer.kernel.hyper
    if run.schedule.kernel is not None and "alpha" not in names:
        raise ValueError(f"{type(run.optimizer).__name__} has no alpha that {type(run.schedule).__name__} could scale")
    return names.index("alpha") if "alpha" in names else 0


def loss_row(run: Run) -> int:
    """The row of the optimizer's hyperparameters in which the loss of the update's batch stands; −1: it reads none."""
    names = run.optimizer.kernel.hyper
    return names.index(BATCH_LOSS) if BATCH_LOSS in names else -1


#: What an optimizer may be besides: its fields are read by the driver, not by its kernel.
BESIDE = (ShrinksWeights, AddsNoise)


def decays(run: Run) -> bool:
    """Whether weights shrink beside the optimizer's step.

    Raises ValueError where there is no α by which they could.
    """
    if not isinstance(run.optimizer, ShrinksWeights) or run.optimizer.weight_decay == 0:
        return False
    if "alpha" not in run.optimizer.kernel.hyper:
        raise ValueError(f"{type(run.optimizer).__name__} has no alpha by which weights could decay")
    return True


def is_noisy(run: Run) -> bool:
    """Whether noise is added to the gradient."""
    return isinstance(run.optimizer, AddsNoise) and run.optimizer.noise > 0


def hyperparameters(components: Sequence[Any], mode: str) -> Floats:
    """(K, WIDTH): what the components' kernel reads, of each lane's; with UNITS the one run's fill the vectors.

    The row of the batch's loss is 0, for the driver to write.
    """
    kernel = components[0].kernel
    names = () if kernel is None else kernel.hyper
    hyper = aligned_zeros(max(len(names), 1), WIDTH)
    for k, name in enumerate(names):
        if name != BATCH_LOSS:
            fill_lanes(hyper[k], [getattr(component, name) for component in components], mode)
    return hyper


def model_numbers(models: Sequence[Model], mode: str) -> Floats:
    """(numbers, WIDTH): what the passes read of each lane's model; vectors that no lane fills hold the first lane's."""
    names = models[0].cell.numbers
    numbers = np.empty((len(names), WIDTH))
    for row, name in zip(numbers, names, strict=True):
        row[:] = getattr(models[0], name)
        fill_lanes(row, [getattr(model, name) for model in models], mode)
    return numbers


def fill_lanes(row: Floats, values: Sequence[float], mode: str) -> None:
    """Let a vector (WIDTH,) hold a number of each lane; with UNITS that of the one run everywhere."""
    row[: len(values)] = values
    if mode == UNITS:
        row[:] = values[0]


def recorded_updates(updates: int, points: int, spacing: str) -> np.ndarray:
    """The updates that are recorded: some `points` of 1..updates, evenly or logarithmically spaced, and both ends."""
    share = np.arange(points) / max(points - 1, 1)
    if spacing == "log":
        middle = compute_exp(share * compute_log(np.full(points, float(updates))))
    else:
        middle = share * (updates - 1) + 1
    return np.unique(np.concatenate([[1], np.clip(np.rint(middle), 1, updates), [updates]]).astype(np.int64))
