"""A sweep as a user sees it: trained, recorded, broken off, gone on with, sent again."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bptt.core.run import TIMED
from bptt.tracking.folder.sweep import SweepFolder
from tests.sweeping import Swept, assert_same_results, held, newest, results, same, weights

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

EXPERIMENT = ("experiment=roelants_counting", "train.updates=60", "train.log_points=30")
ALONE = "hydra.launcher.workers=1"  # without worker processes, where they are not what is tested
SWEPT = ("optimizer.eta_plus=1.2,1.3", "seed=0,3", "report=false")


@pytest.fixture(scope="module", autouse=True)
def blank_figures() -> None:
    """None: reports are compared with that of a process of its own, which draws them."""


@pytest.fixture(scope="module")
def sweep(work: Any, undisturbed: Any) -> tuple[subprocess.CompletedProcess[str], Swept]:
    """Four runs, one of which was asked for twice; the first sweep in its folder."""
    question = "question='Which eta_plus?'"
    swept = ("optimizer.eta_plus=1.2,1.3,1.20", "seed=0,3", "reuse=false")
    done = work.bptt_afresh("train", "-m", *EXPERIMENT, *swept, question)
    return done, newest(work)


def test_each_run_is_recorded_below_the_sweep(sweep: Any, undisturbed: Any) -> None:
    done, found = sweep
    assert done.returncode == 0, done.stderr
    names = {f"eta_plus={eta} seed={seed}" for eta in (1.2, 1.3) for seed in (0, 3)}
    assert {run.info.run_name for run in found.runs} == names
    assert {run.info.status for run in [found.parent, *found.runs]} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in found.runs} == {found.parent.info.run_id}
    assert found.parent.info.run_name == found.folder.name
    _, alone = undisturbed
    (mine,) = [run for run in found.runs if run.info.run_name == "eta_plus=1.2 seed=0"]
    other = alone.stored
    differs = {
        "mlflow.runName", "mlflow.source.name", "mlflow.parentRunId", "bptt.sweep", "bptt.key", "bptt.git.dirty",
    }  # fmt: skip
    settings = {key: value for key, value in mine.data.tags.items() if key.startswith("bptt.setting.")}
    assert settings == {f"bptt.setting.{found.parent.info.run_id}": "eta_plus=1.2"}
    # The other one may have been taken by sweeps that were begun since.
    differs |= {key for key in mine.data.tags | other.data.tags if key.startswith("bptt.setting.")}
    assert {k: v for k, v in mine.data.tags.items() if k not in differs} == {
        k: v for k, v in other.data.tags.items() if k not in differs
    }
    assert mine.data.params == other.data.params
    mine_last, other_last = (
        {name: value for name, value in one.data.metrics.items() if name not in TIMED} for one in (mine, other)
    )
    assert mine_last == other_last
    for name in ("config.yaml", "gradient_flow.parquet"):
        assert found.artifact(mine, name).read_bytes() == alone.artifacts[name].read_bytes(), name
    paths = found.artifact(mine, "history.parquet"), alone.artifacts["history.parquet"]
    first, second = (pd.read_parquet(path).drop(columns=[*TIMED]) for path in paths)
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert same(weights(found.artifact(mine, "weights.npz")), weights(alone.artifacts["weights.npz"]))


def said(done: Any) -> list[str]:
    """Its lines on stderr, but for how far it is, which a slow machine is told more often."""
    return [line for line in done.stderr.splitlines() if "runs/s" not in line]


def test_the_sweep_says_what_it_was(sweep: Any) -> None:
    done, found = sweep
    out = done.stdout.splitlines()
    name = found.folder.name
    assert re.fullmatch(rf"sweep {name}: 4 runs in \d+\.\d s: 4 completed; 2 repeated jobs left out", out[0])
    assert out[1].startswith("  Whether eta_plus=1.3 or eta_plus=1.2 ")
    headings = ["setting", "runs", "diverged", "loss/eval", "from", "to", "100", "%", "right"]
    (row,) = [place for place, line in enumerate(out) if line.split() == headings]
    assert [line.split()[:2] for line in out[row + 1 : row + 3]] == [["eta_plus=1.2", "2"], ["eta_plus=1.3", "2"]]
    assert f"files   multirun/{name}" in out
    assert f"report  multirun/{name}/report/report.html" in out
    assert any(re.fullmatch(r"sweep   http://127\.0\.0\.1:5000/#/experiments/\d+/runs\?.*", line) for line in out)
    assert any(line.startswith("compare http://127.0.0.1:5000/#/compare-runs?") for line in out)
    assert said(done) == ["training 4 runs"]
    note = found.parent.data.tags["mlflow.note.content"]
    assert "bptt train -m experiment=roelants_counting" in note
    assert "optimizer.eta" in note
    assert f"/runs/{found.parent.info.run_id}/artifacts/report/report.html?workflowType=machine_learning)" in note


def test_what_it_was_made_with_is_kept(sweep: Any) -> None:
    _, found = sweep
    noted = (found.folder / "provenance.json").read_bytes()
    assert json.loads(noted)["numerical_version"] == found.archive.journal.numerical_version
    assert found.artifact(found.parent, "provenance.json").read_bytes() == noted
    patch = found.artifact(found.parent, "dirty.patch")
    assert patch.exists() == (found.folder / "dirty.patch").exists() == (json.loads(noted)["git_dirty"] is True)


def test_a_sweep_ends_with_its_report(work: Any, sweep: Any) -> None:
    done, found = sweep
    report = held(found.folder / "report")
    assert held(found.artifact(found.parent, "report")) == report
    runs = pd.read_csv(found.folder / "report" / "tables" / "runs.csv")
    assert runs["optimizer.eta_plus"].tolist() == [1.2, 1.2, 1.3, 1.3]
    assert b"<h1>Which eta_plus?</h1>" in report["report.html"]
    assert b'<p class="lead">Whether eta_plus=1.3 or eta_plus=1.2 ' in report["report.html"]
    assert any(name.endswith(".svg") for name in report)
    # Once more, from the folder by its name, it is the same; so are the numbers that the store holds.
    again = work.bptt("report", found.folder.name, "-o", "again")
    (results,) = (line for line in done.stdout.splitlines() if line.startswith("results sha256 "))
    assert (again.returncode, again.stdout, again.stderr) == (0, f"again/report.html\n{results}\n", "")
    assert held(work.path / "again") == report
    stored = work.bptt("report", found.parent.info.run_id, "-o", "stored", "--solved", "loss/eval<=0.5")
    assert stored.returncode == 0, stored.stderr
    columns = ["run", "loss/eval", "digest"]
    from_store = pd.read_csv(work.path / "stored" / "tables" / "runs.csv")
    assert from_store[columns].equals(runs[columns])
    assert b"--solved" in (work.path / "stored" / "report.md").read_bytes()


def test_reports_that_cannot_be_made_are_told(work: Any, sweep: Any) -> None:
    _, found = sweep
    for arguments, told in (
        (["nowhere"], "nowhere"),
        ([found.folder.name, "--solved", "accuracy/evl>=1"], "did you mean accuracy/eval?"),
        ([found.folder.name, "-o", "multirun"], "holds something else than a report"),
    ):
        done = work.bptt("report", *arguments)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert told in done.stderr


def test_what_a_sweep_says_of_itself_is_checked(cold: Any) -> None:
    done = cold.bptt("train", "-m", *EXPERIMENT, "seed=0,1", "solved=accuracy/eval=1")
    assert done.returncode == 2
    assert done.stderr.startswith("solved=accuracy/eval=1: ")
    assert list(cold.path.rglob("*")) == []


def test_on_dask_it_is_the_same(work: Any, sweep: Any) -> None:
    _, first = sweep
    arguments = (*EXPERIMENT, *SWEPT, "reuse=false")
    done = work.bptt("train", "-m", *arguments, "hydra.launcher.backend=dask", "hydra.launcher.workers=2")
    assert done.returncode == 0, done.stderr
    assert said(done) == ["training 4 runs"]
    assert done.stdout.startswith("sweep ")
    assert_same_results(newest(work).archive, first.archive)


def test_the_same_sweep_again_trains_nothing(work: Any, sweep: Any) -> None:
    _, first = sweep
    done = work.bptt("train", "-m", *EXPERIMENT, "optimizer.eta_plus=1.3,1.2", "seed=0,3,44", "report=false", ALONE)
    assert done.returncode == 0, done.stderr
    again = newest(work)
    assert [run.info.run_name for run in again.runs if run.data.params["seed"] != "44"] == []
    assert "training 2 runs" in done.stderr
    assert "4 in the store already" in done.stdout
    mine = {name: found for name, found in results(again.archive).items() if "seed=44" not in name}
    assert mine.keys() == results(first.archive).keys()
    for name, (_, record) in results(first.archive).items():
        assert same(dict(record.parameters), dict(mine[name][1].parameters))


def test_every_wrong_job_is_told_before_anything_starts(cold: Any) -> None:
    done = cold.bptt("train", "-m", *EXPERIMENT, "optimizer.eta_plus=1.2,0.5", "seed=0,-1", "clip=none,nrm")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for part in ("optimizer.eta_plus=0.5", "seed=-1", "nrm"):
        assert part in done.stderr
    assert list(cold.path.rglob("*")) == []


PLANTED = """
from dataclasses import dataclass

from bptt.tasks.languages.counting import Counting


@dataclass(frozen=True, kw_only=True)
class Planted(Counting):
    bad: int = 0

    def accuracy(self, output, sequences):
        if abs(output).sum() > 1e6 and self.bad:
            raise RuntimeError("the planted error")
        return super().accuracy(output, sequences)
"""


@pytest.fixture
def planted(empty: Any) -> Any:
    """A folder with a task of the user's that raises in a run whose weights start large, and its choices."""
    (empty.path / "mine" / "task").mkdir(parents=True)
    (empty.path / "planted.py").write_text(PLANTED)
    shipped = (Path(__file__).parents[2] / "conf" / "task" / "counting.yaml").read_text()
    chosen = re.sub(r"_target_: .*", "_target_: planted.Planted\nbad: 1", shipped)
    (empty.path / "mine" / "task" / "planted.yaml").write_text(chosen)
    return empty


def failing(work: Any, *more: str) -> subprocess.CompletedProcess[str]:
    return work.bptt(
        "train", "-m", "--config-dir", "mine", *EXPERIMENT, ALONE, "task=planted", "allow=[planted]",
        "init.input=0.1,1e9,0.2", "seed=0,1", *more, PYTHONPATH=str(work.path),
    )  # fmt: skip


def test_a_failing_run_is_the_only_one_that_fails(planted: Any) -> None:
    done = failing(planted)
    assert done.returncode == 1, done.stderr
    found = newest(planted)
    by_name = {run.info.run_name: run for run in found.runs}
    assert {name: run.info.status for name, run in by_name.items()} == {
        f"input={start} seed={seed}": "FAILED" if start == "1e+09" else "FINISHED"
        for start in ("0.1", "1e+09", "0.2")
        for seed in (0, 1)
    }
    failed = by_name["input=1e+09 seed=0"]
    assert "RuntimeError: the planted error" in found.artifact(failed, "traceback.txt").read_text()
    assert "failed:\n  input=1e+09 seed=0: RuntimeError: the planted error" in done.stdout
    assert found.parent.info.status == "FAILED"
    # The report tells why, and has the choice that only this user has.
    page = (found.folder / "report" / "report.html").read_text()
    assert "Of 6 runs 0 diverged, 2 failed, and 0 did not end." in page
    assert "RuntimeError: the planted error" in page
    assert "mine/task/planted.yaml" in page
    assert "_target_: planted.Planted" in page
    assert found.archive.journal.choices.keys() == {"mine/task/planted.yaml"}


def test_on_error_stop_gives_up_the_others(planted: Any) -> None:
    done = failing(planted, "on_error=stop", "report=false", "model.bias=none,single")
    assert done.returncode == 1, done.stderr
    assert "on_error=stop" in done.stderr
    found = newest(planted)
    statuses = [run.info.status for run in found.runs]
    assert len(statuses) == 12
    assert statuses.count("FAILED") >= 1
    assert statuses.count("KILLED") >= 1
    assert found.parent.info.status == "KILLED"


def test_a_diverging_run_is_a_result(work: Any, sweep: Any) -> None:
    done = work.bptt("train", "-m", *EXPERIMENT, "optimizer.delta_zero=1e200,0.1", "reuse=false", "report=false", ALONE)
    assert done.returncode == 0, done.stderr
    outcomes = {run.info.run_name: run.data.tags["bptt.outcome"] for run in newest(work).runs}
    assert outcomes == {"delta_zero=1e+200": "diverged", "delta_zero=0.1": "completed"}
    assert "1 diverged" in done.stdout


RUNS = 128  # in blocks of 8
LONG = ("experiment=roelants_counting", "train.updates=8000", f"seed=range({RUNS})", "reuse=false", "report=false")


@pytest.fixture(scope="module")
def whole(work: Any, undisturbed: Any) -> Swept:
    """A sweep of some seconds that nothing disturbed."""
    done = work.bptt("train", "-m", *LONG)
    assert done.returncode == 0, done.stderr
    return newest(work)


def begun(work: Any, *command: str) -> subprocess.Popen[str]:
    """A command in a process group of its own, as on a terminal."""
    return subprocess.Popen(
        work.command(*command),
        cwd=work.path,
        env=work.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_blocks(work: Any, before: set[Path], count: int) -> Swept:
    """The sweep that was begun, once so many of its blocks are in its archive."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for path in set((work.path / "multirun").glob("*")) - before:
            if (path / "sweep.json").exists() and len(SweepFolder.open(path).blocks()) >= count:
                return Swept(path)
        time.sleep(0.01)
    raise AssertionError("the sweep didn't get so far")


def folders(work: Any) -> set[Path]:
    return set((work.path / "multirun").glob("*"))


@pytest.mark.slow
def test_ctrl_c_ends_in_seconds_and_keeps_what_has_ended(work: Any, whole: Swept) -> None:
    before = folders(work)
    process = begun(work, "train", "-m", *LONG)
    found = wait_for_blocks(work, before, 1)
    asked = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - asked < 10
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert f"go on with: bptt resume multirun/{found.folder.name}" in errors
    statuses = [run.info.status for run in found.runs]
    ended = len(results(found.archive))
    assert 0 < ended < RUNS
    assert (statuses.count("FINISHED"), statuses.count("KILLED")) == (ended, RUNS - ended)
    assert found.parent.info.status == "KILLED"
    done = work.bptt("resume", str(found.folder))
    assert done.returncode == 0, done.stderr
    assert f"training {RUNS - ended} runs" in done.stderr
    assert [run.info.status for run in [found.parent, *found.runs]] == ["FINISHED"] * (RUNS + 1)
    assert_same_results(found.archive, whole.archive)


@pytest.mark.slow
@pytest.mark.parametrize("wait", [0.01, 0.5])
def test_a_second_ctrl_c_ends_in_one_line(work: Any, wait: float) -> None:
    before = folders(work)
    process = begun(work, "train", "-m", *LONG)
    found = wait_for_blocks(work, before, 1)
    for _ in range(2):
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    *said, last = errors.splitlines()
    assert last.removeprefix("interrupted; ") == f"go on with: bptt resume multirun/{found.folder.name}"
    assert all(line.startswith(("training ", "  ")) for line in said), errors
    assert work.bptt("resume", str(found.folder)).returncode == 0


# The sweep's own run is in the store, and nobody has noted which one it is.
UNNOTED = """
import os, signal
from bptt.sweeps.session import Session
note = Session.note
def ending(self, **changes):
    if "parent" in changes:
        os.kill(os.getpid(), signal.{signal})
    note(self, **changes)
Session.note = ending
"""


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGINT"])
def test_stopped_while_it_is_begun_in_the_store_a_sweep_is_not_there_twice(
    work: Any, undisturbed: Any, signal: str
) -> None:
    done = work.bptt("train", "-m", *EXPERIMENT, *SWEPT, ALONE, "reuse=false", first=UNNOTED.format(signal=signal))
    found = newest(work)
    assert done.returncode == (-9 if signal == "SIGKILL" else 130), done.stderr
    again = work.bptt("resume", str(found.folder))
    assert again.returncode == 0, again.stderr
    assert [run.info.status for run in [found.parent, *found.runs]] == ["FINISHED"] * 5


# The signal comes while the report is made, and another one while that is being dealt with.
REPORTING = """
import os, signal
import bptt.sweeps.finish as finish
def interrupted(*arguments):
    os.kill(os.getpid(), signal.{signal})
finish.make_report = interrupted
if {again}:
    finish.load_found = interrupted
"""


@pytest.mark.parametrize(("signal", "again"), [("SIGINT", False), ("SIGTERM", True)])
def test_a_sweep_that_is_interrupted_while_it_ends_is_ended_by_resume(empty: Any, signal: str, again: bool) -> None:
    first = REPORTING.format(signal=signal, again=again)
    done = empty.bptt("train", "-m", *EXPERIMENT, "seed=0,3", ALONE, first=first)
    found = newest(empty)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.endswith(f"go on with: bptt resume multirun/{found.folder.name}\n")
    if not again:
        assert (found.archive.journal.status, found.parent.info.status) == ("KILLED", "KILLED")
    assert {run.info.status for run in found.runs} == {"FINISHED"}
    for command in ("sync", "resume"):
        stopped = empty.bptt(command, str(found.folder), first=first)
        assert stopped.returncode == 130, stopped.stderr
        assert f"go on with: bptt resume {found.folder}" in stopped.stderr
    assert empty.bptt("sync", str(found.folder)).returncode == 0
    assert [run.info.status for run in [found.parent, *found.runs]] == ["FINISHED"] * 3
    assert held(found.artifact(found.parent, "report")) == held(found.folder / "report")


# All runs have ended and are recorded; the signal comes while is imported what ends the sweep.
IMPORTING = """
import os, signal, sys
sys.modules.pop("bptt.cli.sweep", None)
class Finder:
    def find_spec(self, name, *_):
        if name == "bptt.cli.sweep":
            sys.meta_path.remove(self)
            for _ in range({times}):
                os.kill(os.getpid(), signal.{signal})
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(("signal", "times"), [("SIGINT", 1), ("SIGTERM", 1), ("SIGINT", 2)])
def test_interrupted_before_it_is_ended_a_sweep_is_ended_and_a_second_signal_leaves_it(
    empty: Any, signal: str, times: int
) -> None:
    first = IMPORTING.format(signal=signal, times=times)
    done = empty.bptt("train", "-m", *EXPERIMENT, "seed=0,3", ALONE, first=first)
    found = newest(empty)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.endswith(f"go on with: bptt resume multirun/{found.folder.name}\n")
    ended = ("KILLED" if times == 1 else "RUNNING",) * 2
    assert (found.archive.journal.status, found.parent.info.status) == ended
    assert (found.archive.journal.seconds > 0) == (times == 1)
    if times == 1:
        assert [run.info.status for run in found.runs] == ["FINISHED"] * 2
    again = empty.bptt("resume", str(found.folder))
    assert again.returncode == 0, again.stderr
    assert [run.info.status for run in [found.parent, *found.runs]] == ["FINISHED"] * 3


# Of other moments the next test draws some, and `make faults` a hundred.
@pytest.mark.slow
@pytest.mark.parametrize("blocks", [0, 1])
def test_a_killed_sweep_goes_on_to_the_same_bits(work: Any, whole: Swept, blocks: int) -> None:
    before = folders(work)
    process = begun(work, "train", "-m", *LONG)
    found = wait_for_blocks(work, before, blocks)
    time.sleep(0.1 * blocks)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    done = work.bptt("resume", str(found.folder))
    assert done.returncode == 0, done.stderr
    names = [run.info.run_name for run in found.runs]
    assert sorted(names) == sorted(f"seed={seed}" for seed in range(RUNS))
    assert {run.info.status for run in [found.parent, *found.runs]} == {"FINISHED"}
    assert_same_results(found.archive, whole.archive)
    again = work.bptt("resume", str(found.folder))
    assert again.returncode == 0, again.stderr
    assert "training" not in again.stderr
    assert len(found.runs) == RUNS


@pytest.mark.slow(seconds=30)
def test_killed_again_and_again_at_any_moment_it_comes_to_the_same_end(work: Any, whole: Swept) -> None:
    moments = np.random.Generator(np.random.PCG64(11))
    found, kills, before = None, 0, folders(work)
    process = begun(work, "train", "-m", *LONG)
    while kills < 5:
        time.sleep(moments.uniform(1.0, 5.0))
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
        found = next((path for path in folders(work) - before if (path / "sweep.json").exists()), None)
        process = begun(work, *(("train", "-m", *LONG) if found is None else ("resume", str(found))))
    process.communicate(timeout=120)
    assert kills > 1
    swept = newest(work) if found is None else Swept(found)
    assert work.bptt("resume", str(swept.folder)).returncode == 0
    assert sorted(run.info.run_name for run in swept.runs) == sorted(f"seed={seed}" for seed in range(RUNS))
    assert {run.info.status for run in [swept.parent, *swept.runs]} == {"FINISHED"}
    assert_same_results(swept.archive, whole.archive)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_loses_nothing_that_has_ended(work: Any, whole: Swept, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("this machine lets nobody mount a small file system")
    try:
        done = work.bptt("train", "-m", *LONG, f"hydra.sweep.dir={small}/sweep")
        assert done.returncode == 1, done.stderr
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr
        full = SweepFolder.open(small / "sweep")
        assert 0 <= len(full.blocks()) < len(whole.archive.blocks())
        shutil.copytree(small / "sweep", tmp_path / "sweep", ignore=shutil.ignore_patterns(".*"))
    finally:
        subprocess.run(["umount", str(small)], check=True)
    done = work.bptt("resume", str(tmp_path / "sweep"))
    assert done.returncode == 0, done.stderr
    assert_same_results(SweepFolder.open(tmp_path / "sweep"), whole.archive)


def test_a_store_that_cannot_be_made_is_told_before_anything_starts(cold: Any) -> None:
    done = cold.bptt("train", "-m", *EXPERIMENT, *SWEPT, "tracking.uri=sqlite:////proc/none/mlflow.db")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert list(cold.path.rglob("*")) == []


FAILS = """
import bptt.sweeps.launch as launch
from bptt.tracking.store.address import StoreError
def open_store(uri, experiment):
    raise StoreError("the planted error")
launch.open_store = open_store
"""


@pytest.mark.parametrize(
    ("swept", "command"),
    [
        # Two blocks: the second is trained after the store could not be made.
        (("loss.weight=1,2", "clip=none,value", "report=false"), "resume"),
        # One block: all has been trained when the store can't be made.
        (SWEPT, "sync"),
    ],
)
def test_a_store_that_cannot_be_made_after_all_loses_nothing(swept: tuple[str, ...], command: str, cold: Any) -> None:
    done = cold.bptt("train", "-m", *EXPERIMENT, *swept, ALONE, first=FAILS)
    assert done.returncode == 1
    found = newest(cold)
    said = [line for line in done.stderr.splitlines() if not line.startswith("compiling")]
    assert said == [
        "training 4 runs",
        "the planted error; it goes on without the store, and `bptt sync` sends what it lacks",
        "the store doesn't have all of it: the planted error",
        f"later: bptt sync multirun/{found.folder.name}",
    ]
    assert len(results(found.archive)) == 4
    again = cold.bptt(command, str(found.folder))
    assert again.returncode == 0, again.stderr
    assert {run.info.status for run in [found.parent, *found.runs]} == {"FINISHED"}
    assert len(found.runs) == 4


def test_a_cold_store_takes_a_sweep_with_several_workers(cold: Any) -> None:
    done = cold.bptt("train", "-m", *EXPERIMENT, "seed=range(16)", "hydra.launcher.workers=4", "report=false")
    assert done.returncode == 0, done.stderr
    assert len(newest(cold).runs) == 16


def test_a_sweep_without_a_store_has_its_files(cold: Any) -> None:
    done = cold.bptt("train", "-m", *EXPERIMENT, *SWEPT, ALONE, "tracking.enabled=false")
    assert done.returncode == 0, done.stderr
    assert not (cold.path / "mlflow.db").exists()
    found = newest(cold)
    assert not (found.folder / "report").exists()
    assert len(results(found.archive)) == 4
