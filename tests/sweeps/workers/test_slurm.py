"""Workers that are jobs of Slurm, on a real one of this machine and on commands in its stead."""

import dataclasses
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import bptt
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.fields import construct
from bptt.core.run import TIMED
from bptt.sweeps.workers.calls import WorkersError
from bptt.sweeps.workers.interrupts import Interrupts
from bptt.sweeps.workers.pool import SlurmSettings, Workers, WorkerSettings
from bptt.sweeps.workers.training import hand_out, train_lanes
from bptt.tracking.folder.progress import Sign, read_sign
from tests import slurm_machine
from tests.core.comparing import assert_same_record
from tests.slurm_machine import Slurm
from tests.sweeps.working import block, double, lane, where

SMALL: dict[str, Any] = {"cores": 1, "memory": "500MB", "maximum": 2}


def refusals(**values: Any) -> list[str]:
    problems: list[str] = []
    construct("hydra.launcher.slurm", values, SlurmSettings, problems)
    return problems


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"partion": "long"}, "partion=long: unknown key; did you mean hydra.launcher.slurm.partition? (allowed: "),
        ({"partition": "a b"}, "partition=a b: must be a word as sbatch takes it, without blanks and quotes"),
        ({"account": "--wrap"}, "account=--wrap: must be a word as sbatch takes it, without blanks and quotes"),
        ({"qos": "a\n#SBATCH -x"}, "must be a word as sbatch takes it, without blanks and quotes"),
        ({"constraint": "$(id)"}, "constraint=$(id): must be a word as sbatch takes it, without blanks and quotes"),
        ({"cores": 0}, "cores=0: must be a whole number at least 1"),
        ({"memory": "2"}, "memory='2': must be a number and a unit, as 500MB or 2GB"),
        ({"walltime": "60"}, "walltime='60': must be HOURS:MINUTES:SECONDS or DAYS-HOURS:MINUTES:SECONDS"),
        ({"walltime": 3600}, "walltime=3600: must be text"),  # what YAML makes of 01:00:00 without quotes
        ({"minimum": 5}, "minimum=5: must be at most maximum=4"),
        ({"maximum": 0}, "maximum=0: must be a whole number at least 1"),
        ({"nice": "x"}, "nice=x: must be a whole number at least -2147483648 and at most 2147483648, or null"),
        ({"logs": "%h"}, "logs=%h: must be a folder's path without blanks, % and backslashes"),
    ],
)
def test_what_no_job_can_be_asked_for_with_is_refused(values: dict[str, Any], says: str) -> None:
    (line,) = refusals(**values)
    assert says in line
    assert line.startswith("hydra.launcher.slurm.")


def test_what_jobs_can_be_asked_for_with_is_taken() -> None:
    given: dict[str, Any] = {"walltime": "1-12:00:00", "memory": "1.5 GiB", "logs": "/scratch/logs"}
    given |= {"constraint": "[rack1|rack2]&avx512", "nodelist": "node[01-04,9]", "gres": "gpu:a100:1"}
    given |= {"licenses": "x@y:2", "nice": 100, "exclusive": True}
    assert refusals(**given) == []
    assert SlurmSettings(**given).list_directives() == [
        "--constraint=[rack1|rack2]&avx512",
        "--nodelist=node[01-04,9]",
        "--licenses=x@y:2",
        "--gres=gpu:a100:1",
        "--nice=100",
        "--exclusive",
    ]
    assert SlurmSettings().list_directives() == []


def test_as_many_blocks_are_trained_at_a_time_as_all_jobs_have_cores() -> None:
    for workers, expected in ((None, 12), (5, 5), (50, 12)):
        settings = WorkerSettings(backend="slurm", workers=workers, slurm=SlurmSettings(cores=4, maximum=3))
        assert settings.wanted == expected


def test_the_page_names_every_setting() -> None:
    page = (Path(__file__).parents[3] / "docs" / "slurm.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert re.findall(r"`(\w+)`", " ".join(rows)) == [field.name for field in dataclasses.fields(SlurmSettings)]


@pytest.fixture(params=["stand-in", pytest.param("real", marks=pytest.mark.slow)])
def slurm(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed: pip install 'bptt[slurm]'")
    from bptt.sweeps.workers import slurm as module

    monkeypatch.setattr(module, "_SECONDS_BETWEEN_LOOKS", 0.5)
    folder = tmp_path / "slurm"
    folder.mkdir()
    if request.param == "real" and (why := slurm_machine.why_not()) is not None:
        pytest.skip(why)
    machine = slurm_machine.stand_in(folder) if request.param == "stand-in" else slurm_machine.real(folder, cpus=2)
    with machine as there:
        for name, value in there.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        yield there


def workers_of(**settings: Any) -> Workers:
    return Workers(WorkerSettings(backend="slurm", slurm=SlurmSettings(**(SMALL | settings))))


def test_what_slurm_does_not_take_is_told_in_its_words(slurm: Slurm) -> None:
    with pytest.raises(ConfigurationError) as error, workers_of(partition="nowhere"):
        pass
    (line,) = error.value.lines
    assert line.startswith("hydra.launcher.slurm: no such job can be had (invalid partition specified: nowhere")
    assert slurm.jobs() == []


def test_a_machine_without_slurm_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed: pip install 'bptt[slurm]'")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigurationError) as error, workers_of():
        pass
    assert list(error.value.lines) == [
        "hydra.launcher.backend=slurm: there is no sbatch here: the command runs where jobs are submitted"
    ]


def test_jobs_whose_workers_never_report_are_given_up(slurm: Slurm) -> None:
    import dask

    told = r"^slurm: \d jobs in a row ended before a worker of theirs reported; what they printed is kept nowhere: "
    with (
        dask.config.set({"jobqueue.slurm.python": "/no/such/python"}),
        workers_of() as workers,
        pytest.raises(WorkersError, match=told),
    ):
        list(workers.run(double, range(4)))


@pytest.mark.slow
@pytest.mark.parametrize("slurm", ["stand-in"], indirect=True)
def test_jobs_follow_what_is_to_be_computed(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    from bptt.sweeps.workers import slurm as module

    monkeypatch.setattr(module, "_SECONDS_IDLE", 1.0)
    with workers_of(cores=2) as workers:
        assert len(slurm.jobs()) == 1  # by which it is known that Slurm takes them
        assert workers.count == 4
        found = workers.run(where, range(500))
        assert os.getpid() not in {next(found) for _ in range(50)}
        await_jobs(slurm, 2)
        assert len(list(found)) == 450
        await_jobs(slurm, 0)
        assert set(workers.run(double, range(3))) == {0, 2, 4}


def await_jobs(slurm: Slurm, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(slurm.jobs()) != count:
        assert time.monotonic() < deadline, slurm.jobs()
        time.sleep(0.1)


def test_a_checkpoint_absolves_a_task_of_the_workers_that_died_with_it() -> None:
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed: pip install 'bptt[slurm]'")
    from bptt.sweeps.workers.slurm import Jobs

    jobs, task = Jobs(SlurmSettings(), lambda: None), SimpleNamespace(suspicious=3)
    jobs._cluster = SimpleNamespace(scheduler=SimpleNamespace(tasks={"block": task}))
    jobs.absolve("gone")
    assert task.suspicious == 3
    jobs.absolve("block")
    assert task.suspicious == 0


@pytest.mark.slow
def test_a_cancelled_job_is_replaced_and_its_block_goes_on_from_its_checkpoint(slurm: Slurm, tmp_path: Path) -> None:
    """The folder of the sweep is on no node: each job has another one mounted over it, where that can be done."""
    import dask

    folder = tmp_path / "project" / "sweep"
    folder.mkdir(parents=True)
    runs = [lane(seed, updates=300_000, log_points=300) for seed in range(3)]
    task = block(0, runs, checkpoint=folder / "block.npz", checkpoint_seconds=0.2, sign=folder / "block.json")
    alone = train_lanes(block(0, runs))
    hidden = slurm_machine.hide(folder)
    signs: list[Sign] = []
    cancelled: list[str] = []

    def cancel_once() -> None:
        while not signs or signs[-1].first == 0:
            sign = read_sign(folder / "block.json")
            if sign is not None and (not signs or signs[-1].pid != sign.pid):
                signs.append(sign)
            if not cancelled and (folder / "block.npz").exists():
                cancelled.extend(slurm.jobs())
                slurm.cancel(*cancelled)
            time.sleep(0.05)

    canceller = threading.Thread(target=cancel_once, daemon=True)
    canceller.start()
    with dask.config.set({"jobqueue.slurm.python": hidden}), workers_of() as workers, Interrupts() as interrupts:
        (found,) = hand_out([task], workers, interrupts)
        canceller.join(10)
    assert len(cancelled) == 1
    assert [sign.first > 0 for sign in signs] == [False, True]
    for ours, theirs in zip(alone.lanes, found.lanes, strict=True):
        assert ours.record is not None
        assert theirs.record is not None
        assert_same_record(theirs.record, ours.record)
    assert list(folder.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("slurm", ["real"], indirect=True)
def test_a_sweep_has_the_bits_that_it_has_here(slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = ["task=xor", "train.updates=200", "model.hidden_size=4,8", "seed=range(10)", "report=false", "reuse=false"]
    sweep += ["tracking.enabled=false"]
    jobs = [f"hydra.launcher.slurm.{name}={value}" for name, value in (SMALL | {"logs": tmp_path / "logs"}).items()]
    theirs = bptt.sweep([*sweep, "hydra.launcher.backend=slurm", *jobs])
    ours = bptt.sweep([*sweep, "hydra.launcher.workers=2"])
    assert list(theirs.runs["status"]) == ["FINISHED"] * 20
    assert list(theirs.history.columns) == list(ours.history.columns)
    for name in ours.history.columns.drop([*TIMED]):
        assert np.array_equal(theirs.history[name], ours.history[name], equal_nan=ours.history[name].dtype.kind == "f")
