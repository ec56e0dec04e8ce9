"""`bptt predict`: from a table and a run to a file of predictions in the table's own units."""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bptt
from bptt.cli.main import main
from bptt.predictions.tables import Predictions
from tests.empty_store import put_empty_store

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

COMMON = "train.updates=30 train.log_points=3 model=gru model.hidden_size=4"
RUNS = {
    "series": "task=table task.path=series.csv task.target=heat task.window=6 task.horizon=2",
    "kinds": "task=table task.path=kinds.csv task.target=kind task.readout=sigmoid loss=binary_cross_entropy",
    "adder": "task=adder",
    "means": "task=arrays task.path=means.npz task.scale_targets=true",
}

Predict = Callable[[str], tuple[int, list[str], list[str]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run on a series, one on labelled rows, and one of a task without a table."""
    folder = tmp_path_factory.mktemp("predict")
    put_empty_store(folder)
    days = np.arange(60)
    series = pd.DataFrame({"day": days, "heat": 20.0 + 5.0 * np.sin(days / 3), "wind": np.cos(days / 3)})
    series.to_csv(folder / "series.csv", index=False)
    rng = np.random.Generator(np.random.PCG64(1))
    kinds = pd.DataFrame(rng.standard_normal((40, 4)), columns=[f"s{place}" for place in range(4)])
    kinds.assign(kind=np.where(kinds.sum(axis=1) > 0, "up", "down")).to_csv(folder / "kinds.csv", index=False)
    x = 10.0 + rng.standard_normal((20, 5, 1))
    y = np.cumsum(x, axis=1) / np.arange(1, 6)[:, None]
    np.savez(folder / "means.npz", x=x, y=y, lengths=rng.integers(3, 6, 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for name, task in RUNS.items():
            assert main(["train", *f"{task} {COMMON} hydra.run.dir=multirun/runs/{name}".split()]) == 0
        yield folder


@pytest.fixture
def predict(folder: Path, capsys: pytest.CaptureFixture[str]) -> Predict:
    def call(command: str) -> tuple[int, list[str], list[str]]:
        capsys.readouterr()
        try:
            code = main(["predict", *shlex.split(command)])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return call


def test_a_series_is_foretold_beyond_its_end(predict: Predict, folder: Path) -> None:
    code, out, err = predict("series series.csv -o out.csv")
    assert (code, err) == (0, [])
    made = pd.read_csv("out.csv")
    assert list(made.columns) == ["sequence", "row", "target", "prediction"]
    assert made["row"].tolist() == list(range(8, 63))
    true = pd.read_csv("series.csv")["heat"]
    assert np.allclose(made["target"][:53], true[7:])
    assert made["target"][53:].isna().all()
    assert made["prediction"].between(0, 40).all()
    error = np.sqrt(np.mean((made["prediction"][:53] - made["target"][:53]) ** 2))
    assert out[1] == "data     those that it was trained on, too; --test has the error on those that it never saw"
    assert f"RMSE {error:.4g}" in out[2]
    assert "(53 known)" in out[2]
    assert out[-1] == "written  out.csv: 55 predictions, sequence, row, target, prediction"


def test_labels_have_their_probabilities(predict: Predict) -> None:
    pd.read_csv("kinds.csv").drop(columns="kind").to_parquet("new.parquet")
    assert predict("kinds new.parquet -o out.npz")[0] == 0
    with np.load("out.npz") as made:
        assert set(made["prediction"]) <= {"up", "down"}
        assert np.allclose(made["probability_up"] + made["probability_down"], 1.0)
        assert np.array_equal(made["prediction"] == "up", made["probability_up"] > 0.5)
        assert made["row"].tolist() == list(range(1, 41))


def test_labels_that_the_network_does_not_have_count_as_wrong(predict: Predict) -> None:
    table = pd.read_csv("kinds.csv")
    table.loc[:9, "kind"] = "sideways"
    table.to_csv("other.csv", index=False)
    code, out, err = predict("kinds other.csv -o out.csv")
    made = pd.read_csv("out.csv")
    right = int((made["target"] == made["prediction"]).sum())
    assert (code, err) == (0, [])
    assert made["target"].tolist() == table["kind"].tolist()
    says = "10 of labels that the network does not have (sideways) count as wrong"
    assert f"right    {100 * right / 40:.1f} % ({right} of 40 known); {says}" in out


def test_a_single_run_keeps_its_predictions_and_their_figures(folder: Path, predict: Predict) -> None:
    series, kinds = (folder / "multirun" / "runs" / name for name in ("series", "kinds"))
    assert {path.name for path in (series / "figures").iterdir()} >= {
        "predictions_against.png",
        "predictions_series.png",
    }
    assert {path.name for path in (kinds / "figures").iterdir()} >= {
        "predictions_confusion.png",
        "predictions_calibration.png",
    }
    kept = Predictions.parse((series / "predictions.parquet").read_bytes())
    assert kept.sets == ["eval", "test"]
    assert kept.columns["row"].tolist() == sorted(kept.columns["row"].tolist())
    heat = pd.read_csv("series.csv")["heat"].to_numpy()
    assert np.allclose(kept.columns["target"], heat[kept.columns["row"] - 1])
    assert predict("series --eval --test -o again.parquet")[0] == 0
    again = Predictions.parse(Path("again.parquet").read_bytes())
    assert np.array_equal(again.columns["prediction"], kept.columns["prediction"])
    predict("series series.csv -o whole.parquet")
    whole = Predictions.parse(Path("whole.parquet").read_bytes())
    by_row = dict(zip(whole.columns["row"], whole.columns["prediction"], strict=True))
    assert all(by_row[row] == value for row, value in zip(kept.columns["row"], kept.columns["prediction"], strict=True))


def test_a_run_that_lost_them_gets_them_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder / "multirun" / "runs" / "kinds"
    before = (run / "predictions.parquet").read_bytes()
    (run / "predictions.parquet").unlink()
    (run / "figures" / "predictions_confusion.png").unlink()
    assert main(["resume", str(run)]) == 0
    assert "the run had finished; its figures were lacking" in capsys.readouterr().err
    assert (run / "predictions.parquet").read_bytes() == before
    assert (run / "figures" / "predictions_confusion.png").is_file()
    assert main(["resume", str(run)]) == 2


def test_a_sweeps_report_has_those_of_its_best_run(folder: Path, predict: Predict) -> None:
    sweep = folder / "multirun" / "sweep"
    words = f"{RUNS['series']} {COMMON} seed=0,1 hydra.sweep.dir=multirun/sweep hydra.launcher.workers=1"
    assert main(["train", "-m", *words.split()]) == 0
    kept = Predictions.parse((sweep / "report" / "predictions.parquet").read_bytes())
    assert predict("sweep:best --eval --test -o best.parquet")[0] == 0
    best = Predictions.parse(Path("best.parquet").read_bytes())
    assert np.array_equal(kept.columns["prediction"], best.columns["prediction"])
    assert "figures/predictions_against.svg" in (sweep / "report" / "report.md").read_text()
    assert predict("sweep series.csv")[2] == ["sweep: 2 runs; name one of them, as in sweep:0 or sweep:best"]


def test_the_store_has_them_too(folder: Path) -> None:
    assert len([*folder.glob("mlruns/*/*/artifacts/predictions.parquet")]) == 3
    assert len([*folder.glob("mlruns/**/predictions_against.png")]) == 2


def test_without_the_data_it_was_trained_on_a_network_predicts(predict: Predict, folder: Path) -> None:
    away = folder / "series.away"
    (folder / "series.csv").rename(away)
    try:
        assert predict("series series.away.csv")[0] == 2
        new = pd.read_csv(away).iloc[:10]
        new.to_csv("new.csv", index=False)
        code, out, _ = predict("series new.csv")
        assert code == 0
        assert out[-1].split()[1] == "12"  # two rows behind the last
    finally:
        away.rename(folder / "series.csv")


def test_of_data_that_were_changed_no_set_is_predicted_and_no_scale_taken(
    predict: Predict, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The network was scaled by the data that it was trained on: others would move all that it says."""
    file, kept = folder / "series.csv", folder / "series.kept"
    before = bptt.load("multirun/runs/series").best().predict(pd.read_csv(file))
    file.rename(kept)
    try:
        new = pd.read_csv(kept)
        new.assign(heat=new["heat"] + 100.0).to_csv(file, index=False)
        code, out, err = predict("series --test")
        assert (code, out, len(err)) == (2, [], 1)
        assert "series.csv: was changed since the run was trained" in err[0]
        assert main(["export", "series", "-o", "moved"]) == 2
        assert "was changed since the run was trained" in capsys.readouterr().err
        assert not Path("moved").exists()
        run = bptt.load("multirun/runs/series").best()
        with pytest.raises(bptt.ConfigurationError, match="was changed since"):
            _ = run.predictions
        assert run.predict(pd.read_csv(kept)).equals(before)
    finally:
        kept.rename(file)


def test_of_a_task_without_a_table_arrays_are_taken(predict: Predict) -> None:
    x = np.random.Generator(np.random.PCG64(1)).integers(0, 2, (3, 6, 2)).astype(float)
    np.savez("x.npz", x=x)
    assert predict("adder x.npz -o out.npz")[0] == 0
    with np.load("out.npz") as made:
        assert set(made.files) == {"sequence", "timestep", "prediction"}
        assert made["prediction"].shape == (18,)
    code, out, _ = predict("adder --eval")
    assert code == 0
    assert out[1].startswith("error    RMSE")


def test_arrays_with_an_answer_at_every_timestep(predict: Predict, folder: Path) -> None:
    new = folder / "new.npz"
    with np.load("means.npz") as held:
        np.savez(new, x=held["x"][:2], y=held["y"][:2], lengths=[3, 5])
        true = held["y"][:2, :, 0]
    (folder / "means.npz").rename(folder / "means.away")
    try:
        assert predict("means new.npz -o out.csv")[0] == 0
    finally:
        (folder / "means.away").rename(folder / "means.npz")
    made = pd.read_csv("out.csv")
    assert made["sequence"].tolist() == [0] * 3 + [1] * 5
    assert made["timestep"].tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    assert np.allclose(made["target"], [*true[0, :3], *true[1]])
    assert made["prediction"].between(5, 15).all()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "series",
            "bptt predict: name either DATA, a file, or the sets: --eval, --test; bptt predict --help says more",
        ),
        ("series series.csv --eval", "bptt predict: name either DATA, a file, or the sets: --eval, --test"),
        ("series none.csv", "none.csv: there is no such file"),
        ("series series.csv -o ./series.csv", "series.csv: is the data; name another file: -o FILE"),
        ("series kinds.csv", "kinds.csv: column 'day': no such column (columns: s0, "),
        ("series series.csv -o out.xlsx", "out.xlsx: must end in .csv, .parquet, .npz or .npy"),
        ("series series.csv -o none/out.csv", "none/out.csv: there is no folder none"),
        ("nothing series.csv", "nothing: "),
        ("adder series.csv", "series.csv: the network was trained on arrays: x (N, T, 2) in an .npz or .npy file"),
    ],
)
def test_a_wrong_request_is_told_in_one_line(command: str, said: str, predict: Predict) -> None:
    code, out, err = predict(command)
    assert (code, out, len(err)) == (2, [], 1)
    assert said in err[0]
