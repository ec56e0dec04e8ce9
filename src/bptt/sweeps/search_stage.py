"""One stage of a search with halving: runs that fuse go on from where they stand, in a worker, to a later update."""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bptt.core.checkpoint import chosen, joined
from bptt.core.run import Record, Run
from bptt.core.training import Training
from bptt.sweeps.partial import recorded

Checkpoint = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class StageTask:
    """Runs to be trained to a recorded update.

    number      by which its result is known
    checkpoint  of the runs, in their order; None: they begin
    compared    whether what the runs recorded so far is wanted, even of those that have not ended
    """

    number: int
    runs: tuple[Run, ...]
    checkpoint: Checkpoint | None
    update: int
    compared: bool


@dataclass(frozen=True, kw_only=True)
class StageLane:
    """What became of one run.

    record  None where it has neither ended nor was asked for, or where there is none
    error   the traceback, where training it raised
    """

    ended: bool
    record: Record | None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """The runs of a stage in their order. checkpoint: of those that have not ended, in their order; None: all have."""

    number: int
    lanes: tuple[StageLane, ...]
    checkpoint: Checkpoint | None


def advance_stage(task: StageTask) -> StageResult:
    """Train the runs of a stage. One that raises has ended with an error, and the others keep their bits."""
    from threadpoolctl import threadpool_limits

    from bptt.sweeps.compiling import compile_kernels

    compile_kernels(task.runs)
    # The number of BLAS threads decides the last bits of large matrices' eigenvalues.
    with threadpool_limits(1, user_api="blas"):
        return _advanced(task)


def _advanced(task: StageTask) -> StageResult:
    from bptt.sweeps.stopping import Unwanted, check_wanted

    training: Training | None = None
    try:
        training = Training(task.runs, task.checkpoint)
        while training.update < task.update and training.advance() is not None:
            check_wanted()
        return _result(task, training)
    except Unwanted:
        raise
    except Exception:
        if len(task.runs) == 1:
            lane = StageLane(ended=True, record=recorded(training), error=traceback.format_exc())
            return StageResult(number=task.number, lanes=(lane,), checkpoint=None)
    middle = len(task.runs) // 2
    halves = [_advanced(_part(task, lanes)) for lanes in (range(middle), range(middle, len(task.runs)))]
    left = [half.checkpoint for half in halves if half.checkpoint is not None]
    return StageResult(
        number=task.number,
        lanes=tuple(lane for half in halves for lane in half.lanes),
        checkpoint=joined(left) if left else None,
    )


def _part(task: StageTask, lanes: Sequence[int]) -> StageTask:
    checkpoint = None if task.checkpoint is None else chosen(task.checkpoint, lanes)
    return replace(task, runs=tuple(task.runs[lane] for lane in lanes), checkpoint=checkpoint)


def _result(task: StageTask, training: Training) -> StageResult:
    checkpoint, records = training.checkpoint(), training.records()
    ended = checkpoint["ended"] > 0
    lanes = [
        StageLane(ended=bool(over), record=record if over or task.compared else None)
        for over, record in zip(ended, records, strict=True)
    ]
    going_on = np.flatnonzero(~ended).tolist()
    return StageResult(
        number=task.number, lanes=tuple(lanes), checkpoint=chosen(checkpoint, going_on) if going_on else None
    )
