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


# What is said of the waiting is what is tested, not half a minute of it.
SLEEPLESS = """
import time
from types import SimpleNamespace
import bptt.sweeps.restoring as restoring
restoring.time = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: None)
"""


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

    named = {"MLFLOW_TRACKING_URI": server.uri}
    unnamed = cold.bptt("sync", str(folder))
    assert (unnamed.returncode, unnamed.stdout) == (2, "")
    assert f"{server.uri}: {folder} names this server, and you have not" in unnamed.stderr
    away = cold.bptt("sync", str(folder), first=SLEEPLESS, **named)
    assert away.returncode == 1
    assert [line.split("; ")[-1] for line in away.stderr.splitlines()] == [
        *(f"asked again in {seconds} s" for seconds in (1, 2, 4, 8, 16)),
        f"later: bptt sync {folder}",
    ]

    server.start()
    done = cold.bptt("sync", str(folder), **named)
    assert done.returncode == 0, done.stderr
    assert "training" not in done.stderr
    runs = _runs(server)
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert sorted(run.info.run_name for run in children) == sorted(f"seed={seed}" for seed in range(24))
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == 25
    again = cold.bptt("sync", str(folder), **named)
    assert again.returncode == 0, again.stderr
    assert "the store has all of it, 24 runs" in again.stdout
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


TINY = ("task=leftbit", "train.updates=20", "train.log_points=2")


def test_a_server_that_is_away_at_the_start_stops_nothing(cold: Any, server: Server) -> None:
    """What is trained meanwhile is sent when it is back; and what is lost there since comes back as well."""
    server.kill()
    named = {"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_EXPERIMENT_NAME": "lab"}
    sweep = cold.bptt("train", "-m", *TINY, "seed=0,1,2", "report=false", "hydra.sweep.dir=multirun/s", **named)
    single = cold.bptt("train", *TINY, "hydra.run.dir=multirun/runs/r", **named)
    for done in (sweep, single):
        assert done.returncode == 1, done.stderr
        assert done.stderr.splitlines()[0].startswith(f"{server.uri}: the store can't be reached: [Errno 111]")
        assert "`bptt sync` sends" in done.stderr.splitlines()[0]
        assert "Traceback" not in done.stderr + done.stdout
    assert "3 completed" in sweep.stdout
    assert "completed after 20 updates" in single.stdout
    assert sweep.stderr.endswith("later: bptt sync multirun/s\n")
    server.start()
    named.pop("MLFLOW_EXPERIMENT_NAME")
    assert cold.bptt("sync", "--check", **named).returncode == 1
    sent = cold.bptt("sync", **named)
    assert sent.returncode == 0, sent.stderr
    assert sorted(run.info.run_name for run in _runs(server, "lab")) == [
        "leftbit elman seed=0", "s", "seed=0", "seed=1", "seed=2",
    ]  # fmt: skip

    from mlflow import MlflowClient

    client = MlflowClient(server.uri)
    ids = {run.info.run_name: run.info.run_id for run in _runs(server, "lab")}
    for name in ("s", "seed=1", "leftbit elman seed=0"):
        client.delete_run(ids[name])
    (weights,) = server.folder.rglob(f"{ids['seed=2']}/artifacts/weights.npz")
    weights.unlink()
    client.rename_experiment(_runs(server, "lab")[0].info.experiment_id, "renamed")
    lacking = cold.bptt("sync", "--check", **named)
    assert lacking.returncode == 1
    for words in ("own run: was deleted in MLflow", "seed=1: was deleted", "seed=2: lacks files weights.npz"):
        assert words in lacking.stdout
    back = cold.bptt("sync", **named)
    assert back.returncode == 0, back.stderr
    assert "experiment lab is called renamed now" in back.stdout
    assert {run.info.run_name: run.info.run_id for run in _runs(server, "renamed")} == ids
    assert weights.is_file()
    assert cold.bptt("sync", "--check", **named).returncode == 0


def _wait(found: Any, seconds: float, then: Any) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if paths := found():
            return then(paths)
        time.sleep(0.05)
    raise AssertionError("it didn't get so far")


def _runs(server: Server, name: str = "bptt") -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], max_results=1000))
