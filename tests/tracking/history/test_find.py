import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.files import write_record
from bptt.tracking.folder.run import Journal, write_journal
from bptt.tracking.history.base import History
from bptt.tracking.history.find import SourceError, find, find_newest_folder
from bptt.tracking.history.from_folder import RunFolderHistory, SweepFolderHistory
from bptt.tracking.history.from_store import RunsStoreHistory, SweepStoreHistory
from bptt.tracking.store.base import Store
from tests.recording import UPDATES, archived, config, record, stored

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

ID = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def sweep(name: str, began: float = 1.0, parent: str | None = None) -> Path:
    return archived(Path("multirun", name), began=began, parent=parent).folder


def single(name: str = "mine", **changes: object) -> Path:
    folder = Path("multirun/runs", name)
    (folder / ".hydra").mkdir(parents=True)
    journal = Journal(
        run_id=ID, uri=None, experiment=None, name="elman seed=0", digest="d", numerical_version="v",
        current_folder="/nowhere", status="FINISHED", outcome="completed",
    )  # fmt: skip
    write_journal(folder, replace(journal, **changes))  # type: ignore[arg-type]
    (folder / "config.yaml").write_text(yaml.safe_dump(config(0)))
    (folder / ".hydra" / "overrides.yaml").write_text("- seed=0\n- model=elman\n")
    left = record([1.0, 0.5, 0.1], [0.25, 1.0, 0.75], "completed")
    assert left is not None
    write_record(folder, left)
    return folder


def recording(source: str | Path, uri: str | None = None) -> tuple[type, Path | None, list[int]]:
    found = find(source, uri)
    return type(found.recording), found.recording.head.folder, sorted(found.numbers)


def test_folders_names_and_ids_of_what_is_here() -> None:
    folder, run = sweep("a sweep", began=9e9, parent=ID[::-1]), single()
    everything = list(range(9))
    for source in (folder, str(folder.absolute()), "a sweep", ID[::-1], "latest"):
        assert recording(source)[0] is SweepFolderHistory
        assert recording(source)[2] == everything
    for source in (run, "mine", ID):
        assert recording(source) == (RunFolderHistory, run, [0])
    assert recording("a sweep:3")[2] == recording(f"{folder}:3")[2] == recording("latest:3")[2] == [3]
    assert recording(f"{ID[::-1]}:model=lstm,alpha=0.1")[2] == [3]
    assert find("a sweep:3").name == "a sweep:3"


def test_a_single_run_is_a_recording_of_one() -> None:
    found = find(single()).recording
    assert found.head.command == ["bptt", "train", "seed=0", "model=elman"]
    assert (found.head.name, found.head.status, found.head.run_id) == ("elman seed=0", "FINISHED", ID)
    (member,) = found.members
    assert (member.digest, member.updates, member.swept) == ("d", UPDATES, {})
    tables = found.tables([0])
    assert tables.runs[["run", "status", "outcome", "updates"]].to_numpy().tolist() == [
        [0, "FINISHED", "completed", 100]
    ]
    assert tables.history["update"].tolist() == [1, 40, 100]
    assert found.gradient_flow([0])["lag"].tolist() == [0, 1, 2, 3] * 3
    assert found.gradient_flow([0], ends_only=True)["update"].tolist() == [1] * 4 + [100] * 4
    assert found.config(0) == config(0)
    left = found.record(0)
    assert left is not None
    assert left.history["loss/eval"].tolist() == [1.0, 0.5, 0.1]


def test_a_single_run_that_has_recorded_nothing_yet() -> None:
    folder = single(status="RUNNING", outcome=None)
    for path in [*folder.glob("*.parquet"), *folder.glob("*.npz")]:
        path.unlink()
    found = find(folder).recording
    assert found.tables([0]).history.empty
    assert found.gradient_flow([0]).empty
    assert found.record(0) is None


def test_the_newest_sweep_is_that_which_was_begun_last() -> None:
    sweep("b", 2.0)
    newest = sweep("a", 3.0)
    sweep("c", 1.0)
    (sweep("d", 4.0) / "sweep.json").write_text("{")
    assert find_newest_folder() == newest
    assert find_newest_folder(Path("multirun").absolute()) == newest.absolute()
    with pytest.raises(SourceError, match="latest: there is no run and no sweep in elsewhere"):
        find_newest_folder(Path("elsewhere"))


def test_the_newest_of_sweeps_and_runs() -> None:
    newest = datetime(2026, 5, 1, 12).timestamp()
    swept = sweep("a sweep", newest)
    run = single("2026-05-01_11-59-59-000000")
    assert find_newest_folder() == swept
    later = single("2026-05-01_12-00-01-000000")
    assert find_newest_folder() == later
    assert find_newest_folder(runs=False) == swept
    assert recording("latest") == (RunFolderHistory, later, [0])
    # One that is named otherwise was begun when its first file was written.
    named = single("mine")
    for path in named.iterdir():
        os.utime(path, (newest + 9, newest + 9))
    os.utime(named / "config.yaml", (newest + 2, newest + 2))
    assert find_newest_folder() == named
    os.utime(named / "config.yaml", (newest, newest))
    assert find_newest_folder() == later
    shutil.rmtree(swept)
    assert find_newest_folder(Path("multirun")) == later
    assert run.exists()
    with pytest.raises(SourceError, match="latest: there is no sweep in multirun"):
        find_newest_folder(runs=False)


def test_the_best_is_asked_of_whoever_knows() -> None:
    sweep("a sweep")
    asked: list[list[int]] = []

    def choose(_recording: History, numbers: Sequence[int]) -> list[int]:
        asked.append(sorted(numbers))
        return [max(numbers)]

    assert find("a sweep:best", choose=choose).numbers == {8}
    part = find("latest:model=lstm:best", choose=choose)
    assert part.numbers == {7}
    assert asked == [list(range(9)), [1, 3, 5, 7]]
    assert part.name == "a sweep:model=lstm:best"
    with pytest.raises(SourceError, match="a sweep:best: a run can't be meant here; name the whole sweep: a sweep"):
        find("a sweep:best")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("latest", "latest: there is no run and no sweep in multirun"),
        ("no/such", "no/such: there is no such folder"),
        ("no/such:model=lstm", "no/such: there is no such folder"),
        ("an empty/folder", "an empty/folder: neither the folder of a sweep nor that of a run"),
        ("nothing", "nothing: there is no such folder, and there is no store here"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(source: str, told: str) -> None:
    Path("an empty/folder").mkdir(parents=True)
    with pytest.raises(SourceError) as caught:
        find(source)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_nearly_right() -> None:
    sweep("hidden size")
    with pytest.raises(SourceError, match=r"hiden size: there is no such folder \(did you mean hidden size\?\)"):
        find("hiden size")


def test_a_damaged_folder_is_told() -> None:
    (sweep("broken") / "sweep.json").write_text("{")
    with pytest.raises(ArchiveError, match=r"broken/sweep\.json: can't be read"):
        find("broken")


def test_names_ids_and_queries_of_a_store(open_experiment: Callable[[], Store], tmp_path: Path) -> None:
    store = open_experiment()
    uri = store.address.uri
    archive = archived(tmp_path / "multirun" / "of the store")
    own = stored(archive, store)
    run_id = find("of the store").recording.tables(range(9)).runs["run_id"][3]

    # The folder is here, and is what is read.
    for source in ("of the store", own.parent):
        assert recording(source, uri) == (SweepFolderHistory, archive.folder.relative_to(tmp_path), list(range(9)))
    assert recording(run_id, uri)[2] == [3]
    archive.folder.parent.rename("away")
    assert recording("of the store", uri) == (RunsStoreHistory, None, list(range(9)))
    own.close("KILLED", None, {}, {})
    for source in ("of the store", own.parent):
        assert recording(source, uri) == (SweepStoreHistory, None, list(range(9)))
    assert recording("of the store:model=lstm", uri)[2] == [1, 3, 5, 7]
    assert recording(run_id, uri) == (RunsStoreHistory, None, [0])
    assert recording("tags.bptt.sweep = 'of the store' and params.model = 'lstm'", uri)[2] == [0, 1, 2]

    for source, told in (
        (ID, f"{ID}: there is no such folder, and neither the name of a sweep nor a run in sqlite:///"),
        ("of a store", "of a store: there is no such folder, and neither the name of a sweep nor a run in sqlite:///"),
        ("params.model = 'none'", "params.model = 'none': no run in sqlite:///"),
        ("params.model = none", "params.model = none: not a query that MLflow understands: "),
        ("of the store:12", ":12: there is no such run; they are numbered 0 to 8"),
    ):
        with pytest.raises(SourceError) as caught:
            find(source, uri)
        assert str(caught.value).startswith(told)
        assert "\n" not in str(caught.value)

    again = stored(archived(Path("again", "of the store"), began=2.0), store)
    with pytest.raises(SourceError, match="several sweeps have this name; say which, by its run's id: ") as caught:
        find("of the store", uri)
    assert {own.parent, again.parent} <= {*str(caught.value).split()}


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg://me:secret@127.0.0.1:1/db")
    with pytest.raises(Exception, match=r"me:\*\*\*@") as caught:
        find("a sweep")
    assert "secret" not in str(caught.value)
    assert type(caught.value).__name__ == "StoreError"


def test_where_there_is_no_such_store(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"none\.db: there is no such store"):
        find("a sweep", f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_not_mlflows(tmp_path: Path) -> None:
    Path("other.db").touch()
    with pytest.raises(Exception, match="no such table") as caught:
        find("a sweep", f"sqlite:///{tmp_path}/other.db")
    assert "\n" not in str(caught.value)


def test_what_it_notes_is_json() -> None:
    assert json.loads((sweep("noted") / "sweep.json").read_text())["name"] == "noted"
