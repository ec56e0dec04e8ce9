"""`bptt status`, while something trains and after it, from the folder alone."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bptt
from bptt.cli import status
from bptt.cli.main import main
from bptt.core.run import TIMED
from bptt.core.training import Training
from bptt.tracking.folder import progress
from bptt.tracking.folder.files import LOCK, PROGRESS
from bptt.tracking.folder.lock import file_lock
from bptt.tracking.folder.progress import make_sign, write_sign
from bptt.tracking.folder.run import Journal, read_journal, write_journal
from bptt.tracking.folder.sweep import SweepFolder, TunedSetting
from bptt.tracking.history.find import SourceError
from bptt.watch.look import RunState, SweepState, tell_why
from tests.recording import archived, jobs, results

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

SMALL = ("task=leftbit", "train.updates=20", "train.log_points=2", "report=false", "hydra.launcher.workers=1")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "multirun" / "runs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    code = main(["status", *arguments])
    captured = capsys.readouterr()
    assert captured.err == ""
    return code, captured.out.splitlines()


def begin_half(folder: Path, **changes: Any) -> SweepFolder:
    """A sweep of nine runs of which five have ended: a block of two, then one that this process has trained."""
    archive = archived(folder, status="RUNNING", **changes)
    for block in (2, 3, 4):
        for path in (archive.folder / "blocks" / f"{block:06d}").iterdir():
            path.unlink()
        (archive.folder / "blocks" / f"{block:06d}").rmdir()
    return archive


def test_a_sweep_that_has_ended(capsys: pytest.CaptureFixture[str]) -> None:
    archived(Path("multirun/s"), seconds=92.4)
    assert told(capsys) == (
        1,
        [
            "sweep s: was interrupted: 8 of 9 runs (88 %), after 1 min 32 s",
            "  ended    3 completed, 1 diverged, 1 early stopped, 2 failed, 1 given up by halving; 1 of them in the"
            " store already",
            "  failed   alpha=0.2 model=elman: RuntimeError: the planted error",
            "           alpha=0.2 model=lstm: RuntimeError: the planted error",
            "  go on    bptt resume multirun/s",
            "  files    multirun/s",
        ],
    )


def test_it_is_asked_for_from_python() -> None:
    archived(Path("multirun/s"), seconds=92.4)
    found = bptt.status("s")
    assert isinstance(found, SweepState)
    assert (found.state, len(found.ended), found.total, found.wrong) == ("was interrupted", 8, 9, True)
    assert [tell_why(row) for row in found.failed] == ["RuntimeError: the planted error"] * 2
    assert (found.left, found.mending) == (None, ("go on", f"bptt resume {Path('multirun/s').absolute()}"))
    write_run(Path("multirun/runs/one"))
    one = bptt.status("one")
    assert isinstance(one, RunState)
    assert (one.name, one.wrong, one.at_work, one.last) == ("leftbit elman seed=0", True, False, 0)
    with pytest.raises(SourceError, match="nowhere"):
        bptt.status("nowhere")


@pytest.mark.parametrize("source", ["latest", "s", "multirun/s", "{id}", "./multirun/s"])
def test_it_is_named_as_elsewhere(capsys: pytest.CaptureFixture[str], source: str) -> None:
    archived(Path("multirun/s"), parent="ab" * 16)
    archived(Path("multirun/t"), began=1.0)
    _, lines = told(capsys, source.format(id="ab" * 16))
    assert lines[0].startswith("sweep s: ")


def test_a_sweep_that_is_trained(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    archive = begin_half(Path("multirun/s"))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    # Ten seconds ago training began; since then four runs have ended, and half of two others is done.
    began = now - 12
    for block in (0, 1):
        (held,) = {archive.folder / "blocks" / f"{block:06d}"}
        for path in held.iterdir():
            path.unlink()
        held.rmdir()
        archive.write_block(block, [replace(result, began=now - 10, ended=now - 5) for result in results(block)])
    sign = replace(make_sign(worked=30.0), began=began, seen=now - 1)
    write_sign(archive.folder / PROGRESS, sign)
    running = replace(make_sign(runs=2, update=50, last=100, since=now - 4), began=now - 4, seen=now)
    write_sign(archive.folder / "blocks" / f"block-2.{PROGRESS}", running)
    stale = replace(running, began=began - 100, seen=began - 50)  # of a process that was killed
    write_sign(archive.folder / "blocks" / f"block-3.{PROGRESS}", stale)
    with file_lock(archive.folder / LOCK):
        before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
        code, lines = told(capsys)
        assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before
    assert code == 0
    assert lines == [
        "sweep s: is being trained: 4 of 9 runs (44 %), after 42.0 s; 8 s left",
        "  ended    2 completed, 1 diverged, 1 early stopped",
        "  speed    0.5 runs/s",
        "  running  2 runs, update 50 of 100 (50 %), block 2",
        f"  process  {os.getpid()} on {sign.host}",
        "  files    multirun/s",
    ]
    # The lock is free: its process is gone.
    code, lines = told(capsys)
    assert code == 1
    assert lines == [
        f"sweep s: was killed, its process {os.getpid()} on {sign.host} is gone: 4 of 9 runs (44 %), after 41.0 s",
        "  ended    2 completed, 1 diverged, 1 early stopped",
        "  go on    bptt resume multirun/s",
        "  files    multirun/s",
    ]


def test_a_sweep_that_another_machine_trains(capsys: pytest.CaptureFixture[str]) -> None:
    archive = begin_half(Path("multirun/s"))
    sign = replace(make_sign(), host="another", began=time.time() - 500, seen=time.time() - 490)
    write_sign(archive.folder / PROGRESS, sign)
    code, lines = told(capsys)
    assert code == 0
    assert lines[0].startswith("sweep s: is being trained: 4 of 9 runs (44 %), after 10.0 s")
    assert lines[-2].startswith(f"  process  {os.getpid()} on another, seen 490 s ago")
    os.utime(archive.folder / PROGRESS, (time.time() - 100,) * 2)
    code, lines = told(capsys)
    assert code == 1
    assert lines[0].startswith(f"sweep s: was killed, its process {os.getpid()} on another is gone: 4 of 9")


def test_stages_that_are_to_come_count(capsys: pytest.CaptureFixture[str]) -> None:
    tuning = [TunedSetting(seeds=[0, 1, 2], trials=[[0, 1], [2, 3]]), TunedSetting(seeds=[0, 1, 2], trials=[[4, 5]])]
    archive = begin_half(Path("multirun/s"), tuning=tuning)
    archive.write_jobs([replace(job, stage="tuning") for job in jobs()])
    _, lines = told(capsys)
    assert ": 4 of 15 runs (26 %)" in lines[0]
    assert lines[2] == "  stages   tuning 4 of 9, result 0 of 6"
    stages = ("tuning", "tuning", "tuning", "tuning", "tuning", "result", "result", "confirming", "confirming")
    archive.write_jobs([replace(job, stage=stage) for job, stage in zip(jobs(), stages, strict=True)])  # type: ignore[arg-type]
    _, lines = told(capsys)
    assert ": 4 of 9 runs (44 %)" in lines[0]
    assert lines[2] == "  stages   tuning 4 of 5, result 0 of 2, confirming 0 of 2"


def test_a_search_has_as_many_runs_as_it_asks_for(capsys: pytest.CaptureFixture[str]) -> None:
    begin_half(Path("multirun/s"), search=True, trials=40)
    _, lines = told(capsys)
    assert ": 4 of 40 runs (10 %)" in lines[0]
    again = f"bptt train -m model=elman,lstm ++hydra.sweeper.storage={Path('multirun/s').absolute()}/study.db"
    assert lines[-2] == f"  go on    {again}"


def test_what_the_store_has_not_got_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    archive = archived(Path("multirun/s"), status="FINISHED", experiment="bptt")
    archive.mark_stored(0)
    assert told(capsys)[1][-2] == "  store    has not got 4 of 5 blocks: bptt sync multirun/s"


def write_run(folder: Path, **changes: Any) -> None:
    folder.mkdir()
    given = {"run_id": None, "uri": None, "experiment": None, "name": "leftbit elman seed=0", "digest": "d"}
    write_journal(folder, Journal(**{**given, "numerical_version": "v", "current_folder": "/", **changes}))
    (folder / "config.yaml").write_text("{}")


def test_a_single_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    one = Path("multirun/runs/one")
    write_run(one)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    sign = replace(make_sign(update=300, first=100, last=1000, since=now - 10), began=now - 15, seen=now)
    write_sign(one / PROGRESS, sign)
    with file_lock(one / LOCK):
        assert told(capsys, "one") == (
            0,
            [
                "run leftbit elman seed=0: is being trained: update 300 of 1,000 (30 %), after 15.0 s; 35 s left",
                f"  process  {os.getpid()} on {sign.host}",
                "  files    multirun/runs/one",
            ],
        )
    code, lines = told(capsys, "one")
    gone = f"was killed, its process {os.getpid()} on {sign.host} is gone: update 300 of 1,000 (30 %), after 15.0 s"
    assert (code, lines[0]) == (1, f"run leftbit elman seed=0: {gone}")
    assert lines[1] == "  go on    bptt resume multirun/runs/one"
    (one / PROGRESS).unlink()
    for changes, code, line in (
        (
            {"status": "FINISHED", "outcome": "early_stopped", "seconds": 2.0},
            0,
            "has ended, early stopped, after 2.0 s",
        ),
        ({"status": "KILLED", "seconds": 0.0}, 1, "was interrupted"),
        ({"status": "FAILED"}, 1, "failed"),
    ):
        write_journal(one, replace(read_journal(one), **changes))
        (one / "traceback.txt").write_text("Traceback …\nValueError: planted\n")
        found, lines = told(capsys, "multirun/runs/one")
        assert (found, lines[0]) == (code, f"run leftbit elman seed=0: {line}" if code else lines[0])
        assert line in lines[0]
    assert "  failed   ValueError: planted" in lines


def test_it_watches_until_the_end(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    archive = begin_half(Path("multirun/s"))
    held = file_lock(archive.folder / LOCK)
    held.__enter__()
    waited = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            for block in (2, 3, 4):
                archive.write_block(block, [result for result in results(block) if result.status != "FAILED"])
        if len(waited) == 3:
            archive.write_journal(replace(archive.journal, status="FINISHED"))
            held.__exit__(None, None, None)

    monkeypatch.setattr(time, "sleep", wait)
    code, lines = told(capsys, "--watch")
    assert (code, waited) == (0, [2.0] * 3)
    # What is as it was is not said again.
    assert [line.split(", after")[0] for line in lines if line.startswith("sweep")] == [
        "sweep s: is being trained: 4 of 9 runs (44 %)",
        "sweep s: is being trained: 6 of 9 runs (66 %)",
        "sweep s: has ended: 6 of 9 runs (66 %)",
    ]


def test_ctrl_c_ends_the_watch_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    archive = begin_half(Path("multirun/s"))
    monkeypatch.setattr(time, "sleep", interrupt)
    with file_lock(archive.folder / LOCK):
        code, lines = told(capsys, "--watch")
    assert code == 0
    assert lines[0].startswith("sweep s: is being trained")


def test_a_real_sweep_is_followed_and_keeps_its_bits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    advance = Training.advance

    def look(self: Training) -> Any:
        points = advance(self)
        if len(seen) < 2:
            seen.append(status._SweepLook(Path("multirun/s")).report().lines)
        return points

    monkeypatch.setattr(Training, "advance", look)
    asked = (*SMALL, "tracking.enabled=false", "model.hidden_size=2,3", "seed=0,1")
    watched = bptt.sweep([*asked, "hydra.sweep.dir=multirun/s"])
    first, second = seen
    assert first[0].startswith("sweep s: is being trained: 0 of 4 runs (0 %), after ")
    assert first[1].split(", block")[0] == "  running  2 runs, update 0 of 20 (0 %)"
    assert second[0].startswith("sweep s: is being trained: 0 of 4 runs")
    code, lines = told(capsys)
    assert code == 0
    assert lines[0].startswith("sweep s: has ended: 4 of 4 runs (100 %), after ")
    assert lines[1:] == ["  ended    4 completed", "  files    multirun/s"]
    assert not [path for path in Path("multirun").rglob("*") if PROGRESS in path.name]
    assert watched.seconds == SweepFolder.open(Path("multirun/s")).journal.seconds > 0

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(progress, "write_text", refuse)
    monkeypatch.setattr(Training, "advance", advance)
    unseen = bptt.sweep([*asked, "hydra.sweep.dir=multirun/t"])
    for number in range(4):
        mine, other = (one.recording.record(number) for one in (watched, unseen) if one.recording is not None)
        assert mine is not None
        assert other is not None
        assert all(np.array_equal(mine.parameters[name], other.parameters[name]) for name in mine.parameters)
        assert all(
            np.array_equal(mine.history[name], other.history[name], equal_nan=True)
            for name in mine.history.keys() - TIMED
        )


def test_the_time_of_all_sessions_is_the_sweeps(capsys: pytest.CaptureFixture[str]) -> None:
    swept = bptt.sweep([*SMALL, "tracking.enabled=false", "seed=0,1", "hydra.sweep.dir=multirun/s"])
    archive = SweepFolder.open(Path("multirun/s"))
    assert swept.seconds is not None
    journal = archive.journal
    for path in (archive.folder / "blocks" / "000000").iterdir():
        path.unlink()
    (archive.folder / "blocks" / "000000").rmdir()
    archive.write_journal(replace(journal, status="RUNNING", seconds=100.0))
    write_sign(archive.folder / PROGRESS, replace(make_sign(), began=1000.0, seen=1040.0))  # and then it was killed
    assert main(["resume", "multirun/s"]) == 0
    out = capsys.readouterr().out
    seconds = archive.journal.seconds
    assert 140.0 < seconds < 200.0
    assert (
        f"sweep s: 2 runs in {seconds:.1f} s: 2 completed" in out.splitlines()[0] or f"{seconds // 60:.0f} min" in out
    )
    assert bptt.load("s").seconds == seconds
    assert told(capsys)[1][0].startswith("sweep s: has ended: 2 of 2 runs (100 %), after 2 min ")


def test_neither_mlflow_nor_anything_else_that_is_slow_is_imported() -> None:
    archived(Path("multirun/s"))
    slow = ("mlflow", "pandas", "numba", "scipy", "hydra", "sqlalchemy", "matplotlib", "seaborn")
    code = (
        f"import sys\nfrom bptt.cli.main import main\nmain(['status'])\nprint([m for m in {slow} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "changes", [{"seconds": "x"}, {"seconds": None}, {"trials": "x"}, {"status": 3}, {"tuning": [{"seeds": 1}]}]
)
def test_what_is_no_journal_is_told_in_a_line(capsys: pytest.CaptureFixture[str], changes: dict[str, Any]) -> None:
    archive = archived(Path("multirun/s"))
    noted = asdict(archive.journal) | changes
    (archive.folder / "sweep.json").write_text(json.dumps(noted))
    assert main(["status", "s"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "sweep.json: can't be read" in error


def test_a_reader_that_goes_is_no_folder_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    archived(Path("multirun/s"))

    def break_off(*_: Any) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(status, "print_lines", break_off)
    with pytest.raises(BrokenPipeError):  # of which `main` says nothing
        status.main(["s"])
