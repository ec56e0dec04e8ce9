"""What `bptt.sweep` and `bptt.load` return: tables, the best run, parts and comparisons, figures, the report."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bptt
from bptt.core.run import TIMED
from bptt.tracking.history.find import SourceError

SMALL = "task=leftbit train.updates=20 train.log_points=4 hydra.launcher.workers=1"
KEYS: dict[str, Any] = {"model": {"name": "elman", "hidden_size": [2, 3]}, "seed": range(3)}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> bptt.TrainedSweep:
    folder = tmp_path_factory.mktemp("swept") / "mine"
    return bptt.sweep(SMALL, **KEYS, question="How wide?", tracking=False, folder=folder, report=False)


def test_lists_are_swept_with_the_bits_of_runs_alone(swept: bptt.TrainedSweep) -> None:
    assert swept.swept == ["model.hidden_size", "seed"]
    assert swept.runs[["model.hidden_size", "seed"]].to_numpy().tolist() == [[w, s] for w in (2, 3) for s in range(3)]
    assert swept.question == "How wide?"
    alone = bptt.train(SMALL.rpartition(" ")[0], model={"hidden_size": 3}, seed=2, tracking=False)
    mine = swept.run(5)
    assert mine.digest == alone.digest
    for name in {*alone.history} - TIMED:
        assert np.array_equal(mine.history[name], alone.history[name], equal_nan=True), name
    assert np.array_equal(mine.predict(), alone.predict())


def test_the_best_run_is_that_of_the_command_line(swept: bptt.TrainedSweep) -> None:
    assert swept.folder is not None
    (best,) = bptt.load(f"{swept.folder}:best").runs["run"]
    assert swept.best().config == swept.configs[best]
    part = swept.select({"model.hidden_size": 2})
    assert part.runs["run"].tolist() == [0, 1, 2] == swept.select("hidden_size=2").runs["run"].tolist()
    assert part.best().digest in set(part.runs["digest"])
    assert swept.select(4).run().digest == swept.runs["digest"].iloc[4]
    assert swept.select({"seed": [0, 2]}).runs["run"].tolist() == [0, 2, 3, 5]
    with pytest.raises(SourceError, match=r"^mine: 9: there is no such run; they are numbered 0 to 5$"):
        swept.run(9)
    with pytest.raises(SourceError, match=r"^mine: name one of them by its number; they are numbered 0 to 5$"):
        swept.run()
    with pytest.raises(SourceError, match=r"^:width=: not swept there; swept were model.hidden_size, seed$"):
        swept.select("width=2")


def test_conditions_have_a_best_run_each(tmp_path: Path) -> None:
    swept = bptt.sweep(SMALL, task={"eval_size": [10, 20]}, tracking=False, folder=tmp_path / "s", report=False)
    with pytest.raises(
        SourceError, match=r"^s: task.eval_size makes the question harder, .*: sweep.select\({'task.eval_size': 10}\)"
    ):
        swept.best()
    assert swept.select({"task.eval_size": 20}).best().config["task"]["eval_size"] == 20


def test_parts_are_compared(swept: bptt.TrainedSweep) -> None:
    found = swept.compare({"model.hidden_size": 2}, "hidden_size=3")
    assert found.table["about"].tolist()[-1] in ("loss/eval", "accuracy/eval")
    assert "model.hidden_size" in str(found)
    assert found.table.set_index("about").loc["loss/eval", "paired"]
    assert {*found.table["better"]} <= {"A", "B", None}
    assert str(found).splitlines()[0] in found._repr_html_()
    alone = bptt.compare(swept.select("hidden_size=2"), swept.select("hidden_size=3"), metric="loss/train")
    assert alone.table["about"].tolist() == ["loss/train"]
    with pytest.raises(SourceError, match=r"the same runs as mine:hidden_size=2, of which there is nothing to compare"):
        swept.compare("hidden_size=2", {"hidden_size": 2})
    with pytest.raises(SourceError, match=r"^loss/evil: not recorded by all; there are loss/train, loss/eval"):
        swept.compare("hidden_size=2", "hidden_size=3", metric="loss/evil")


def test_figures_have_names(swept: bptt.TrainedSweep) -> None:
    assert "final_loss_hidden_size" in swept.figures
    figure = swept.figure("final_loss_hidden_size")
    assert figure is swept.figures["final_loss_hidden_size"]
    with pytest.raises(
        ValueError, match=r"^covergence: no such figure of this sweep; did you mean convergence\? \(there"
    ):
        swept.figure("covergence")


def test_a_report_is_one_file(swept: bptt.TrainedSweep, tmp_path: Path) -> None:
    page = swept.report(tmp_path / "report")
    assert "How wide?" in page.read_text(encoding="utf-8")
    assert swept.folder is not None
    assert swept.report() == swept.folder / "report" / "report.html"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(SourceError, match=r"other: holds something else than a report; name a folder of its own$"):
        swept.report(tmp_path / "other")


def test_a_notebook_shows_it(swept: bptt.TrainedSweep) -> None:
    shown = swept._repr_html_()
    assert "How wide?" in shown
    assert "6: 6 ended" in shown
    assert repr(swept) == "<sweep mine: 6 runs over model.hidden_size, seed, FINISHED>"


def test_without_a_folder_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    swept = bptt.sweep(SMALL, seed=range(2), tracking=False)
    assert len(swept.runs) == 2
    part, kept = swept.select("seed=1"), swept.folder
    assert kept is not None
    assert not (kept / "report").exists()
    assert [*tmp_path.iterdir()] == []
    del swept
    assert len(part.run().gradient_flow) > 0  # what is left of it keeps the folder
    del part
    assert not kept.exists()


@pytest.mark.slow(seconds=10)
def test_sweeps_in_threads_have_their_own_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def run(width: int) -> bptt.TrainedSweep:
        return bptt.sweep(SMALL, model={"hidden_size": width}, seed=range(2), tracking=False)

    alone = [*map(run, (2, 3))]
    with ThreadPoolExecutor(2) as pool:
        together = [*pool.map(run, (2, 3))]
    for one, other in zip(alone, together, strict=True):
        assert one.runs["digest"].tolist() == other.runs["digest"].tolist()
        for name in {*one.history} - TIMED:
            assert np.array_equal(one.history[name], other.history[name], equal_nan=True), name


def test_interrupted_it_gives_back_what_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bptt.sweeps.session import Session

    def interrupt(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Session, "train", interrupt)
        with pytest.warns(UserWarning, match=r"s: interrupted when 0 of 2 runs had ended; bptt.resume"):
            broken = bptt.sweep(SMALL, seed=range(2), tracking=False, folder=tmp_path / "s", report=False)
    assert broken.status == "KILLED"
    resumed = bptt.resume(broken)
    assert isinstance(resumed, bptt.TrainedSweep)
    assert resumed.status == "FINISHED"
    assert resumed.runs["outcome"].tolist() == ["completed"] * 2


def test_the_best_is_confirmed_and_measured(swept: bptt.TrainedSweep, tmp_path: Path) -> None:
    import shutil

    assert swept.folder is not None
    shutil.copytree(swept.folder, tmp_path / "copy")
    copy = bptt.load(tmp_path / "copy", solved="loss/eval<=0")
    confirmed = copy.confirm(seeds=2)
    assert len(confirmed.stages["confirming"].runs) == 2
    measured = bptt.measure(tmp_path / "copy", ["sharpness"], at=["last"], workers=1)
    assert (measured.measures["dynamics/sharpness"] > 0).all()
    found = bptt.reproduce(copy.select(0))
    assert found.to_dict("records") == [{"run": 0, "name": copy.runs["name"].iloc[0], "same": True, "differs": ""}]
    assert bptt.remove(copy) == [str(tmp_path / "copy")]
    assert not (tmp_path / "copy").exists()


def test_a_plan_is_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = bptt.plan(SMALL, seed=range(4), tracking={"enabled": False})
    assert lines[0] == "runs    4"
    assert str(lines) == "\n".join(lines)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.slow(seconds=10)
@pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version
def test_a_store_that_lost_runs_gets_them_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    swept = bptt.sweep(SMALL, seed=range(2), folder="s", report=False)
    assert swept.url is not None
    assert swept.url.startswith("http://127.0.0.1:5000/#/experiments/")
    assert bptt.sync("s", check=True).lacked == {}
    Path("mlflow.db").unlink()
    assert len(bptt.sync(swept, check=True).lacked) == 3
    found = bptt.sync("s")
    assert (found.left, found.trouble) == ({}, None)
    assert bptt.load(str(bptt.load("s").run_id), uri="sqlite:///mlflow.db").runs["digest"].tolist() == (
        swept.runs["digest"].tolist()
    )
    assert bptt.remove("s")[0].startswith("3 runs")
