"""Figures of predictions: what stands in them is what was predicted."""

import io
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from bptt.analysis.figures.predictions import (
    count_confusions,
    draw_against,
    draw_calibration,
    draw_confusion,
    draw_predictions,
    list_stated,
    tabulate_calibration,
)
from bptt.predictions.tables import Predictions


def drawn(figure: object) -> None:
    figure.savefig(io.BytesIO())  # type: ignore[attr-defined]


def of_numbers(**columns: Any) -> Predictions:
    values = {"target": np.arange(4.0), "prediction": np.array([0.5, 1.0, 2.0, 2.5])}
    return Predictions(columns={**columns, **values}, targets=("sales",), classes=None)


def of_classes(classes: tuple[Any, ...], true: list[Any], scores: list[list[float]], **columns: Any) -> Predictions:
    made = np.array(scores)
    values = {"target": np.array(true), "prediction": np.array(classes)[made.argmax(axis=1)]}
    values |= {f"probability_{label}": made[:, place] for place, label in enumerate(classes)}
    return Predictions(columns={**columns, **values}, targets=("kind",), classes=classes)


def test_numbers_stand_against_what_is_true_and_as_a_series() -> None:
    made = of_numbers(set=np.array(["eval", "eval", "test", "test"]), sequence=np.arange(4), row=np.array([5, 6, 7, 8]))
    against, series = draw_predictions(made)
    assert [one.name for one in (against, series)] == ["predictions_against", "predictions_series"]
    (axes,) = against.figure.axes
    first, second = axes.collections
    assert np.asarray(first.get_offsets()).tolist() == [[0.0, 0.5], [1.0, 1.0]]
    assert np.asarray(second.get_offsets()).tolist() == [[2.0, 2.0], [3.0, 2.5]]
    assert axes.get_xlim() == axes.get_ylim()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("true sales", "predicted sales")
    assert "0.354 on the evaluation set, 0.354 on the test set" in against.caption
    (axes,) = series.figure.axes
    true, predicted, border = axes.lines
    assert np.asarray(true.get_xydata()).tolist() == [[5, 0], [6, 1], [7, 2], [8, 3]]
    assert np.asarray(predicted.get_ydata()).tolist() == [0.5, 1.0, 2.0, 2.5]
    assert np.asarray(border.get_xdata()).tolist() == [6.5, 6.5]
    assert axes.get_xlabel() == "row of the table"
    drawn(against.figure)
    drawn(series.figure)


def test_rows_in_no_order_are_no_series() -> None:
    made = of_numbers(set=np.array(["eval"] * 4), sequence=np.arange(4), row=np.array([5, 2, 7, 8]))
    assert [one.name for one in draw_predictions(made)] == ["predictions_against"]


def test_sequences_have_a_panel_each() -> None:
    made = of_numbers(sequence=np.array([0, 0, 1, 1]), timestep=np.array([0, 1, 0, 1]))
    _, series = draw_predictions(made)
    top, bottom = series.figure.axes
    assert (top.get_title(), bottom.get_title()) == ("sequence 0", "sequence 1")
    assert np.asarray(bottom.lines[1].get_ydata()).tolist() == [2.0, 2.5]
    assert bottom.get_xlabel() == "timestep"
    drawn(series.figure)


def test_confusions_are_counted_of_the_test_set() -> None:
    sets = np.array(["eval", "test", "test", "test"])
    scores = [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]]
    made = of_classes(("no", "yes"), ["no", "no", "yes", "yes"], scores, set=sets, sequence=np.arange(4))
    confusion, calibration = draw_predictions(made)
    assert confusion.name == "predictions_confusion"
    texts = [text.get_text() for text in confusion.figure.axes[0].texts]
    assert texts == ["1", "0", "1", "1"]
    assert "Of 3 labels in the test set, 2 were predicted right (66.7 %)" in confusion.caption
    assert calibration.name == "predictions_calibration"
    assert calibration.figure.axes[0].get_title() == "the label is yes"
    drawn(confusion.figure)
    drawn(calibration.figure)


def test_confusion_of_many_classes_writes_no_numbers() -> None:
    classes = list(range(40))
    counts = count_confusions(np.arange(40), np.arange(40)[::-1], classes)
    assert counts.sum() == 40
    assert np.trace(counts[:, ::-1]) == 40
    figure = draw_confusion(counts, [f"a long name {place}" for place in classes])
    axes = figure.axes[0]
    assert not axes.texts
    assert len(axes.get_xticks()) == 20
    drawn(figure)


def test_calibration_has_the_share_of_each_bin_with_its_exact_interval() -> None:
    stated = np.array([0.05, 0.04, 0.62, 0.65, 0.68, 1.0])
    bins = tabulate_calibration(stated, np.array([False, False, True, False, True, True]))
    assert bins["bin"].tolist() == [0, 6, 9]
    assert bins["count"].tolist() == [2, 3, 1]
    assert np.allclose(bins["stated"], [0.045, 0.65, 1.0])
    assert np.allclose(bins["share"], [0.0, 2 / 3, 1.0])
    exact = [binomtest(hits, count).proportion_ci() for hits, count in ((0, 2), (2, 3), (1, 1))]
    assert np.allclose(bins["low"], [one.low for one in exact])
    assert np.allclose(bins["high"], [one.high for one in exact])
    figure = draw_calibration(bins, "the label is yes")
    assert [bar.get_height() for bar in figure.axes[1].patches] == [2, 3, 1]  # type: ignore[attr-defined]
    drawn(figure)


def test_of_three_classes_the_predicted_one_is_looked_at() -> None:
    made = of_classes((0, 1, 2), [0, 2], [[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]])
    stated, right, what = list_stated(made)
    assert stated.tolist() == [0.5, 0.6]
    assert right.tolist() == [True, False]
    assert what == "the predicted label is right"


@pytest.mark.parametrize("count", [1, 3, 2000])
def test_any_number_of_points_can_be_drawn(count: int) -> None:
    values = np.linspace(-1, 1, count) if count > 1 else np.array([3.0])
    drawn(draw_against({"": (values, values)}, "y"))


def test_without_what_is_true_there_is_nothing_to_draw() -> None:
    made = Predictions(columns={"prediction": np.zeros(3)}, targets=("y",), classes=None)
    assert list(draw_predictions(made)) == []
