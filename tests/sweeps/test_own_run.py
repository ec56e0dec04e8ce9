"""A sweep's own run in the store, and which runs belong to it: its own, and those that an earlier sweep trained."""

from pathlib import Path
from typing import Any

import pytest

import bptt
from bptt.cli.main import main
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.store.opening import open_store
from tests.empty_store import put_empty_store

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

SMALL = (
    *("task=leftbit", "train.updates=20", "train.log_points=2", "report=false"),
    *("hydra.launcher.workers=1", "model.hidden_size=2,3"),
)


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three sweeps in a folder: the second took most of its runs from the first, the third all."""
    folder = tmp_path_factory.mktemp("work")
    put_empty_store(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for name, seeds in (("first", "0,1"), ("second", "0,1,2"), ("third", "1,2")):
            bptt.sweep([*SMALL, f"seed={seeds}", f"hydra.sweep.dir=multirun/{name}", "question='How many?'"])
        yield folder, open_store(f"sqlite:///{folder}/mlflow.db", "bptt")


def parent(folder: Path, name: str) -> str:
    found = SweepFolder.open(folder / "multirun" / name).journal.parent
    assert found is not None
    return found


def test_runs_that_were_taken_over_belong_to_the_sweep(sweeps: Any) -> None:
    folder, store = sweeps
    for name, seeds, trained in (("first", (0, 1), 4), ("second", (0, 1, 2), 2), ("third", (1, 2), 0)):
        key = f"bptt.setting.{parent(folder, name)}"
        by_folder, by_filter = bptt.load(name), bptt.load(f"tags.`{key}` != ''")
        expected = {(size, seed) for size in (2, 3) for seed in seeds}
        for found in (by_folder, by_filter):
            pairs = zip(found.runs["model.hidden_size"].astype(int), found.runs["seed"].astype(int), strict=True)
            assert set(pairs) == expected
        assert set(by_folder.runs["run_id"]) == set(by_filter.runs["run_id"])
        settings = [row.tags[key] for row in store.search(f"tags.`{key}` != ''")]
        assert sorted(settings) == ["hidden_size=2"] * len(seeds) + ["hidden_size=3"] * len(seeds)
        assert len(store.search(f"tags.`bptt.sweep` = '{name}'")) == trained


def test_a_sweeps_own_run_compares(sweeps: Any) -> None:
    folder, store = sweeps
    for name, seeds in (("first", "0, 1"), ("third", "1, 2")):
        swept = bptt.load(name)
        own = store.client.get_run(parent(folder, name)).data
        assert {key: own.params[key] for key in ("model.hidden_size", "seed", "train.updates")} == {
            "model.hidden_size": "2, 3",
            "seed": seeds,
            "train.updates": "20",
        }
        medians = swept.runs.groupby("model.hidden_size")["loss/eval"].median()
        assert own.metrics["best/loss/eval"] == medians.min()
        assert own.tags["bptt.best"] == f"hidden_size={medians.idxmin()}"
        counts = {"runs": 4, "settings": 2, "diverged": 0, "failed": 0, "unfinished": 0}
        assert {key: own.metrics[f"sweep/{key}"] for key in counts} == counts
        note = own.tags["mlflow.note.content"]
        assert note.startswith(f"**How many?** Best: hidden\\_size={medians.idxmin()} (`loss/eval` ")
        assert note.splitlines()[2] == "### Best settings"
        assert note.splitlines()[4].startswith(r"| model.hidden\_size | runs | diverged | loss/eval | from | to |")
        links = [text.partition(")")[0] for text in note.split("](")[1:]]
        assert len(links) > 4
        assert all("workflowType=machine_learning" in link for link in links)


def test_a_sweep_that_is_sent_again_keeps_its_params(sweeps: Any, capfd: pytest.CaptureFixture[str]) -> None:
    folder, store = sweeps
    own = parent(folder, "second")
    before = store.client.get_run(own).data
    key = f"bptt.setting.{own}"
    members = {row.run_id for row in store.search(f"tags.`{key}` != ''")}
    for run_id in members:  # as an earlier version left them
        store.client.delete_tag(run_id, key)
    assert main(["sync", str(folder / "multirun" / "second")]) == 0, capfd.readouterr().err
    assert {row.run_id for row in store.search(f"tags.`{key}` != ''")} == members
    after = store.client.get_run(own).data
    assert after.params == before.params
    assert after.metrics["best/loss/eval"] == before.metrics["best/loss/eval"]


def test_what_another_sweep_has_is_not_deleted(sweeps: Any, capfd: pytest.CaptureFixture[str]) -> None:
    folder, store = sweeps
    second = bptt.load("second")
    assert main(["rm", "--yes", "first"]) == 0
    assert "  kept    4 that other sweeps have too\n" in capfd.readouterr().out
    assert len(store.find_runs(list(second.runs["run_id"]))) == 6
    key = f"bptt.setting.{parent(folder, 'second')}"
    assert len(store.search(f"tags.`{key}` != ''")) == 6
    assert main(["rm", "--yes", "third"]) == 0
    assert main(["rm", "--yes", "second"]) == 0
    assert "  kept" not in capfd.readouterr().out.rpartition("sweep second")[2]
    assert store.find_runs(list(second.runs["run_id"])) == []
