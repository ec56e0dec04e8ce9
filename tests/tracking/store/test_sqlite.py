"""A SQLite file whose tables are known is written without MLflow: the rows are those that its client leaves."""

import json
import math
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bptt.tracking.store import connecting
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.base import Point, Store
from bptt.tracking.store.client import ClientStore
from bptt.tracking.store.database import DatabaseStore
from bptt.tracking.store.logs import RunLog, SweepLog
from bptt.tracking.store.opening import open_store
from bptt.tracking.store.sqlite import SqliteStore
from bptt.tracking.store.tables import Database
from tests.empty_store import read_empty_store
from tests.tracking.store.test_bulk import run

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

TIMES = {"creation_time", "last_update_time", "start_time", "end_time", "timestamp"}


def read_all(database: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, without the times of day, and with ids in the order in which they were given."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        ids = [row[0] for row in connection.execute("SELECT run_uuid FROM runs ORDER BY name")]
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]

        def clean(row: sqlite3.Row) -> dict[str, Any]:
            found = {}
            for name in row.keys():  # noqa: SIM118 (a row is no mapping)
                text = str(row[name])
                for place, run_id in enumerate(ids):
                    text = text.replace(run_id, f"RUN {place}")
                found[name] = "a time" if name in TIMES and row[name] is not None else text
            return found

        rows = {table: sorted(map(clean, connection.execute(f'SELECT * FROM "{table}"')), key=repr) for table in tables}
    return {table: found for table, found in rows.items() if found}


def record_everything(store: Store) -> None:
    """A run on its own that is broken off, gone on with and ended, and a sweep with its page."""
    params = {f"group.key{number}": "x" * 6001 for number in range(3)} | {"clip": "{}", "empty": ""}
    alone = RunLog.begin(store, "alone", params, {"mlflow.user": "somebody", "long": "ä" * 9000})
    alone.log(1, {"loss/train": 1.0, "loss/eval": math.nan, "up": math.inf})
    alone.log(2, {"loss/train": 0.5, "loss/eval": 0.25, "up": -math.inf})
    alone.close("KILLED", {}, {})
    again = RunLog.reopen(store, alone.run_id, params | {"more": "1"})
    again.log(2, {"loss/train": 0.5})
    again.log(3, {"loss/train": 0.75})
    again.close("FINISHED", {"bptt.outcome": "completed"}, {})
    store.add(alone.run_id, [Point("loss/train", 9.0, 1, 1), Point("late", 1.0, 5, 0), Point("late", 2.0, 5, 0)])
    store.add(alone.run_id, tags={"bptt.outcome": "diverged"})
    sweep = SweepLog.begin(store, "sweep", {"bptt.key": "0" * 32}, "what is asked")
    sweep.close("FAILED", "# done", {}, {"bptt.best": "seed=0"}, params, {"best/loss/eval": 0.5})
    store.tag_experiment("mlflow.sharedViewState.one", "first")
    store.tag_experiment("mlflow.sharedViewState.one", "second")
    assert store.find_by_key("0" * 32) == sweep.parent
    assert store.read_steps(alone.run_id)["loss/train"] == {1, 2, 3}
    assert {*store.read_params(alone.run_id)} == {*params, "more"}


@pytest.mark.parametrize("kind", [DatabaseStore, ClientStore])
def test_the_rows_are_those_that_are_left_through_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Store]
) -> None:
    left = {}
    for name in ("plain", "mlflow"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with monkeypatch.context() as patch:
            if name == "mlflow":
                patch.setattr(connecting, "KNOWN_REVISIONS", frozenset())
                # MLflow makes the tables itself, too.
                patch.setenv("BPTT_CACHE_DIR", str(tmp_path / "cache"))
            if name == "mlflow" and kind is ClientStore:
                patch.setattr(Database, "of", lambda _address, _client: None)
            store = open_store(None, "compared")
            assert type(store) is (SqliteStore if name == "plain" else kind)
            record_everything(store)
        assert store.address.database is not None
        left[name] = read_all(store.address.database)
    assert left["plain"].keys() == left["mlflow"].keys() >= {"experiments", "runs", "experiment_tags", "metrics"}
    for table, rows in left["mlflow"].items():
        assert left["plain"][table] == rows, table


@pytest.mark.parametrize("why", ["MLFLOW_ENABLE_WORKSPACES", "an option", "another version"])
def test_what_is_not_known_goes_through_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert type(open_store(uri, "known")) is SqliteStore
    if why == "an option":
        uri += "?timeout=20"
    elif why == "another version":
        monkeypatch.setattr(connecting, "KNOWN_REVISIONS", frozenset({"0" * 12}))
    else:
        assert connecting.make_ready(open_store(uri, "known").address)
        monkeypatch.setenv(why, "true")
        assert not connecting.make_ready(open_store.__globals__["resolve_address"](uri))
        return
    assert type(open_store(uri, "known")) is DatabaseStore


def test_a_run_that_was_deleted_takes_nothing_more(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/mlflow.db", "bptt")
    record = RunLog.begin(store, "run", {"alpha": "1"}, {})
    with pytest.raises(connecting.RefusalError, match="has another value of alpha already"):
        store.add(record.run_id, params={"alpha": "2"})
    store.client.delete_run(record.run_id)
    record.log(1, {"loss/train": 1.0})
    with pytest.raises(StoreError, match="must be in the 'active' state"):
        record.close("FINISHED", {}, {})
    with pytest.raises(StoreError, match="was deleted in MLflow"):
        RunLog.reopen(store, record.run_id)
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(StoreError, match=r"can't be recorded: The experiment \d+ must be in the 'active' state"):
        RunLog.begin(store, "run", {}, {})


def test_an_odd_name_is_left_to_mlflow(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(StoreError, match=r"can't be used: .*maximum length"):
        open_store(uri, "x" * 501)
    store = open_store(uri, "it's odd: 100 % / ä")
    assert store.client.get_experiment(store.experiment_id).name == "it's odd: 100 % / ä"
    with pytest.raises(StoreError, match=r"can't be recorded: Invalid value"):
        RunLog.begin(store, "run", {"eta+": "1"}, {})
    record = SweepLog.begin(store, "sweep", {}, "")
    names = {"with a space": "1", "_x": "2", "a:b": "3", "α": "4"}
    assert record.write([run(0, "odd", params=names, tags={})]) != {}


class TestTemplate:
    """A new database is copied from an empty one that MLflow made once."""

    @pytest.fixture
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        read_empty_store()  # which keeps a template, where there is none, in the usual place
        monkeypatch.setenv("BPTT_CACHE_DIR", str(tmp_path / "cache"))
        return tmp_path / "cache" / "stores"

    def make(self, folder: Path) -> float:
        """Make a store; when it was, as it says itself."""
        folder.mkdir()
        store = open_store(f"sqlite:///{folder}/mlflow.db", "bptt")
        assert store.experiment_id == "1"
        assert {path.name for path in folder.iterdir()} <= {"mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "mlruns"}
        with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            return float(connection.execute("SELECT creation_time FROM experiments").fetchone()[0])

    def count_made(self, monkeypatch: pytest.MonkeyPatch, make_tables: Callable[[Any, Path], Any]) -> list[Path]:
        made: list[Path] = []

        def counted(address: Any, part: Path) -> None:
            made.append(part)
            make_tables(address, part)

        monkeypatch.setattr(connecting, "_make_tables", counted)
        return made

    def test_it_is_made_once(self, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        made = self.count_made(monkeypatch, connecting._make_tables)
        began = [self.make(tmp_path / name) for name in ("one", "two", "three")]
        assert len(made) == 1
        assert began == sorted(set(began))  # by which two stores are told apart
        (template,) = cache.iterdir()
        assert re.fullmatch(r"mlflow-[\d.]+\w*\.db", template.name)
        assert template.stat().st_mode & 0o077 == 0
        with closing(sqlite3.connect(template)) as connection:
            assert connection.execute("SELECT name FROM experiments").fetchall() == [("Default",)]

    @pytest.mark.skipif(os.name != "posix", reason="modes")
    @pytest.mark.parametrize("fault", ["group", "folder", "link", "damaged", "another version", "not empty"])
    def test_one_that_is_not_right_is_not_used(
        self, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, fault: str
    ) -> None:
        # MLflow's own tables, which it takes seconds to make.
        made = self.count_made(monkeypatch, lambda _, part: part.write_bytes(read_empty_store()))
        self.make(tmp_path / "one")
        (template,) = cache.iterdir()
        if fault == "group":
            template.chmod(0o620)
        elif fault == "folder":
            cache.chmod(0o777)
        elif fault == "link":
            template.rename(tmp_path / "elsewhere.db")
            template.symlink_to(tmp_path / "elsewhere.db")
        elif fault == "damaged":
            template.write_bytes(template.read_bytes()[:5000])
        else:
            change = (
                "UPDATE alembic_version SET version_num = 'older'"
                if fault == "another version"
                else "INSERT INTO experiments (name) VALUES ('planted')"
            )
            with closing(sqlite3.connect(template)) as connection, connection:
                connection.execute(change)
        self.make(tmp_path / "two")
        assert len(made) == 2
        with closing(sqlite3.connect(tmp_path / "two" / "mlflow.db")) as connection:
            assert connection.execute("SELECT name FROM experiments").fetchall() == [("Default",), ("bptt",)]
        if fault != "folder":
            self.make(tmp_path / "three")  # it was made anew
            assert len(made) == 2


TRAINING = """
import json, sys
from bptt.cli.main import main
import bptt.cli.summary
heavy = "mlflow sqlalchemy alembic pandas seaborn scipy.linalg scipy.stats requests joblib asyncio optuna".split()
told = bptt.cli.summary.tell
def tell(trained):
    told(trained)
    print(json.dumps([name for name in ("matplotlib", *heavy) if name in sys.modules]))
bptt.cli.summary.tell = tell
assert main(["train", "task=leftbit", "train.updates=20", "train.log_points=2"]) == 0
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


def test_a_run_is_trained_and_recorded_without_what_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where MLflow finds artifacts that are addressed relative to it
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    open_store(None, "bptt")
    done = subprocess.run([sys.executable, "-c", TRAINING], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    recorded, ended = done.stdout.splitlines()[-2:]
    assert (json.loads(recorded), json.loads(ended)) == ([], [])
    store = open_store(None, "bptt")
    (found,) = store.client.search_runs([store.experiment_id])
    assert (found.info.status, found.data.tags["bptt.outcome"]) == ("FINISHED", "completed")
    assert [point.step for point in store.client.get_metric_history(found.info.run_id, "loss/train")] == [1, 20]
    figures = [file.path for file in store.client.list_artifacts(found.info.run_id, "figures")]
    assert figures == ["figures/gradient_flow.png", "figures/loss.png"]
