"""`bptt.train`: one run, with the bits that it has on the command line, and what it gives back."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bptt
from bptt.cli.main import main
from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.core.run import TIMED
from bptt.core.sequences import Generated, Sequences
from bptt.core.training import train
from bptt.python import training
from bptt.python.progress import Quiet

SMALL = "task=leftbit train.updates=20 train.log_points=4"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_has_the_bits_of_the_core_and_leaves_nothing(folder: Path) -> None:
    run = bptt.train(SMALL, model={"name": "gru", "hidden_size": 3}, seed=3, tracking=False)
    config = compose([*SMALL.split(), "model=gru", "model.hidden_size=3", "seed=3"])
    (alone,) = train([check_configuration(config).run])
    for name in alone.history.keys() - TIMED:
        assert np.array_equal(run.history[name], alone.history[name], equal_nan=True), name
    assert {name: array.tobytes() for name, array in run.parameters.items()} == {
        name: array.tobytes() for name, array in alone.parameters.items()
    }
    assert run.gradient_flow["norm"].tolist() == alone.flow.ravel().tolist()
    assert (run.status, run.outcome, run.url, run.run_id) == ("FINISHED", "completed", None, None)
    assert run.config["model"]["hidden_size"] == 3
    assert run.metrics["loss/eval"] == alone.history["loss/eval"][-1]
    assert [*folder.iterdir()] == []
    kept = run.folder
    assert kept is not None
    assert kept.is_dir()
    assert "loss/eval" in run._repr_html_()
    del run
    assert not kept.exists()


def test_a_folder_keeps_a_run_that_is_read_back(folder: Path) -> None:
    run = bptt.train(SMALL, folder="mine", tracking=False, seed=1)
    assert {path.name for path in folder.iterdir()} == {"mine"}
    again = bptt.load("mine").run()
    assert again.history.equals(run.history)
    assert np.array_equal(again.predict(), run.predict())
    assert again.name == run.name
    with pytest.raises(bptt.ConfigurationError, match=r"^hydra.run.dir=mine: holds a run that has finished"):
        bptt.train(SMALL, folder="mine", tracking=False)


def test_nothing_of_mlflow_is_imported_without_a_store(folder: Path) -> None:
    import subprocess

    code = (
        f"import bptt, sys; run = bptt.train('{SMALL}', tracking=False); run.history; run._repr_html_();"
        " print({'mlflow', 'matplotlib', 'seaborn'} & {*sys.modules})"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
    assert told.stderr == ""


def test_what_is_wrong_is_told_before_anything_is_begun(folder: Path) -> None:
    with pytest.raises(bptt.ConfigurationError) as caught:
        bptt.train("model=gru", train={"updatez": 5}, optimizer={"alpha": -1.0})
    assert len(caught.value.lines) == 2
    assert "did you mean train.updates?" in str(caught.value)
    with pytest.raises(bptt.ConfigurationError, match=r"^model=elman,lstm: no such choice"):
        bptt.train(model="elman,lstm")
    with pytest.raises(bptt.ConfigurationError, match=r"several values are a sweep"):
        bptt.train("seed=0,1")
    with pytest.raises(bptt.ConfigurationError, match=r"bptt.sweep"):
        bptt.train("sweep=hidden_size")
    with pytest.raises(bptt.ConfigurationError, match=r"^config_dir=nowhere: no such folder$"):
        bptt.train(config_dir="nowhere")
    assert [*folder.iterdir()] == []


def test_several_threads_have_the_bits_of_one(folder: Path) -> None:
    wanted = [{"seed": seed, "model": {"name": "elman", "hidden_size": 20 + seed}} for seed in range(3)]

    def run(keys: dict[str, Any]) -> bptt.TrainedRun:
        return bptt.train(SMALL, tracking=False, **keys)

    alone = [*map(run, wanted)]
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with ThreadPoolExecutor(3) as pool:
        together = [*pool.map(run, wanted)]
    for one, other in zip(alone, together, strict=True):
        assert one.digest == other.digest
        assert one.gradient_flow.equals(other.gradient_flow)
        for name in {*one.history} - TIMED:
            assert np.array_equal(one.history[name], other.history[name], equal_nan=True), name
    assert {number: signal.getsignal(number) for number in before} == before
    assert Path.cwd() == folder


def test_interrupted_it_gives_back_what_was_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopping(Quiet):
        def point(self, update: int, metrics: Any) -> None:
            if update >= 10:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(training, "choose_reporter", lambda _shown: Stopping())
    with pytest.warns(UserWarning, match=r"interrupted after update 14; bptt.resume\('mine'\) goes on with it"):
        run = bptt.train(SMALL, tracking=False, folder="mine")
    assert (run.status, run.outcome) == ("KILLED", None)
    assert run.history["update"].tolist() == [1, 7, 14]
    assert run.predict().shape == run.network.trained.sequences.y.shape


def request_at_once(self: Any, begin: Any, *_arguments: Any, **_named: Any) -> None:
    begin(self, requested=True)


def test_it_goes_on_to_the_same_bits_from_another_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bptt.sweeps.workers.interrupts import Interrupts

    np.savez("data.npz", x=np.linspace(0, 1, 40).reshape(5, 8, 1), y=np.linspace(0, 1, 5)[:, None])
    words = "task=arrays task.path=data.npz train.updates=40 train.log_points=4"
    whole = bptt.train(words, tracking=False)
    with monkeypatch.context() as patch:
        patch.setattr(Interrupts, "__init__", partialmethod(request_at_once, Interrupts.__init__))
        with pytest.warns(UserWarning, match=r"interrupted before its first recorded update"):
            broken = bptt.train(words, tracking=False, folder="broken")
    assert broken.status == "KILLED"
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    resumed = bptt.resume("../broken")
    assert isinstance(resumed, bptt.TrainedRun)
    assert Path.cwd() == elsewhere
    assert resumed.status == "FINISHED"
    for name in {*whole.history} - TIMED:
        assert np.array_equal(whole.history[name], resumed.history[name], equal_nan=True), name
    assert bptt.reproduce("../broken")["same"].tolist() == [True]
    assert Path.cwd() == elsewhere


def test_a_run_in_a_store_has_a_page(folder: Path) -> None:
    run = bptt.train(SMALL, tracking={"experiment": "mine"})
    assert run.url is not None
    assert f"/runs/{run.run_id}" in run.url
    loaded = bptt.load(str(run.run_id)).run()
    assert loaded.url == run.url
    assert run.folder is not None
    assert run.folder.parts[:2] == ("multirun", "runs")
    assert (run.folder / "figures" / "loss.png").is_file()
    assert bptt.load("latest").command == ["bptt", "train", *SMALL.split(), "tracking.experiment=mine"]
    assert main(["reproduce", "latest"]) == 0


@dataclass(frozen=True, kw_only=True)
class Halves:
    """A task of a test's own: half of the last input."""

    length: int = 3
    breaks: bool = False
    readout: str = "identity"

    inputs = outputs = 1

    @property
    def timesteps(self) -> int:
        return self.length

    def make(self, rng: Any, count: int) -> Sequences:
        x = rng.random((count, self.length, 1))
        return Sequences(x, x[:, -1] / 2)

    def training(self) -> Generated:
        return Generated(self.make, self.length)

    def evaluation(self, rng: Any) -> Sequences:
        return self.make(rng, 10)

    def accuracy(self, output: Any, sequences: Any) -> Any:
        if self.breaks and output.any():
            raise RuntimeError("it broke")
        return None


def test_a_task_of_ones_own_is_an_object() -> None:
    words = "optimizer=sgd optimizer.alpha=0.1 train.updates=8 train.log_points=2 loss=squared_error"
    run = bptt.train(words, task=Halves(length=4), tracking=False)
    assert run.config["task"] == {"_target_": f"{__name__}.Halves", "length": 4, "breaks": False, "readout": "identity"}
    assert run.config["allow"] == [__name__.partition(".")[0]]
    assert run.predict(np.ones((2, 4, 1))).shape == (2, 1)
    assert bptt.reproduce(run)["same"].tolist() == [True]  # whose class was handed over


def test_a_class_of_the_notebook_itself_counts_by_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    from bptt.tracking.provenance.digest import compute_digest

    def digest(source: str) -> str:
        space: dict[str, Any] = {}
        exec(source, space)
        monkeypatch.setattr(sys.modules["__main__"], "Mine", space["Mine"], raising=False)
        return compute_digest({"task": {"_target_": "__main__.Mine"}}, "1")

    first = "class Mine:\n def f(self): return 1"
    assert digest(first) == digest(f"\n\n{first}  # the same")
    assert digest(first) != digest(first.replace("1", "2"))
    with pytest.raises(
        bptt.ConfigurationError, match=r"^task: a class of __main__ is of this notebook or script alone"
    ):
        bptt.sweep(task=type("Mine", (Halves,), {"__module__": "__main__"})(), seed=range(2), tracking=False)


def test_a_run_that_raises_is_an_exception_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import bptt.sweeps.execution as execution

    def fail(*_arguments: Any) -> Any:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(execution, "_advance", fail)
    with pytest.raises(bptt.RunFailedError, match=r"failed: RuntimeError: the disk is on fire$") as caught:
        bptt.train(SMALL, tracking=False)
    assert caught.value.run.status == "FAILED"
    assert "Traceback" in caught.value.error
    assert "failed" in caught.value.run._repr_html_()


def test_data_in_memory_are_written_once_and_read_back(folder: Path) -> None:
    x = np.linspace(0, 50, 240).reshape(20, 12, 1)
    y = np.where(np.arange(20) % 2, "odd", "even")
    data = bptt.tasks.Arrays(x, y, scale_inputs=True)
    words = "train.updates=6 train.log_points=2 model.hidden_size=3"
    run = bptt.train(words, task=data, tracking=False, folder="mine")
    (kept,) = (folder / "mine" / "data").iterdir()
    assert run.config["task"]["path"] == f"mine/data/{kept.name}"
    assert run.config["task"]["scale_inputs"]
    assert set(run.predict(x[:4])) <= {"odd", "even"}
    assert run.predictions["set"].unique().tolist() == ["eval", "test"]
    assert bptt.load("mine").run().predictions.equals(run.predictions)
    swept = bptt.sweep(words, task=data, seed=range(2), tracking=False, report=False)
    assert swept.runs["digest"].iloc[0] == run.digest  # the content counts, wherever it lies
    assert {path.name for path in folder.iterdir()} == {"mine"}


def test_a_table_is_predicted_as_a_table(folder: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"v": np.sin(np.arange(60) / 5)})
    words = "train.updates=6 train.log_points=2 model.hidden_size=3"
    run = bptt.train(words, task=bptt.tasks.Table(frame, target="v", window=10), tracking=False)
    told = run.predict(frame)
    assert told["row"].tolist()[-1] == 61  # what is yet to come
    assert np.isnan(told["target"].iloc[-1])
    test = run.predictions[run.predictions["set"].eq("test")]
    same = told.set_index("row").loc[test["row"], "prediction"]
    assert np.array_equal(same, test["prediction"])
    with pytest.raises(ValueError, match=r"^x: a table, and the network was trained on arrays; give \(N, T, 1\)$"):
        bptt.Network.fresh("task=leftbit").predict(frame)


def test_a_state_that_was_carried_is_where_a_table_starts_too(folder: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"v": np.sin(np.arange(60) / 5)})
    words = "train.updates=6 train.log_points=2 model.hidden_size=3 train.carry_state=true"
    run = bptt.train(words, task=bptt.tasks.Table(frame, target="v", window=10), tracking=False)
    windows = np.lib.stride_tricks.sliding_window_view(frame["v"].to_numpy(), 10)[:, :, None]
    assert np.array_equal(run.predict(frame)["prediction"], run.predict(windows)[:, 0])
