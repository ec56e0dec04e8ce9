"""Performance profiles: the shares that are drawn, their bands, and where there is no such figure."""

from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
from matplotlib.axes import Axes

from bptt.analysis.figures import SweepFigure, draw_performance_profiles
from bptt.analysis.figures.material import Material
from bptt.analysis.figures.performance import draw_performance
from bptt.analysis.statistics.intervals import clopper_pearson
from bptt.analysis.sweep import Sweep
from tests.analysis.figures.swept import Swept, diverge, drawable, fail, legend, panel_titles, sweep_of

LOSSES = [0.1, 0.2, 0.2, 0.4, 0.3, 0.5, 1.0, 0.2]


def unsolved(losses: list[float] = LOSSES, **keys: Any) -> Swept:
    """Runs that ended with these losses, none of which solved its task or has any answer right."""
    sweep = sweep_of(len(losses), **keys)
    sweep.runs = sweep.runs.assign(**{"loss/eval": losses, "solved": False, "accuracy/eval": 0.0})
    return sweep


def read_share(axes: Axes, line: int, tau: float) -> float:
    """The share in percent that a line shows at τ."""
    drawn = axes.lines[line]
    x, y = (np.asarray(part, dtype=float) for part in (drawn.get_xdata(), drawn.get_ydata()))
    assert x[0] < tau < x[-1]
    if drawn.get_drawstyle() == "steps-post":
        return float(y[np.searchsorted(x, tau, side="right") - 1])
    assert drawn.get_drawstyle() == "steps-pre"
    return float(y[np.searchsorted(x, tau, side="left")])


def read_band(axes: Axes, line: int, tau: float) -> tuple[float, float]:
    """The ends of a line's band at τ, which must be no place where it steps."""
    corners = np.asarray(axes.collections[line].get_paths()[0].vertices)
    crossing = {
        (float(one[1]), float(other[1]))
        for one, other in pairwise(corners)
        if min(one[0], other[0]) < tau < max(one[0], other[0])
    }
    ends = sorted({end for pair in crossing for end in pair})
    return ends[0], ends[-1]


def draw(sweep: Swept) -> list[SweepFigure]:
    return list(draw_performance(Material(cast("Sweep", sweep))))


def test_shares_of_runs_with_at_most_a_loss() -> None:
    sweep = unsolved(model=np.repeat(["elman", "gru"], 4))
    figure = drawable(draw_performance_profiles(sweep.runs, sweep.swept))
    (axes,) = figure.axes
    assert legend(figure) == ["elman", "gru"]
    # Of 0.1, 0.2, 0.2, 0.4 and of 0.2, 0.3, 0.5, 1.0.
    taus = [0.099, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6, 1.0]
    assert [read_share(axes, 0, tau) for tau in taus] == [0, 25, 25, 75, 75, 75, 100, 100, 100]
    assert [read_share(axes, 1, tau) for tau in taus] == [0, 0, 0, 25, 25, 50, 50, 75, 100]
    assert (axes.get_xscale(), axes.get_xlabel()) == ("log", "final evaluation loss τ")
    assert (axes.get_ylim(), axes.get_ylabel()) == ((-4, 104), "runs with at most τ (%)")


def test_bands_are_exact_intervals_at_each_loss() -> None:
    sweep = unsolved(model=np.repeat(["elman", "gru"], 4))
    (axes,) = draw_performance_profiles(sweep.runs, sweep.swept).axes
    for line, tau, count in [(0, 0.15, 1), (0, 0.3, 3), (0, 0.6, 4), (1, 0.15, 0), (1, 0.25, 1), (1, 0.6, 3)]:
        expected = clopper_pearson(count, 4)
        assert read_band(axes, line, tau) == pytest.approx((100 * expected.low, 100 * expected.high)), (line, tau)


def test_many_settings_have_lines_alone() -> None:
    losses = (0.1 * np.arange(1, 15)).tolist()
    sweep = unsolved(losses, a__x=np.repeat(np.arange(7), 2))
    (axes,) = drawable(draw_performance_profiles(sweep.runs, sweep.swept)).axes
    assert (len(axes.lines), len(axes.collections)) == (7, 0)


def test_what_diverged_counts_as_worse_than_any_loss_and_what_did_not_end_not_at_all() -> None:
    sweep = unsolved(model=np.repeat(["elman", "gru"], 4))
    diverge(sweep, 0, update=1)
    fail(sweep, 4, "FAILED")
    sweep.runs.loc[6, "loss/eval"] = 100.0
    figure = drawable(draw_performance_profiles(sweep.runs, sweep.swept, ceiling=10.0))
    (axes,) = figure.axes
    # Of 0.2, 0.2, 0.4, infinity; of 0.2, 0.5, and 100, which is above the ceiling.
    assert [read_share(axes, 0, tau) for tau in (0.3, 0.45)] == [50, 75]
    assert [read_share(axes, 1, tau) for tau in (0.3, 0.501)] == pytest.approx([100 / 3, 200 / 3])
    assert axes.get_xlim()[1] < 1
    (drawn,) = draw(sweep)
    told = "Lines end below 100 % for runs that diverged, or ended above ten times the loss that runs begin with (2)."
    assert told in drawn.caption


def test_an_exact_zero_is_below_all_others() -> None:
    sweep = unsolved([0.0, 0.2, 0.2, 0.4])
    (axes,) = drawable(draw_performance_profiles(sweep.runs, sweep.swept)).axes
    assert [read_share(axes, 0, tau) for tau in (0.2, 0.3, 0.4)] == [75, 75, 100]


def test_conditions_have_panels() -> None:
    # Run by run: elman and gru at length 5, then at length 20.
    sweep = unsolved(task__length=np.repeat([5, 20], 4), model=np.tile(np.repeat(["elman", "gru"], 2), 2))
    sweep.conditions = ["task.length"]
    figure = drawable(draw_performance_profiles(sweep.runs, sweep.swept, sweep.conditions))
    assert panel_titles(figure) == ["length 5", "length 20"]  # "timesteps of a sequence" has no room
    first, second = figure.axes
    # Of 0.1, 0.2; of 0.2, 0.4; of 0.3, 0.5; of 1.0, 0.2.
    assert [read_share(axes, line, 0.25) for axes in (first, second) for line in (0, 1)] == [100, 50, 0, 50]
    assert [read_share(axes, line, 0.45) for axes in (first, second) for line in (0, 1)] == [100, 100, 50, 50]
    (drawn,) = draw(sweep)
    assert (
        "one line for each value of cell (elman, gru), a panel for each value of timesteps of a sequence" in drawn.alt
    )
    assert "taken together" not in drawn.caption


def test_combinations_of_conditions_have_panels() -> None:
    sweep = unsolved(task__length=np.repeat([5, 20], 4), task__gap=np.tile([1, 1, 2, 2], 2))
    sweep.conditions = ["task.length", "task.gap"]
    (drawn,) = draw(sweep)
    titles = ["length=5 gap=1", "length=5 gap=2", "length=20 gap=1", "length=20 gap=2"]
    assert panel_titles(drawable(drawn.figure)) == titles
    assert "one line, a panel for each condition. Half of the runs over all panels have at most: 0.2." in drawn.alt


def test_a_baseline_is_a_line_in_each_panel() -> None:
    sweep = unsolved(task__length=np.repeat([5, 20], 4))
    sweep.runs["baseline"] = np.repeat([0.25, 0.75], 4)
    sweep.conditions = ["task.length"]
    (drawn,) = draw(sweep)
    dashed = [[line.get_xdata() for line in axes.lines if line.get_gid()] for axes in drawable(drawn.figure).axes]
    assert dashed == [[[0.25, 0.25]], [[0.75, 0.75]]]
    assert "The dashed line is the best that an answer does" in drawn.caption


def test_accuracies_are_shares_of_runs_with_at_least_as_much() -> None:
    sweep = unsolved(model=np.repeat(["elman", "gru"], 4))
    sweep.runs["accuracy/eval"] = [0.5, 0.6, 0.6, 0.9, 0.7, 0.8, 0.8, 0.95]
    (drawn,) = draw(sweep)
    (axes,) = drawable(drawn.figure).axes
    taus = [49, 50, 55, 60, 61, 90, 91, 95, 95.5]
    assert [read_share(axes, 0, tau) for tau in taus] == [100, 100, 75, 75, 25, 25, 0, 0, 0]
    assert [read_share(axes, 1, tau) for tau in taus] == [100, 100, 100, 100, 100, 25, 25, 25, 0]
    expected = clopper_pearson(3, 4)
    assert read_band(axes, 0, 55) == pytest.approx((100 * expected.low, 100 * expected.high))
    assert (axes.get_xscale(), axes.get_xlabel()) == ("linear", "final accuracy τ (%)")
    assert axes.get_ylabel() == "runs with at least τ (%)"
    assert drawn.alt == (
        "Step chart that falls, runs in percent against the final accuracy that they reach, one line for each value of "
        "cell (elman, gru). Half of the runs have at least: 60 % at cell elman and 80 % at cell gru."
    )


def test_caption_and_alternative_text() -> None:
    (drawn,) = draw(unsolved(model=np.repeat(["elman", "gru"], 4)))
    assert (drawn.name, drawn.title) == ("performance_profiles", "How well runs end")
    assert drawn.caption == (
        "The share of runs whose last evaluation loss is at most τ, against τ: their performance profile; light bands "
        "are 95 % intervals (Clopper–Pearson) at each τ alone. A setting whose line lies above another's throughout "
        "did better in these runs, whichever τ is asked for. 8 runs, 4 for each of 2 settings."
    )
    assert drawn.alt == (
        "Step chart that rises, runs in percent against the final evaluation loss that they reach, logarithmic, one "
        "line for each value of cell (elman, gru). Half of the runs have at most: 0.2 at cell elman and 0.3 at cell "
        "gru."
    )


def test_settings_beyond_the_colours_are_pooled_and_that_is_said() -> None:
    keys: dict[str, Any] = {"a__x": np.tile([1, 2, 3], 12), "a__y": np.tile(np.repeat([1, 2, 3], 3), 4)}
    sweep = unsolved((0.01 * np.arange(1, 37)).tolist(), **keys, task__length=np.tile(np.repeat([1, 2], 9), 2))
    sweep.conditions = ["task.length"]
    (drawn,) = draw(sweep)
    assert legend(drawn.figure) == ["1", "2", "3"]
    assert "Runs that differ in y are taken together." in drawn.caption


def test_no_figure_where_another_says_the_same() -> None:
    keys: dict[str, Any] = {"model": np.repeat(["elman", "gru"], 4)}
    assert len(draw(unsolved(**keys))) == 1
    some, every, single, search, alike, nothing = (unsolved(**keys) for _ in range(6))
    some.runs.loc[0, "solved"] = True  # their share has a figure
    every.runs[["solved", "solved_update"]] = [True, 50.0]  # when they did has one
    assert [draw(one) for one in (some, every)] == [[], []]
    # A run of each setting is a dot among the final losses.
    single.runs["model"], search.runs["model"] = [*"abcdefgh"], np.linspace(0, 1, 8)
    assert [draw(one) for one in (single, search)] == [[], []]
    alike.runs["loss/eval"] = [0.1, 0.2] * 4
    for run in range(8):
        diverge(nothing, run, update=0)
    assert [draw(one) for one in (alike, nothing)] == [[], []]
    assert draw(unsolved([0.1])) == []


def test_without_any_finite_loss_that_is_said() -> None:
    sweep = unsolved([0.1, 0.2])
    for run in range(2):
        diverge(sweep, run, update=0)
    (axes,) = drawable(draw_performance_profiles(sweep.runs, sweep.swept)).axes
    assert axes.texts[0].get_text() == "no run ended with a finite value"
