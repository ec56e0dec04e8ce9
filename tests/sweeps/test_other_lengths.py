"""Runs that are seen on other lengths: what their folders, their store, tables and reports have of it."""

from pathlib import Path
from typing import Any

import pytest

import bptt
from bptt.analysis.notebook import rebuild_run
from bptt.analysis.sweep import hash_results
from bptt.core.training import train
from tests.empty_store import put_empty_store

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

SMALL = ["task=parity", "task.length=6", "task.eval_size=40", "task.test_size=20", "task.eval_lengths=[9,4]"]
SMALL += ["model.hidden_size=3", "train.updates=8", "train.log_points=2", "train.batch_size=2"]
NAMES = ["loss/eval_4", "accuracy/eval_4", "loss/eval_9", "accuracy/eval_9"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("lengths")
    put_empty_store(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        bptt.sweep([*SMALL, "seed=0,1", "hydra.launcher.workers=1", "hydra.sweep.dir=multirun/own"])
        yield folder


def test_tables_of_folder_and_store_have_what_training_gives(folder: Path) -> None:
    here, there = bptt.load("own"), bptt.load("tags.`bptt.sweep` = 'own'").runs.sort_values("seed")
    records = train([rebuild_run(here, number) for number in here.runs["run"]])
    for name in NAMES:
        expected = [record.once[name] for record in records]
        assert here.runs[name].tolist() == there[name].tolist() == expected
    assert hash_results([bptt.load("tags.`bptt.sweep` = 'own'")]) == hash_results([here])


def test_a_report_has_the_figure(folder: Path) -> None:
    assert (folder / "multirun/own/report/figures/lengths.svg").is_file()
    assert "Other lengths" in (folder / "multirun/own/report/report.html").read_text(encoding="utf-8")
