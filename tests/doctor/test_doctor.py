"""`bptt doctor` as it is typed: what it prints, its exit codes, and that nothing stops it."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bptt.cli import doctor
from bptt.doctor import examination
from bptt.doctor.finding import Finding, Situation
from tests.program import Folder


@pytest.fixture
def cold(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_everything_is_looked_at_and_nothing_is_left(cold: Folder) -> None:
    done = cold.bptt("doctor", TMPDIR=str(cold.path), BPTT_CACHE_DIR=str(cold.path / "cache"))
    assert (done.returncode, done.stderr) == (0, "")
    assert list(cold.path.iterdir()) == []
    lines = done.stdout.splitlines()
    assert [line for line in lines if line in examination.CHECKS] == list(examination.CHECKS)
    assert lines[-1] == "nothing is wrong"
    assert "       bptt warm" in lines
    for subject in ("bptt", "python", "git", "BLAS", "vectors", "workers", "compiled", "tables", "disk", "TMPDIR"):
        there = any(line.split()[1:2] == [subject] for line in lines)
        assert there == (subject != "tables"), subject


def test_what_is_wrong_ends_it_with_1(cold: Folder) -> None:
    (cold.path / "mlruns" / "0").mkdir(parents=True)
    (cold.path / "mlruns" / "0" / "meta.yaml").touch()
    done = cold.bptt("doctor", "--json", MLFLOW_TRACKING_TOKEN="quiet please", HOME=str(cold.path))
    assert (done.returncode, done.stderr) == (1, "")
    report = json.loads(done.stdout)
    wrong = [finding for finding in report["findings"] if finding["mark"] == "wrong"]
    assert [(finding["concern"], finding["subject"]) for finding in wrong] == [("store", "address")]
    assert wrong[0]["command"] == "mkdir ~/mlruns-file-store && mv ~/mlruns/0 ~/mlruns-file-store"
    assert report["environment"]["packages"]["bptt"] == report["bptt"]
    assert "quiet please" not in done.stdout
    assert str(cold.path) not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--uri", "./mlruns"], "--uri ./mlruns: names a folder"),
        (["--uri", "sqlite:///:memory:"], "--uri sqlite:///:memory:: a store in memory"),
        (["everything"], "bptt doctor: unrecognized arguments: everything; bptt doctor --help says more"),
    ],
)
def test_a_wrong_request_is_refused(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: Any = doctor.main(arguments)
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert capsys.readouterr().err.startswith(says)


def test_a_check_that_fails_says_so_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(_situation: Situation) -> Any:
        yield Finding(subject="first", says="was found")
        raise RuntimeError("the planted\nerror")

    def well(_situation: Situation) -> Any:
        yield Finding(subject="second", says="was found too")

    monkeypatch.setattr(examination, "CHECKS", {"one": failing, "other": well})
    assert doctor.main([]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "one",
        "  ok     first       was found",
        "  wrong  this check  failed: RuntimeError: the planted error",
        "other",
        "  ok     second  was found too",
        "",
        f"wrong  one, this check: {examination._REPORT}",
        "1 thing is wrong",
    ]


def test_a_check_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()

    def hanging(_situation: Situation) -> Any:
        yield Finding(subject="first", says="was found")
        end.wait(60)

    monkeypatch.setattr(examination, "CHECKS", {"one": hanging})
    monkeypatch.setattr(examination, "_SECONDS", 0.2)
    began = time.monotonic()
    first, late = examination.examine_all(None)["one"]
    end.set()
    assert time.monotonic() - began < 10
    assert (first.says, late.mark, late.says) == ("was found", "wrong", "did not end within 0.2 s")


def test_marks_stand_out_on_a_terminal_and_are_words_elsewhere() -> None:
    found = {"one": [Finding(subject="s", says="t", mark="wrong", means="m", command="mend it")]}
    lines = list(doctor._write_lines(found))
    assert [line.plain for line in lines] == [
        "one", "  wrong  s  t", "", "wrong  one, s: m", "       mend it", "1 thing is wrong",
    ]  # fmt: skip
    assert lines[1].style == "bold red"
