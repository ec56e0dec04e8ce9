"""A run of a sweep as the store gets it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.files import CONFIG, TRACEBACK, Status, dump_config, make_key, pack_record
from bptt.tracking.folder.sweep import SweepJob, SweepJournal
from bptt.tracking.store.params import flatten_config
from bptt.tracking.store.tags import DIGEST_TAG, OUTCOME_TAG, PRUNED_TAG, STAGE_TAG, SWEEP_TAG


@dataclass(frozen=True, kw_only=True)
class RunToWrite:
    """All that the store holds of a run.

    key      32 hexadecimal digits, of this run of this sweep alone: a run that is sent again is the same run
    began, ended  seconds since 1970
    history  `update` and the metrics, (points,) each; empty where nothing was recorded
    setting  what tells it from the other runs of its sweep, but for the seed
    once     what there is one number of, a metric with one point, at the last update
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
    once: Mapping[str, float] = field(default_factory=dict)
    setting: str = ""


def make_run_key(sweep: SweepJournal, job: SweepJob) -> str:
    """The key of a run: the same whenever it is sent."""
    return make_key(*_identify(sweep), job.digest)


def make_sweep_key(sweep: SweepJournal) -> str:
    """The key of a sweep's own run."""
    return make_key(*_identify(sweep))


def _identify(sweep: SweepJournal) -> tuple[str, str, str]:
    return sweep.name, repr(sweep.began), sweep.current_folder


def make_run(sweep: SweepJournal, job: SweepJob, result: RunResult, tags: Mapping[str, str]) -> RunToWrite:
    """A run as it ended; `tags` are those that all runs of its sweep have."""
    own = {DIGEST_TAG: job.digest, SWEEP_TAG: sweep.name}
    if job.stage != "result":
        own[STAGE_TAG] = job.stage
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
    params = flatten_config(job.config)
    # A choice of a group, `model=lstm`, is no value of the configuration, but a column that one looks for.
    choices = flatten_config({key: text for key, text in job.swept.items() if key not in params})
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
        once={} if record is None else record.once,
        setting=write_setting(job),
    )


def write_setting(job: SweepJob) -> str:
    """What tells a job from the other runs of its sweep, but for the seed: `hidden_size=8`; empty where that is all."""
    return job.name.removesuffix(f"seed={job.swept['seed']}").rstrip() if "seed" in job.swept else job.name


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
    for name, value in run.once.items():
        yield name, [value], times[-1:].tolist(), updates[-1:].tolist()


def to_milliseconds(seconds: float) -> int:
    """MLflow's time."""
    return int(seconds * 1000)
