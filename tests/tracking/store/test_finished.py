import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.core.run import Record
from bptt.tracking.folder.files import pack_record
from bptt.tracking.store.artifacts import find_local_folder
from bptt.tracking.store.base import Store
from bptt.tracking.store.logs import SweepLog
from bptt.tracking.store.runs import RunToWrite

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

RECORD = Record(
    outcome="diverged",
    updates=7,
    history={
        "update": np.array([1, 7]),
        "loss/train": np.array([0.1, np.inf]),
        "loss/eval": np.array([1 / 3, np.nan]),
    },
    flow=np.array([[1.0, 0.5, 0.25], [2.0, 0.0, np.nan]]),
    parameters={"cell.0.input": np.array([[0.1, 1 / 3]]), "readout.bias": np.zeros(1)},
    state=np.zeros((1, 2)),
)


def run(number: int, **changes: Any) -> RunToWrite:
    given = RunToWrite(
        key=f"{number:032x}",
        name=f"seed={number}",
        status="FINISHED",
        params={},
        tags={"bptt.digest": f"digest {number}", "bptt.outcome": "diverged"},
        began=1e9 + number,
        ended=1e9 + number,
        history={},
        files=pack_record(RECORD),
    )
    return replace(given, **changes)


def same(one: Record | None, other: Record) -> bool:
    assert one is not None
    assert (one.outcome, one.updates) == (other.outcome, other.updates)
    assert one.state.shape == (0, 0)
    assert list(one.history) == list(other.history)
    assert list(one.parameters) == list(other.parameters)
    assert np.array_equal(one.flow, other.flow, equal_nan=True)
    return all(
        np.array_equal(left[name], right[name], equal_nan=True)
        for left, right in ((one.history, other.history), (one.parameters, other.parameters))
        for name in left
    )


def test_only_active_finished_runs_of_the_experiment_are_found(
    open_experiment: Callable[[], Store], store_folder: Path
) -> None:
    from bptt.tracking.store.opening import open_store

    store = open_experiment()
    tags = {"bptt.outcome": "completed"}
    twice = {"bptt.digest": "twice", **tags}
    SweepLog.begin(store, "sweep", {}, "").write(
        [
            run(1),
            run(2, status="FAILED"),
            run(3),
            run(4, tags=twice, began=3e9),
            run(5, tags=twice),
            run(6, tags=tags),
        ]
    )
    store.client.delete_run(run(3).key)
    other = open_store(f"sqlite:///{store_folder}/mlflow.db", "another experiment")
    SweepLog.begin(other, "sweep", {}, "").write([run(7)])
    asked = [f"digest {number}" for number in range(1, 2000)]
    assert store.find_finished([*asked, "twice"]) == {"digest 1": run(1).key, "twice": run(4).key}
    assert store.find_finished([]) == {}
    assert other.find_finished(asked) == {"digest 7": run(7).key}


def test_a_thousand_are_found_at_once(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    given = [run(number, key=f"{number:08x}" * 4, files={}) for number in range(1000, 2000)]
    SweepLog.begin(store, "sweep", {}, "").write(given)
    digests = [one.tags["bptt.digest"] for one in given]
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        found = store.find_finished(digests)
        seconds.append(time.perf_counter() - began)
        assert found == {one.tags["bptt.digest"]: one.key for one in given}
    assert min(seconds) < 0.3


def test_what_a_run_recorded_comes_back(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    one = run(0, key="a" * 32)
    SweepLog.begin(store, "sweep", {}, "").write([one])
    assert same(store.read_finished(one.key), RECORD)


def test_what_is_no_longer_whole_is_not_read(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    given = [run(number, key=f"{number:04x}" * 8) for number in range(8)]
    given[6] = replace(given[6], tags={"bptt.digest": "d"})
    given[7] = replace(given[7], tags={"bptt.outcome": "no such outcome"})
    SweepLog.begin(store, "sweep", {}, "").write(given)
    names = ("history.parquet", "gradient_flow.parquet", "weights.npz")
    for number, name in enumerate(names):
        path = file(store, given[number].key, name)
        path.write_bytes(path.read_bytes()[:-20])
        file(store, given[3 + number].key, name).unlink()
    assert [store.read_finished(one.key) for one in given] == [None] * 8
    assert store.read_finished("b" * 32) is None


def test_a_flow_of_other_updates_is_not_read(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    one, other = run(0, key="c" * 32), run(1, key="d" * 32)
    later = replace(RECORD, history={**RECORD.history, "update": np.array([1, 8])})
    SweepLog.begin(store, "sweep", {}, "").write([one, replace(other, files=pack_record(later))])
    assert same(store.read_finished(other.key), replace(later, updates=8))
    file(store, one.key, "history.parquet").write_bytes(file(store, other.key, "history.parquet").read_bytes())
    assert store.read_finished(one.key) is None


def test_nothing_is_unpickled(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    one = run(0, key="e" * 32)
    SweepLog.begin(store, "sweep", {}, "").write([one])
    with file(store, one.key, "weights.npz").open("wb") as weights:
        np.savez(weights, a=np.array([{}], dtype=object))
    assert store.read_finished(one.key) is None


def file(store: Store, run_id: str, name: str) -> Path:
    folder = find_local_folder(store.address, store.client.get_run(run_id).info.artifact_uri)
    assert folder is not None
    return folder / name
