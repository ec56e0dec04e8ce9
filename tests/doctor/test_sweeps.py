"""Sweeps that were broken off or did not reach the store, and runs: the command that is printed does what is left."""

import json
import shlex
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bptt
from bptt.cli import sync
from bptt.doctor import sweeps
from bptt.doctor.finding import Finding, Situation
from bptt.tracking.folder.files import LOCK, dump_config
from bptt.tracking.folder.lock import file_lock
from bptt.tracking.folder.run import Journal, write_journal
from bptt.tracking.folder.sweep import SweepFolder, going_on
from bptt.tracking.provenance.digest import compute_version
from tests.doctor.faults import carried_out, of, wrong
from tests.recording import archived

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version


def found(folder: Path) -> list[Finding]:
    return list(sweeps.examine(Situation(folder=folder)))


def left(folder: Path) -> list[Finding]:
    return [finding for finding in found(folder) if finding.mark != "ok"]


def test_nothing_was_swept_yet(tmp_path: Path) -> None:
    assert of(found(tmp_path), "multirun/").says == "0 sweeps and 0 single runs"


def test_what_a_sweep_lacks_is_trained_and_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    small = ["task=xor", "model.hidden_size=1,2", "train.updates=3", "report=false", "hydra.sweep.dir=multirun/s"]
    bptt.sweep([*small, "hydra.launcher.workers=1"])
    archive = SweepFolder.open(Path("multirun/s"))
    assert left(tmp_path) == []

    last = max(archive.blocks())
    shutil.rmtree(archive.folder / "blocks" / f"{last:06d}")
    for folder, name in (("stored", f"{last:06d}"), ("stored", f"{min(archive.blocks()):06d}")):
        (archive.folder / folder / name).unlink()
    archive.write_journal(replace(archive.journal, status="KILLED"))
    before = {path: path.stat().st_mtime_ns for path in Path("multirun").rglob("*")}
    missing, unsent = left(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in Path("multirun").rglob("*")} == before
    assert (missing.mark, missing.says) == ("note", "1 of 2 runs are missing")
    assert missing.command == "bptt resume multirun/s"
    assert (unsent.mark, unsent.says) == ("wrong", "the store has not got 1 of its 1 blocks")
    assert unsent.command == "bptt sync multirun/s"

    carried_out(missing.command, tmp_path)  # which sends too what the store has not got
    assert left(tmp_path) == []
    with closing(sqlite3.connect(tmp_path / "mlflow.db", timeout=60)) as connection:
        connection.execute("UPDATE runs SET lifecycle_stage = 'deleted' WHERE name LIKE '%size=2'")
        connection.commit()
    (lost,) = wrong(found(tmp_path))
    assert (lost.says, lost.command) == ("the store lacks 1 of its 3 runs", "bptt sync multirun/s")
    (tmp_path / "mlflow.db").rename(tmp_path / "elsewhere.db")
    assert [one.says for one in wrong(found(tmp_path))] == ["the store lacks 3 of its 3 runs"]
    (tmp_path / "elsewhere.db").rename(tmp_path / "mlflow.db")
    assert sync.main(lost.command.split()[2:]) == 0
    assert left(tmp_path) == []
    (archive.folder / "stored" / f"{last:06d}").unlink()
    (unsent,) = wrong(found(tmp_path))
    assert unsent.command == "bptt sync multirun/s"
    assert sync.main(unsent.command.split()[2:]) == 0
    assert left(tmp_path) == []


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def made(**changes: Any) -> Path:
        return archived(tmp_path / "multirun" / "a b", **changes).folder

    return made


def test_a_sweep_that_is_being_trained_is_left_alone(folder: Callable[..., Path], tmp_path: Path) -> None:
    with file_lock(folder() / LOCK):
        assert of(found(tmp_path), "multirun/a b").says == "is being trained"
    assert [finding.subject for finding in left(tmp_path)] == ["multirun/a b"]


def test_only_the_program_that_began_a_sweep_goes_on_with_it(folder: Callable[..., Path], tmp_path: Path) -> None:
    folder(numerical_version="another")
    (missing,) = left(tmp_path)
    assert (missing.says, missing.command) == ("1 of 9 runs are missing", "")


def test_a_search_goes_on_with_its_study(folder: Callable[..., Path], tmp_path: Path) -> None:
    where = folder(search=True)
    (search,) = left(tmp_path)
    assert search.command == f"bptt train -m model=elman,lstm '++hydra.sweeper.storage={where}/study.db'"
    again = shlex.split(search.command)  # broken off once more, the study is the same
    assert going_on(again, where) == again


def test_a_sweep_that_cannot_be_read(folder: Callable[..., Path], tmp_path: Path) -> None:
    (folder() / "sweep.json").write_text("{")
    (broken,) = wrong(found(tmp_path))
    assert broken.command == "bptt rm 'multirun/a b'"


def test_a_run_that_was_broken_off(tmp_path: Path) -> None:
    run = tmp_path / "multirun" / "runs" / "one"
    run.mkdir(parents=True)
    journal = Journal(
        run_id=None, uri=None, experiment=None, name="one", digest="d", numerical_version=compute_version(),
        current_folder=str(tmp_path), status="KILLED",
    )  # fmt: skip
    write_journal(run, journal)
    (run / "config.yaml").write_text(dump_config({"allow": ["mine"]}))
    (broken,) = left(tmp_path)
    assert broken.command == "bptt resume multirun/runs/one --allow mine"
    with file_lock(run / LOCK):
        assert left(tmp_path) == []
    write_journal(run, replace(journal, numerical_version="another"))
    assert left(tmp_path)[0].command == ""
    write_journal(run, replace(journal, status="FINISHED"))
    assert left(tmp_path) == []
    (run / "run.json").write_text(json.dumps({"run_id": 1}))
    assert left(tmp_path)[0].says.startswith(f"{run}/run.json: can't be read")
