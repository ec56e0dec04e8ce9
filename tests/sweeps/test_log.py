"""What is mended without a word is told in the end and kept with the sweep; what needs no mending is not spoken of."""

import json
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from bptt.cli.main import main
from bptt.tracking.folder.progress import SWEEP_LOG, keep_log
from bptt.tracking.folder.sweep import SweepFolder

SWEEP = (
    "train", "-m", "experiment=roelants_counting", "train.updates=60", "train.log_points=30", "seed=range(4)",
    "report=false", "tracking.enabled=false",
)  # fmt: skip
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def kill_a_worker() -> None:
    """Kill the first of loky's processes that is there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for child in psutil.Process().children():
            if "popen_loky_posix" in " ".join(child.cmdline()):
                os.kill(child.pid, signal.SIGKILL)
                return
        time.sleep(0.01)


def newest() -> Path:
    return max(path for path in Path("multirun").iterdir() if path.name != "runs")


def journal(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
def test_a_killed_worker_is_told_of_counted_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    killer = threading.Thread(target=kill_a_worker)
    killer.start()
    several = [word.replace("range(4)", "range(32)") for word in SWEEP]  # of which several blocks are made
    assert main([*several, "hydra.launcher.workers=2"]) == 0
    killer.join()
    folder = newest()
    retried = journal(folder)["retried"]
    assert retried in (1, 2)  # the other worker's block is lost with the killed one's, where it had one
    times = "once" if retried == 1 else "2 times"
    said = capsys.readouterr()
    assert f"trained again {times}, as workers died: {folder / SWEEP_LOG} says when\n" in said.out
    assert "sigkill" not in said.err.lower()
    lines = (folder / SWEEP_LOG).read_text(encoding="utf-8").splitlines()
    first, *others = lines
    assert re.fullmatch(rf"{_TIME} bptt\.sweeps\.workers\.processes: a worker process died, SIGKILL\(-9\), .+", first)
    blocks = [re.fullmatch(rf"{_TIME} bptt\.sweeps\.session: block (\d+), of \d+ runs, is trained again: .+", line)
              for line in others]  # fmt: skip
    assert len(others) == retried
    assert all(blocks)
    assert {result.status for result in SweepFolder.open(folder).ended()} == {"FINISHED"}


def test_an_undisturbed_sweep_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SWEEP, "hydra.launcher.workers=1"]) == 0
    said = capsys.readouterr()
    assert "again" not in said.out + said.err
    assert [line for line in said.err.splitlines() if line != "training 4 runs"] == []
    assert journal(newest())["retried"] == 0
    assert not (newest() / SWEEP_LOG).exists()


@pytest.mark.parametrize("verbose", ["true", "bptt.sweeps.session"])
def test_verbose_shows_the_log(verbose: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().level
    try:
        assert main([*SWEEP, "hydra.launcher.workers=1", f"hydra.verbose={verbose}"]) == 0
    finally:
        logging.getLogger().setLevel(before)
        logging.getLogger("bptt.sweeps.session").setLevel(logging.NOTSET)
    said = capsys.readouterr()
    assert re.search(r"INFO +bptt\.sweeps\.session: block 0 has ended, with 4 runs\n", said.err)
    assert logging.getLogger("bptt").handlers == [
        handler for handler in logging.getLogger("bptt").handlers if isinstance(handler, logging.NullHandler)
    ]


def test_a_single_run_is_quiet_and_verbose_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    run = [word for word in SWEEP if word not in ("-m", "seed=range(4)", "report=false")]
    before = logging.getLogger().level
    assert main(run) == 0
    assert "bptt." not in capsys.readouterr().err
    try:
        assert main([*run, "hydra.verbose=true"]) == 0
    finally:
        logging.getLogger().setLevel(before)
    assert re.search(r"INFO +bptt\.sweeps\.single: .+ is trained in .+multirun/runs/", capsys.readouterr().err)


def test_a_sweep_without_the_count_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SWEEP, "hydra.launcher.workers=1"]) == 0
    folder = newest()
    older = journal(folder)
    del older["retried"], older["sha256"]
    (folder / "sweep.json").write_text(json.dumps(older), encoding="utf-8")
    assert SweepFolder.open(folder).journal.retried == 0
    assert main(["resume", str(folder)]) == 0
    assert "again" not in capsys.readouterr().out


def test_only_warnings_are_kept_without_passwords_and_never_elsewhere(tmp_path: Path) -> None:
    log = logging.getLogger("bptt.sweeps.session")
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / SWEEP_LOG).symlink_to(elsewhere)
    said: list[Callable[..., None]] = [log.info, log.warning]
    for folder in (tmp_path, tmp_path / "linked", tmp_path / "gone"):
        with keep_log(folder):
            for say in said:
                say("the store at\nhttp://me:%s@nowhere is away", "secret")
    log.warning("of no sweep")
    (line,) = (tmp_path / SWEEP_LOG).read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(rf"{_TIME} bptt\.sweeps\.session: the store at http://me:\*\*\*@nowhere is away", line)
    assert not elsewhere.exists()
