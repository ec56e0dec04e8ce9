"""A sweep whose runs keep their best network: what its folder, its store, measures and a repetition have of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bptt
from bptt.analysis.notebook import rebuild_run
from bptt.cli.main import main
from bptt.core.training import train
from tests.empty_store import put_empty_store

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

SMALL = ["experiment=zhu_adder", "train.updates=40", "train.log_points=9", "train.snapshots=2", "train.keep=best"]
SMALL += ["optimizer=momentum", "optimizer.alpha=2", "optimizer.epsilon=0.5", "model.hidden_size=3", "report=false"]
SMALL += ["train.early_stop.metric=loss/eval", "train.early_stop.patience=4,8", "hydra.launcher.workers=1"]
KEPT = ["kept/update", "kept/loss/eval", "kept/accuracy/eval"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("kept")
    put_empty_store(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        bptt.sweep([*SMALL, "seed=0,1,2", "hydra.sweep.dir=multirun/own"])
        yield folder


def test_tables_and_weights_have_the_network_that_was_kept(folder: Path) -> None:
    sweep = bptt.load("own")
    runs = [rebuild_run(sweep, number) for number in sweep.runs["run"]]
    records = train(runs)
    assert len({record.outcome for record in records}) == 2  # patience ran out for some
    assert any(record.kept_update < record.updates for record in records)
    assert sweep.runs["kept/update"].tolist() == [record.kept_update for record in records]
    assert sweep.runs["kept/loss/eval"].tolist() == [record.history["loss/eval"].min() for record in records]
    assert sweep.runs["loss/eval"].tolist() == [record.history["loss/eval"][-1] for record in records]
    assert sweep.runs["loss/test"].tolist() == [record.once["loss/test"] for record in records]
    for name, array in sweep.parameters().items():
        np.testing.assert_array_equal(array, np.stack([record.parameters[name] for record in records]))


def test_the_store_has_the_same(folder: Path) -> None:
    here, there = bptt.load("own").runs, bptt.load("tags.`bptt.sweep` = 'own'").runs
    there = here[["seed", "train.early_stop.patience"]].merge(there, on=["seed", "train.early_stop.patience"])
    for name in KEPT:
        assert here[name].tolist() == there[name].tolist()


def test_settings_are_ranked_by_the_loss_of_what_they_keep(folder: Path) -> None:
    runs = bptt.load("own").runs
    assert bptt.load("own:best").runs["kept/loss/eval"].tolist() == [runs["kept/loss/eval"].min()]


def test_what_is_measured_last_is_the_network_that_was_kept(folder: Path) -> None:
    assert main(["measure", "own", "--workers", "1", "--at", "last", "--lyapunov"]) == 0
    sweep = bptt.load("own")
    ends = sweep.measures[sweep.measures["update"] > 0]
    assert ends["update"].tolist() == sweep.runs["kept/update"].tolist()
    assert np.array_equal(sweep.runs["dynamics/lyapunov_max"], ends["dynamics/lyapunov_max"])


def test_all_that_is_measured_is_the_last_network_too_where_it_was_kept_beside_a_better_one(folder: Path) -> None:
    assert main(["measure", "own", "--workers", "1", "--at", "all", "--lyapunov"]) == 0
    sweep = bptt.load("own")
    records = train([rebuild_run(sweep, number) for number in sweep.runs["run"]])
    assert any(record.kept_update < record.updates in record.snapshots for record in records)
    for number, record in enumerate(records):
        own = sweep.measures.loc[sweep.measures["run"] == number, "update"]
        assert own.tolist() == sorted({record.kept_update, *record.snapshots})


def test_it_is_reproduced_to_the_bit(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "own"]) == 0, capfd.readouterr()
