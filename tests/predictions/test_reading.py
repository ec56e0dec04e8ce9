"""New data: cut as the network's own were, also where the target is yet to come; what is wrong is one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bptt.export.predict import RecurrentNetwork
from bptt.predictions.predictor import PredictionError
from bptt.predictions.reading import predict_data, read_data, take_arrays, take_table
from tests.predictions.making import make_cutting, make_predictor, make_preparation

FRAME = pd.DataFrame({"a": np.arange(6.0), "b": -np.arange(6.0), "y": 10.0 * np.arange(6), "name": list("uuvvvu")})


def of_table(**cutting: Any) -> Any:
    own = make_cutting(**cutting)
    return make_predictor(make_preparation(cutting=own), own.each == "sequence")


def own_units(x: Any) -> Any:
    """Of the first input."""
    return (10.0 + 2.0 * x[..., 0]).tolist()


def test_each_window_of_a_series_is_predicted_also_the_one_whose_target_is_yet_to_come() -> None:
    data = take_table(FRAME, of_table(window=3, horizon=2, stride=2))
    assert own_units(data.sequences.x) == [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 4.0], [3.0, 4.0, 5.0]]
    assert data.rows is not None
    assert data.rows.tolist() == [5, 6, 7, 8]
    assert data.has_targets
    assert np.array_equal(data.sequences.y[:, 0], [(40 - 100) / 5, (50 - 100) / 5, np.nan, np.nan], equal_nan=True)
    assert data.sequences.lengths is None


def test_windows_stay_within_their_sequence() -> None:
    data = take_table(FRAME, of_table(window=2, horizon=1, sequence="name"))
    assert data.names is not None
    assert data.rows is not None
    assert data.names.tolist() == ["u", "u", "v", "v"]
    assert own_units(data.sequences.x) == [[0.0, 1.0], [1.0, 5.0], [2.0, 3.0], [3.0, 4.0]]
    assert data.rows.tolist() == [6, 0, 5, 0]


def test_whole_sequences_stand_in_the_order_of_time() -> None:
    predictor = of_table(sequence="name", time="when", each="timestep")
    data = take_table(FRAME.assign(when=[2, 1, 3, 2, 1, 0]), predictor)
    assert data.rows is not None
    assert own_units(data.sequences.x) == [[5.0, 1.0, 0.0], [4.0, 3.0, 2.0]]
    assert data.rows.tolist() == [[6, 2, 1], [5, 4, 3]]
    made = predict_data(predictor, data)
    assert made.columns["sequence"].tolist() == list("uuuvvv")
    assert made.columns["target"].tolist() == [50.0, 10.0, 0.0, 40.0, 30.0, 20.0]


def test_a_series_in_no_order_of_time_has_no_rows_to_come() -> None:
    data = take_table(FRAME.assign(when=[2, 1, 3, 5, 4, 0]), of_table(window=2, horizon=1, time="when"))
    assert data.rows is not None
    assert data.rows.tolist() == [1, 3, 5, 4, 0]


def test_a_row_may_be_a_sequence_that_is_shorter() -> None:
    predictor = make_predictor(make_preparation(("value",), cutting=make_cutting(row="sequence")), inputs=1)
    data = take_table(FRAME.assign(b=[1.0, np.nan, 2.0, 3.0, 4.0, 5.0]), predictor)
    assert data.sequences.x.shape == (6, 2, 1)
    assert data.sequences.full_lengths.tolist() == [2, 1, 2, 2, 2, 2]
    assert data.rows is not None
    assert data.rows.tolist() == [1, 2, 3, 4, 5, 6]


def test_a_label_that_the_network_does_not_know_is_not_known() -> None:
    known = make_preparation(classes=("u", "v"), cutting=make_cutting(window=3, targets=("name",)))
    predictor = make_predictor(known, readout="sigmoid")
    data = take_table(FRAME.assign(name=["u", "u", "w", "v", None, "u"]), predictor)
    assert np.array_equal(data.sequences.y[:, 0], [np.nan, 1.0, np.nan, 0.0], equal_nan=True)


@pytest.mark.parametrize("each", ["sequence", "timestep"])
def test_a_label_that_the_network_does_not_know_is_what_is_true(each: str) -> None:
    """It is no answer that the network could give, so every answer there is wrong: it is not left out."""
    known = make_preparation(classes=("u", "v"), cutting=make_cutting(window=3, targets=("name",), each=each))
    predictor = make_predictor(known, each == "sequence", readout="sigmoid")
    made = predict_data(predictor, take_table(FRAME.assign(name=["u", "u", "w", "v", None, "u"]), predictor))
    steps = [2, 3, 4, 5] if each == "sequence" else [0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5]
    assert made.columns["target"].tolist() == [["u", "u", "w", "v", None, "u"][step] for step in steps]
    assert made.to_arrow()["target"].to_pylist() == made.columns["target"].tolist()


def test_a_series_ends_where_its_times_do_whatever_their_texts_are() -> None:
    times = ["2026-1-8", "2026-1-9", "2026-1-10", "2026-1-11", "2026-1-12", "2026-1-13"]
    data = take_table(FRAME.assign(when=times), of_table(window=3, horizon=1, time="when"))
    assert data.rows is not None
    assert data.rows.tolist() == [4, 5, 6, 7]


def test_predictions_are_scaled_on_the_way_in_and_out() -> None:
    predictor = of_table(window=3)
    made = predict_data(predictor, take_table(FRAME, predictor))
    x = (np.stack([FRAME[["a", "b"]].to_numpy()[start : start + 3] for start in range(4)]) - 10.0) / 2.0
    config = {"cell": "gru", "readout": "identity", "layers": 1, "inputs": 2, "hidden_size": 4, "outputs": 1}
    plain = RecurrentNetwork({**predictor.weights, "state": np.zeros((1, 5))}, config | {"last_only": True})
    expected = 100.0 + 5.0 * plain.compute(x)[:, 0]
    assert np.ptp(expected) > 0.1
    assert np.allclose(made.columns["prediction"], expected, rtol=1e-13)
    assert made.columns["row"].tolist() == [3, 4, 5, 6]
    assert made.columns["target"].tolist() == [20.0, 30.0, 40.0, 50.0]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("a,bb,y\n1,2,3\n", "column 'b': no such column; did you mean bb? (columns: a, bb, y)"),
        ("a,b\n1,2\n3,\n", "column 'b', row 2: a value is missing"),
        ("a,b\n1,x\n", "column 'b' holds text (row 1: 'x')"),
        ("a,b\n1,2\n", "a window needs 3 rows, there are 1"),
        ("", "is empty"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_one_line(table: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(table)
    predictor = of_table(window=3)
    with pytest.raises(PredictionError) as refused:
        read_data(path, predictor)
    told = str(refused.value)
    assert said in told
    assert told.startswith(str(path))
    assert "\n" not in told


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.csv", "there is no such file"),
        (".", "is a folder"),
        ("data.xlsx", "must end in .csv, .tsv, .txt, .parquet, .pq"),
        ("only_y.npz", "no array x; there are: y"),
        ("flat.npy", "x has shape (4, 3), not (N, T, inputs)"),
        ("wide.npy", "x has shape (4, 3, 3); the network needs (N, T, 2)"),
        ("text.npy", "x holds <U1; only real numbers are read"),
        ("pickled.npy", "holds Python objects"),
        ("nan.npy", "x[0, 1, 1] is nan; every number must be finite"),
        ("long.npz", "lengths[1] is 4, not between 1 and T = 3"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_line(name: str, said: str, tmp_path: Path) -> None:
    x = np.zeros((2, 3, 2))
    holed = x.copy()
    holed[0, 1, 1] = np.nan
    (tmp_path / "data.xlsx").write_bytes(b"?")
    np.savez(tmp_path / "only_y.npz", y=x)
    np.save(tmp_path / "flat.npy", np.zeros((4, 3)))
    np.save(tmp_path / "wide.npy", np.zeros((4, 3, 3)))
    np.save(tmp_path / "text.npy", np.array([["a"]]))
    np.save(tmp_path / "pickled.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "nan.npy", holed)
    np.savez(tmp_path / "long.npz", x=x, lengths=[1, 4])
    predictor = of_table(window=3)
    with pytest.raises(PredictionError) as refused:
        read_data(tmp_path / name, predictor)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_network_of_arrays_takes_no_table(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    with pytest.raises(PredictionError, match=r"trained on arrays: x \(N, T, 2\) in an .npz or .npy file"):
        read_data(tmp_path / "data.csv", make_predictor(make_preparation()))


def test_arrays_may_say_what_is_true() -> None:
    predictor = make_predictor(make_preparation(classes=("no", "yes"), outputs=1), readout="sigmoid")
    x = np.zeros((3, 4, 2))
    data = take_arrays({"x": x, "lengths": np.array([4, 2, 3]), "y": np.array(["yes", "no", "yes"])}, predictor)
    assert data.sequences.y.tolist() == [[1.0], [0.0], [1.0]]
    assert data.sequences.full_lengths.tolist() == [4, 2, 3]
    with pytest.raises(
        ValueError, match="y has the label 'maybe', which the network does not know: it knows 2 classes"
    ):
        take_arrays({"x": x, "y": np.array(["yes", "no", "maybe"])}, predictor)
    numbers = make_predictor(make_preparation())
    data = take_arrays({"x": x, "y": np.array([100.0, 105.0, 90.0])}, numbers)
    assert data.has_targets
    assert data.sequences.y.tolist() == [[0.0], [1.0], [-2.0]]
    assert not take_arrays({"x": x}, numbers).has_targets
    with pytest.raises(ValueError, match=r"real numbers of shape \(3, 1\) are needed"):
        take_arrays({"x": x, "y": np.zeros((3, 4))}, numbers)
    with pytest.raises(ValueError, match=r"one input per timestep is x\[:, :, None\]"):
        take_arrays({"x": np.zeros((5, 3))}, make_predictor(make_preparation(("a",)), inputs=1))
