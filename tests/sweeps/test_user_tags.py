"""Tags that a user gives a run or a sweep: in the store, in tables, in queries; and where runs are the same runs."""

from pathlib import Path
from typing import Any

import pytest

import bptt
from bptt.cli.main import main
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.store.base import Experiment
from bptt.tracking.store.client import ClientStore
from bptt.tracking.store.opening import open_store
from tests.empty_store import put_empty_store

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

SMALL = "task=leftbit train.updates=20 train.log_points=2 report=false hydra.launcher.workers=1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two runs, which another one, of three, has too; and a single run."""
    folder = tmp_path_factory.mktemp("tags")
    put_empty_store(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        bptt.sweep(f"{SMALL} seed=0,1 tags.study=pilot hydra.sweep.dir=multirun/pilot")
        bptt.sweep(f"{SMALL} seed=0,1,2 tags.study=full tags.paper=first hydra.sweep.dir=multirun/full")
        single = f"{SMALL} seed=7 tags.study=single hydra.run.dir=multirun/runs/one".split()
        assert main(["train", *(word for word in single if not word.startswith(("report", "hydra.launcher")))]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def list_tags() -> list[dict[str, str]]:
    """Of each run of the store: its name, and the tags that are the user's."""
    client = open_store(None, "bptt").client
    experiment = client.get_experiment_by_name("bptt")
    assert experiment is not None
    return [
        {"name": str(run.info.run_name)}
        | {name: text for name, text in run.data.tags.items() if not name.startswith(("mlflow.", "bptt."))}
        for run in client.search_runs([experiment.experiment_id])
    ]


def test_runs_and_sweeps_have_them_in_the_store() -> None:
    found = sorted(list_tags(), key=lambda tags: tags["name"])
    assert found == [
        {"name": "full", "study": "full", "paper": "first"},
        {"name": "leftbit elman seed=7", "study": "single"},
        {"name": "pilot", "study": "pilot"},
        # Two belong to both sweeps: what the earlier one calls them stays, and what they lack they get.
        {"name": "seed=0", "study": "pilot", "paper": "first"},
        {"name": "seed=1", "study": "pilot", "paper": "first"},
        {"name": "seed=2", "study": "full", "paper": "first"},
    ]


def test_a_run_with_another_tag_is_the_same_run() -> None:
    archive = SweepFolder.open(Path("multirun/full"))
    assert {result.job: result.reused is not None for result in archive.ended()} == {0: True, 1: True, 2: False}
    assert archive.journal.tags == {"study": "full", "paper": "first"}


def test_tables_have_a_column_for_each() -> None:
    runs = bptt.load("full").runs
    assert runs["tags.study"].tolist() == ["full"] * 3
    assert runs["tags.paper"].tolist() == ["first"] * 3
    assert bptt.load("multirun/runs/one").runs["tags.study"].tolist() == ["single"]
    assert "tags.study" not in bptt.load("full").swept


def test_they_are_asked_for_in_mlflows_words() -> None:
    found = bptt.load("tags.study = 'pilot'")
    assert sorted(found.runs["seed"]) == [0, 1]  # and no sweep's own run
    assert found.runs["tags.paper"].tolist() == ["first"] * 2
    assert bptt.load("tags.study = 'single'").runs["tags.study"].tolist() == ["single"]
    assert len(bptt.load("tags.paper = 'first'").runs) == 3


def test_they_are_the_same_for_all_runs_of_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "-m", *SMALL.split(), "tags.study=a,b"]) == 2
    assert capsys.readouterr().err == "tags: must be the same for all runs of a sweep\n"


def test_a_server_is_asked_for_those_that_are_lacking() -> None:
    class Client:
        """As much of MLflow's client as is asked here."""

        def __init__(self) -> None:
            self.tags = {"a": {"study": "pilot"}, "b": {}}

        def set_tag(self, run_id: str, key: str, text: str) -> None:
            self.tags[run_id][key] = text

        def get_run(self, run_id: str) -> Any:
            from types import SimpleNamespace

            return SimpleNamespace(data=SimpleNamespace(tags=dict(self.tags[run_id])))

        def search_runs(self, *_: Any, **__: Any) -> Any:
            from mlflow.store.entities import PagedList

            return PagedList([], None)

    store = open_store(None, "bptt")
    client = Client()
    into = Experiment(name="bptt", experiment_id="0", asked=None)
    asked = ClientStore(store.address, client, into)  # type: ignore[arg-type]
    asked.adopt("p", {"a": "x", "b": "y"}, {"study": "full", "paper": "first"})
    assert client.tags == {
        "a": {"study": "pilot", "paper": "first", "bptt.setting.p": "x"},
        "b": {"study": "full", "paper": "first", "bptt.setting.p": "y"},
    }
