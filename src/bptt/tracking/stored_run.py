"""A run of a sweep as the store gets it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bptt.tracking.archive import SweepJob, SweepJournal
from bptt.tracking.block_files import RunResult
from bptt.tracking.files import CONFIG, config_text, record_files
from bptt.tracking.keyed_run import key_of
from bptt.tracking.parameters import flattened
from bptt.tracking.record import Status

TRACEBACK: Final = "traceback.txt"


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """All that the store holds of a run.

    key      32 hexadecimal digits, of this run of this sweep alone: a run that is sent again is the same run
    began, ended  seconds since 1970
    history  `update` and the metrics, (points,) each; empty where nothing was recorded
    files    path among the artifacts → content
    """

    key: str
    name: str
    status: Status
    params: Mapping[str, str]
    tags: Mapping[str, str]
    began: float
    ended: float
    history: Mapping[str, NDArray[np.generic]]
    files: Mapping[str, bytes]


def run_key(sweep: SweepJournal, job: SweepJob) -> str:
    """The key of a run: the same whenever it is sent."""
    return key_of(*_identity(sweep), job.digest)


def sweep_key(sweep: SweepJournal) -> str:
    """The key of a sweep's own run."""
    return key_of(*_identity(sweep))


def _identity(sweep: SweepJournal) -> tuple[str, str, str]:
    return sweep.name, repr(sweep.began), sweep.current_folder


def stored_run(sweep: SweepJournal, job: SweepJob, result: RunResult, tags: Mapping[str, str]) -> StoredRun:
    """A run as it ended; `tags` are those that all runs of its sweep have."""
    own = {"bptt.digest": job.digest, "bptt.sweep": sweep.name}
    files = {CONFIG: config_text(job.config).encode()}
    record = result.record
    if record is not None:
        files |= record_files(record)
        if result.status != "FAILED":
            own["bptt.outcome"] = record.outcome
        if result.status == "KILLED":
            own["bptt.pruned"] = "true"  # by a search; one that was interrupted has no record
    if result.error is not None:
        files[TRACEBACK] = result.error.encode()
    params = flattened(job.config)
    # A choice of a group, `model=lstm`, is no value of the configuration, but a column that one looks for.
    choices = flattened({key: text for key, text in job.swept.items() if key not in params})
    return StoredRun(
        key=run_key(sweep, job),
        name=job.name,
        status=result.status,
        params=choices | params,
        tags={**tags, **own},
        began=result.began,
        ended=result.ended,
        history={} if record is None else record.history,
        files=files,
    )
