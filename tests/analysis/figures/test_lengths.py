"""The figure of other lengths has each setting's median and quartiles, and the length of the training."""

import numpy as np
import pandas as pd

from bptt.analysis.figures.lengths import draw_generalisation, find_lengths


def make_runs() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    count = 12
    return pd.DataFrame(
        {
            "run": np.arange(count),
            "model": ["gru", "elman"] * 6,
            "seed": np.arange(count) // 2,
            "task.length": 20,
            "outcome": "completed",
            "status": "FINISHED",
            "accuracy/eval": 1.0,
            "accuracy/eval_40": 0.5 + rng.random(count) / 4,
            "accuracy/eval_10": 0.9,
            "loss/eval_10": 0.1,
            "accuracy/eval_80": np.nan,
        }
    )


def test_lengths_are_those_on_which_a_run_was_seen() -> None:
    assert find_lengths(make_runs(), "accuracy/eval") == [10, 40]
    assert find_lengths(make_runs(), "loss/eval") == [10]


def test_lines_are_medians_and_a_dotted_one_is_the_length_of_the_training() -> None:
    runs = make_runs()
    figure = draw_generalisation(runs, ["model", "seed"])
    (axes,) = figure.axes
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in dotted] == [20.0]  # type: ignore[index]
    medians = {tuple(np.round(line.get_ydata(), 9)) for line in axes.lines if line not in dotted}  # type: ignore[arg-type]
    expected = runs.groupby("model")[["accuracy/eval_10", "accuracy/eval_40"]].median() * 100
    assert medians == {tuple(row) for row in np.round(expected.to_numpy(), 9)}
    runs.loc[0, "task.length"] = 30
    (axes,) = draw_generalisation(runs, ["model", "seed"]).axes
    assert not any(line.get_linestyle() == ":" for line in axes.lines)
