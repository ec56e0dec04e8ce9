"""Sweeps on a real MLflow server, which may die in the middle."""

import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from bptt.core.run import Record
from bptt.tracking.folder.files import pack_record
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.base import Store
from bptt.tracking.store.logs import SweepLog
from bptt.tracking.store.opening import open_store, open_to_delete
from bptt.tracking.store.runs import Holding, RunToWrite
from bptt.tracking.store.writers import ClientWriter
from tests.serving import Server

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

UPDATES = np.array([1, 2, 3])
RECORD = Record(
    outcome="completed",
    updates=3,
    history={"update": UPDATES, "loss/train": np.array([0.5, math.nan, math.inf]), "loss/eval": np.array([3.0, 2, 1])},
    flow=np.arange(6.0).reshape(3, 2),
    parameters={"readout.bias": np.zeros(1)},
    state=np.zeros((1, 2)),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    started.start()
    yield started
    started.kill()


@pytest.fixture
def store(server: Server, request: pytest.FixtureRequest) -> Store:
    return open_store(server.uri, request.node.name)


@pytest.fixture
def record(store: Store) -> SweepLog:
    return SweepLog.begin(store, "sweep", {}, "")


def run(number: int, **changes: Any) -> RunToWrite:
    given = RunToWrite(
        key=f"{number:032x}",
        name=f"seed={number}",
        status="FINISHED",
        params={f"key{place}": "x" * 100 for place in range(250)},
        tags={"bptt.digest": f"digest {number}", "bptt.outcome": "completed", "mlflow.user": "somebody"},
        began=1_700_000_000.0 + number,
        ended=1_700_000_004.0 + number,
        history=RECORD.history,
        files={"config.yaml": b"seed: 0\n", "figures/loss.png": b"png"},
    )
    return replace(given, **changes)


def children(record: SweepLog) -> list[Any]:
    """The sweep's runs as the server has them, by name."""
    below = f"tags.`mlflow.parentRunId` = '{record.parent}'"
    found = record.store.client.search_runs([record.store.experiment_id], below)
    return sorted(found, key=lambda child: str(child.info.run_name))


def assert_whole(record: SweepLog, given: list[RunToWrite]) -> None:
    """The server has these runs, each once and with all that belongs to it, and no other."""
    client = record.store.client
    found = children(record)
    assert [child.info.run_name for child in found] == [one.name for one in given]
    for child, one in zip(found, given, strict=True):
        assert (child.info.status, child.info.user_id) == (one.status, "somebody")
        assert child.info.start_time == one.began * 1000
        assert child.info.end_time == one.ended * 1000
        assert child.data.params == one.params
        assert {**one.tags, "bptt.key": one.key, "bptt.sweep": "sweep"}.items() <= child.data.tags.items()
        for name, values in one.history.items():
            points = [] if name == "update" else client.get_metric_history(child.info.run_id, name)
            assert [point.step for point in points] == ([] if name == "update" else UPDATES.tolist())
            stored = [point.value for point in points]
            expected = np.nan_to_num(values, nan=math.nan, posinf=sys.float_info.max)
            assert name == "update" or np.array_equal(stored, expected, equal_nan=True)
        for name, content in one.files.items():
            assert Path(client.download_artifacts(child.info.run_id, name)).read_bytes() == content


def test_runs_are_whole_and_written_once(record: SweepLog, capfd: pytest.CaptureFixture[str]) -> None:
    given = [run(number) for number in range(3)]
    assert isinstance(record._writer, ClientWriter)
    ids = record.write(given[:2])
    assert_whole(record, given[:2])
    assert record.write(given) == ids | {given[2].key: children(record)[2].info.run_id}
    again = SweepLog.reopen(record.store, record.parent, "sweep")
    assert again.write(given).items() >= ids.items()
    assert_whole(record, given)
    record.close("FINISHED", "# done", {"tables/runs.parquet": b"PAR1"}, {"a": "b"})
    parent = record.store.client.get_run(record.parent)
    assert (parent.info.status, parent.data.tags["mlflow.note.content"]) == ("FINISHED", "# done")
    listed = record.store.client.list_artifacts(record.parent, "tables")
    assert [file.path for file in listed] == ["tables/runs.parquet"]
    assert capfd.readouterr() == ("", "")


def test_runs_are_filled_side_by_side(record: SweepLog, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [run(0), run(1)]
    real, both = record.store.client.log_batch, threading.Barrier(2, timeout=60)

    def waiting(*arguments: Any, **named: Any) -> None:
        both.wait()
        real(*arguments, **named)

    monkeypatch.setattr(record.store.client, "log_batch", waiting)
    record.write(given)
    assert_whole(record, given)


@pytest.mark.parametrize("request_", ["create_run", "log_batch", "set_terminated"])
@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize("reopened", [False, True])
def test_a_request_that_is_lost_leaves_no_second_run(
    record: SweepLog, monkeypatch: pytest.MonkeyPatch, request_: str, carried_out: bool, reopened: bool
) -> None:
    from mlflow.exceptions import MlflowException

    given = [run(number) for number in range(2)]
    real, calls = getattr(record.store.client, request_), []

    def lost(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) < 2:
            return real(*arguments, **named)
        if carried_out:
            real(*arguments, **named)
        raise MlflowException("Connection aborted")

    with monkeypatch.context() as patch:
        patch.setattr(record.store.client, request_, lost)
        with pytest.raises(StoreError, match=r"http://127.0.0.1:\d+: Connection aborted$"):
            record.write(given)
    again = SweepLog.reopen(record.store, record.parent, "sweep") if reopened else record
    again.write(given)
    assert_whole(record, given)


@pytest.mark.slow
def test_a_server_that_dies_in_the_middle(
    server: Server, record: SweepLog, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    given = [run(number) for number in range(4)]
    record.write(given[:1])
    real, calls = record.store.client.log_batch, []

    def dying(*arguments: Any, **named: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            server.kill()
        real(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(record.store.client, "log_batch", dying)
        with pytest.raises(StoreError, match=r"^http://127.0.0.1:\d+: .*\S$") as caught:
            record.write(given)
    assert "\n" not in str(caught.value)
    began = time.monotonic()
    with pytest.raises(StoreError):
        record.write(given)
    assert time.monotonic() - began < 20
    server.start()
    record.write(given)
    assert_whole(record, given)
    SweepLog.reopen(record.store, record.parent, "sweep").write(given)
    assert_whole(record, given)
    assert capfd.readouterr() == ("", "")


def test_of_two_runs_with_one_key_one_stays(record: SweepLog) -> None:
    client, store = record.store.client, record.store
    tags = {"mlflow.parentRunId": record.parent, "bptt.key": run(0).key}
    halves = [client.create_run(store.experiment_id, tags=tags).info.run_id for _ in range(2)]
    again = SweepLog.reopen(store, record.parent, "sweep")
    again.write([run(0)])
    (child,) = children(record)
    assert child.info.run_id in halves
    assert child.info.status == "FINISHED"
    late = client.create_run(store.experiment_id, tags=tags)
    SweepLog.reopen(store, record.parent, "sweep").write([run(0)])
    assert [one.info.run_id for one in children(record)] == [child.info.run_id]
    assert client.get_run(late.info.run_id).info.lifecycle_stage == "deleted"


def test_what_the_user_deleted_stays_deleted(record: SweepLog) -> None:
    ids = record.write([run(0), run(1)])
    record.store.client.delete_run(ids[run(0).key])
    assert SweepLog.reopen(record.store, record.parent, "sweep").write([run(0), run(1)]) == ids
    assert_whole(record, [run(1)])


def test_tags_that_say_that_it_is_all_there_come_behind_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: object) -> None:
        raise StoreError("the server takes no files")

    said: list[str] = []
    nothing = frozenset[str]()
    there = Holding(
        run_id="id",
        status="FINISHED",
        deleted=False,
        artifact_uri="mlflow-artifacts:/1",
        points={},
        params=nothing,
        tags={},
        files=nothing,
    )
    client = SimpleNamespace(log_batch=lambda *_given, **_named: said.append("batch"), get_metric_history=lambda *_: [])
    monkeypatch.setattr("bptt.tracking.store.writers.put_files", refuse)
    writer = ClientWriter(cast("Any", SimpleNamespace(client=client, address=None)), None, False)
    with pytest.raises(StoreError, match="takes no files"):
        writer.complete(run(1), there)
    assert said == []


def test_a_later_attempt_takes_the_place_of_one_that_did_not_finish(record: SweepLog) -> None:
    record.write([run(0, status="KILLED", history={}, files={}, began=1.0, ended=1.0)])
    record.write([run(0)])
    assert_whole(record, [run(0)])
    record.write([run(0, status="KILLED", history={}, files={})])
    assert_whole(record, [run(0)])


def test_requests_are_repeated_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    from bptt.tracking.store.writers import _send_once

    for before in ("3", None):
        if before is None:
            monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
        else:
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", before)
        with _send_once():
            assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
        assert os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES") == before


def test_finished_runs_are_found_and_read(record: SweepLog, capfd: pytest.CaptureFixture[str]) -> None:
    store = record.store
    given = [run(0, files=pack_record(RECORD)), run(1, status="FAILED"), run(2), run(3)]
    ids = record.write(given)
    store.client.delete_run(ids[run(3).key])
    asked = [f"digest {number}" for number in range(5)]
    assert store.find_finished(asked) == {"digest 0": ids[run(0).key], "digest 2": ids[run(2).key]}
    read = store.read_finished(ids[run(0).key])
    assert read is not None
    assert (read.outcome, read.updates) == ("completed", 3)
    assert np.array_equal(read.history["loss/train"], RECORD.history["loss/train"], equal_nan=True)
    assert np.array_equal(read.flow, RECORD.flow)
    assert np.array_equal(read.parameters["readout.bias"], np.zeros(1))
    assert store.read_finished(ids[run(2).key]) is None
    assert store.read_finished("a" * 32) is None
    assert capfd.readouterr() == ("", "")


def test_a_sweep_is_removed(record: SweepLog) -> None:
    store = record.store
    record.write([run(0), run(1)])
    other = SweepLog.begin(store, "it's another", {}, "")
    other.write([run(2)])
    removal = open_to_delete(store.address.uri)
    (found,) = [parent for parent in removal.list_sweeps("sweep") if parent == record.parent]
    assert removal.list_sweeps("it's another") == [other.parent]
    sweep = removal.find_sweep(found)
    assert sweep is not None
    assert (sweep.name, sweep.experiment, len(sweep.runs)) == ("sweep", store.experiment, 3)
    assert removal.delete(sweep) == ["the server keeps them in its bin: `mlflow gc`, on the server, frees the space"]
    left = store.client.search_runs([store.experiment_id])
    assert {one.info.run_name for one in left} == {"it's another", "seed=2"}
    assert removal.find_sweep(record.parent) is None
    assert removal.find_sweep("a" * 32) is None
    assert removal.find_sweep(children(other)[0].info.run_id) is None
