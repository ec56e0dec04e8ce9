"""TensorBoard's event files, read back by TensorBoard."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.analysis.sweep import load_sweep
from bptt.cli.main import main
from bptt.export import event_files
from bptt.tracking.folder.files import ONCE
from tests.recording import archived

pytestmark = pytest.mark.filterwarnings("ignore")  # tensorboard's packages warn, differently in each version


@pytest.fixture(autouse=True)
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    archived(Path("multirun/s"))
    return tmp_path / "multirun" / "s"


def read(folder: Path) -> Any:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return found


def test_every_number_of_every_run_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard")
    assert main(["export", "s", "--tensorboard", "events/s"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1:] == ["folder   events/s", "look     tensorboard --logdir events/s"]
    table = load_sweep("s")
    points = 0
    folders = sorted(Path("events/s").iterdir())
    assert [folder.name for folder in folders] == [
        f"0000{number}-alpha={(number // 2) / 10}-model={'lstm' if number % 2 else 'elman'}"
        for number in (0, 1, 2, 3, 4, 6, 7)
    ]  # the sixth recorded nothing, the ninth was never begun
    for folder in folders:
        number = int(folder.name[:5])
        found = read(folder)
        history = table.history[table.history["run"] == number]
        row = table.runs.iloc[number]
        once = [name for name in ONCE if name in row and not np.isnan(row[name])]
        assert sorted(found.Tags()["scalars"]) == sorted(["accuracy/eval", "loss/eval", *once])
        for name in ("loss/eval", "accuracy/eval"):
            known = history[history[name].notna()]
            events = found.Scalars(name)
            assert [event.step for event in events] == known["update"].tolist()
            assert np.array_equal([event.value for event in events], known[name].to_numpy(np.float32))
            points += len(events)
        for name in once:
            (event,) = found.Scalars(name)
            assert (event.step, np.float32(event.value)) == (row["updates"], np.float32(row[name]))
            points += 1
        block = 1000.0 + 10 * [0, 0, 1, 1, 2, 2, 3, 4][number]
        share = history["update"].to_numpy() / history["update"].max()
        times = [event.wall_time for event in found.Scalars("loss/eval")]
        assert times == pytest.approx((block + 2 * share)[history["loss/eval"].notna()])
    assert out[0] == f"events   7 runs, {points:,} points of metrics"


def test_its_page_of_hyperparameters_knows_what_was_swept() -> None:
    data = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    status = pytest.importorskip("tensorboard.plugins.hparams.api_pb2").Status
    assert main(["export", "s:3", "--tensorboard", "events"]) == 0
    (folder,) = Path("events").iterdir()
    tags = read(folder).summary_metadata
    content = {
        name: tags[f"_hparams_/{name}"].plugin_data.content for name in ("session_start_info", "session_end_info")
    }
    start = data.HParamsPluginData.FromString(content["session_start_info"]).session_start_info
    assert start.hparams["model"].string_value == "lstm"
    assert start.hparams["optimizer.alpha"].number_value == 0.1
    assert (start.group_name, start.start_time_secs) == ("model=lstm optimizer.alpha=0.1", 1010.0)
    end = data.HParamsPluginData.FromString(content["session_end_info"]).session_end_info
    assert (end.status, end.end_time_secs) == (status.STATUS_SUCCESS, 1012.0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["s", "--tensorboard", "multirun"], "multirun: is there already; name a new folder: --tensorboard DIR\n"),
        (["nosweep", "--tensorboard", "new"], "nosweep: there is no such folder"),
    ],
)
def test_a_wrong_request_leaves_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.setattr(event_files, "find_missing_package", lambda: None)
    assert main(["export", *arguments]) == 2
    assert capsys.readouterr().err.startswith(says)
    assert not Path("new").exists()


def test_without_the_package_a_line_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_files, "find_missing_package", lambda: "tensorboard")
    assert main(["export", "s", "--tensorboard", "new"]) == 2
    says = "--tensorboard: a package is missing (tensorboard): pip install 'bptt[tensorboard]'\n"
    assert capsys.readouterr().err == says
    with pytest.raises(SystemExit) as caught:
        main(["export", "s", "--tensorboard", "new", "--onnx"])
    assert caught.value.code == 2
    assert "--tensorboard: makes no model, and goes with --store alone" in capsys.readouterr().err
