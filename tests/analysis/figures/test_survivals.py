import numpy as np
import pytest

from bptt.analysis.figures import draw_survival_curves
from bptt.analysis.statistics.intervals import survival
from tests.analysis.figures.swept import drawable, fail, legend, sweep_of


def test_curves_are_kaplan_and_meiers_with_their_bands() -> None:
    sweep = sweep_of(8, a__x=np.repeat([1, 2], 4))
    figure = drawable(draw_survival_curves(sweep.runs, sweep.swept))
    (axes,) = figure.axes
    curve, censored = axes.lines[:2]
    # Of runs 0 to 3, 1 and 3 solved the task at 51 and 53, and the others ended at 100; the line goes on to 100.
    assert np.array(curve.get_xydata()).tolist() == [[0, 0], [51, 25], [53, 50], [100, 50], [100, 50]]
    assert curve.get_drawstyle() == "steps-post"
    assert (censored.get_marker(), np.array(censored.get_xydata()).tolist()) == ("|", [[100, 50]])
    expected = survival([100, 51, 100, 53], [False, True, False, True])
    # At the latest at 53, but maybe right after the record before, which is 1 for both.
    strip, band = (np.array(drawn.get_paths()[0].vertices) for drawn in axes.collections[:2])
    assert {0.0, 50.0} <= set(strip[strip[:, 0] == 51, 1])
    low = 100 * float(expected.loc[expected["update"] == 53, "low"].iloc[0])
    high = 100 * float(survival([100, 1, 100, 1], [False, True, False, True])["high"].iloc[1])
    assert {low, high} <= set(band[band[:, 0] == 53, 1])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("update", "solved runs (%)")
    assert axes.get_ylim() == (-4, 104)
    assert legend(figure) == ["1", "2"]


def test_many_lines_have_no_bands() -> None:
    sweep = sweep_of(14, a__x=np.repeat(np.arange(7), 2))
    assert len(draw_survival_curves(sweep.runs, sweep.swept).axes[0].collections) == 7  # the strips alone


def test_a_run_that_stopped_early_is_marked_where_it_did() -> None:
    sweep = sweep_of(4)
    sweep.runs.loc[0, "observed"] = 52.0
    (axes,) = drawable(draw_survival_curves(sweep.runs, sweep.swept)).axes
    assert np.array(axes.lines[1].get_xydata()) == pytest.approx(np.array([[52, 25], [100, 62.5]]))


def test_what_failed_or_did_not_end_does_not_count() -> None:
    sweep = sweep_of(4)
    fail(sweep, 0, "FAILED")
    fail(sweep, 2, None)
    (axes,) = draw_survival_curves(sweep.runs, sweep.swept).axes
    assert np.array(axes.lines[0].get_ydata())[-1] == 100


def test_a_search_is_one_curve() -> None:
    random = np.random.default_rng(0)
    sweep = sweep_of(30, a__x=random.random(30), a__y=random.random(30))
    (axes,) = drawable(draw_survival_curves(sweep.runs, sweep.swept)).axes
    assert len(axes.lines) == 2
    assert np.array(axes.lines[0].get_ydata())[-1] == 50


@pytest.mark.parametrize("settings", [2, 8])
def test_a_long_setting_is_written_in_lines_that_fit(settings: int) -> None:
    long = "init.gate_bias.forget={name:chrono,t_max:200} init.gate_bias.input={name:chrono,t_max:200} hidden_size="
    levels = [f"{long}{number}" for number in range(settings)]
    sweep = sweep_of(2 * settings, a__x=np.repeat(levels, 2))
    figure = drawable(draw_survival_curves(sweep.runs, sweep.swept))
    figure.draw_without_rendering()
    (shown,) = figure.legends
    assert shown.get_window_extent().width <= figure.bbox.width
    assert {text.replace("\n", " ") for text in legend(figure)} == {*levels}
    assert figure.axes[0].get_window_extent().height > 200  # pixels, an inch: the curves have room still
