"""Predictions as tables: which rows there are, in which units, and that a file has all of it."""

import numpy as np
import pytest

from bptt.core.sequences import Sequences
from bptt.predictions.tables import Meaning, Predictions, join_sets, tabulate_predictions
from tests.predictions.making import make_preparation


def test_numbers_are_told_in_their_own_units_beside_what_is_true() -> None:
    meaning = Meaning.prepared(make_preparation(outputs=2), "identity")
    sequences = Sequences(np.zeros((3, 4, 2)), np.array([[0.0, 1.0], [2.0, 0.0], [-1.0, 1.0]]))
    made = tabulate_predictions(
        np.array([[1.0, 0.0], [0.0, 0.5], [0.0, 0.0]]), sequences, meaning, with_targets=True, rows=np.array([7, 8, 9])
    )
    assert list(made.columns) == ["sequence", "row", "target_y0", "target_y1", "prediction_y0", "prediction_y1"]
    assert made.columns["target_y0"].tolist() == [100.0, 110.0, 95.0]
    assert made.columns["prediction_y1"].tolist() == [100.0, 102.5, 100.0]
    assert made.columns["row"].tolist() == [7, 8, 9]
    true, predicted = made.pair("y1")
    assert true.tolist() == [105.0, 100.0, 105.0]
    assert predicted is made.columns["prediction_y1"]


def test_of_every_timestep_those_that_are_scored_have_a_row() -> None:
    meaning = Meaning.prepared(make_preparation(), "identity")
    sequences = Sequences(np.zeros((2, 3, 2)), np.zeros((2, 3, 1)), np.array([3, 2]), np.array([False, True, True]))
    output = np.arange(6.0).reshape(2, 3, 1)
    made = tabulate_predictions(output, sequences, meaning, with_targets=False, names=["x", "z"])
    assert made.columns["sequence"].tolist() == ["x", "x", "z"]
    assert made.columns["timestep"].tolist() == [1, 2, 1]
    assert made.columns["prediction"].tolist() == [105.0, 110.0, 120.0]
    assert not made.has_targets


@pytest.mark.parametrize(
    ("classes", "output", "labels", "scores"),
    [
        (("no", "yes"), [[0.25], [0.5], [0.75]], ["no", "no", "yes"], [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]]),
        ((3, 5, 8), [[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.4, 0.4, 0.2]], [8, 3, 3], None),
    ],
    ids=["two", "three"],
)
def test_classes_are_labels_with_probabilities(
    classes: tuple[int | str, ...], output: list[list[float]], labels: list[object], scores: list[list[float]] | None
) -> None:
    readout = "sigmoid" if len(classes) == 2 else "softmax"
    meaning = Meaning.prepared(make_preparation(classes=classes, outputs=len(output[0])), readout)
    sequences = Sequences(np.zeros((3, 2, 2)), np.eye(3)[:, : len(output[0])])
    made = tabulate_predictions(np.array(output), sequences, meaning, with_targets=True)
    assert made.columns["prediction"].tolist() == labels
    assert made.columns["target"].tolist() == ["yes", "no", "no"] if len(classes) == 2 else [3, 5, 8]
    assert list(made.columns)[-len(classes) :] == [f"probability_{label}" for label in classes]
    assert np.array_equal(made.scores, np.array(output if scores is None else scores))


def test_what_is_true_may_be_unknown_of_some_rows() -> None:
    known = Meaning.prepared(make_preparation(classes=("no", "yes"), outputs=1), "sigmoid")
    sequences = Sequences(np.zeros((2, 1, 2)), np.array([[1.0], [np.nan]]))
    made = tabulate_predictions(np.array([[0.9], [0.1]]), sequences, known, with_targets=True)
    assert made.columns["target"].tolist() == ["yes", None]
    numbers = Meaning.prepared(make_preparation(), "identity")
    made = tabulate_predictions(np.array([[0.9], [0.1]]), sequences, numbers, with_targets=True)
    assert np.array_equal(made.columns["target"], [105.0, np.nan], equal_nan=True)


def test_without_a_preparation_a_softmax_names_symbols() -> None:
    class Symbols:
        vocabulary = ("a", "b")

    assert Meaning.of(Symbols(), "softmax", 2).classes == ("a", "b")
    assert Meaning.of(object(), "softmax", 3).classes == (0, 1, 2)
    assert Meaning.of(object(), "sigmoid", 1).classes is None
    assert Meaning.of(object(), "identity", 2).targets == ("0", "1")


def test_a_file_has_all_of_it() -> None:
    meaning = Meaning.prepared(make_preparation(classes=("é", "ü"), outputs=2), "softmax")
    sequences = Sequences(np.zeros((2, 1, 2)), np.array([[1.0, 0.0], [np.nan, np.nan]]))
    part = tabulate_predictions(np.array([[0.9, 0.1], [0.2, 0.8]]), sequences, meaning, with_targets=True)
    made = join_sets([("eval", part), ("test", part)])
    assert made.sets == ["eval", "test"]
    back = Predictions.parse(made.pack())
    assert (back.targets, back.classes, back.score) == (("y",), ("é", "ü"), "probability")
    assert {name: values.tolist() for name, values in back.columns.items()} == {
        name: values.tolist() for name, values in made.columns.items()
    }
    assert back.of_set("test").count == 2


def test_another_file_is_refused() -> None:
    import pyarrow as pa

    from bptt.tracking.folder.files import pack_table

    with pytest.raises(ValueError, match="holds no predictions"):
        Predictions.parse(pack_table(pa.table({"a": [1]})))
