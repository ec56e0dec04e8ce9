"""A sweep's runs are held as a few numbers each, and come back as they were, to the order of their keys."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bptt.tracking.folder.jobs import SweepJob, SweepJobs

TASK, MODEL = {"_target_": "task", "length": 3}, {"_target_": "model"}


def make_job(number: int, seed: Any, size: int = 2, **changes: Any) -> SweepJob:
    job = SweepJob(
        number=number,
        name=f"hidden_size={size} seed={seed}",
        digest=f"{number:016x}",
        block=number // 2,
        swept={"model.hidden_size": str(size), "seed": str(seed)},
        overrides=[f"seed={seed}", f"model.hidden_size={size}"],
        config={"task": TASK, "seed": seed, "model": MODEL | {"size": size} if size > 2 else MODEL, "allow": []},
    )
    return replace(job, **changes)


def write(job: SweepJob) -> str:
    return json.dumps(vars(job))


JOBS = [
    make_job(0, 5),
    make_job(1, 0),
    make_job(2, 7, 3),
    make_job(3, 2**70),  # of a size that no array holds
    make_job(4, 6, digest="of another form"),
    make_job(5, 9, config={"seed": 9, "task": TASK, "model": MODEL, "allow": []}),  # in another order
    make_job(6, 10, config={"task": TASK, "seed": 10, "model": MODEL, "allow": ["mine"]}),
    make_job(7, 11, name="another seed=11"),
    make_job(8, 12, stage="tuning"),
    make_job(9, 13, config={"task": {**TASK, "length": 4}, "seed": 13, "model": MODEL, "allow": []}),
    make_job(10, 14, swept={}, config={}),
    make_job(11, 8),
]


def test_runs_come_back_as_they_were() -> None:
    jobs = SweepJobs(JOBS)
    assert [*map(write, jobs)] == [*map(write, JOBS)]
    assert len(jobs) == len(JOBS)
    assert jobs[-1] == JOBS[-1]
    assert jobs[2:9:3] == JOBS[2:9:3]
    assert dict(jobs.digests) == {job.number: job.digest for job in JOBS}
    assert jobs.count_stages() == {"result": 11, "tuning": 1}
    with pytest.raises(IndexError):
        jobs[len(JOBS)]
    assert len(JOBS) not in jobs.digests


def test_what_runs_have_in_common_is_held_once() -> None:
    seeds = [7, 3, 10**18, 0]
    jobs = SweepJobs(make_job(number, seed) for number, seed in enumerate(seeds * 500))
    assert len(jobs.settings) == 1
    assert jobs[1999] == make_job(1999, 0)
    jobs += [make_job(2000, 4, 5)]
    assert [job.number for job in jobs.settings] == [0, 2000]


def test_runs_are_made_of_settings_and_seeds() -> None:
    jobs = SweepJobs.of([make_job(0, 5), make_job(0, 1, 3)], [0, 1, 0], [5, 1, 9])
    jobs.set_digests(f"{number:016x}" for number in range(3))
    jobs.set_block(1, [2])
    assert [*jobs] == [make_job(0, 5), make_job(1, 1, 3, block=0), make_job(2, 9)]
