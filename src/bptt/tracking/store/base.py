"""A store that is only read: which runs it has, and what they recorded. Nothing is made or changed in it.

A run of a sweep as the store gets it.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.files import CONFIG, TRACEBACK, Status, dump_config, make_key, pack_record
from bptt.tracking.folder.sweep import SweepJob, SweepJournal
from bptt.tracking.store.address import Address
from bptt.tracking.store.params import flatten
from bptt.tracking.store.tags import DIGEST_TAG, OUTCOME_TAG, PARENT_TAG, PRUNED_TAG, SWEEP_TAG

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class StoredRow:
    """A run as a store has it.

    began, ended  seconds since 1970; None: not yet
    """

    run_id: str
    name: str
    status: str
    began: float | None
    ended: float | None
    artifact_uri: str
    tags: Mapping[str, str]
    params: Mapping[str, str]

    @property
    def is_sweep(self) -> bool:
        """Whether it is a sweep's own run."""
        return SWEEP_TAG in self.tags and PARENT_TAG not in self.tags


class StoreReader(ABC):
    """An open store. Every method raises StoreError where the store doesn't answer, or refuses."""

    def __init__(self, address: Address) -> None:
        self.address = address

    @abstractmethod
    def sweeps_named(self, name: str) -> list[StoredRow]:
        """The sweeps, that is their own runs, with this name."""

    @abstractmethod
    def run(self, run_id: str) -> StoredRow | None:
        """A run; None: there is none with this id, or it was deleted."""

    @abstractmethod
    def runs(self, run_ids: Sequence[str]) -> list[StoredRow]:
        """Those of these runs that there are."""

    @abstractmethod
    def below(self, parent: StoredRow) -> list[StoredRow]:
        """The runs of a sweep, but for those that were trained in another one."""

    @abstractmethod
    def matching(self, query: str) -> list[StoredRow]:
        """The runs that a filter in MLflow's words finds. Raises SourceError where it can't be understood."""

    @abstractmethod
    def histories(self, rows: Mapping[int, StoredRow]) -> "pd.DataFrame":
        """What runs, given by their numbers, recorded: run, update, metrics."""


def restore_infinities(history: "pd.DataFrame", metrics: Sequence[str]) -> "pd.DataFrame":
    """The history with infinities where MLflow has its largest number for them."""
    import numpy as np

    values = history[metrics].astype("float64")
    return history.assign(**values.where(values.abs() != sys.float_info.max, np.sign(values) * np.inf))


def sort_rows(rows: Sequence[StoredRow]) -> list[StoredRow]:
    """The order in which runs are numbered where nothing else says it: by begin, name and id."""
    return sorted(rows, key=lambda row: (row.began or 0.0, row.name, row.run_id))


@dataclass(frozen=True, kw_only=True)
class RunToWrite:
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


def make_run_key(sweep: SweepJournal, job: SweepJob) -> str:
    """The key of a run: the same whenever it is sent."""
    return make_key(*_identity(sweep), job.digest)


def make_sweep_key(sweep: SweepJournal) -> str:
    """The key of a sweep's own run."""
    return make_key(*_identity(sweep))


def _identity(sweep: SweepJournal) -> tuple[str, str, str]:
    return sweep.name, repr(sweep.began), sweep.current_folder


def make_run(sweep: SweepJournal, job: SweepJob, result: RunResult, tags: Mapping[str, str]) -> RunToWrite:
    """A run as it ended; `tags` are those that all runs of its sweep have."""
    own = {DIGEST_TAG: job.digest, SWEEP_TAG: sweep.name}
    files = {CONFIG: dump_config(job.config).encode()}
    record = result.record
    if record is not None:
        files |= pack_record(record)
        if result.status != "FAILED":
            own[OUTCOME_TAG] = record.outcome
        if result.status == "KILLED":
            own[PRUNED_TAG] = "true"  # by a search; one that was interrupted has no record
    if result.error is not None:
        files[TRACEBACK] = result.error.encode()
    params = flatten(job.config)
    # A choice of a group, `model=lstm`, is no value of the configuration, but a column that one looks for.
    choices = flatten({key: text for key, text in job.swept.items() if key not in params})
    return RunToWrite(
        key=make_run_key(sweep, job),
        name=job.name,
        status=result.status,
        params=choices | params,
        tags={**tags, **own},
        began=result.began,
        ended=result.ended,
        history={} if record is None else record.history,
        files=files,
    )


def supersedes(run: RunToWrite, held: str | None) -> bool:
    """Whether a run is written where the store has it with this status (None: it has not).

    What a run came to stays, until a later attempt came to something else: one that was interrupted may finish.
    """
    return held not in ("FINISHED", run.status)


def list_points(run: RunToWrite) -> Iterator[tuple[str, list[float], list[int], list[int]]]:
    """Name, values, timestamps and steps of each metric; the timestamps go evenly from `began` to `ended`."""
    if not len(run.history.get("update", ())):
        return
    updates = np.asarray(run.history["update"], np.int64)
    began, ended = to_milliseconds(run.began), to_milliseconds(run.ended)
    times = began + ((ended - began) * (updates / max(updates[-1], 1))).astype(np.int64)
    for name, values in run.history.items():
        if name != "update":
            yield name, np.asarray(values, np.float64).tolist(), times.tolist(), updates.tolist()


def to_milliseconds(seconds: float) -> int:
    """MLflow's time."""
    return int(seconds * 1000)
