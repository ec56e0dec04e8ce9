import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm

from bptt.analysis.factors import build_factor
from bptt.analysis.figures import draw_heat_map
from bptt.analysis.figures.maps import combine_settings, draw_settings, is_grid
from bptt.analysis.figures.material import Material
from tests.analysis.figures.swept import Swept, diverge, drawable, sweep_of


@pytest.fixture
def grid() -> Swept:
    return sweep_of(optimizer__alpha=np.repeat([0.1, 1.0], 6), optimizer__epsilon=np.tile([0.0, 0.5, 0.9], 4))


def test_a_cell_has_the_median_of_its_runs(grid: Swept) -> None:
    axes, bar = drawable(draw_heat_map(grid.runs, "optimizer.alpha", "optimizer.epsilon")).axes
    (mesh,) = [part for part in axes.collections if isinstance(part, QuadMesh)]
    # Up: epsilon, across: alpha; in each cell the median of two runs.
    medians = np.array([[0.025, 0.085], [0.035, 0.095], [0.045, 0.105]])
    assert np.asarray(mesh.get_array()).reshape(3, 2) == pytest.approx(medians)
    assert isinstance(mesh.norm, LogNorm)
    assert (mesh.norm.vmin, mesh.norm.vmax) == pytest.approx((0.025, 0.105))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("learning rate α", "momentum rate ε")
    assert bar.get_ylabel() == "median final evaluation loss"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "0.5", "0.9"]
    assert axes.get_ylim() == (0, 3)  # the first level below


def test_solved_runs_are_shares_in_percent(grid: Swept) -> None:
    grid.runs.loc[[0, 3], "solved"] = True
    axes, bar = drawable(draw_heat_map(grid.runs, "optimizer.alpha", "optimizer.epsilon", "solved")).axes
    assert [text.get_text() for text in axes.texts] == ["100", "50", "50", "50", "50", "50"]
    assert bar.get_ylabel() == "solved runs (%)"
    assert (axes.collections[0].norm.vmin, axes.collections[0].norm.vmax) == (0, 100)


def test_any_metric_can_be_shown(grid: Swept) -> None:
    axes, bar = drawable(
        draw_heat_map(grid.runs, "optimizer.alpha", "optimizer.epsilon", "weights/spectral_radius")
    ).axes
    assert np.asarray(axes.collections[0].get_array()).reshape(3, 2)[0] == pytest.approx([2.5, 8.5])
    assert bar.get_ylabel() == "median final spectral radius"
    assert not isinstance(axes.collections[0].norm, LogNorm)


def test_a_cell_whose_runs_diverged_has_a_cross() -> None:
    sweep = sweep_of(8, a__x=[1, 2] * 4, a__y=[1, 1, 2, 2] * 2)
    for run in (0, 4):
        diverge(sweep, run, update=50)
    axes = drawable(draw_heat_map(sweep.runs, "a.x", "a.y")).axes[0]
    assert [np.array(line.get_xydata()).tolist() for line in axes.lines] == [[[0.5, 0.5]]]
    shares = draw_heat_map(sweep.runs, "a.x", "a.y", "solved").axes[0]
    assert [text.get_text() for text in shares.texts] == ["0", "100", "0", "100"]


def test_a_loss_above_the_ceiling_has_a_cross(grid: Swept) -> None:
    axes = draw_heat_map(grid.runs, "optimizer.alpha", "optimizer.epsilon", ceiling=0.1).axes[0]
    assert [np.array(line.get_xydata()).tolist() for line in axes.lines] == [[[1.5, 2.5]]]


def test_where_nothing_was_run_a_cell_is_empty() -> None:
    sweep = sweep_of(4, a__x=[1, 1, 2, 3], a__y=[1, 2, 1, 2])
    table: np.ma.MaskedArray = np.ma.asarray(
        drawable(draw_heat_map(sweep.runs, "a.x", "a.y")).axes[0].collections[0].get_array()
    )
    assert np.ma.getmaskarray(table).reshape(2, 3).tolist() == [[False, False, True], [False, True, False]]


def test_without_any_finite_loss_that_is_said() -> None:
    sweep = sweep_of(4, a__x=[1, 2, 1, 2], a__y=[1, 1, 2, 2])
    for run in range(4):
        diverge(sweep, run, update=0)
    axes = drawable(draw_heat_map(sweep.runs, "a.x", "a.y")).axes[0]
    assert axes.texts[0].get_text() == "no setting ended with a finite value"


def test_conditions_of_several_keys_are_named_by_their_values_from_below() -> None:
    number = np.arange(16)
    sweep = sweep_of(
        16,
        task=np.where(number < 8, "temporal_order", "adding"),
        task__length=np.where(number % 8 < 4, 20, 40),
        model=np.where(number % 4 < 2, "elman", "gru"),
        init__scale=np.where(number % 2, 0.1, 1.0),
    )
    sweep.conditions = ["task", "task.length"]
    material = Material(sweep)  # type: ignore[arg-type]
    factors = combine_settings(material)
    assert factors is not None
    figure = draw_settings(material, *factors, "").figure
    labels = figure.axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == [
        "temporal_order 20",
        "temporal_order 40",
        "adding 20",
        "adding 40",
    ]
    assert {label.get_rotation() for label in labels} == {90.0}
    assert figure.axes[0].get_xlabel() == "task, length"


def test_what_is_a_grid() -> None:
    for count, there in ((8, True), (3, False)):
        runs = sweep_of(8, a__x=[1, 2] * 4, a__y=[1, 1, 2, 2] * 2).runs.head(count)
        assert is_grid(build_factor(runs, "a.x"), build_factor(runs, "a.y")) == there
