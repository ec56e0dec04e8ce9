import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bptt.tracking.store.address import StoreError
from bptt.tracking.store.base import Store
from bptt.tracking.store.logs import RunLog

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version


def history(store: Store, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in store.client.get_metric_history(run_id, name)]


def test_a_run_comes_back_whole(open_experiment: Callable[[], Store], tmp_path: Path) -> None:
    store = open_experiment()
    params = {f"group.key{number}": "x" * 6000 for number in range(250)}
    parent = RunLog.begin(store, "the sweep", {}, {})
    record = RunLog.begin(store, "leftbit elman seed=0", params, {"bptt.digest": "d"}, parent.run_id)
    assert store.client.get_run(record.run_id).info.status == "RUNNING"
    for update in range(1, 301):
        record.log(update, {f"metric/{number}": update / 3 for number in range(5)})
    (tmp_path / "loss.png").write_bytes(b"png")
    record.close("FINISHED", {"bptt.outcome": "completed"}, {tmp_path / "loss.png": "figures"})
    run = store.client.get_run(record.run_id)
    assert run.data.params == params
    assert run.info.run_name == "leftbit elman seed=0"
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == parent.run_id
    assert (run.data.tags["bptt.digest"], run.data.tags["bptt.outcome"]) == ("d", "completed")
    assert [file.path for file in store.client.list_artifacts(record.run_id, "figures")] == ["figures/loss.png"]
    assert history(store, record.run_id, "metric/4") == [(update, update / 3) for update in range(1, 301)]


def test_what_is_not_finite_is_kept_as_mlflow_can(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    record = RunLog.begin(store, "run", {}, {})
    record.log(1, {"nan": math.nan, "up": math.inf, "down": -math.inf})
    record.close("FINISHED", {}, {})
    assert math.isnan(history(store, record.run_id, "nan")[0][1])
    assert history(store, record.run_id, "up") == [(1, 1.7976931348623157e308)]
    assert history(store, record.run_id, "down") == [(1, -1.7976931348623157e308)]


def test_points_are_written_in_batches_while_it_trains(
    open_experiment: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_experiment()
    now = [0.0]
    monkeypatch.setattr("bptt.tracking.store.logs.time.monotonic", lambda: now[0])
    record = RunLog.begin(store, "run", {}, {})
    batches: list[int] = []
    written = store.add

    def counted(run_id: str, points: Any) -> None:
        batches.append(len(points))
        written(run_id, points)

    monkeypatch.setattr(store, "add", counted)
    for update in range(1, 25):
        now[0] = update / 10
        record.log(update, {"a": 1.0, "b": 2.0})
    assert batches == [20, 20]
    assert len(history(store, record.run_id, "a")) == 20


def test_a_reopened_run_gets_no_point_twice(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    first = RunLog.begin(store, "run", {}, {})
    for update in (1, 2, 3):
        first.log(update, {"loss/train": 1 / update})
    first.close("KILLED", {}, {})
    again = RunLog.reopen(store, first.run_id)
    assert store.client.get_run(first.run_id).info.status == "RUNNING"
    for update in (2, 3, 4):
        again.log(update, {"loss/train": 1 / update, "loss/eval": 2.0})
    again.close("FINISHED", {}, {})
    assert history(store, first.run_id, "loss/train") == [(1, 1.0), (2, 1 / 2), (3, 1 / 3), (4, 1 / 4)]
    assert history(store, first.run_id, "loss/eval") == [(2, 2.0), (3, 2.0), (4, 2.0)]


def test_a_store_that_goes_away_loses_no_point(
    open_experiment: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException

    store = open_experiment()
    record = RunLog.begin(store, "run", {}, {})
    now = [1e9]
    monkeypatch.setattr("bptt.tracking.store.logs.time.monotonic", lambda: now[0])

    def away(*_: object, **__: object) -> None:
        raise MlflowException("no answer\nfrom it")

    with monkeypatch.context() as patch:
        patch.setattr(store, "add", away)
        record.log(1, {"a": 1.0})
        assert record.trouble is not None
        with pytest.raises(StoreError, match=r"no answer$"):
            record.close("FINISHED", {}, {})
    now[0] += 10
    record.log(2, {"a": 2.0})
    assert history(store, record.run_id, "a") == []
    now[0] += 30
    record.log(3, {"a": 3.0})
    assert history(store, record.run_id, "a") == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_an_unknown_run_cannot_be_reopened(open_experiment: Callable[[], Store]) -> None:
    with pytest.raises(StoreError, match="run 0123 can't be reopened"):
        RunLog.reopen(open_experiment(), "0123")
