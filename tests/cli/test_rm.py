"""`bptt rm` on small sweeps."""

import os
import pty
import shutil
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from bptt.cli.rm import main
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.lock import file_lock
from bptt.tracking.folder.sweep import SweepFolder, SweepJournal
from bptt.tracking.store.base import Store
from bptt.tracking.store.logs import SweepLog
from bptt.tracking.store.opening import open_store
from bptt.tracking.store.runs import RunToWrite
from tests.empty_store import put_empty_store
from tests.program import Folder

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    put_empty_store(folder)
    return folder


@pytest.fixture
def work(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a store that the tests share."""
    monkeypatch.chdir(shared)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return shared


def sweep(work: Path, name: str) -> tuple[Store, SweepLog, Path]:
    """A sweep of two runs in the folder's store, as it stands when it was trained."""
    store = open_store("sqlite:///mlflow.db", "bptt")
    record = SweepLog.begin(store, name, {}, "")
    given = RunToWrite(
        key=sha256(name.encode()).hexdigest()[:31] + "0",
        name="seed=0",
        status="FINISHED",
        params={"seed": "0"},
        tags={},
        began=1e9,
        ended=1e9,
        history={"update": np.array([1]), "loss/train": np.array([0.5])},
        files={"config.yaml": b"seed: 0\n"},
    )
    record.write([given, replace(given, key=given.key[:-1] + "1")])
    journal = SweepJournal(
        name=name,
        command=["bptt"],
        began=1e9,
        uri=store.address.shown,
        experiment="bptt",
        parent=record.parent,
        numerical_version="v",
        current_folder=str(work),
        swept=["seed"],
        duplicates=0,
    )
    job = SweepJob(number=0, name="seed=0", digest="d", block=0, swept={}, overrides=[], config={})
    folder = work / "multirun" / name
    SweepFolder.create(folder, journal, [job])
    (folder / "figures").mkdir()
    (folder / "figures" / "loss.png").write_bytes(b"png")
    return store, record, folder


def runs(store: Store) -> set[str]:
    from mlflow.entities import ViewType

    return {run.info.run_id for run in store.client.search_runs([store.experiment_id], "", ViewType.ALL)}


def artifacts(store: Store) -> set[str]:
    assert store.address.artifacts is not None
    return {path.name for path in (store.address.artifacts / "bptt").iterdir()}


@pytest.mark.parametrize("by", ["name", "folder", "absolute folder", "run"])
def test_a_sweep_is_gone_from_the_store_and_the_disk(work: Path, capfd: pytest.CaptureFixture[str], by: str) -> None:
    store, _, other = sweep(work, f"kept {by}")
    before = runs(store), artifacts(store)
    _, record, folder = sweep(work, f"2001-02-03 {by}")
    words = {"name": folder.name, "folder": f"multirun/{folder.name}", "run": record.parent}
    assert main([words.get(by, str(folder)), "--yes"]) == 0
    shown = folder if by != "run" else "none here"
    deleted = f"3 runs and {folder}" if by != "run" else "3 runs"
    assert capfd.readouterr() == (
        f"sweep {folder.name}\n"
        "  runs    2 and the sweep's own, with their artifacts, RUNNING as far as the store knows\n"
        f"  in      experiment bptt of sqlite:///{work}/mlflow.db\n"
        f"  folder  {shown}\n"
        f"deleted {deleted}\n",
        "",
    )
    assert folder.exists() is (by == "run")
    assert (runs(store), artifacts(store)) == before
    assert other.is_dir()


@pytest.mark.parametrize(("answer", "gone"), [("y", True), ("Yes", True), ("", False), ("no", False), (None, False)])
def test_it_asks_first(
    work: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], answer: str | None, gone: bool
) -> None:
    store, record, folder = sweep(work, f"asked {answer}")

    def asked(question: str) -> str:
        assert question == "Delete all of this for good? [y/N] "
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("builtins.input", asked)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert main([folder.name]) == 0
    assert capfd.readouterr().out.endswith(f"deleted 3 runs and {folder}\n" if gone else "\nnothing was deleted\n")
    assert folder.exists() is not gone
    assert (record.parent in runs(store)) is not gone


def test_the_question_is_asked_on_a_terminal(work: Path) -> None:
    store, record, folder = sweep(work, "on a terminal")
    ours, theirs = pty.openpty()
    os.write(ours, b"y\n")
    command = Folder.command("rm", folder.name)
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Delete all of this for good? [y/N] " in done.stdout
    assert not folder.exists()
    assert record.parent not in runs(store)


def test_what_can_not_be_done_is_told_in_one_line(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store, _, folder = sweep(work, "refused")
    twins = [SweepLog.begin(store, "twins", {}, "").parent for _ in range(2)]
    before = runs(store), artifacts(store)
    (work / "multirun" / "other").mkdir(parents=True)
    damaged = work / "multirun" / "damaged"
    damaged.mkdir()
    (damaged / "sweep.json").write_text("{")

    def refused(*arguments: str) -> str:
        assert main(arguments) == 2
        error = capfd.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "it asks first, which takes a terminal, or --yes" in refused(str(folder))
    assert "multirun/other: not the folder of a sweep (it holds no sweep.json)" in refused("multirun/other", "--yes")
    assert "multirun/none: there is no such folder" in refused("multirun/none", "--yes")
    assert "sweep.json: can't be read" in refused("damaged", "--yes")
    assert "none: neither a sweep's folder here, nor a sweep in sqlite:///" in refused("none", "--yes")
    several = refused("twins", "--yes")
    assert "twins: several sweeps have this name" in several
    assert all(parent in several for parent in twins)
    assert "none.db: there is no such store" in refused("refused", "--yes", "--uri", "sqlite:///none.db")
    assert not (work / "none.db").exists()
    with file_lock(folder / ".lock"):
        assert "this sweep is still going on, in another process" in refused(str(folder), "--yes")
    assert (runs(store), artifacts(store)) == before
    assert (folder / "sweep.json").is_file()
    assert (folder / "figures" / "loss.png").is_file()


@pytest.mark.parametrize("parent", [None, "0" * 32])
def test_a_sweep_that_the_store_does_not_have_leaves_its_folder(
    work: Path, capfd: pytest.CaptureFixture[str], parent: str | None
) -> None:
    store, _, folder = sweep(work, f"unstored {parent}")
    archive = SweepFolder.open(folder)
    archive.write_journal(replace(archive.journal, parent=parent))
    before = runs(store)
    assert main([folder.name, "--yes"]) == 0
    assert "  runs    none in the store\n" in capfd.readouterr().out
    assert not folder.exists()
    assert runs(store) == before


def test_a_folder_that_can_not_be_deleted_is_told_and_gone_on_with(
    work: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    store, record, folder = sweep(work, "stubborn")
    real = shutil.rmtree

    def stubborn(path: Path) -> None:
        if path.name == "figures":
            raise PermissionError(13, "Permission denied", str(path))
        real(path)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", stubborn)
        assert main(["stubborn", "--yes"]) == 1
    error = capfd.readouterr().err
    assert "Permission denied" in error
    assert error.endswith("not all of it was deleted; the same command goes on\n")
    assert record.parent not in runs(store)
    assert main(["stubborn", "--yes"]) == 0
    assert not folder.exists()


def test_a_link_to_a_sweep_s_folder_deletes_what_it_leads_to(work: Path, tmp_path: Path) -> None:
    _, _, folder = sweep(work, "linked")
    link, beside = tmp_path / "link", tmp_path / "beside"
    link.symlink_to(folder)
    beside.mkdir()
    (beside / "precious").touch()
    (folder / "elsewhere").symlink_to(beside)
    assert main([str(link), "--yes"]) == 0
    assert not folder.exists()
    assert (beside / "precious").exists()


def test_a_folder_does_not_get_another_sweep_s_runs_deleted(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, ours, _ = sweep(work, "ours")
    _, _, theirs = sweep(work, "theirs")
    archive = SweepFolder.open(theirs)
    archive.write_journal(replace(archive.journal, parent=ours.parent))
    assert main([str(theirs), "--yes"]) == 2
    assert capsys.readouterr().err == ("theirs: its folder names a run of the store that is of another sweep, ours\n")
    assert ours.parent in runs(store)
    assert theirs.is_dir()
