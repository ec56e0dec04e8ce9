import numpy as np
import pytest

from bptt.analysis.figures import draw_radius_against_decay
from tests.analysis.figures.swept import diverge, drawable, legend, panel_titles, sweep_of


def test_each_run_is_a_point_at_its_first_and_its_last_update() -> None:
    sweep = sweep_of(8, a__x=np.repeat([1, 2], 4))
    figure = drawable(draw_radius_against_decay(*sweep.given))
    assert panel_titles(figure) == ["first update", "last update"]
    first, last = ([np.asarray(part.get_offsets()) for part in axes.collections] for axes in figure.axes)
    assert np.concatenate(first) == pytest.approx(np.tile([0.5, -1.0], (8, 1)))
    # Of each level those that did not solve their task, then those that did: runs 0 2, 1 3, 4 6, 5 7.
    runs = np.array([0, 2, 1, 3, 4, 6, 5, 7])
    assert np.concatenate(last) == pytest.approx(np.column_stack([1.0 + runs, 0.1 * runs]))
    filled = [len(part.get_facecolor()) > 0 for part in figure.axes[1].collections]
    assert filled == [False, True, False, True]
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_xscale()) == ("spectral radius", "log")
    assert figure.axes[0].get_ylabel() == "gradient decay per timestep"
    assert legend(figure) == ["1", "2"]


def test_a_linear_network_is_dashed() -> None:
    axes = drawable(draw_radius_against_decay(*sweep_of(4).given)).axes[0]
    x, y = np.array(axes.lines[0].get_xydata()).T
    assert axes.lines[0].get_linestyle() == "--"
    assert y == pytest.approx(np.log(x))


def test_a_run_that_diverged_stands_where_it_was_last_measured() -> None:
    sweep = sweep_of(2)
    diverge(sweep, 0, update=1)
    axes = drawable(draw_radius_against_decay(*sweep.given)).axes[1]
    points = np.concatenate([np.asarray(part.get_offsets()) for part in axes.collections])
    assert points == pytest.approx(np.array([[0.5, -1.0], [2.0, 0.1]]))


def test_far_decays_are_pressed_together() -> None:
    sweep = sweep_of(4)
    sweep.history.loc[sweep.history["update"] == 100, "grad/decay"] = -50.0
    axes = drawable(draw_radius_against_decay(*sweep.given)).axes[0]
    assert axes.get_yscale() == "symlog"
    low, high = axes.get_ylim()
    assert low < -50
    assert high >= 1
