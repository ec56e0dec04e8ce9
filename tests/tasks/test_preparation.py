"""What was done to the numbers is undone to the bit, and read back as it was written."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bptt.tasks import Preparation
from bptt.tasks.own_data.cutting import Cutting
from bptt.tasks.own_data.preparation import DataNote

NUMBERS = Preparation(
    inputs=("a", "b"),
    input_mean=(1.0, 0.1),
    input_scale=(2.0, 1 / 3),
    targets=("y",),
    target_mean=(-5.0,),
    target_scale=(4.0,),
    classes=None,
    kind="numbers",
    cutting=Cutting(row="timestep", inputs=("a", "b"), targets=("y",), window=3, horizon=1),
    remarks=("7 sequences train",),
    data=DataNote(name="é.csv", digest="0" * 16, source="a/é.csv", profile="7 training"),
)
CLASSES = replace(
    NUMBERS,
    target_mean=(0.0,) * 3,
    target_scale=(1.0,) * 3,
    classes=("cat", "dog", "eel"),
    kind="classes",
    cutting=None,
)


def test_numbers_are_scaled_and_restored() -> None:
    assert np.array_equal(NUMBERS.prepare([[3.0, 0.1], [1.0, 1.1]]), [[1.0, 0.0], [0.0, (1.1 - 0.1) * 3]])
    assert np.array_equal(NUMBERS.restore([[[0.0]], [[2.0]]]), [[[-5.0]], [[3.0]]])
    assert np.isnan(NUMBERS.restore([[np.nan]])).all()
    assert NUMBERS.scales
    assert not replace(CLASSES, input_mean=(0.0, 0.0), input_scale=(1.0, 1.0)).scales


def test_outputs_become_labels() -> None:
    outputs = np.array([[0.1, 0.8, 0.1], [0.4, 0.2, 0.4], [np.nan, 0.0, 1.0], [np.nan] * 3])
    assert CLASSES.restore(outputs).tolist() == ["dog", "cat", "eel", "cat"]
    assert CLASSES.restore(outputs[None]).shape == (1, 4)
    shared = replace(CLASSES, classes=(3, 7), target_mean=(0.0,), target_scale=(1.0,))
    labels = shared.restore([[0.2], [0.5], [0.51], [np.nan]])
    assert labels.tolist() == [3, 3, 7, 3]
    assert labels.dtype == np.int64


@pytest.mark.parametrize("made", [NUMBERS, CLASSES, replace(CLASSES, data=None, remarks=(), classes=(2, 1, 0))])
def test_it_is_read_back_as_it_was_written(made: Preparation) -> None:
    text = made.to_json()
    assert Preparation.from_json(text) == made
    assert Preparation.from_json(text).to_json() == text
    assert hash(Preparation.from_json(text)) == hash(made)


@pytest.mark.parametrize(
    "change",
    [
        {"input_mean": [1.0]},
        {"target_scale": ["x"]},
        {"kind": "words"},
        {"classes": ["a", "b"]},
        {"more": 1},
        {"cutting": {"row": "timestep"}},
        {"data": {"name": "x"}},
        {"input_mean": None},
    ],
)
def test_what_is_no_preparation_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="says nothing of how data were prepared"):
        Preparation.from_json(json.dumps(json.loads(NUMBERS.to_json()) | change))
    for text in ("", "[]", "{}", "3"):
        with pytest.raises(ValueError, match="says nothing"):
            Preparation.from_json(text)
