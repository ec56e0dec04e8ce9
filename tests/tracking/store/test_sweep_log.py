from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bptt.tracking.store.address import StoreError
from bptt.tracking.store.artifacts import find_local_folder
from bptt.tracking.store.base import Store
from bptt.tracking.store.logs import SweepLog
from bptt.tracking.store.runs import RunToWrite

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version


def test_a_sweep_from_its_beginning_to_its_end(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    record = SweepLog.begin(store, "2001-02-03", {"mlflow.user": "somebody"}, "# in progress")
    begun = store.client.get_run(record.parent)
    assert (begun.info.run_name, begun.info.status, begun.info.user_id) == ("2001-02-03", "RUNNING", "somebody")
    assert begun.data.tags["bptt.sweep"] == "2001-02-03"
    assert begun.data.tags["mlflow.note.content"] == "# in progress"
    run = RunToWrite(
        key="f" * 32,
        name="seed=0",
        status="FINISHED",
        params={"seed": "0"},
        tags={"bptt.digest": "d", "bptt.sweep": "2001-02-03"},
        began=1e9,
        ended=1e9 + 1,
        history={"update": np.array([1, 2]), "loss/train": np.array([0.5, 0.25])},
        files={"config.yaml": b"seed: 0\n"},
    )
    ids = record.write([run])
    record.close("FINISHED", "# done", {"runs.parquet": b"PAR1", "figures/loss.png": b"png"}, {"bptt.best": "seed=0"})
    ended = store.client.get_run(record.parent)
    assert ended.info.status == "FINISHED"
    assert ended.info.end_time >= ended.info.start_time
    assert ended.data.tags["mlflow.note.content"] == "# done"
    assert ended.data.tags["bptt.best"] == "seed=0"
    folder = find_local_folder(store.address, ended.info.artifact_uri)
    assert folder is not None
    assert (folder / "runs.parquet").read_bytes() == b"PAR1"
    assert [file.path for file in store.client.list_artifacts(record.parent, "figures")] == ["figures/loss.png"]
    below = store.client.search_runs([store.experiment_id], f"tags.`mlflow.parentRunId` = '{record.parent}'")
    assert [child.info.run_id for child in below] == list(ids.values())


def test_closed_again_it_says_what_was_said_last(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    first = SweepLog.begin(store, "sweep", {}, "one")
    first.close("KILLED", "two", {"table": b"old", "other": b"kept"}, {"a": "1", "b": "1"})
    again = SweepLog.reopen(store, first.parent, "sweep")
    assert store.client.get_run(first.parent).info.status == "RUNNING"
    again.close("FINISHED", None, {"table": b"new"}, {"b": "2"})
    again.close("FINISHED", None, {"table": b"new"}, {"b": "2"})
    ended = store.client.get_run(first.parent)
    assert ended.info.status == "FINISHED"
    assert {"a": "1", "b": "2", "mlflow.note.content": "two"}.items() <= ended.data.tags.items()
    folder = find_local_folder(store.address, ended.info.artifact_uri)
    assert folder is not None
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"table": b"new", "other": b"kept"}


def test_a_description_is_cut_to_what_mlflow_takes(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    record = SweepLog.begin(store, "sweep", {}, "a" * 8000)
    assert store.client.get_run(record.parent).data.tags["mlflow.note.content"] == "a" * 8000
    record.close("FINISHED", "b" * 8001, {}, {})
    note = store.client.get_run(record.parent).data.tags["mlflow.note.content"]
    assert len(note) == 8000
    assert note.endswith("b\n\n… (cut)")


def test_a_sweep_that_is_gone_is_told(open_experiment: Callable[[], Store], capfd: pytest.CaptureFixture[str]) -> None:
    store = open_experiment()
    with pytest.raises(StoreError, match=r"sqlite:///.*: Run with id=0123 not found$"):
        SweepLog.reopen(store, "0123", "sweep")
    record = SweepLog.begin(store, "sweep", {}, "")
    store.client.delete_run(record.parent)
    with pytest.raises(
        StoreError, match=f"own run was deleted in MLflow; this .*: mlflow runs restore --run-id {record.parent}"
    ):
        SweepLog.reopen(store, record.parent, "sweep")
    with pytest.raises(StoreError, match="must be in the 'active' state"):
        record.close("FINISHED", "", {}, {})
    assert capfd.readouterr() == ("", "")


def test_no_file_is_left_half_written(open_experiment: Callable[[], Store], monkeypatch: pytest.MonkeyPatch) -> None:
    record = SweepLog.begin(open_experiment(), "sweep", {}, "")

    def full(path: Path, target: Path) -> Path:
        assert (path.read_bytes(), target.name) == (b"long", "table")
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(StoreError, match=r"mlflow\.db: /.*/\.table\.part: No space left on device$"):
            record.close("FINISHED", None, {"table": b"long"}, {})
    folder = find_local_folder(record.store.address, record.store.client.get_run(record.parent).info.artifact_uri)
    assert folder is not None
    assert list(folder.iterdir()) == []
    assert record.store.client.get_run(record.parent).info.status == "RUNNING"
