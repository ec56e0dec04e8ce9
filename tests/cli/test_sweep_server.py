"""A sweep whose tracking server dies in the middle, and comes back."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal

from bptt.analysis.sweep import load_sweep
from bptt.tracking.folder.sweep import SweepFolder
from tests.serving import Server

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

SWEEP = (
    "experiment=roelants_counting",
    "train.updates=100000",
    "train.log_points=20",
    "seed=range(24)",
    "report=false",
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


def test_a_server_that_dies_in_the_middle_gets_the_rest_later(cold: Any, server: Server) -> None:
    process = subprocess.Popen(
        cold.command("train", "-m", *SWEEP),
        cwd=cold.path,
        env=cold.environment() | {"MLFLOW_TRACKING_URI": server.uri},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    (folder,) = _wait(lambda: list(cold.path.glob("multirun/*/stored/*")), 60, lambda paths: {paths[0].parent.parent})
    server.kill()
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 1, errors
    archive = SweepFolder.open(folder)
    assert len(archive.stored()) < len(archive.blocks())
    assert sum(len(archive.results(number)) for number in archive.blocks()) == 24  # nothing that was trained is lost
    assert re.search(rf"later: bptt sync multirun/{folder.name}", errors), errors
    assert "Traceback" not in errors + out

    away = cold.bptt("sync", str(folder))
    assert away.returncode == 2
    assert away.stderr.count("\n") == 1
    assert "can't be reached" in away.stderr

    server.start()
    done = cold.bptt("sync", str(folder))
    assert done.returncode == 0, done.stderr
    assert "training" not in done.stderr
    runs = _runs(server)
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert sorted(run.info.run_name for run in children) == sorted(f"seed={seed}" for seed in range(24))
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == 25
    again = cold.bptt("sync", str(folder))
    assert again.returncode == 0, again.stderr
    assert len(_runs(server)) == 25
    for run in children:
        number = next(job.number for job in archive.jobs() if job.name == run.info.run_name)
        history = archive.tables().history
        history = history[history["run"] == number]
        assert run.data.metrics["loss/eval"] == history["loss/eval"].iloc[-1]

    here, there = load_sweep(folder), load_sweep(folder.name, uri=server.uri)
    assert there.folder is None
    assert_frame_equal(there.runs, here.runs)
    assert_frame_equal(there.history, here.history)
    assert_frame_equal(there.gradient_flow, here.gradient_flow)
    assert there.configs == here.configs
    (run_id,) = [run.info.run_id for run in children if run.info.run_name == "seed=7"]
    assert here.runs["run_id"][7] == run_id
    alone = load_sweep(run_id, uri=server.uri)
    assert_frame_equal(alone.history, here.history[here.history["run"] == 7].assign(run=0).reset_index(drop=True))
    assert alone.configs[0] == here.configs[7]


def _wait(found: Any, seconds: float, then: Any) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if paths := found():
            return then(paths)
        time.sleep(0.05)
    raise AssertionError("it didn't get so far")


def _runs(server: Server) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("bptt")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], max_results=1000))
