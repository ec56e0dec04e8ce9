"""Trains a block of runs side by side, in a worker; what goes wrong with one of them hits that one alone.

A block's checkpoint: a file from which its training goes on, to the same bits, when its process was killed.

What is left of a training that was broken off.

One stage of a search with halving: runs that fuse go on from where they stand, in a worker, to a later update.
"""

import gc
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.core.run import Record, Run
from bptt.core.training import Training, chosen, joined
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.files import Status, read_arrays, write_arrays

_IDENTITY: Final = "bptt.identity"


class Checkpoint:
    """Where a block's state is kept while it is trained, and how often.

    path      None, or in a folder that is not there, as on a cluster's machines: nothing is kept
    identity  of the block: a file of another one is as good as none, and so is a damaged one
    seconds   between two of them; None: none is written
    """

    def __init__(self, path: Path | None, identity: str, seconds: float | None) -> None:
        self._path = path if path is not None and path.parent.is_dir() else None
        self._identity, self._seconds = identity, seconds
        self._last = monotonic()

    def resumed(self, runs: Sequence[Run]) -> Training | None:
        """The training as it was when the last checkpoint was written; None: there is none."""
        if self._path is None or not self._path.exists():
            return None
        try:
            arrays = read_arrays(self._path)
            if arrays.pop(_IDENTITY).item() == self._identity:
                return Training(runs, arrays)
        except Exception:
            # Whatever is wrong, the block can be trained anew; and what is wrong with the runs is seen then.
            return None
        return None

    def keep(self, training: Training) -> None:
        """Write a checkpoint, if it is time."""
        if self._path is None or self._seconds is None or monotonic() < self._last + self._seconds:
            return
        with suppress(OSError):  # a full disk must not fail a run
            write_arrays(self._path, training.checkpoint() | {_IDENTITY: np.array(self._identity)})
        self._last = monotonic()

    def remove(self) -> None:
        """The block is done."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
                self._path.with_name(f".{self._path.name}.part").unlink(missing_ok=True)


def recorded(training: "Training | None") -> Record | None:
    """What its first run recorded; None where it is nothing, or where an error left the training without sense."""
    if training is None:
        return None
    try:
        record = training.records()[0]
    except Exception:
        return None
    return record if len(record.history["update"]) else None


@dataclass(frozen=True, kw_only=True)
class BlockTask:
    """A block of a sweep: runs that fuse.

    number              of the block
    jobs                the numbers of the runs' jobs
    checkpoint          the file to go on from and to keep the state in; None: there is none
    checkpoint_seconds  how often that is done; None: never
    identity            which block it is: only a checkpoint that was written under the same one is used
    """

    number: int
    jobs: tuple[int, ...]
    runs: tuple[Run, ...]
    checkpoint: Path | None
    checkpoint_seconds: float | None
    identity: str


@dataclass(frozen=True, kw_only=True)
class BlockResult:
    """What the runs of a block left, in the order of their jobs."""

    number: int
    results: tuple[RunResult, ...]


@dataclass(frozen=True)
class _Ended:
    status: Status
    record: Record | None
    error: str | None = None


def train_block(task: BlockTask) -> BlockResult:
    """Train the runs of a block to their ends. A run that raises is FAILED, and the others keep their bits."""
    from threadpoolctl import threadpool_limits

    _keep_imports()
    began = time.time()
    checkpoint = Checkpoint(task.checkpoint, task.identity, task.checkpoint_seconds)
    # The number of BLAS threads decides the last bits of large matrices' eigenvalues.
    with threadpool_limits(1, user_api="blas"):
        ended = _trained(task.runs, checkpoint)
    now = time.time()
    checkpoint.remove()
    results = tuple(
        RunResult(job=job, status=end.status, record=end.record, error=end.error, began=began, ended=now)
        for job, end in zip(task.jobs, ended, strict=True)
    )
    return BlockResult(number=task.number, results=results)


@cache
def _keep_imports() -> None:
    """Once per process: what was imported stays, and a fifth of the time would go into searching it for garbage."""
    import bptt.core.training  # noqa: F401

    gc.freeze()


def _trained(runs: Sequence[Run], checkpoint: "Checkpoint | None") -> list[_Ended]:
    """How each run ended. Where training raises, each half is trained anew, down to the run that raised."""
    from bptt.core.training import Training
    from bptt.sweeps.workers.kernels import compile_kernels
    from bptt.sweeps.workers.processes import Unwanted, check_wanted

    training: Training | None = None
    try:
        compile_kernels(runs)
        training = (checkpoint and checkpoint.resumed(runs)) or Training(runs)
        while training.advance() is not None:
            if checkpoint is not None:
                checkpoint.keep(training)
            check_wanted()
        return [_Ended("FINISHED", record) for record in training.records()]
    except Unwanted:
        raise
    except Exception:
        if len(runs) == 1:
            return [_Ended("FAILED", recorded(training), traceback.format_exc())]
    middle = len(runs) // 2
    return _trained(runs[:middle], None) + _trained(runs[middle:], None)


LaneArrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class StageTask:
    """Runs to be trained to a recorded update.

    number      by which its result is known
    checkpoint  of the runs, in their order; None: they begin
    compared    whether what the runs recorded so far is wanted, even of those that have not ended
    """

    number: int
    runs: tuple[Run, ...]
    checkpoint: LaneArrays | None
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
    checkpoint: LaneArrays | None


def advance_stage(task: StageTask) -> StageResult:
    """Train the runs of a stage. One that raises has ended with an error, and the others keep their bits."""
    from threadpoolctl import threadpool_limits

    from bptt.sweeps.workers.kernels import compile_kernels

    compile_kernels(task.runs)
    # The number of BLAS threads decides the last bits of large matrices' eigenvalues.
    with threadpool_limits(1, user_api="blas"):
        return _advanced(task)


def _advanced(task: StageTask) -> StageResult:
    from bptt.sweeps.workers.processes import Unwanted, check_wanted

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
