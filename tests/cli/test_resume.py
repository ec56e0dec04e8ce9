"""A run that was broken off goes on to the same bits, in the same MLflow run."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bptt.core.run import TIMED
from tests.recording import remove_groups, strip_digests

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

EXPERIMENT = ("experiment=roelants_counting", "train.updates=60", "train.log_points=30")

# Every point goes to the store at once, the last checkpoint is that of the 10th point, and the 20th point is the end.
ENDS = """
import os, signal
import bptt.core.training as training
import bptt.sweeps.execution as execute
import bptt.tracking.store.logs as record
record._SECONDS_BETWEEN_BATCHES = 0.0
advance, write, calls = training.Training.advance, execute.write_checkpoint, []
def ending(self):
    calls.append(1)
    if len(calls) == 20:
        os.kill(os.getpid(), signal.{signal})
    return advance(self)
def until_the_tenth(*arguments):
    if len(calls) <= 10 or signal.{signal} != signal.SIGKILL:
        write(*arguments)
training.Training.advance, execute.write_checkpoint = ending, until_the_tenth
"""


def assert_same(run: Any, undisturbed: Any) -> None:
    """The run has the bits of the undisturbed one, and each point once."""
    _, other = undisturbed
    assert run.stored.info.status == "FINISHED"
    assert run.stored.data.tags["bptt.outcome"] == "completed"
    for name in ("history.parquet", "gradient_flow.parquet"):
        mine, theirs = (pd.read_parquet(which.artifacts[name]) for which in (run, other))
        mine, theirs = (table.drop(columns=[*TIMED], errors="ignore") for table in (mine, theirs))
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True)
    with np.load(run.artifacts["weights.npz"]) as mine, np.load(other.artifacts["weights.npz"]) as theirs:
        assert mine.files == theirs.files
        assert all(np.array_equal(mine[name], theirs[name]) for name in theirs.files)
    stored, expected = run.metrics, other.metrics
    assert set(stored) == set(expected)
    assert all(np.array_equal(stored[name], expected[name], equal_nan=True) for name in expected.keys() - TIMED)
    assert run.journal["status"] == "FINISHED"
    assert not (run.folder / "checkpoint.npz").exists()


def test_killed_with_a_checkpoint(work: Any, undisturbed: Any) -> None:
    every_point = "tracking.checkpoint_seconds=1e-9"
    done = work.bptt("train", *EXPERIMENT, every_point, first=ENDS.format(signal="SIGKILL"))
    run = work.newest
    assert done.returncode == -9
    assert run.stored.info.status == "RUNNING"
    assert len(run.metrics["loss/train"]) == 19
    assert (run.folder / "checkpoint.npz").exists()
    again = work.bptt("resume", str(run.folder))
    assert again.returncode == 0, again.stderr
    assert "going on after update" in again.stderr
    assert_same(run, undisturbed)
    nothing = work.bptt("resume", str(run.folder))
    assert nothing.returncode == 2
    assert "its run has finished" in nothing.stderr


def test_a_run_that_was_begun_before_there_were_schedules_and_regularizers(work: Any, undisturbed: Any) -> None:
    work.bptt("train", *EXPERIMENT, "tracking.checkpoint_seconds=1e-9", first=ENDS.format(signal="SIGKILL"))
    run = work.newest
    strip_digests(run.folder)
    remove_groups(run.folder / "config.yaml")
    again = work.bptt("resume", str(run.folder))
    assert again.returncode == 0, again.stderr
    assert_same(run, undisturbed)


def test_points_that_wait_for_their_batch_when_it_is_killed_reach_the_store(work: Any, undisturbed: Any) -> None:
    """A checkpoint may be ahead of the store, which gets a batch once a second."""
    first = ENDS.format(signal="SIGKILL").replace("BATCHES = 0.0", "BATCHES = 3600.0")
    done = work.bptt("train", *EXPERIMENT, "tracking.checkpoint_seconds=1e-9", first=first)
    run = work.newest
    assert done.returncode == -9
    assert "loss/train" not in run.metrics
    assert work.bptt("resume", str(run.folder)).returncode == 0
    assert_same(run, undisturbed)


# The run is in the store, and nobody has noted which one it is.
UNNOTED = """
import os, signal
from bptt.tracking.store.sqlite import SqliteStore
begin = SqliteStore.begin_run
def ending(self, *arguments, **options):
    begin(self, *arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
SqliteStore.begin_run = ending
"""


def test_killed_while_it_is_begun_in_the_store_it_is_not_there_twice(work: Any, undisturbed: Any) -> None:
    assert work.bptt("train", *EXPERIMENT, first=UNNOTED).returncode == -9
    run = work.newest
    assert run.journal["run_id"] is None
    again = work.bptt("resume", str(run.folder))
    assert again.returncode == 0, again.stderr
    assert_same(run, undisturbed)
    _, other = undisturbed
    assert run.stored.data.params == other.stored.data.params
    key = run.stored.data.tags["bptt.key"]
    found = run.client.search_runs([run.stored.info.experiment_id], f"tags.`bptt.key` = '{key}'")
    assert len(found) == 1


# Every checkpoint, and at last every file of the run, meets a full disk.
FULL = """
import errno
import bptt.sweeps.execution as execute
def full(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")
execute.write_checkpoint = full
if {files}:
    execute.write_record = full
"""


@pytest.mark.parametrize("files", [False, True])
def test_a_full_disk_fails_no_run(work: Any, undisturbed: Any, files: bool) -> None:
    done = work.bptt("train", *EXPERIMENT, "tracking.checkpoint_seconds=1e-9", first=FULL.format(files=files))
    run = work.newest
    assert "has no checkpoint" in done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert done.returncode == int(files)
    if files:
        assert f"go on with: bptt resume {run.folder}" in done.stderr
        assert run.journal["status"] == "RUNNING"
        assert work.bptt("resume", str(run.folder)).returncode == 0
    assert_same(run, undisturbed)


def test_killed_before_the_first_checkpoint(work: Any, undisturbed: Any) -> None:
    assert work.bptt("train", *EXPERIMENT, first=ENDS.format(signal="SIGKILL")).returncode == -9
    run = work.newest
    assert not (run.folder / "checkpoint.npz").exists()
    assert work.bptt("resume", str(run.folder)).returncode == 0
    assert_same(run, undisturbed)


@pytest.mark.parametrize("kept", [False, True], ids=["before the store has them", "when the store has them"])
def test_killed_while_its_figures_are_drawn(work: Any, undisturbed: Any, kept: bool) -> None:
    ends = f"""
import os, signal
import bptt.sweeps.single as single
keep = single.RunLog.keep
def ending(*arguments):
    if {kept}:
        keep(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
single.RunLog.keep = ending
"""
    done = work.bptt("train", *EXPERIMENT, first=ends)
    run = work.newest
    assert done.returncode == -9
    assert run.stored.info.status == "FINISHED"
    assert not list(run.folder.glob("figures/*"))
    resumed = work.bptt("resume", run.folder)
    assert resumed.returncode == 0, resumed.stderr
    assert "the run had finished; its figures were lacking" in resumed.stderr
    assert_same(work.newest, undisturbed)
    for name in ("figures/loss.png", "figures/gradient_flow.png"):
        assert work.newest.artifacts[name].read_bytes() == (run.folder / name).read_bytes()
    again = work.bptt("resume", run.folder)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "its run has finished; there is nothing to go on with" in again.stderr


@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM"])
def test_interrupted(work: Any, undisturbed: Any, signal: str) -> None:
    done = work.bptt("train", *EXPERIMENT, first=ENDS.format(signal=signal))
    run = work.newest
    assert done.returncode == 130, done.stderr
    assert "interrupted after" in done.stdout
    assert done.stderr.endswith(f"go on with: bptt resume {run.folder}\n")
    assert run.stored.info.status == "KILLED"
    history = pd.read_parquet(run.artifacts["history.parquet"])
    assert len(history) == 20
    assert run.metrics["loss/train"] == list(zip(history["update"], history["loss/train"], strict=True))
    again = work.bptt("resume", str(run.folder))
    assert again.returncode == 0, again.stderr
    assert f"going on after update {history['update'].iloc[-1]}" in again.stderr
    assert_same(run, undisturbed)


def test_what_cannot_go_on_is_told_in_one_line(work: Any, undisturbed: Any) -> None:
    assert work.bptt("train", *EXPERIMENT, first=ENDS.format(signal="SIGINT")).returncode == 130
    run = work.newest
    checkpoint, journal = run.folder / "checkpoint.npz", run.folder / "run.json"
    whole, noted = checkpoint.read_bytes(), journal.read_text()
    recorded = {key: value for key, value in json.loads(noted).items() if key != "sha256"}

    def refused(folder: object) -> str:
        done = work.bptt("resume", str(folder))
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        return done.stderr

    assert "no such folder" in refused(work.path / "none")
    assert "not the folder of a run" in refused(work.path)
    checkpoint.write_bytes(whole[: len(whole) // 2])
    assert "cut off or damaged; delete it" in refused(run.folder)
    checkpoint.write_bytes(whole)
    journal.write_text(json.dumps({**recorded, "numerical_version": "old"}))
    assert "another numerical version" in refused(run.folder)
    journal.write_text(json.dumps({**recorded, "files": {}}))
    config = run.folder / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("seed: 0", "seed: 1"))
    assert "was changed since the run began" in refused(run.folder)
    journal.write_text(noted)
    assert "config.yaml: can't be read: not as it was written" in refused(run.folder)
    config.write_text(text)
    assert run.stored.info.status == "KILLED"
