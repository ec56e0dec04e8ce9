"""A database that is asked itself answers as MLflow's client does: the two classes keep one contract."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from bptt.core.run import Record
from bptt.tasks.own_data.preparation import DataNote
from bptt.tracking.folder.files import pack_record
from bptt.tracking.store.base import Experiment, Store
from bptt.tracking.store.client import ClientStore
from bptt.tracking.store.database import DatabaseStore
from bptt.tracking.store.logs import SweepLog
from bptt.tracking.store.opening import open_store, open_to_read
from bptt.tracking.store.sqlite import SqliteStore
from tests.tracking.store.test_bulk import run

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

RECORD = Record(
    outcome="completed",
    updates=3,
    history={"update": np.array([0, 3]), "loss/train": np.array([0.5, np.nan])},
    flow=np.ones((2, 4)),
    parameters={"readout.bias": np.zeros(1)},
    state=np.empty((0, 0)),
)


def test_both_classes_give_the_same_answers(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/mlflow.db", "both")  # of its own, for what is newest in it
    log = SweepLog.begin(store, "asked twice", {"bptt.view": "/#/page"}, "")
    runs = [run(number, store.experiment) for number in range(3)]
    tags = {"bptt.digest": "a digest", "bptt.outcome": "completed"}
    runs[1] = replace(runs[1], tags={**tags, "bptt.key": runs[1].key}, files=pack_record(RECORD))
    runs[2] = replace(runs[2], status="FAILED")
    ids = log.write(runs)
    one = ids[runs[1].key]
    log.close("FINISHED", None, {}, {})
    into = Experiment(name=store.experiment, experiment_id=store.experiment_id, asked=None)
    client = ClientStore(store.address, store.client, into)
    reader = open_to_read(store.address.uri)
    assert (type(store), type(reader)) == (SqliteStore, DatabaseStore)

    own = client.find_run(log.parent)
    assert own is not None
    below = client.find_below(own)
    assert {row.run_id for row in below} == {*ids.values()}
    rows = dict(enumerate(below))
    histories = client.read_histories(rows).sort_values(["run", "update"], ignore_index=True)
    for other in (store, reader):
        assert other.find_run(log.parent) == own
        assert other.find_run("0123456789abcdef" * 2) is client.find_run("0123456789abcdef" * 2) is None
        assert other.find_sweeps("asked twice") == client.find_sweeps("asked twice") == [own]
        assert other.find_below(own) == below == other.find_runs(list(ids.values()))
        assert other.search("attributes.status = 'FAILED'") == client.search("attributes.status = 'FAILED'")
        assert other.find_newest_sweep() == client.find_newest_sweep()
        assert other.list_sweeps("asked twice") == client.list_sweeps("asked twice") == [log.parent]
        assert other.find_sweep(log.parent) == client.find_sweep(log.parent)
        assert other.find_sweep(one) is client.find_sweep(one) is None
        found = other.read_histories(rows).sort_values(["run", "update"], ignore_index=True)
        assert_frame_equal(found, histories, check_like=True, check_dtype=False)
        for read in (other.read_finished(one), client.read_finished(one)):
            assert read is not None
            assert np.array_equal(read.history["loss/train"], RECORD.history["loss/train"], equal_nan=True)
        assert other.read_finished(ids[runs[0].key]) is client.read_finished(ids[runs[0].key]) is None
    asked = ["a digest", runs[0].tags["bptt.digest"], runs[2].tags["bptt.digest"], "none"]
    assert store.find_finished(asked) == client.find_finished(asked) == {asked[0]: one, asked[1]: ids[runs[0].key]}
    assert store.find_by_key(runs[1].key) == client.find_by_key(runs[1].key) == one
    with pytest.raises(TypeError, match="without an experiment"):
        reader.find_finished(asked)


@pytest.mark.parametrize("order", ["itself first", "client first"])
def test_both_note_the_same_data_once(open_experiment: Callable[[], Store], order: str) -> None:
    store = open_experiment()
    into = Experiment(name=store.experiment, experiment_id=store.experiment_id, asked=None)
    client = ClientStore(store.address, store.client, into)
    notes = [
        DataNote(name=f"{order} {name}", digest="0123456789abcdef", source=f"a/{name}", profile="7 training")
        for name in ("é.csv", "b.csv")
    ]
    runs = [SweepLog.begin(store, f"{order} {number}", {}, "").parent for number in range(2)]
    for writer in (store, client) if order == "itself first" else (client, store):
        for run_id in runs:
            writer.note_data(run_id, notes)
    for run_id in runs:
        inputs = store.client.get_run(run_id).inputs
        assert inputs is not None
        found = inputs.dataset_inputs
        assert sorted(one.dataset.name for one in found) == sorted(note.name for note in notes)
        for one in found:
            note = next(note for note in notes if note.name == one.dataset.name)
            assert (one.dataset.digest, one.dataset.source_type) == (note.digest, "local")
            assert json.loads(one.dataset.source) == {"uri": note.source}
            assert json.loads(str(one.dataset.profile)) == {"sequences": note.profile}
            assert [(tag.key, tag.value) for tag in one.tags] == [("mlflow.data.context", "training")]


@pytest.mark.parametrize("kind", ["database", "client"])
def test_a_run_belongs_to_each_sweep_that_has_it(open_experiment: Callable[[], Store], kind: str) -> None:
    store = open_experiment()
    into = Experiment(name=store.experiment, experiment_id=store.experiment_id, asked=None)
    if kind == "client":
        store = ClientStore(store.address, store.client, into)
    logs = {name: SweepLog.begin(store, name, {}, "") for name in ("first", "second", "third")}
    first, second, third = logs.values()
    ids = [*first.write([replace(run(number, store.experiment), setting="size=8") for number in range(4)]).values()]
    own = [*second.write([run(9, store.experiment)]).values()]
    alone = store.client.create_run(store.experiment_id, run_name="alone").info.run_id
    second.adopt({ids[0]: "size=8 alpha=1", ids[1]: "", alone: "size=2", uuid4().hex: "gone"})
    second.adopt({ids[0]: "another", own[0]: "another"})  # what is noted stays
    third.adopt({ids[1]: "x" * 2000})

    def settings(log: SweepLog) -> dict[str, str]:
        key = f"bptt.setting.{log.parent}"
        return {row.run_id: row.tags[key] for row in store.search(f"tags.`{key}` != ''")}

    assert settings(first) == dict.fromkeys(ids, "size=8")
    assert settings(second) == {ids[0]: "size=8 alpha=1", ids[1]: "second", alone: "size=2", own[0]: "second"}
    assert settings(third) == {ids[1]: "x" * 1000}

    def remove(log: SweepLog) -> tuple[set[str], list[str]]:
        sweep = store.find_sweep(log.parent)
        assert sweep is not None
        store.delete(sweep)
        return set(sweep.runs) - {log.parent}, sweep.shared

    assert remove(first) == ({ids[2], ids[3]}, sorted(ids[:2]))
    assert settings(first) == {}
    assert set(settings(second)) == {ids[0], ids[1], own[0], alone}
    # What was trained elsewhere stays; what a sweep that is gone has trained goes with the last that has it.
    gone, shared = remove(second)
    assert gone == ({own[0], ids[0]} if kind == "database" else {own[0]})
    assert set(shared) == ({ids[1], alone} if kind == "database" else {ids[0], ids[1], alone})
    assert set(settings(third)) == {ids[1]}
    assert remove(third)[0] == ({ids[1]} if kind == "database" else set())
    assert store.find_run(alone) is not None


def test_two_sweeps_that_end_at_once_both_have_their_runs(open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    log = SweepLog.begin(store, "first", {}, "")
    ids = [*log.write([run(number, store.experiment) for number in range(40)]).values()]
    others = [SweepLog.begin(store, name, {}, "").parent for name in ("second", "third")]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda parent: store.adopt(parent, dict.fromkeys(ids, str(parent))), others * 3))
    for row in store.find_runs(ids):
        found = {key: text for key, text in row.tags.items() if key.startswith("bptt.setting.")}
        assert found == {f"bptt.setting.{log.parent}": "first"} | {f"bptt.setting.{other}": other for other in others}
