import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bptt.export.mlflow_model import ModelContent, log_model
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.artifacts import find_local_folder
from bptt.tracking.store.base import Store
from bptt.tracking.store.logs import SweepLog
from bptt.tracking.store.opening import open_to_delete
from bptt.tracking.store.runs import RunToWrite
from bptt.tracking.store.sweep_page import publish_view

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version


def begun(store: Store, name: str, runs: int, start: int = 0) -> SweepLog:
    """A sweep of so many runs."""
    from hashlib import sha256

    record = SweepLog.begin(store, name, {}, "")
    given = [
        RunToWrite(
            key=sha256(f"{store.experiment} {number}".encode()).hexdigest()[:32],
            name=f"seed={number}",
            status="FINISHED",
            params={"seed": str(number)},
            tags={"bptt.digest": str(number)},
            began=1e9,
            ended=1e9 + 1,
            history={"update": np.array([1, 2]), "loss/train": np.array([0.5, 0.25])},
            files={"config.yaml": b"seed: 0\n"},
        )
        for number in range(start, start + runs)
    ]
    record.write(given)
    record.close("FINISHED", None, {"runs.parquet": b"PAR1"}, {})
    return record


def artifacts(store: Store) -> Path:
    folder = find_local_folder(store.address, store.client.get_experiment(store.experiment_id).artifact_location)
    assert folder is not None
    return folder


def stored(store: Store) -> dict[str, int]:
    """How many rows of the whole store there are, by table."""
    assert store.address.database is not None
    with closing(sqlite3.connect(store.address.database)) as connection:
        models = ("logged_models", "logged_model_params", "logged_model_tags", "logged_model_metrics", "inputs")
        tables = ("runs", "metrics", "latest_metrics", "params", "tags", "experiment_tags", *models)
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


def test_nothing_is_left_of_a_sweep_and_all_of_the_others(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    kept = begun(store, "kept", 3)
    before, files = stored(store), set(artifacts(store).rglob("*"))
    record = begun(store, "gone", 205, start=10)
    assert publish_view(store, "gone", record.parent, ["seed"], ["loss/train"]) is not None
    store.client.delete_run(
        store.client.search_runs([store.experiment_id], "attributes.run_name = 'seed=12'")[0].info.run_id
    )
    removal = open_to_delete(store.address.uri)
    assert removal.list_sweeps("gone") == [record.parent]
    sweep = removal.find_sweep(record.parent)
    assert sweep is not None
    assert (sweep.name, sweep.status, sweep.experiment) == ("gone", "FINISHED", store.experiment)
    assert len(sweep.runs) == 206
    assert removal.delete(sweep) == []
    assert stored(store) == before
    assert set(artifacts(store).rglob("*")) == files
    assert removal.list_sweeps("gone") == []
    assert removal.find_sweep(record.parent) is None
    assert removal.list_sweeps("kept") == [kept.parent]


def test_a_model_that_was_logged_goes_with_its_run(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    uri = store.address.uri
    model = ModelContent(
        config={"inputs": 1, "outputs": 1, "last_only": True, "carried": False},
        weights={"cell.0.input": np.ones((1, 1))},
        state=np.zeros((1, 2)),
        x=np.ones((1, 1, 1)),
        lengths=None,
        metadata={},
    )
    kept = begun(store, "kept", 1)
    held = stored(store)  # other tests leave theirs in the same database
    log_model(uri, kept.parent, model)
    before, files = stored(store), set(artifacts(store).rglob("*"))
    assert [before[table] - held[table] for table in ("logged_models", "inputs")] == [1, 1]
    gone = begun(store, "gone", 2, start=10)
    removal = open_to_delete(uri)
    sweep = removal.find_sweep(gone.parent)
    assert sweep is not None
    log_model(uri, next(iter(sweep.runs)), model)
    assert stored(store)["logged_models"] == before["logged_models"] + 1
    assert removal.delete(sweep) == []
    assert stored(store) == before
    assert set(artifacts(store).rglob("*")) == files


def test_a_removal_that_is_broken_off_is_gone_on_with(
    open_experiment: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_experiment()
    before = stored(store)
    record = begun(store, "gone", 150)
    removal = open_to_delete(store.address.uri)
    sweep = removal.find_sweep(record.parent)
    assert sweep is not None
    real, calls = shutil.rmtree, []

    def failing(path: Path) -> None:
        calls.append(path)
        if len(calls) == 120:
            raise OSError(16, "Device or resource busy", str(path))
        real(path)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", failing)
        with pytest.raises(StoreError, match="Device or resource busy"):
            removal.delete(sweep)
    again = removal.find_sweep(record.parent)
    assert again is not None
    assert len(again.runs) == 51
    assert removal.delete(again) == []
    assert stored(store) == before
    assert list(artifacts(store).iterdir()) == []


def test_only_artifacts_of_the_experiment_are_deleted(open_experiment: Callable[[], Store], tmp_path: Path) -> None:
    store = open_experiment()
    record = begun(store, "gone", 4)
    removal = open_to_delete(store.address.uri)
    sweep = removal.find_sweep(record.parent)
    assert sweep is not None
    ids = list(sweep.runs)
    elsewhere = tmp_path / ids[0] / "artifacts"
    elsewhere.mkdir(parents=True)
    (tmp_path / "link").mkdir()
    linked = artifacts(store) / ids[3]
    shutil.rmtree(linked)
    linked.symlink_to(tmp_path / "link")
    location = artifacts(store).as_uri()
    sweep.runs[ids[0]] = elsewhere.as_uri()
    sweep.runs[ids[1]] = f"{location}/{ids[1]}/../../{artifacts(store).name}/artifacts"
    sweep.runs[ids[2]] = f"s3://bucket/{ids[2]}/artifacts"
    left = removal.delete(sweep)
    assert left == [
        f"{sweep.runs[run_id]}: lies outside the experiment's artifacts, and is left there" for run_id in ids[:4]
    ]
    assert elsewhere.is_dir()
    assert (tmp_path / "link").is_dir()
    assert (artifacts(store) / ids[1]).is_dir()
    assert removal.find_sweep(record.parent) is None


def test_what_is_no_sweep_is_not_found(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    record = begun(store, "two of a name", 1)
    alone = store.client.create_run(store.experiment_id).info.run_id
    removal = open_to_delete(store.address.uri)
    (child,) = set(removal._list_members(record.parent, store.experiment_id)[0])
    assert [removal.find_sweep(run_id) for run_id in (alone, child, "0123")] == [None, None, None]
    assert removal.list_sweeps("another") == []
    twice = begun(store, "two of a name", 0)
    assert sorted(removal.list_sweeps("two of a name")) == sorted([record.parent, twice.parent])


def test_a_store_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.db: there is no such store"):
        open_to_delete(f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []


def test_tables_that_are_not_known_are_left_to_mlflow(
    open_experiment: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_experiment()
    record = begun(store, "gone", 2)
    monkeypatch.setattr("bptt.tracking.store.tables._COLUMNS", {"no such table": ()})
    removal = open_to_delete(store.address.uri)
    assert removal.list_sweeps("gone") == [record.parent]
    sweep = removal.find_sweep(record.parent)
    assert sweep is not None
    (note,) = removal.delete(replace(sweep))
    assert "`mlflow gc`" in note
    assert store.client.search_runs([store.experiment_id]) == []
    assert removal.find_sweep(record.parent) is None
