"""The dashed line at what a constant answer costs, where all runs that are drawn have the same."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bptt.analysis.figures.outcomes import draw_final_loss
from bptt.analysis.figures.run import draw_loss_curve
from bptt.analysis.figures.training import draw_convergence


def make_runs(baselines: list[float], loss: float = 0.5) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Six runs, two of each of three learning rates, and what they recorded."""
    numbers = np.arange(6)
    runs = pd.DataFrame(
        {
            "run": numbers,
            "outcome": "completed",
            "optimizer.alpha": [0.1, 0.1, 0.2, 0.2, 0.3, 0.3],
            "loss/eval": loss * (1 + numbers / 10),
            "baseline": baselines,
        }
    )
    history = pd.DataFrame(
        {
            "run": np.repeat(numbers, 2),
            "update": np.tile([1, 100], 6),
            "loss/eval": np.stack([np.full(6, 4 * loss), runs["loss/eval"]], axis=1).ravel(),
            "grad/norm": 1.0,
        }
    )
    return runs, history


def find_lines(figure: Any) -> list[float]:
    """Where the dashed lines are; each must be within its axis."""
    lines = [(axes, line) for axes in figure.axes for line in axes.lines if line.get_gid() == "baseline"]
    for axes, line in lines:
        low, high = axes.get_ylim()
        assert low <= line.get_ydata()[0] <= high
        assert line.get_linestyle() == "--"
    return [float(line.get_ydata()[0]) for _, line in lines]


@pytest.mark.parametrize("baseline", [1.0, 0.01, 3.5])
def test_a_baseline_that_all_runs_share_is_drawn_within_the_axis(baseline: float) -> None:
    runs, history = make_runs([baseline] * 6)
    assert find_lines(draw_convergence(history, runs, ["optimizer.alpha"])) == [baseline]
    assert find_lines(draw_final_loss(runs, "optimizer.alpha")) == [baseline]
    alone = history[history["run"] == 0].assign(**{"loss/train": 1.0})
    assert find_lines(draw_loss_curve(alone, baseline=baseline)) == [baseline]


def test_no_line_is_drawn_where_runs_have_different_ones_or_none() -> None:
    for baselines in ([1.0, 2.0] * 3, [1.0] * 5 + [np.nan], [np.nan] * 6, [0.0] * 6):
        runs, history = make_runs(baselines)
        assert find_lines(draw_convergence(history, runs, ["optimizer.alpha"])) == []
        assert find_lines(draw_final_loss(runs, "optimizer.alpha")) == []
    runs, history = make_runs([1.0] * 6)
    without = runs.drop(columns="baseline")
    assert find_lines(draw_convergence(history, without, ["optimizer.alpha"])) == []


def test_the_line_is_of_the_loss_alone() -> None:
    runs, history = make_runs([1.0] * 6)
    assert find_lines(draw_convergence(history, runs, ["optimizer.alpha"], "grad/norm")) == []


def test_a_baseline_far_above_what_runs_begin_with_does_not_stretch_the_axis() -> None:
    runs, history = make_runs([1e6] * 6)
    assert find_lines(draw_convergence(history, runs, ["optimizer.alpha"])) == []


def test_where_nothing_finite_was_recorded_there_is_no_line_either() -> None:
    runs, history = make_runs([1.0] * 6)
    history["loss/eval"] = np.inf
    assert find_lines(draw_convergence(history, runs, ["optimizer.alpha"])) == []
    runs["loss/eval"] = np.inf
    assert find_lines(draw_final_loss(runs, "optimizer.alpha")) == []
