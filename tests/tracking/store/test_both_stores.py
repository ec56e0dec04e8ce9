"""A database that is asked itself answers as MLflow's client does: the two classes keep one contract."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from bptt.core.run import Record
from bptt.tracking.folder.files import pack_record
from bptt.tracking.store.base import Experiment
from bptt.tracking.store.client import ClientStore
from bptt.tracking.store.database import DatabaseStore
from bptt.tracking.store.opening import open_store, open_to_read
from bptt.tracking.store.sweep_log import SweepLog
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
    assert (type(store), type(reader)) == (DatabaseStore, DatabaseStore)

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
