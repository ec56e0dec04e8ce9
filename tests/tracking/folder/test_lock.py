import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bptt.tracking.folder.lock import LockedError, file_lock, find_why_taken, is_locked
from tests.bad_input.case import outcome, unchanged


def test_a_held_lock_is_refused_and_free_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    with file_lock(path), pytest.raises(LockedError), file_lock(path, wait=False):
        pass
    with file_lock(path, wait=False):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import os, sys, pathlib\nfrom bptt.tracking.folder.lock import file_lock\n"
        "with file_lock(pathlib.Path(sys.argv[1])): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    with file_lock(path, wait=False):
        pass


def test_who_waits_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys, pathlib, time\nfrom bptt.tracking.folder.lock import file_lock\n"
        "with file_lock(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_locked(path)
        closing = threading.Timer(0.2, holder.stdin.close)
        closing.start()
        with file_lock(path):
            assert holder.stdin.closed
        assert holder.wait() == 0
    assert not is_locked(path)


def test_asking_whether_a_lock_is_held_makes_no_file(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []


SMALL = ["task=xor", "task.length=3", "train.updates=2", "model.hidden_size=2", "tracking.enabled=false"]


def test_a_folder_whose_name_is_not_utf_8_is_not_free(tmp_path: Path) -> None:
    says = "is not UTF-8, and can't be recorded; name another folder"
    assert find_why_taken(tmp_path / "a\udcffb") == says
    assert find_why_taken(tmp_path / "äb") is None


def test_a_folder_that_is_new_or_empty_or_was_hardly_begun_is_free(tmp_path: Path) -> None:
    assert find_why_taken(tmp_path / "new" / "one") is None
    assert find_why_taken(tmp_path) is None
    (tmp_path / "notes.txt").touch()
    assert find_why_taken(tmp_path) is None
    (tmp_path / ".lock").touch()
    (tmp_path / "blocks").mkdir()
    (tmp_path / "config.yaml").touch()
    assert find_why_taken(tmp_path) is None
    (tmp_path / "blocks" / "000000").mkdir()
    assert find_why_taken(tmp_path) == "holds config.yaml, which would be written over; name a folder of its own"


@pytest.mark.parametrize(
    "command", [["train", *SMALL, "hydra.run.dir=f"], ["train", "-m", *SMALL, "seed=1,2", "hydra.sweep.dir=f"]]
)
def test_the_second_of_two_at_once_is_refused(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with file_lock(Path("f") / ".lock"), unchanged(tmp_path):
        found = outcome(command)
    assert (found.code, found.lines) == (2, [f"{command[-1]}: something is being trained there"])


def test_a_run_and_a_sweep_that_were_killed_as_they_began_are_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("run", "sweep"):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        for left in (".lock", "config.yaml" if name == "run" else "jobs.parquet"):
            (tmp_path / name / left).touch()
    for path in ("blocks", "stored"):
        (tmp_path / "sweep" / path).mkdir()
    assert outcome(["train", *SMALL, "hydra.run.dir=run"]).code == 0
    sweep = ["seed=1,2", "hydra.sweep.dir=sweep", "report=false", "hydra.launcher.workers=1"]
    assert outcome(["train", "-m", *SMALL, *sweep]).code == 0
    with unchanged(tmp_path):
        first, second = (
            outcome(["train", *SMALL, "seed=9", f"hydra.run.dir={name}"]).lines[0] for name in ("run", "sweep")
        )
    assert first.startswith("hydra.run.dir=run: holds a run that has finished; name another folder")
    assert second.startswith("hydra.run.dir=sweep: holds a sweep that has finished; name another folder")
