import math
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.tracking.store import connecting, opening, tables
from bptt.tracking.store.address import Address, StoreError
from bptt.tracking.store.artifacts import find_local_folder
from bptt.tracking.store.base import Store
from bptt.tracking.store.client import ClientStore
from bptt.tracking.store.connecting import connect
from bptt.tracking.store.database import DatabaseStore
from bptt.tracking.store.logs import SweepLog
from bptt.tracking.store.runs import RunToWrite
from bptt.tracking.store.sqlite import SqliteStore
from bptt.tracking.store.writers import ClientWriter
from tests import forking

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

TABLES = ("runs", "metrics", "latest_metrics", "params", "tags")


def run(number: int, experiment: str, points: int = 5, **changes: Any) -> RunToWrite:
    """A run with everything that MLflow treats in a way of its own."""
    updates = np.unique(np.linspace(1, 10_000, points).astype(np.int64))
    values = np.random.default_rng(number).random((3, points))
    values[1, 1:4] = [math.nan, math.inf, -math.inf]
    values[2, -1] = math.nan
    given = RunToWrite(
        key=sha256(f"{experiment} {number}".encode()).hexdigest()[:32],
        name=f"optimizer.alpha=0.1 seed={number}",
        status="FINISHED",
        params={f"group.key{place}": "x" * 6000 for place in range(250)} | {"clip": "{}", "empty": ""},
        tags={"mlflow.user": "somebody", "bptt.digest": f"{number:016x}", "long": "ä" * 9000},
        began=1_700_000_000.1234,
        ended=1_700_000_009.9876,
        history={"update": updates, "loss/train": values[0], "loss/eval": values[1], "accuracy/eval": values[2]},
        files={"config.yaml": b"seed: 0\n", "figures/loss.png": bytes(range(256)), "nothing": b""},
    )
    return replace(given, **changes)


def rows(store: Store, run_id: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of a run, by table, without what names it and its parent."""
    found = {}
    with connected(store) as connection:
        for table in TABLES:
            cursor = connection.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", (run_id,))
            names = [column[0] for column in cursor.description]
            assert "run_uuid" in names
            found[table] = sorted(
                tuple(re.sub(r"(?<=bptt\.setting\.)\w+", "SWEEP", str(value).replace(run_id, "RUN")) for value in row)
                for row in cursor
                if not {"mlflow.parentRunId", "bptt.key"} & {*row}
            )
    return found


def count(store: Store) -> dict[str, int]:
    """How many rows each table has for the experiment."""
    of_experiment = "SELECT run_uuid FROM runs WHERE experiment_id = ?"
    with connected(store) as connection:
        return {
            table: connection.execute(
                f"SELECT count(*) FROM {table} WHERE run_uuid IN ({of_experiment})", (store.experiment_id,)
            ).fetchone()[0]
            for table in TABLES
        }


@contextmanager
def connected(store: Store) -> Iterator[sqlite3.Connection]:
    assert store.address.database is not None
    with closing(sqlite3.connect(store.address.database, timeout=30)) as connection:
        yield connection


@pytest.fixture
def store(open_experiment: Callable[[], Store]) -> Store:
    return open_experiment()


@pytest.fixture
def record(store: Store) -> SweepLog:
    return SweepLog.begin(store, "a sweep", {}, "")


def test_the_rows_are_those_that_mlflows_client_leaves(record: SweepLog) -> None:
    store = record.store
    given = [
        run(0, store.experiment),
        run(1, store.experiment, points=400),
        run(2, store.experiment, status="FAILED", history={}, files={"traceback.txt": b"Error"}),
        run(3, store.experiment, tags={}, name="x" * 300),
    ]
    ids = record.write(given)
    assert ids == {one.key: one.key for one in given}
    theirs = SweepLog.begin(store, "a sweep", {}, "")
    theirs._writer = ClientWriter(store, theirs.parent, fresh=True)
    their_ids = theirs.write(given)
    for one in given:
        mine, other = rows(store, one.key), rows(store, their_ids[one.key])
        for table in TABLES:
            assert mine[table] == other[table], table
        assert len(mine["metrics"]) == 3 * len(one.history.get("update", ()))
        assert len(mine["latest_metrics"]) == max(len(one.history) - 1, 0)
        folders = [
            find_local_folder(store.address, store.client.get_run(run_id).info.artifact_uri)
            for run_id in (one.key, their_ids[one.key])
        ]
        for folder in folders:
            assert folder is not None
            found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
            assert {name: path.read_bytes() for name, path in found.items()} == one.files


def test_a_run_comes_back_through_the_client(record: SweepLog) -> None:
    one = run(0, record.store.experiment)
    record.write([one])
    client = record.store.client
    found = client.get_run(one.key)
    assert (found.info.run_name, found.info.status) == (one.name, "FINISHED")
    assert (found.info.start_time, found.info.end_time) == (1_700_000_000_123, 1_700_000_009_987)
    assert found.data.params == one.params
    assert found.data.tags["mlflow.parentRunId"] == record.parent
    assert (found.data.tags["bptt.sweep"], found.data.tags["bptt.key"]) == ("a sweep", one.key)
    history = client.get_metric_history(one.key, "loss/train")
    assert [point.step for point in history] == one.history["update"].tolist() == [1, 2500, 5000, 7500, 10_000]
    assert [point.value for point in history] == one.history["loss/train"].tolist()
    began, ended = found.info.start_time, found.info.end_time
    assert history[-1].timestamp == ended
    assert history[2].timestamp == began + (ended - began) // 2
    stored = [point.value for point in client.get_metric_history(one.key, "loss/eval")]
    largest = sys.float_info.max
    assert np.array_equal(stored[1:4], [math.nan, largest, -largest], equal_nan=True)
    assert math.isnan(found.data.metrics["accuracy/eval"])
    assert found.data.metrics["loss/train"] == one.history["loss/train"][-1]


def test_runs_that_the_store_has_are_not_written_again(record: SweepLog) -> None:
    store = record.store
    given = [run(number, store.experiment) for number in range(3)]
    record.write(given[:2])
    before = count(store)
    assert before["runs"] == 3
    # Whatever else is said of them, and by whomever.
    again = [replace(one, name="other") for one in given[:2]]
    assert SweepLog.reopen(store, record.parent, "a sweep").write(again) == {one.key: one.key for one in again}
    assert count(store) == before
    assert store.client.get_run(given[0].key).info.run_name == given[0].name
    record.write([given[1], given[2], given[2]])
    assert count(store)["runs"] == 4


def test_a_later_attempt_takes_the_place_of_one_that_did_not_finish(record: SweepLog) -> None:
    store = record.store
    killed = run(0, store.experiment, status="KILLED", history={}, files={})
    finished = run(0, store.experiment)
    record.write([killed])
    record.write([finished])
    expected = rows(store, finished.key)
    assert store.client.get_run(killed.key).info.status == "FINISHED"
    assert len(expected["metrics"]) == 15
    record.write([killed])
    assert rows(store, finished.key) == expected


def test_what_the_database_refuses_leaves_nothing(record: SweepLog, capfd: pytest.CaptureFixture[str]) -> None:
    store = record.store
    given = [run(number, store.experiment) for number in range(3)]
    before = count(store)
    with connected(store) as connection:
        connection.execute(
            f"CREATE TRIGGER full BEFORE INSERT ON latest_metrics WHEN NEW.run_uuid = '{given[2].key}'"
            " BEGIN SELECT RAISE(ABORT, 'no more room'); END"
        )
        with pytest.raises(StoreError, match=r"sqlite:///.*no more room$"):
            record.write(given)
        assert count(store) == before
        connection.execute("DROP TRIGGER full")
    record.write(given)
    assert count(store)["metrics"] == before["metrics"] + 3 * 15
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "changes",
    [{"params": {"eta+": "1"}}, {"tags": {"a//b": "1"}}, {"history": {"update": np.ones(1), "loss+": np.ones(1)}}],
)
def test_names_that_mlflow_refuses_are_refused(record: SweepLog, changes: dict[str, Any]) -> None:
    one = run(0, record.store.experiment, **changes)
    with pytest.raises(StoreError, match=r"Invalid value \S+ for parameter"):
        record.write([one])
    assert count(record.store)["runs"] == 1


def test_a_database_that_another_process_writes_to_is_waited_for(
    record: SweepLog, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    store = record.store
    one = run(0, store.experiment)
    with connected(store) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        with monkeypatch.context() as patch:
            patch.setattr(tables, "_MILLISECONDS_OF_PATIENCE", 50)
            with pytest.raises(StoreError, match="database is locked"):
                record.write([one])
        assert count(store)["runs"] == 1
        writing = threading.Thread(target=record.write, args=([one],))
        writing.start()
        writing.join(0.5)
        assert writing.is_alive()
        other.execute("COMMIT")
        writing.join()
    assert count(store)["runs"] == 2
    assert capfd.readouterr() == ("", "")


def test_a_database_file_that_was_deleted_takes_nothing(record: SweepLog) -> None:
    store = record.store
    store.address = replace(store.address, database=Path("gone.db"))
    with pytest.raises(StoreError, match=r"gone\.db: No such file or directory$"):
        SweepLog.reopen(store, record.parent, "a sweep").write([run(0, store.experiment)])


def test_an_artifact_folder_that_takes_nothing_is_told(record: SweepLog) -> None:
    one = run(0, record.store.experiment)
    location = find_local_folder(
        record.store.address, record.store.client.get_experiment(record.store.experiment_id).artifact_location
    )
    assert location is not None
    location.mkdir(parents=True, exist_ok=True)
    (location / one.key).touch()
    with pytest.raises(StoreError, match=r"mlflow\.db: /.*/artifacts.*: Not a directory$"):
        record.write([one])
    assert count(record.store)["runs"] == 1


WRITING = """
import pathlib, sys, time
sys.path.insert(0, sys.argv[4])
from tests.tracking.store.test_bulk import run
from bptt.tracking.store.opening import open_store
from bptt.tracking.store.logs import SweepLog
store = open_store(sys.argv[1], sys.argv[2])
record = SweepLog.begin(store, sys.argv[3], {}, "")
here = pathlib.Path(sys.argv[5])
(here / sys.argv[3]).touch()
while len(list(here.iterdir())) < 2:
    time.sleep(0.001)
for start in range(0, 64, 8):
    record.write([run(number, sys.argv[3]) for number in range(start, start + 8)])
"""


def test_two_processes_write_at_the_same_time(store: Store, tmp_path: Path) -> None:
    before = count(store)
    given = [store.address.uri, store.experiment]
    places = [str(Path(__file__).parents[3]), str(tmp_path)]
    started = [
        subprocess.Popen(
            forking.command(WRITING, *given, name, *places),
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "other")
    ]
    assert [(process.communicate()[1], process.returncode) for process in started] == [("", 0), ("", 0)]
    after = count(store)
    assert after["runs"] == before["runs"] + 2 * 65
    assert after["metrics"] == before["metrics"] + 2 * 64 * 15


@pytest.mark.parametrize("change", ["a new column", "a column less", "no engine"])
def test_tables_that_are_not_known_are_left_to_mlflows_client(
    open_experiment: Callable[[], Store], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    def connect_without_engine(address: Address) -> Any:
        client = connect(address)
        monkeypatch.setattr(client._tracking_client.store, "engine", None)
        return client

    assert isinstance(open_experiment(), SqliteStore)
    monkeypatch.setattr(connecting, "KNOWN_REVISIONS", frozenset())
    assert type(open_experiment()) is DatabaseStore
    known = dict(tables._COLUMNS)
    if change == "a new column":
        known["metrics"] = known["metrics"][:-1]
    elif change == "a column less":
        known["metrics"] = (*known["metrics"], "unit")
    else:
        monkeypatch.setattr(opening, "connect", connect_without_engine)
    monkeypatch.setattr(tables, "_COLUMNS", known)
    store = open_experiment()
    assert isinstance(store, ClientStore)
    assert isinstance(SweepLog.begin(store, "a sweep", {}, "")._writer, ClientWriter)
