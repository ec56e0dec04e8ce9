"""Data of one's own: what a run and a sweep keep of them, in their folders and in the store, and what they say."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bptt
from bptt.cli.main import main
from bptt.tasks import Arrays, Preparation, Table
from bptt.tracking.folder.files import PREPARATION
from bptt.tracking.folder.preparations import identify_task
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.history.find import find_past_runs
from tests.empty_store import put_empty_store

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

SMALL = ("train.updates=4", "train.log_points=2", "model.hidden_size=2", "report=false")
TASK = ("task=table", "task.path=data.csv", "task.sequence=who", "task.inputs=[a]", "task.target=b")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table and an empty store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    put_empty_store(tmp_path)
    write_table(tmp_path, 20)
    return tmp_path


def write_table(folder: Path, count: int) -> None:
    rows = [f"s{i},{(7 * i + t) % 11},{(3 * i + t) % 5 / 2}" for i in range(count) for t in range(3)]
    (folder / "data.csv").write_text("\n".join(["who,a,b", *rows]) + "\n")


def read_inputs(folder: Path) -> list[tuple[Any, ...]]:
    """The runs of a store with the data they were trained on: name of the run, name and digest of the data, context."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        return connection.execute(
            "SELECT runs.name, datasets.name, digest, dataset_source, input_tags.value FROM inputs"
            " JOIN datasets ON source_id = dataset_uuid JOIN runs ON destination_id = run_uuid"
            " JOIN input_tags ON input_tags.input_uuid = inputs.input_uuid"
            " WHERE inputs.source_type = 'DATASET' AND destination_type = 'RUN'"
        ).fetchall()


def test_a_run_keeps_how_its_data_were_prepared(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *TASK, *SMALL, "hydra.run.dir=run"]) == 0
    said = capsys.readouterr().err
    assert "12 sequences train, 4 evaluate, 4 test: drawn by task.split_seed" in said
    expected = Table(path="data.csv", sequence="who", inputs=["a"], target="b").preparation
    assert Preparation.from_json((place / "run" / PREPARATION).read_text()) == expected
    (past,) = find_past_runs("run")
    assert past.preparation == expected
    assert read_inputs(place) == [
        ("table elman seed=0", "data.csv", expected.data.digest, '{"uri": "data.csv"}', "training")  # type: ignore[union-attr]
    ]
    shutil.rmtree(place / "run")
    (stored,) = find_past_runs(str(past.run_id))
    assert stored.preparation == expected


def test_a_store_that_was_away_gets_it_later_and_a_sweep_that_is_deleted_leaves_nothing(place: Path) -> None:
    assert main(["train", *TASK, *SMALL, "hydra.run.dir=run"]) == 0
    put_empty_store(place)
    assert main(["sync", "run"]) == 0
    assert [row[:2] for row in read_inputs(place)] == [("table elman seed=0", "data.csv")]
    (past,) = find_past_runs("run")
    kept = past.preparation
    assert kept is not None
    shutil.rmtree(place / "run")
    assert find_past_runs(str(past.run_id))[0].preparation == kept
    words = [*TASK, *SMALL, "seed=0,1", "hydra.launcher.workers=1", "hydra.sweep.dir=multirun/sweep"]
    assert main(["train", "-m", *words, "reuse=false"]) == 0
    assert len(read_inputs(place)) == 2
    assert main(["rm", "--yes", "multirun/sweep"]) == 0
    assert [row[:2] for row in read_inputs(place)] == [("table elman seed=0", "data.csv")]


def test_a_run_of_another_task_keeps_nothing(place: Path) -> None:
    assert main(["train", "task=xor", "task.length=3", *SMALL, "hydra.run.dir=run"]) == 0
    assert not (place / "run" / PREPARATION).exists()
    assert find_past_runs("run")[0].preparation is None
    assert read_inputs(place) == []


def test_a_sweep_keeps_it_once_for_each_task(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*TASK, *SMALL, "seed=0,1", "task.split_seed=0,1", "hydra.launcher.workers=1"]
    assert main(["train", "-m", *words, "hydra.sweep.dir=multirun/sweep"]) == 0
    assert "12 sequences train" in capsys.readouterr().err
    noted = SweepFolder.open(place / "multirun/sweep").journal.preparations
    runs = find_past_runs("multirun/sweep")
    assert len(runs) == 4
    assert set(noted) == {identify_task(run.config) for run in runs}
    assert len(noted) == 2
    for run in runs:
        task = Table(
            path="data.csv", sequence="who", inputs=["a"], target="b", split_seed=run.config["task"]["split_seed"]
        )
        assert run.preparation == task.preparation
    assert [row[:2] for row in read_inputs(place)] == [("sweep", "data.csv")]
    assert len(bptt.load("multirun/sweep").list_preparations()) == 2
    (written, *_) = (place / "mlruns").rglob(PREPARATION)
    assert Preparation.from_json(written.read_text()).to_json() == written.read_text()
    shutil.rmtree(place / "multirun")
    stored = find_past_runs("sweep")
    assert [run.preparation for run in stored] == [run.preparation for run in runs]
    (alone,) = find_past_runs(str(stored[0].run_id))
    assert alone.preparation == runs[0].preparation


def test_evaluating_on_the_training_data_is_said_in_capitals(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*TASK, *SMALL[:3], "task.eval_size=0", "seed=0,1", "hydra.launcher.workers=1", "tracking.enabled=false"]
    assert main(["train", "-m", *words, "hydra.sweep.dir=multirun/sweep"]) == 0
    assert "EVALUATED ON THE TRAINING DATA" in capsys.readouterr().err
    report = (place / "multirun/sweep/report/report.md").read_text()
    assert "**EVALUATED ON THE TRAINING DATA: nothing is held out" in report
    assert "16 training, 0 evaluation, 4 test sequences" in report


def test_a_run_goes_on_only_with_the_data_that_it_was_begun_with(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *TASK, *SMALL, "hydra.run.dir=run", "tracking.enabled=false"]) == 0
    journal = json.loads((place / "run/run.json").read_text())
    journal |= {"status": "KILLED"}
    journal.pop("sha256")
    (place / "run/run.json").write_text(json.dumps(journal))
    write_table(place, 21)
    capsys.readouterr()
    assert main(["resume", "run"]) == 2
    assert "a data file or a package that it names, was changed since the run began" in capsys.readouterr().err
    assert main(["reproduce", "run"]) == 2
    assert "was changed since it was trained" in "".join(capsys.readouterr())


def test_data_in_memory_are_saved_and_trained_on(place: Path) -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    task = Arrays(rng.random((20, 3, 1)), ["up", "down"] * 10, scale_inputs=True)
    words = [*task.overrides(place / "data"), *SMALL, "tracking.enabled=false"]
    assert main(["train", *words, "hydra.run.dir=one"]) == 0
    moved = place / "elsewhere"
    (place / "data").rename(moved)
    again = Arrays(path=str(next(moved.iterdir())), scale_inputs=True)
    assert main(["train", *again.overrides(place), *SMALL, "tracking.enabled=false", "hydra.run.dir=two"]) == 0
    digests = [json.loads((place / name / "run.json").read_text())["digest"] for name in ("one", "two")]
    assert digests[0] == digests[1]
    first, second = (find_past_runs(name)[0] for name in ("one", "two"))
    assert first.preparation is not None
    assert first.preparation.classes == ("down", "up")
    assert first.config["model"]["readout"] == "sigmoid"
    assert first.record is not None
    assert second.record is not None
    for name, array in first.record.parameters.items():
        assert np.array_equal(array, second.record.parameters[name])
