"""`bptt train`, and what its run leaves in the store."""

import json
import os
import pty
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import bptt
from bptt.cli.main import main
from bptt.core.run import TIMED
from bptt.tracking.provenance.digest import compute_digest
from bptt.tracking.store.tags import flatten_config

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

EXPERIMENT = ("experiment=roelants_counting", "train.updates=60", "train.log_points=30")


def test_a_cold_folder(undisturbed: Any) -> None:
    done, run = undisturbed
    assert done.returncode == 0, done.stderr
    assert run.stored.info.status == "FINISHED"
    assert run.stored.info.run_name == "counting linear seed=0"
    assert sorted(set(run.artifacts) - {"dirty.patch"}) == [
        "config.yaml",
        "figures/gradient_flow.png",
        "figures/loss.png",
        "gradient_flow.parquet",
        "history.parquet",
        "provenance.json",
        "weights.npz",
    ]
    noted = json.loads(run.artifacts["provenance.json"].read_text())
    assert noted == json.loads((run.folder / "provenance.json").read_text())
    assert noted["numerical_version"] == run.journal["numerical_version"]
    assert ("dirty.patch" in run.artifacts) == (noted["git_dirty"] is True)
    assert not (run.folder / "checkpoint.npz").exists()
    assert run.journal["status"] == "FINISHED"


def test_params_are_the_whole_configuration(undisturbed: Any) -> None:
    _, run = undisturbed
    config = yaml.safe_load(run.artifacts["config.yaml"].read_text())
    assert run.stored.data.params == flatten_config(config)
    assert run.stored.data.params["optimizer.eta_plus"] == "1.2"
    assert run.stored.data.params["train.updates"] == "60"
    assert config["task"]["_target_"] == "bptt.tasks.languages.counting.Counting"


def test_metrics_are_the_history(undisturbed: Any) -> None:
    _, run = undisturbed
    history = pd.read_parquet(run.artifacts["history.parquet"])
    assert history["update"].iloc[[0, -1]].tolist() == [1, 60]
    assert len(history) == 30
    expected = {name: list(zip(history["update"], history[name], strict=True)) for name in history if name != "update"}
    assert {"loss/train", "loss/eval", "accuracy/eval", "grad/norm", "grad/clipped", "grad/decay"} <= set(expected)
    stored = run.metrics
    assert set(stored) == {*expected, "loss/test", "accuracy/test", "baseline"}
    for name, points in expected.items():
        assert np.array_equal(stored[name], points, equal_nan=True), name


def test_what_there_is_one_number_of_stands_at_the_last_update(undisturbed: Any) -> None:
    _, run = undisturbed
    assert [run.metrics[name][0][0] for name in ("loss/test", "accuracy/test", "baseline")] == [60, 60, 60]
    (found,) = bptt.load(run.folder).runs[["loss/test", "accuracy/test", "baseline"]].to_dict("records")
    assert found == {name: run.metrics[name][0][1] for name in found}
    # The variance of the article's 20 counts.
    counts = np.around(np.random.RandomState(1).rand(20, 10)).sum(axis=1)
    assert found["baseline"] == pytest.approx(counts.var(), rel=1e-15)


def test_gradient_flow_has_a_row_per_update_and_lag(undisturbed: Any) -> None:
    _, run = undisturbed
    flow = pd.read_parquet(run.artifacts["gradient_flow.parquet"])
    assert list(flow.columns) == ["update", "lag", "norm"]
    assert len(flow) == 30 * 10
    assert flow["lag"].iloc[:10].tolist() == list(range(10))


def test_weights_are_named(undisturbed: Any) -> None:
    _, run = undisturbed
    with np.load(run.artifacts["weights.npz"], allow_pickle=False) as weights:
        assert sorted(weights.files) == ["cell.0.input", "cell.0.recurrent"]


def test_tags(undisturbed: Any) -> None:
    _, run = undisturbed
    tags = run.stored.data.tags
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert tags["bptt.outcome"] == "completed"
    assert tags["bptt.digest"] == compute_digest(config, run.journal["numerical_version"])
    assert tags["bptt.version.numpy"] == np.__version__
    assert "bptt.sweep" not in tags


def test_output_is_quiet_without_a_terminal(undisturbed: Any) -> None:
    done, run = undisturbed
    errors = [line for line in done.stderr.splitlines() if "compiling" not in line and " %  update" not in line]
    assert errors == ["counting linear seed=0: 60 updates"]
    assert "\x1b" not in done.stdout + done.stderr
    out = done.stdout.splitlines()
    assert re.fullmatch(r"counting linear seed=0: completed after 60 updates \(\d+\.\d s\)", out[0])
    assert re.fullmatch(r"  loss \S+, evaluation \S+, accuracy \S+ %, test \S+, test accuracy \S+ %", out[1])
    assert out[2].startswith("  0 1 1 0 0 0 0 1 0 0 1 1")
    assert out[3] == f"run     {run.journal['run_id']} in experiment bptt"
    assert Path(out[4].removeprefix("files   ")).is_dir()
    assert out[5] == "open    bptt ui    (or, in this folder: mlflow ui)"
    assert out[6].endswith(f"/#/experiments/1/runs/{run.journal['run_id']}?workflowType=machine_learning")


def test_the_same_again_has_the_same_bits_and_digest(work: Any, undisturbed: Any) -> None:
    _, first = undisturbed
    assert work.bptt("train", *EXPERIMENT).returncode == 0
    again = work.newest
    assert again.folder != first.folder
    assert again.stored.data.tags["bptt.digest"] == first.stored.data.tags["bptt.digest"]
    pd.testing.assert_frame_equal(
        pd.read_parquet(again.artifacts["history.parquet"]).drop(columns=[*TIMED]),
        pd.read_parquet(first.artifacts["history.parquet"]).drop(columns=[*TIMED]),
        check_exact=True,
    )


def test_a_terminal_gets_a_bar(work: Any, undisturbed: Any) -> None:
    ours, theirs = pty.openpty()
    command = work.command("train", *EXPERIMENT)
    environment = work.environment() | {"TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(command, cwd=work.path, env=environment, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert re.search(r"counting linear seed=0 .*━.* \d+/60 +loss [0-9.e+]+(; \d+ s left|\s)", text), text


def test_a_diverged_run_is_a_result(work: Any, undisturbed: Any) -> None:
    done = work.bptt("train", *EXPERIMENT, "optimizer.delta_zero=1e200")
    run = work.newest
    assert done.returncode == 0, done.stderr
    assert "diverged after" in done.stdout
    assert run.stored.info.status == "FINISHED"
    assert run.stored.data.tags["bptt.outcome"] == "diverged"
    history = pd.read_parquet(run.artifacts["history.parquet"])
    assert not np.isfinite(history["loss/train"].iloc[-1])
    assert "figures/loss.png" in run.artifacts


FAILS = """
import bptt.core.training as training
advance, calls = training.Training.advance, []
def failing(self):
    calls.append(1)
    if len(calls) == 8:
        raise RuntimeError("the planted error")
    return advance(self)
training.Training.advance = failing
"""


def test_an_exception_is_recorded_with_its_traceback(work: Any, undisturbed: Any) -> None:
    done = work.bptt("train", *EXPERIMENT, first=FAILS)
    run = work.newest
    assert done.returncode == 1
    assert "RuntimeError: the planted error" in done.stdout
    assert run.stored.info.status == "FAILED"
    assert "bptt.outcome" not in run.stored.data.tags
    assert "RuntimeError: the planted error" in run.artifacts["traceback.txt"].read_text()
    assert len(pd.read_parquet(run.artifacts["history.parquet"])) == 7


def test_a_wrong_request_leaves_nothing(cold: Any) -> None:
    done = cold.bptt("train", "optimizer.alpha=-1")
    assert done.returncode == 2
    assert list(cold.path.rglob("*")) == []


def test_a_store_that_is_away_stops_no_run(cold: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{probe.getsockname()[1]}"
    done = cold.bptt("train", *EXPERIMENT, MLFLOW_TRACKING_URI=uri)
    assert done.returncode == 1
    away, begun, lacks, later = done.stderr.splitlines()
    assert re.fullmatch(rf"{uri}: the store can't be reached: .*; the run is trained without it, .*", away)
    assert "updates" in begun
    assert lacks == f"the store doesn't have all of it: {away.partition(';')[0]}"
    assert later == f"later: bptt sync {cold.newest.folder}"
    assert (cold.newest.folder / "weights.npz").exists()


def test_a_store_that_can_not_be_there_is_told_before_anything_starts(cold: Any) -> None:
    (cold.path / "file").touch()
    uri = f"sqlite:///{cold.path}/file/mlflow.db"
    done = cold.bptt("train", *EXPERIMENT, MLFLOW_TRACKING_URI=uri)
    assert done.returncode == 2
    assert re.fullmatch(rf"{uri}: .*Not a directory.*\n", done.stderr)
    assert done.stdout == ""
    assert [path.name for path in cold.path.rglob("*") if path.is_file()] == ["file"]


def test_nothing_is_recorded_when_tracking_is_off(cold: Any) -> None:
    done = cold.bptt("train", *EXPERIMENT, "tracking.enabled=false")
    assert done.returncode == 0, done.stderr
    assert not (cold.path / "mlflow.db").exists()
    assert (cold.newest.folder / "weights.npz").exists()
    assert f"files   {cold.newest.folder}" in done.stdout


def test_two_commands_at_once_in_a_cold_folder(cold: Any) -> None:
    started = [
        subprocess.Popen(
            cold.command("train", *EXPERIMENT, f"seed={seed}"),
            cwd=cold.path,
            env=cold.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in (0, 1)
    ]
    errors = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
    runs = cold.newest.client.search_runs(["1"])
    assert sorted(run.info.run_name for run in runs) == ["counting linear seed=0", "counting linear seed=1"]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_run_that_compiles_leaves_no_kernel_to_the_next(empty: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(empty.path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    compiled: list[list[str]] = []
    monkeypatch.setattr("bptt.core.training.needs_compiling", lambda _blocks, _planned=None: True)
    monkeypatch.setattr(
        "bptt.sweeps.workers.kernels.compile_kernels",
        lambda runs: compiled.append([type(run.task).__name__ for run in runs]),
    )
    assert main(["train", "task=xor", "train.updates=4", "train.log_points=2"]) == 0
    assert compiled == [["Xor"]]
