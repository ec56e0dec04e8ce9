"""Trains a block of runs side by side, in a worker; what goes wrong with one of them hits that one alone."""

import gc
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bptt.core.run import Record, Run
from bptt.sweeps.partial import recorded
from bptt.tracking.block_files import RunResult
from bptt.tracking.record import Status

if TYPE_CHECKING:
    from bptt.sweeps.checkpoints import Checkpoint


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

    from bptt.sweeps.checkpoints import Checkpoint

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
    from bptt.sweeps.compiling import compile_kernels
    from bptt.sweeps.stopping import Unwanted, check_wanted

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
