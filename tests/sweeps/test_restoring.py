"""What was lost in a store comes back from the folders: with `bptt sync`, in stores of both kinds, and once."""

import os
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import bptt
from bptt.cli.main import main
from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.sweeps import restoring
from bptt.sweeps.single import illustrate_run, train_single
from bptt.tracking.folder.block import read_table
from bptt.tracking.folder.run import read_journal
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.store import connecting
from bptt.tracking.store.address import Address, StoreError, resolve_address
from bptt.tracking.store.base import Store
from bptt.tracking.store.client import ClientStore
from bptt.tracking.store.connecting import connect
from bptt.tracking.store.tables import Database
from bptt.tracking.store.writers import ClientWriter, DatabaseWriter
from tests.empty_store import put_empty_store

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

TINY = ("task=leftbit", "train.updates=20", "train.log_points=2")


@dataclass
class Place:
    """A folder with a sweep of three runs and a single run, all of which the store has."""

    folder: Path
    whole: Path

    @property
    def database(self) -> Path:
        return self.folder / "mlflow.db"

    @property
    def archive(self) -> SweepFolder:
        return SweepFolder.open(self.folder / "multirun" / "s")

    @property
    def single(self) -> Path:
        return self.folder / "multirun" / "runs" / "r"

    @property
    def client(self) -> Any:
        return connect(resolve_address(f"sqlite:///{self.database}"))

    @property
    def parent(self) -> str:
        parent = self.archive.journal.parent
        assert parent is not None
        return parent

    @property
    def children(self) -> list[str]:
        return list(self.archive.run_ids().values())

    def execute(self, *statements: str) -> list[Any]:
        with closing(sqlite3.connect(self.database, timeout=60)) as connection:
            rows = [row for statement in statements for row in connection.execute(statement).fetchall()]
            connection.commit()
            return rows

    def read(self) -> dict[str, list[Any]]:
        """All that the store has, but for the moment, and what is named after a sweep's own run: that is `own` here."""
        runs = "SELECT run_uuid FROM runs WHERE run_uuid NOT IN (SELECT run_uuid FROM tags WHERE key = 'bptt.sweep'"
        runs += " AND run_uuid NOT IN (SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId'))"
        found = {
            table: self.execute(f"SELECT {columns} FROM {table} WHERE run_uuid IN ({runs}) ORDER BY {columns}")
            for table, columns in {
                "metrics": "run_uuid, key, step, value, is_nan",
                "latest_metrics": "run_uuid, key, step, value, is_nan",
                "params": "run_uuid, key, value",
            }.items()
        }
        tags = "('mlflow.parentRunId', 'mlflow.source.name', 'mlflow.user', 'mlflow.log-model.history')"
        rows = self.execute(
            f"SELECT * FROM tags WHERE run_uuid IN ({runs}) AND key NOT IN {tags} ORDER BY run_uuid, key"
        )
        now = f"bptt.setting.{self.parent}"  # those with other ids are of own runs that are gone
        found["tags"] = [
            ("bptt.setting.own" if key == now else key, *rest)
            for key, *rest in rows
            if key == now or not key.startswith("bptt.setting.")
        ]
        found["runs"] = self.execute(
            f"SELECT run_uuid, name, status, lifecycle_stage FROM runs WHERE run_uuid IN ({runs}) ORDER BY run_uuid"
        )
        found["stages"] = self.execute("SELECT name, status, lifecycle_stage FROM runs ORDER BY name")
        return found

    def list_files(self) -> dict[str, int]:
        """Run → how many files that hold something it has among its artifacts; the sweep's own is called `own`."""
        found = {}
        for run_id, uri in self.execute("SELECT run_uuid, artifact_uri FROM runs WHERE lifecycle_stage = 'active'"):
            paths = [path for path in Path(uri.removeprefix("file://")).rglob("*") if path.is_file()]
            found["own" if run_id == self.parent else run_id] = sum(path.stat().st_size > 0 for path in paths)
        return found


class Quiet:
    def say(self, text: str) -> None: ...
    def progress(self, name: str, updates: int, done: int) -> Any:
        from contextlib import nullcontext

        class Point:
            def point(self, *_: Any) -> None: ...

        return nullcontext(Point())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("restoring") / "project"
    folder.mkdir()
    before = Path.cwd()
    os.chdir(folder)
    try:
        put_empty_store(folder)
        bptt.sweep([*TINY, "seed=0,1,2", "report=false", "hydra.sweep.dir=multirun/s"])
        single = folder / "multirun" / "runs" / "r"
        single.mkdir(parents=True)
        illustrate_run(train_single(check_configuration(compose([*TINY, "seed=7"])), single, Quiet()), Quiet())
    finally:
        os.chdir(before)
    whole = folder.with_name("whole")
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(folder, whole)
    return Place(folder, whole)


@pytest.fixture
def place(made: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    shutil.rmtree(made.folder)
    shutil.copytree(made.whole, made.folder)
    monkeypatch.chdir(made.folder)
    monkeypatch.setattr(restoring, "_WAITS", (0.01, 0.01))
    return made


@pytest.fixture(params=["tables", pytest.param("client", marks=pytest.mark.slow)])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same database, asked through its tables or, as a server is, in MLflow's words."""
    if request.param == "client":

        def through_the_client(address: Address) -> Store:
            return ClientStore(address, connect(address))

        monkeypatch.setattr(connecting, "KNOWN_REVISIONS", frozenset())
        monkeypatch.setattr(Database, "of", lambda _address, _client: None)
        monkeypatch.setattr(restoring, "open_address", through_the_client)
    return str(request.param)


def sync(*arguments: str) -> int:
    return main(["sync", *arguments])


def test_what_is_there_is_left_alone(place: Place, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = place.database.read_bytes()
    for arguments in (["--check"], [], ["multirun/s", "r"], ["--check", "s"], ["latest"]):
        assert sync(*arguments) == 0, capsys.readouterr()
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("multirun/s: the store has all of it, 3 runs") == 4
    assert out.count("multirun/runs/r: the store has all of it, 1 run") == 4  # it is the latest
    with closing(sqlite3.connect(place.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert place.database.read_bytes() == before


LOSSES: dict[str, list[str]] = {
    "a run in the bin": ["UPDATE runs SET lifecycle_stage = 'deleted', deleted_time = 1 WHERE run_uuid = '{child}'"],
    "a run that is gone": [
        *(f"DELETE FROM {table} WHERE run_uuid = '{{child}}'" for table in ("metrics", "latest_metrics", "params")),
        "DELETE FROM tags WHERE run_uuid = '{child}'",
        "DELETE FROM runs WHERE run_uuid = '{child}'",
    ],
    "the sweep's own run in the bin": ["UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = '{parent}'"],
    "the sweep's own run gone": [
        *(f"DELETE FROM {table} WHERE run_uuid = '{{parent}}'" for table in ("params", "tags", "runs")),
    ],
    "metrics of all runs": ["DELETE FROM metrics WHERE key = 'loss/eval'"],
    "some points": ["DELETE FROM metrics WHERE step = 20 AND key LIKE 'grad%'"],
    "metrics as the table shows them": ["DELETE FROM latest_metrics"],
    "params": ["DELETE FROM params WHERE key = 'seed'"],
    "tags": ["DELETE FROM tags WHERE key IN ('bptt.digest', 'bptt.outcome')"],
    "the end": ["UPDATE runs SET status = 'RUNNING', end_time = NULL"],
    "the experiment": [
        "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = 'bptt'",
        "UPDATE runs SET lifecycle_stage = 'deleted'",
    ],
}


@pytest.mark.parametrize("loss", LOSSES)
def test_what_was_lost_comes_back(place: Place, kind: str, loss: str, capsys: pytest.CaptureFixture[str]) -> None:
    if kind == "client" and loss == "metrics as the table shows them":
        pytest.skip("MLflow writes no last value of a metric whose points it has")
    before, files = place.read(), place.list_files()
    place.execute(*(text.format(child=place.children[1], parent=place.parent) for text in LOSSES[loss]))
    lost = place.read()
    assert lost != before or "own" in loss
    assert sync("--check") == 1
    out, err = capsys.readouterr()
    assert "this writes it: bptt sync multirun/s" in out or "this writes it: bptt sync multirun/runs/r" in out
    assert err == ""
    assert place.read() == lost
    assert sync() == 0, capsys.readouterr()
    assert "Traceback" not in "".join(capsys.readouterr())
    if kind == "tables" or "gone" not in loss:
        assert place.read() == before
        assert place.list_files() == files
    assert [row[1:] for row in place.execute("SELECT name, status, lifecycle_stage FROM runs")] == [
        ("FINISHED", "active")
    ] * 5
    found = place.client.search_runs([place.client.get_run(place.parent).info.experiment_id])
    below = [run for run in found if run.data.tags.get("mlflow.parentRunId") == place.parent]
    assert sorted(run.info.run_name for run in below) == ["seed=0", "seed=1", "seed=2"]
    capsys.readouterr()
    again = place.execute("SELECT * FROM runs ORDER BY run_uuid")
    assert (sync("--check"), sync()) == (0, 0), capsys.readouterr()
    assert capsys.readouterr().out.count("the store has all of it") == 4
    assert place.execute("SELECT * FROM runs ORDER BY run_uuid") == again


@pytest.mark.parametrize("left", ["nothing", "an empty file", "another store"])
def test_a_store_that_is_gone_is_made_anew(
    place: Place, kind: str, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, files = place.read(), place.list_files()
    single = read_journal(place.single).run_id
    for path in place.folder.glob("mlflow.db*"):
        path.unlink()
    shutil.rmtree(place.folder / "mlruns")
    if left == "an empty file":
        place.database.touch()
    elif left == "another store":
        put_empty_store(place.folder)
    assert sync("--check") == 1
    assert place.database.exists() == (left != "nothing")
    assert "something of 3 of 3 runs and the sweep's own run" in capsys.readouterr().out
    assert sync() == 0, capsys.readouterr()
    found = place.read()
    if kind == "tables":
        known = {single, read_journal(place.single).run_id}
        for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
            kept = [[row for row in rows[table] if not known & set(row)] for rows in (found, before)]
            assert kept[0] == kept[1] != []
        assert sorted(place.list_files().values()) == sorted(files.values())
    assert [row[1:] for row in found["stages"]] == [("FINISHED", "active")] * 5
    assert (sync("--check"), sync()) == (0, 0)
    assert len(place.execute("SELECT * FROM runs")) == 5


def test_artifacts_come_back(place: Place, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    files = place.list_files()
    uris = dict(place.execute("SELECT run_uuid, artifact_uri FROM runs"))
    lost = [
        Path(uris[run_id].removeprefix("file://"), name)
        for run_id, name in (
            (place.children[0], "weights.npz"),
            (place.children[2], "config.yaml"),
            (place.parent, "archive/history.parquet"),
            (read_journal(place.single).run_id, "figures/loss.png"),
        )
    ]
    contents = [path.read_bytes() for path in lost]
    for path in lost[:3]:
        path.unlink()
    lost[3].write_bytes(b"")
    assert sync("--check") == 1
    out = capsys.readouterr().out
    for words in ("seed=0: lacks files weights.npz", "own run: lacks files archive/history", "files figures/loss.png"):
        assert words in out
    assert sync() == 0
    assert place.list_files() == files
    assert [path.read_bytes() for path in (lost[0], lost[1], lost[3])] == [contents[0], contents[1], contents[3]]
    assert sync("--check") == 0


def test_an_experiment_that_was_renamed_is_followed(
    place: Place, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place.execute(
        "UPDATE experiments SET name = 'mine' WHERE name = 'bptt'",
        f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = '{place.children[0]}'",
    )
    assert sync() == 0
    out = capsys.readouterr().out
    assert "multirun/s: experiment bptt is called mine now" in out
    assert [name for (name,) in place.execute("SELECT name FROM experiments ORDER BY name")] == ["Default", "mine"]
    assert (place.archive.journal.experiment, read_journal(place.single).experiment) == ("mine", "mine")
    assert sync("--check") == 0


def test_gc_of_all_that_was_deleted(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    before = place.read()
    client = place.client
    for run_id in (place.parent, *place.children):
        client.delete_run(run_id)
        client._tracking_client.store._hard_delete_run(run_id)
    assert sync() == 0, capsys.readouterr()
    assert place.read()["metrics"] == before["metrics"]
    assert (sync("--check"), sync()) == (0, 0)


def test_what_was_added_since_stays(place: Place, kind: str) -> None:
    child = place.children[1]
    place.client.set_tag(child, "mine", "a note")
    place.client.log_metric(child, "my/metric", 1.0)
    place.client.delete_run(child)
    assert sync() == 0
    run = place.client.get_run(child)
    assert (run.data.tags["mine"], run.data.metrics["my/metric"]) == ("a note", 1.0)
    assert run.info.lifecycle_stage == "active"


@pytest.mark.parametrize("faults", [1, 2, 99])
def test_a_fault_ends_no_sync(
    place: Place, kind: str, faults: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is asked again after growing waits; what can't be written is told at the end, and written the next time."""
    place.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
    writer: Any = DatabaseWriter if kind == "tables" else ClientWriter
    real, calls = writer.complete, list[int]()

    def failing(self: Any, run: Any, held: Any) -> None:
        calls.append(1)
        if len(calls) <= faults:
            raise StoreError("http://lab: Connection refused", passing=True)
        real(self, run, held)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "complete", failing)
        code = sync("s")
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    if faults < 3:
        assert code == 0
        assert err.count("http://lab: Connection refused; asked again in 0.01 s") == faults
    else:
        assert code == 1
        assert err.splitlines()[-1].endswith("3 of 3 runs may not be there; later: bptt sync multirun/s")
        assert sync("s") == 0
    assert sync("--check", "s") == 0


def test_a_block_that_is_refused_does_not_keep_the_others(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
    archive = place.archive
    results = archive.results(0)
    shutil.rmtree(archive.folder / "blocks" / "000000")
    for number, result in enumerate(results):
        archive.write_block(number, [result])
    real = DatabaseWriter.complete

    def refusing(self: Any, run: Any, held: Any) -> None:
        if run.name == "seed=1":
            raise StoreError("the store does not want it")
        real(self, run, held)

    with monkeypatch.context() as patch:
        patch.setattr(DatabaseWriter, "complete", refusing)
        assert sync("s") == 1
    err = capsys.readouterr().err
    assert err == "multirun/s: the store does not want it; 1 of 3 runs may not be there; later: bptt sync multirun/s\n"
    stages = dict(place.execute("SELECT name, lifecycle_stage FROM runs WHERE name LIKE 'seed=%'"))
    assert stages == {"seed=0": "active", "seed=1": "deleted", "seed=2": "active"}


def test_patience_grows_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    waited, told = list[float](), list[str]()
    monkeypatch.setattr(time, "sleep", waited.append)
    patience = restoring.Patience(told.append)
    trouble = StoreError("away", passing=True)
    assert [patience.wait(trouble) for _ in range(6)] == [True] * 5 + [False]
    assert waited == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert told[1] == "away; asked again in 2 s"
    patience.renew()
    assert not patience.wait(StoreError("wrong password"))
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert not patience.wait(trouble)


def test_runs_of_an_earlier_sweep_come_back_too(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """What a sweep took from another one stays when that is deleted; gone from the store, it is the sweep's own."""
    bptt.sweep([*TINY, "seed=1,2,3", "report=false", "hydra.sweep.dir=multirun/later"])
    later = SweepFolder.open(place.folder / "multirun" / "later")
    assert sum(result.reused is not None for result in later.ended()) == 2
    assert sync("--check", "later") == 0, capsys.readouterr()
    assert main(["rm", "--yes", "s"]) == 0
    assert "  kept    2 that other sweeps have too\n" in capsys.readouterr().out
    assert sync("--check", "later") == 0
    parent = later.journal.parent
    for name in ("seed=1", "seed=2"):
        ((run_id,),) = place.execute(f"SELECT run_uuid FROM runs WHERE name = '{name}'")
        place.client.delete_run(run_id)
        place.client._tracking_client.store._hard_delete_run(run_id)
    assert sync("--check", "later") == 1
    out = capsys.readouterr().out
    assert "something of 2 of 3 runs\n" in out
    assert "  seed=1: is not there\n  seed=2: is not there\n" in out
    assert sync("later") == 0
    assert sync("--check", "later") == 0
    found = place.client.search_runs(["1", "2"], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert sorted(run.info.run_name for run in found) == ["seed=1", "seed=2", "seed=3"]
    assert all(f"bptt.setting.{parent}" in run.data.tags for run in found)
    ((uri,),) = place.execute(f"SELECT artifact_uri FROM runs WHERE run_uuid = '{parent}'")
    kept = read_table(Path(uri) / "archive" / "runs.parquet")
    ids = {run.info.run_id for run in found}
    assert set(kept["run_id"].to_pylist()) == set(bptt.load("later").runs["run_id"]) == ids


def test_runs_of_an_earlier_sweep_belong_to_an_own_run_that_was_begun_anew(
    place: Place, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bptt.sweep([*TINY, "seed=1,2,3", "report=false", "hydra.sweep.dir=multirun/later"])
    later = SweepFolder.open(place.folder / "multirun" / "later")
    lost = later.journal.parent
    taken = {result.reused for result in later.ended() if result.reused is not None}
    place.execute(*(f"DELETE FROM {table} WHERE run_uuid = '{lost}'" for table in ("metrics", "latest_metrics")))
    place.execute(*(f"DELETE FROM {table} WHERE run_uuid = '{lost}'" for table in ("params", "tags", "runs")))
    assert sync("--check", "later") == 1
    assert sync("later") == 0, capsys.readouterr()
    parent = later.journal.parent
    assert parent != lost
    members = place.execute(f"SELECT run_uuid FROM tags WHERE key = 'bptt.setting.{parent}'")
    assert {run_id for (run_id,) in members} == taken | set(later.run_ids().values())
    assert len(members) == 3
    run_id = min(taken)
    place.client.delete_tag(run_id, f"bptt.setting.{parent}")
    capsys.readouterr()
    assert sync("--check", "later") == 1
    assert f": lacks tags bptt.setting.{parent}\n" in capsys.readouterr().out
    assert sync("later") == 0
    assert f"bptt.setting.{parent}" in place.client.get_run(run_id).data.tags
    assert {tags["mlflow.parentRunId"] for tags in (place.client.get_run(one).data.tags for one in taken)} == {
        place.parent
    }


@pytest.mark.parametrize("how", ["replaced", "emptied", "gone", "a run deleted", "its own run deleted"])
def test_a_loss_while_it_goes_on_is_told(
    place: Place, how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The end says that the store lacks what it had, with exit code 1, and how that comes back."""
    from bptt.sweeps.writer import Writer

    real = Writer.finish

    def losing(self: Any, say: Any, hurry: bool) -> None:
        real(self, say, hurry)
        if how == "replaced":
            for path in place.folder.glob("mlflow.db*"):
                path.unlink()
            put_empty_store(place.folder)
        elif how == "emptied":
            place.database.write_bytes(b"")
        elif how == "gone":
            for path in place.folder.glob("mlflow.db*"):
                path.unlink()
        else:
            name = "seed=4" if how == "a run deleted" else "again"
            place.execute(f"UPDATE runs SET lifecycle_stage = 'deleted' WHERE name = '{name}'")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "finish", losing)
        code = main(["train", "-m", *TINY, "seed=3,4", "report=false", "hydra.sweep.dir=multirun/again"])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert "sweep again: 2 runs" in out
    assert code == 1
    assert "the store doesn't have all of it: " in err
    assert err.splitlines()[-1] == "later: bptt sync multirun/again"
    assert sync("--check", "again") == 1
    assert sync("again") == 0, capsys.readouterr()
    assert sync("--check", "again") == 0
