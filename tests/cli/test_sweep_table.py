"""The table at the end of a sweep."""

from typing import Any

import numpy as np

from bptt.cli.sweep_table import SweptRun, sweep_table
from bptt.core.run import Record


def finished(swept: list[str], loss: float, accuracy: float | None = None, outcome: Any = "completed") -> SweptRun:
    history = {"update": np.array([1, 9]), "loss/eval": np.array([1.0, loss])}
    if accuracy is not None:
        history["accuracy/eval"] = np.array([0.0, accuracy])
    record = Record(outcome, 9, history, np.zeros((2, 1)), {}, np.zeros((1, 1)))
    return SweptRun(swept=swept, record=record)


def test_a_row_for_each_setting_over_its_seeds() -> None:
    runs = [
        finished(["model.hidden_size=2", "seed=0"], 0.5, 0.75),
        finished(["model.hidden_size=2", "seed=1"], 0.1, 1.0),
        finished(["model.hidden_size=2", "seed=2"], np.nan, np.nan, "diverged"),
        finished(["model.hidden_size=3", "seed=0"], 0.25, 1.0),
    ]
    assert [line.split() for line in sweep_table(runs)] == [
        ["setting", "runs", "diverged", "loss/eval", "from", "to", "100", "%", "right"],
        ["model.hidden_size=2", "3", "1", "0.3", "0.1", "0.5", "1"],
        ["model.hidden_size=3", "1", "0", "0.25", "0.25", "0.25", "1"],
    ]


def test_without_an_accuracy_or_a_setting() -> None:
    runs = [finished(["seed=0"], 2.0), finished(["seed=1"], 4.0)]
    assert [line.split() for line in sweep_table(runs)] == [
        ["setting", "runs", "diverged", "loss/eval", "from", "to"],
        ["all", "2", "0", "3", "2", "4"],
    ]
    assert sweep_table(runs[:1]) == []
