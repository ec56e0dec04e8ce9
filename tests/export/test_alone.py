"""What is exported needs numpy alone, scales by itself, names labels, and names no place on this machine."""

import csv
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bptt.export.mlflow_model import load_model, save_model
from bptt.export.network import TrainedNetwork, measure_difference, run_mlflow, run_onnx
from bptt.export.onnx import build_onnx
from bptt.export.predict import RecurrentNetwork, read_table_rows
from bptt.predictions.reading import take_table
from bptt.predictions.tables import split_classes
from bptt.tasks.own_data.preparation import DataNote
from bptt.tasks.own_data.tables import load_table
from tests.export.making import prepared_network
from tests.predictions.making import make_cutting, make_predictor, make_preparation

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

#: Runs a file where nothing but numpy and what comes with Python can be imported.
ALONE = """
import runpy, sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top != "numpy" and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"{name} is not here", name=name)
sys.meta_path.insert(0, Nothing())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

CASES: dict[str, Any] = {
    "numbers": ({"outputs": 3}, {"readout": "identity", "ragged": True}),
    "numbers at the end": ({"outputs": 2}, {"readout": "identity", "last_only": True}),
    "two classes": ({"classes": ("no", "yes"), "outputs": 1}, {"readout": "sigmoid", "last_only": True}),
    "three classes": ({"classes": (3, 5, 8), "outputs": 3}, {"readout": "softmax", "ragged": True}),
    "scores": ({"classes": ("a", "b", "c"), "outputs": 3}, {"readout": "identity", "last_only": True}),
}


@pytest.fixture(params=CASES)
def prepared(request: pytest.FixtureRequest) -> TrainedNetwork:
    known, choices = CASES[request.param]
    return prepared_network("lstm", make_preparation(**known), **choices)


def run_alone(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-I", "-c", ALONE, str(folder / "predict.py"), *arguments]
    return subprocess.run(program, cwd=folder.parent, capture_output=True, text=True, check=False, timeout=60)


def test_scaling_and_labels_are_within(prepared: TrainedNetwork, tmp_path: Path) -> None:
    """`bptt predict` and what is exported say the same, to rounding, of inputs in the data's own units."""
    save_model(tmp_path / "model", prepared.content())
    known, ours = prepared.preparation, prepared.predict()
    assert known is not None
    assert np.allclose(prepared.given, 10.0 + 2.0 * prepared.sequences.x)
    alone = RecurrentNetwork.load(tmp_path / "model").predict(prepared.given, prepared.sequences.lengths)
    assert measure_difference(ours, run_mlflow(load_model(tmp_path / "model"), prepared)) < 1e-12
    graph = build_onnx(prepared).SerializeToString()
    assert measure_difference(ours, run_onnx(graph, prepared)) < 1e-12
    if known.classes is None:
        assert isinstance(alone, np.ndarray)
        assert np.ptp(alone) > 0.1
        return
    assert isinstance(alone, dict)
    scores = next(values for name, values in alone.items() if name != "label")
    assert np.array_equal(alone["label"], np.array(known.classes)[scores.argmax(axis=-1)])
    assert list(alone)[1] == ("score" if prepared.config["readout"] == "identity" else "probability")
    assert scores.shape[-1] == len(known.classes)


def test_onnx_gives_labels_as_a_second_output(prepared: TrainedNetwork) -> None:
    import onnxruntime

    known = prepared.preparation
    session = onnxruntime.InferenceSession(build_onnx(prepared).SerializeToString(), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    if known is None or known.classes is None:
        assert names == ["y"]
        return
    score = "score" if prepared.config["readout"] == "identity" else "probability"
    assert names == [score, "label"]
    feeds = {"x": prepared.given, "lengths": prepared.sequences.full_lengths}
    scores, labels = session.run(names, feeds)
    assert np.asarray(labels).tolist() == np.array(known.classes)[np.asarray(scores).argmax(axis=-1)].tolist()


def test_it_runs_where_nothing_but_numpy_is_installed(tmp_path: Path) -> None:
    trained = prepared_network("gru", make_preparation(classes=("no", "yes")), readout="sigmoid", last_only=True)
    save_model(tmp_path / "model", trained.content())
    np.savez(tmp_path / "x.npz", x=trained.given)
    done = run_alone(tmp_path / "model", "x.npz", "-o", "out.npz")
    assert (done.returncode, done.stderr) == (0, "")
    with np.load(tmp_path / "out.npz") as made:
        assert measure_difference(split_classes(trained.predict()[:, 1:]), made["probability"]) < 1e-13
        assert np.array_equal(made["label"] == "yes", made["probability"][:, 1] > 0.5)
    done = run_alone(tmp_path / "model", "none.npz", "-o", "out.npz")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such file" in done.stderr
    assert len(done.stderr.splitlines()) == 1


FRAME = pd.DataFrame(
    {"a": np.arange(7.0), "b": 3.0 - np.arange(7.0), "who": list("vuvuvuv"), "when": [3, 1, 2, 3, 1, 2, 0]}
)


@pytest.mark.parametrize(
    "cutting",
    [
        {"window": 3, "horizon": 2},
        {"window": 2, "horizon": 1, "sequence": "who"},
        {"sequence": "who", "time": "when", "each": "timestep"},
        {"window": 2, "stride": 2, "each": "timestep"},
        {"row": "sequence"},
    ],
    ids=["series", "series of several", "whole sequences", "windows with a target each", "rows"],
)
def test_a_table_is_cut_as_bptt_cuts_it(cutting: dict[str, Any], tmp_path: Path) -> None:
    own = make_cutting(**cutting)
    inputs = 1 if own.row == "sequence" else 2
    model = make_predictor(make_preparation(("a", "b")[:inputs], cutting=own), own.each == "sequence", inputs=inputs)
    FRAME.to_csv(tmp_path / "data.csv", index=False)
    theirs = take_table(FRAME, model)
    ours = read_table_rows(str(tmp_path / "data.csv"), vars(own))
    lengths, rows = theirs.sequences.full_lengths, theirs.rows
    inside = np.arange(theirs.sequences.timesteps) < lengths[:, None]
    assert rows is not None
    assert np.array_equal(ours.get("lengths", lengths), lengths)
    assert np.allclose((ours["x"][inside] - 10.0) / 2.0, theirs.sequences.x[inside])
    counted = inside if rows.ndim == 2 else np.full(len(rows), True)
    assert np.array_equal(ours["rows"][counted], rows[counted])
    assert ours.get("names") == (None if theirs.names is None else theirs.names.tolist())


DATED = "d,a,b\n2026-1-10,1,2\n2026-1-9,2,3\n2026-1-11,3,4\n"
ZONED = "d,a,b\n2026-01-10T08:00:00+02:00,1,2\n2026-01-10T07:00:00Z,2,3\n2026-01-10T07:30:00+01:00,3,4\n"


@pytest.mark.parametrize(
    ("text", "cutting"),
    [
        (DATED, {"window": 2, "time": "d"}),
        (DATED.replace("-", "/"), {"window": 2, "time": "d"}),
        (ZONED, {"window": 2, "time": "d"}),
        ("a,b\nTrue,1\nFalse,2\n", {"window": 1}),
        ('"x, y, z";a;b\n1;2;3\n', {"window": 1}),
        ("a,b\n1,2\n\n3,4\n", {"window": 2}),
        ("who,a,b\n01,1,2\n1,2,3\n2,4,5\n", {"sequence": "who"}),
    ],
    ids=["short dates", "slashes", "zones", "truths", "a name with commas", "an empty line", "names that are numbers"],
)
def test_a_file_is_read_as_bptt_reads_it(text: str, cutting: dict[str, Any], tmp_path: Path) -> None:
    own = make_cutting(**cutting)
    (tmp_path / "data.csv").write_text(text)
    model = make_predictor(make_preparation(("a", "b"), cutting=own), own.each == "sequence", inputs=2)
    theirs = take_table(load_table(tmp_path / "data.csv"), model)
    ours = read_table_rows(str(tmp_path / "data.csv"), vars(own))
    inside = np.arange(theirs.sequences.timesteps) < theirs.sequences.full_lengths[:, None]
    assert np.allclose((ours["x"][inside] - 10.0) / 2.0, theirs.sequences.x[inside])
    assert theirs.rows is not None
    assert np.array_equal(ours["rows"], theirs.rows)
    assert ours.get("names") == (None if theirs.names is None else theirs.names.tolist())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("d,a,b\n1,1,2\n1,2,3\n", "column 'd': rows 1 and 2 have the same time; which is first?"),
        ("d,a,b\n2026-01-01,1,2\n5.1.2026,2,3\n", "column 'd', row 2: '5.1.2026' is no time that can be ordered"),
        ("d,a,b\n1,1,2\n,2,3\n", "column 'd', row 2: a value is missing"),
        ("d,a,b\n1,1,2\n2,9,2,3\n", "row 2 has 4 values, the header 3"),
        ("d,a,b\n1,1,2\n2,1_0,3\n", "column 'a', row 2: '1_0' is no number"),
        ("d,a,b\n1,1,2\n2,NA,3\n", "column 'a', row 2: a value is missing"),
        ("d,a,b\n1,1,2\n,,\n", "column 'a', row 2: a value is missing"),
        ("d,a,b,a\n1,1,2,3\n", "has column 'a' twice"),
    ],
)
def test_what_bptt_refuses_is_refused(text: str, says: str, tmp_path: Path) -> None:
    """Nothing is predicted of rows in a wrong order, or of values in a wrong column."""
    own = make_cutting(window=1, time="d")
    (tmp_path / "data.csv").write_text(text)
    model = make_predictor(make_preparation(("a", "b"), cutting=own), True, inputs=2)
    with pytest.raises(ValueError, match=r"."):
        take_table(load_table(tmp_path / "data.csv"), model)
    with pytest.raises(ValueError, match=re.escape(says)):
        read_table_rows(str(tmp_path / "data.csv"), vars(own))


def test_a_table_becomes_a_table_without_anything_else(tmp_path: Path) -> None:
    known = make_preparation(cutting=make_cutting(window=3, horizon=1))
    trained = prepared_network("gru", known, readout="identity", last_only=True)
    save_model(tmp_path / "model", trained.content())
    FRAME.to_csv(tmp_path / "data.csv", index=False, sep=";")
    done = run_alone(tmp_path / "model", "data.csv", "-o", "out.csv")
    assert (done.returncode, done.stderr) == (0, "")
    with (tmp_path / "out.csv").open() as file:
        header, *rows = csv.reader(file)
    assert header == ["sequence", "row", "prediction"]
    assert [row[1] for row in rows] == ["4", "5", "6", "7", "8"]
    x = np.stack([FRAME[["a", "b"]].to_numpy()[start : start + 3] for start in range(5)])
    made = RecurrentNetwork.load(tmp_path / "model").predict(x)
    assert isinstance(made, np.ndarray)
    assert [float(row[2]) for row in rows] == made[:, 0].tolist()
    (tmp_path / "bad.csv").write_text("a;b\n1;2\n3;\n")
    done = run_alone(tmp_path / "model", "bad.csv", "-o", "out.csv")
    assert (done.returncode, done.stderr) == (2, "bad.csv: column 'b', row 2: a value is missing\n")


def test_no_place_on_this_machine_is_named(tmp_path: Path) -> None:
    data = DataNote(name="data.csv", digest="0" * 16, source=str(tmp_path / "data.csv"), profile="few")
    known = make_preparation(data=data)
    save_model(tmp_path / "model", prepared_network("elman", known, readout="identity").content())
    notes = (tmp_path / "model" / "MLmodel").read_text()
    assert "model_code_path: predict.py" in notes
    assert "uri: artifacts/weights.npz" in notes
    here = (str(Path(__file__).parents[2]), str(tmp_path), "/tmp", str(Path.home()), sys.prefix)
    for path in (tmp_path / "model").rglob("*"):
        if path.is_file() and path.suffix not in (".npz", ".py"):
            assert not any(place in path.read_text() for place in here if len(place) > 1), path
