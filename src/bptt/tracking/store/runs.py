"""A run of a sweep as the store gets it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.files import (
    CONFIG,
    PREPARATION,
    TRACEBACK,
    Detail,
    Status,
    dump_config,
    make_key,
    pack_record,
)
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.measures import merge_points
from bptt.tracking.folder.preparations import identify_task, write_preparation
from bptt.tracking.folder.sweep import SweepJournal
from bptt.tracking.store.tags import (
    DETAIL_TAG,
    DIGEST_TAG,
    GIVEN_UP_TAG,
    KEY_TAG,
    OUTCOME_TAG,
    PARENT_TAG,
    PRUNED_TAG,
    SETTING_TAG,
    STAGE_TAG,
    SWEEP_TAG,
    flatten_config,
)


@dataclass(frozen=True, kw_only=True)
class RunToWrite:
    """All that the store holds of a run.

    key      32 hexadecimal digits, of this run of this sweep alone: a run that is sent again is the same run
    began, ended  seconds since 1970
    history  `update` and the metrics, (points,) each; empty where nothing was recorded
    setting  what tells it from the other runs of its sweep, but for the seed
    once     what there is one number of, a metric with one point, at the last update
    measured what was measured of it after the fact: metric → update → value; beside what its history has of the same
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
    measured: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    setting: str = ""


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What a store has of a run.

    deleted  whether it is in MLflow's bin
    points   metric → how many there are
    files    paths among the artifacts, of files that hold something
    """

    run_id: str
    status: str
    deleted: bool
    artifact_uri: str
    points: Mapping[str, int]
    params: frozenset[str]
    tags: Mapping[str, str]
    files: frozenset[str]


_DIGITS: Final = 8  # of a run's number, in its key


# Tags that say whose a run is, and how it ended; of the others, what is there is as good as what would be written.
_TELLING: Final = (DIGEST_TAG, KEY_TAG, OUTCOME_TAG, PARENT_TAG, PRUNED_TAG, STAGE_TAG, SWEEP_TAG)


@dataclass(frozen=True, kw_only=True)
class Lack:
    """What a store lacks of a run that it has: the names of metrics, params, tags and files; whether its end."""

    deleted: bool
    ended: bool
    metrics: list[str]
    params: list[str]
    tags: list[str]
    files: list[str]

    def __bool__(self) -> bool:
        return bool(self.deleted or self.ended or self.metrics or self.params or self.tags or self.files)

    def __str__(self) -> str:
        if self.deleted:
            return "was deleted in MLflow"
        kinds = ("metrics", "params", "tags", "files")
        named = {kind: names for kind in kinds if (names := getattr(self, kind))}
        words = [f"{kind} {', '.join(names[:3])}{', …' * (len(names) > 3)}" for kind, names in named.items()]
        return "lacks " + "; ".join([*words, *(["its end"] if self.ended else [])])


def find_lack(run: RunToWrite, held: Holding) -> Lack:
    """What a store lacks of a run that it has."""
    points = {name: len(values) for name, values, _, _ in list_points(run)}
    telling = [*_TELLING, *(name for name in run.tags if name.startswith(SETTING_TAG))]
    if run.tags.get(DETAIL_TAG) == "full":  # what is there in full is not made less by being sent again
        telling.append(DETAIL_TAG)
    return Lack(
        deleted=held.deleted,
        ended=supersedes(run, held.status),
        metrics=[name for name, count in points.items() if held.points.get(name, 0) < count],
        params=[name for name in run.params if name not in held.params],
        tags=[name for name in telling if name in run.tags and held.tags.get(name) != run.tags[name]],
        files=[name for name, content in run.files.items() if content and name not in held.files],
    )


def make_run_key(sweep: SweepJournal, job: SweepJob) -> str:
    """The key of a run: the same whenever it is sent.

    Keys of a sweep begin alike and end in the run's number: a database, whose indexes are sorted by them, writes a
    block's rows side by side. Keys at random, as sweeps of before have them, touch a page of an index for each row.
    """
    if not sweep.numbered:
        return make_key(*_identify(sweep), job.digest)
    return f"{make_key(*_identify(sweep), 'runs')[:-_DIGITS]}{job.number:0{_DIGITS}x}"


def make_sweep_key(sweep: SweepJournal) -> str:
    """The key of a sweep's own run."""
    return make_key(*_identify(sweep))


def _identify(sweep: SweepJournal) -> tuple[str, str, str]:
    return sweep.name, repr(sweep.began), sweep.current_folder


def make_run(
    sweep: SweepJournal,
    job: SweepJob,
    result: RunResult,
    tags: Mapping[str, str],
    detail: Detail | None = None,
    measured: Mapping[str, Mapping[int, float]] | None = None,
    flatten: Callable[[Mapping[str, Any]], dict[str, str]] = flatten_config,
) -> RunToWrite:
    """A run as it ended; `tags` are those that all runs of its sweep have.

    detail    how much of it; None: as much as its sweep asks for, of one that asks for nothing all
    measured  as in `RunToWrite`; None: nothing
    flatten   as `flatten_config`
    """
    own = {DIGEST_TAG: job.digest, SWEEP_TAG: sweep.name}
    if job.stage != "result":
        own[STAGE_TAG] = job.stage
    full = (detail or sweep.detail) != "last"
    if sweep.detail != "full":
        own[DETAIL_TAG] = "full" if full else "last"
    files = {CONFIG: dump_config(job.config).encode()} if full else {}
    if full and sweep.preparations and (noted := sweep.preparations.get(identify_task(job.config))) is not None:
        files[PREPARATION] = write_preparation(noted).encode()
    record, history = result.record, dict[str, NDArray[np.generic]]()
    if record is not None:
        files |= pack_record(record) if full else {}
        history = {name: values if full else values[-1:] for name, values in record.history.items()}
        last = None if full else record.kept_update
        measured = {
            name: {update: value for update, value in points.items() if last in (None, update)}
            for name, points in (measured or {}).items()
        }
        if result.status != "FAILED":
            own[OUTCOME_TAG] = record.outcome
        if result.status == "KILLED":
            own[PRUNED_TAG] = "true"  # by halving; one that was interrupted has no record
            if result.given_up is not None:
                own[GIVEN_UP_TAG] = result.given_up
    if result.error is not None and full:
        files[TRACEBACK] = result.error.encode()
    params = flatten(job.config)
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
        history=history,
        files=files,
        once={} if record is None else record.once,
        measured={} if record is None else measured or {},
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

    def find_times(at: NDArray[np.int64]) -> list[int]:
        times: list[int] = (began + ((ended - began) * (at / max(updates[-1], 1))).astype(np.int64)).tolist()
        return times

    times = find_times(updates)
    for name, values in run.history.items():
        if name != "update" and name not in run.measured:
            yield name, np.asarray(values, np.float64).tolist(), times, updates.tolist()
    for name, value in run.once.items():
        yield name, [value], times[-1:], updates[-1:].tolist()
    for name, at, found in merge_points(run.history, run.measured):
        yield name, found, find_times(np.array(at, np.int64)), at


def to_milliseconds(seconds: float) -> int:
    """MLflow's time."""
    return int(seconds * 1000)
