"""`bptt export`, from a sweep and a run to a model that MLflow loads."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import bptt
from bptt.cli.export import main
from bptt.configuration.build import check_configuration
from bptt.core.evaluation import predict
from bptt.core.random import Generator
from bptt.export.mlflow_model import load_model
from bptt.export.network import ExportError
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.store.address import StoreError
from tests.empty_store import put_empty_store

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

SWEEP = ["experiment=outlace_leftbit", "train.updates=40", "train.log_points=2", "model.hidden_size=2,3"]


@dataclass(frozen=True)
class Exporting:
    """`bptt export` in a folder that has a sweep of two runs."""

    archive: SweepFolder
    capture: pytest.CaptureFixture[str]

    def __call__(self, command: str) -> tuple[int, list[str], list[str]]:
        """The exit code, and the lines on stdout and stderr."""
        self.capture.readouterr()
        code = main(shlex.split(command))
        out, err = self.capture.readouterr()
        return code, out.splitlines(), err.splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    put_empty_store(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        bptt.sweep([*SWEEP, "hydra.launcher.workers=1", "report=false"])
    return folder


@pytest.fixture
def export(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Exporting:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (sweep,) = (folder / "multirun").iterdir()
    return Exporting(SweepFolder.open(sweep), capsys)


def test_a_run_of_a_sweep_becomes_a_model_with_the_same_outputs(export: Exporting) -> None:
    code, out, err = export("latest:1 -o model --onnx")
    assert (code, err) == (0, [])
    assert out[0] == "run      hidden_size=3: elman, 3 units; (N, T, 1) → (N, T, 1)"
    assert "of network.onnx: within " in out[1]
    assert out[-1] == "predict  mlflow models predict -m model -i model/serving_input_example.json --env-manager local"
    assert Path("model/network.onnx").stat().st_size > 0
    (result,) = (result for block in export.archive.blocks() for result in export.archive.results(block) if result.job)
    run = check_configuration(export.archive.jobs()[1].config).run
    sequences = run.task.evaluation(Generator(np.random.SeedSequence(0)))
    assert result.record is not None
    ours = predict(run, result.record.parameters, sequences, result.record.state if run.train.carry_state else None)
    assert np.max(np.abs(load_model(Path("model")).predict(sequences.x) - ours)) < 1e-13


def test_without_a_name_the_folder_is_called_after_the_run(export: Exporting) -> None:
    code, out, _ = export("latest:0")
    assert code == 0
    assert "model    model-hidden_size=2" in out
    assert Path("model-hidden_size=2/MLmodel").is_file()


def test_it_is_logged_to_its_run(export: Exporting) -> None:
    from mlflow import MlflowClient

    def listed() -> set[Path]:
        return set(Path().iterdir()) - {Path("mlflow.db-wal"), Path("mlflow.db-shm")}  # while this process is there

    before = listed()
    code, out, _ = export("latest:1 --log")
    assert code == 0
    assert listed() == before
    (line,) = (line for line in out if line.startswith("logged"))
    model_id, run_id = line.removeprefix("logged   models:/").split(", by run ")
    client = MlflowClient("sqlite:///mlflow.db")
    assert client.get_logged_model(model_id).source_run_id == run_id
    assert client.get_run(run_id).data.params["model.hidden_size"] == "3"


def test_a_model_is_registered_version_by_version(export: Exporting) -> None:
    from mlflow import MlflowClient

    client = MlflowClient("sqlite:///mlflow.db")
    for version in ("1", "2"):
        code, out, err = export("latest:1 --register 'left bit'")
        assert (code, err) == (0, [])
        assert out[-1] == f"version  {version} of left bit: models:/left bit/{version}"
        found = client.get_model_version("left bit", version)
        (logged,) = (line.split()[1].rstrip(",") for line in out if line.startswith("logged"))
        assert found.source == logged
        assert client.get_logged_model(logged.removeprefix("models:/")).source_run_id == found.run_id
        assert found.status == "READY"


@pytest.mark.usefixtures("export")
def test_a_model_is_logged_and_registered_from_python() -> None:
    from mlflow import MlflowClient

    run, client = bptt.load("latest").run(1), MlflowClient("sqlite:///mlflow.db")
    logged = client.get_logged_model(run.log_model().removeprefix("models:/"))
    assert logged.source_run_id == run.run_id
    for version in ("1", "2"):
        assert run.log_model("one") == f"models:/one/{version}"
        assert client.get_model_version("one", version).run_id == run.run_id
    with pytest.raises(StoreError, match=r"^register='a/b': must be a name without / or :"):
        run.log_model("a/b")
    with pytest.raises(ExportError, match="not known to be in a store"):
        bptt.train("task=leftbit train.updates=2", tracking=False).log_model()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("latest:1 --register a/b", "--register 'a/b': must be a name without / or :, that begins with no dot"),
        ("latest:1 --register ''", "--register '': must be a name"),
        ("latest", "latest: 2 runs; name one of them, as in latest:0 or latest:best"),
        ("latest:7", ":7: there is no such run"),
        ("latest:1 -o multirun", "multirun: is there already; name a new folder: -o DIR"),
        ("nothing", "nothing: "),
        ("latest:1 -o mlflow.db/model", "mlflow.db/model: Not a directory"),
        ("latest:1 --log --uri sqlite:///none.db -o other", "none.db: there is no such store"),
    ],
)
def test_a_wrong_request_is_told_in_one_line(export: Exporting, command: str, said: str) -> None:
    before = set(Path().iterdir())
    code, out, err = export(command)
    assert (code, out) == (2, [])
    assert len(err) == 1
    assert said in err[0]
    assert set(Path().iterdir()) == before


def test_a_model_that_gives_something_else_is_told_of_and_not_logged(
    export: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[object] = []
    monkeypatch.setattr("bptt.export.writing.run_mlflow", lambda model, network: network.predict() + 1e-6)
    monkeypatch.setattr("bptt.export.mlflow_model.log_model", lambda *given: logged.append(given))
    code, _, err = export("latest:1 -o off --log")
    assert (code, logged) == (1, [])
    assert err == ["the model: differs from what bptt computes by more than 1e-09"]


def test_onnx_says_how_it_is_installed(export: Exporting, monkeypatch: pytest.MonkeyPatch) -> None:
    import_module: Callable[..., object] = __import__

    def without_onnx(name: str, *given: object) -> object:
        if name == "onnx":
            raise ModuleNotFoundError(name=name)
        return import_module(name, *given)

    monkeypatch.setattr("builtins.__import__", without_onnx)
    code, _, err = export("latest:1 -o other --onnx")
    assert (code, err) == (2, ["--onnx: a package is missing (onnx): pip install 'bptt[onnx]'"])
    assert not Path("other").exists()
