"""What Hydra is told of runs, and through it a sweeper that wants to know what they were worth."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bptt.sweeps.session import Session
from bptt.tracking.block_files import RunResult

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn


def job_returns(session: Session, results: Sequence[RunResult]) -> "list[JobReturn]":
    """A return for each run; its value is the metrics as they were recorded last, and raises where the run FAILED."""
    from hydra.core.utils import JobReturn, JobStatus

    returns = []
    for result in results:
        failed = result.status == "FAILED"
        told = JobReturn(overrides=session.jobs[result.job].overrides)
        told.status = JobStatus.FAILED if failed else JobStatus.COMPLETED
        told.return_value = RuntimeError(result.error) if failed else session.last.get(result.job, {})
        returns.append(told)
    return returns
