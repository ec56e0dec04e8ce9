import itertools

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from bptt.analysis.figures import draw_final_loss, draw_success_rate
from bptt.analysis.statistics.intervals import clopper_pearson
from tests.analysis.figures.swept import diverge, drawable, fail, legend, lines, sweep_of


def test_final_losses_are_points_with_their_median() -> None:
    sweep = sweep_of(optimizer__alpha=np.repeat([0.01, 0.1, 1.0], 4))
    (axes,) = drawable(draw_final_loss(sweep.runs, "optimizer.alpha")).axes
    points = [np.asarray(part.get_offsets()) for part in axes.collections if isinstance(part, PathCollection)]
    assert np.concatenate(points)[:, 1] == pytest.approx(0.01 * np.arange(1, 13))
    (median,) = axes.lines
    # A logarithmic axis: by the decimal logarithm, labelled with the values.
    assert np.array(median.get_xydata()) == pytest.approx(np.array([[-2, 0.025], [-1, 0.065], [0, 0.105]]))
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.01", "0.1", "1"]
    assert (axes.get_xlabel(), axes.get_yscale()) == ("learning rate α", "log")


def test_text_has_points_and_medians_but_no_line_between() -> None:
    sweep = sweep_of(model=np.repeat(["elman", "gru", "lstm"], 4))
    (axes,) = drawable(draw_final_loss(sweep.runs, "model")).axes
    (median,) = axes.lines
    assert median.get_linestyle() == "None"
    assert np.asarray(median.get_xdata()).tolist() == [0, 1, 2]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["elman", "gru", "lstm"]
    shares = drawable(draw_success_rate(sweep.runs, "model")).axes[0].lines
    assert shares[0].get_linestyle() == "None"


def test_success_is_the_share_of_runs_that_solved_with_an_exact_interval() -> None:
    sweep = sweep_of(model__hidden_size=np.repeat([2, 4, 8], 4))
    sweep.runs.loc[0:3, "solved"] = True
    (axes,) = drawable(draw_success_rate(sweep.runs, "model.hidden_size")).axes
    shares, *bars = lines(axes)
    assert shares == [100, 50, 50]
    assert [np.asarray(line.get_xdata()).tolist() for line in axes.lines[1:]] == [[2, 2], [4, 4], [8, 8]]
    for bar, interval in zip(bars, (clopper_pearson(4, 4), clopper_pearson(2, 4), clopper_pearson(2, 4)), strict=True):
        assert bar == pytest.approx([100 * interval.low, 100 * interval.high])
    assert axes.get_ylabel() == "solved runs (%)"


def test_another_key_has_a_line_for_each_level() -> None:
    sweep = sweep_of(optimizer__alpha=np.repeat([0.1, 1.0], 6), optimizer__epsilon=np.tile([0.0, 0.5, 0.9], 4))
    figure = drawable(draw_success_rate(sweep.runs, "optimizer.alpha", "optimizer.epsilon"))
    assert legend(figure) == ["0", "0.5", "0.9"]
    shares = [line for line in figure.axes[0].lines if line.get_marker() not in ("", "None", None)]
    assert [np.asarray(line.get_ydata()).tolist() for line in shares] == [[50, 50]] * 3
    places = np.array([line.get_xdata() for line in shares], dtype=float)
    # Beside each other, by a fifth of the distance between the levels, which is 0.9.
    assert places == pytest.approx(np.array([[0.1, 1.0]]) + np.array([[-0.18], [0.0], [0.18]]))
    assert legend(drawable(draw_final_loss(sweep.runs, "optimizer.epsilon", "optimizer.alpha"))) == ["0.1", "1"]


def test_keys_that_end_alike_are_told_apart() -> None:
    sweep = sweep_of(init__scale=np.repeat([0.1, 1.0], 6), init__recurrent__scale=np.tile([0.5, 1.0, 2.0], 4))
    assert draw_final_loss(sweep.runs, "init.scale").axes[0].get_xlabel() == "scale of the start"
    assert draw_success_rate(sweep.runs, "init.recurrent.scale").axes[0].get_xlabel() == "scale of the recurrent start"


def test_runs_without_a_key_stand_at_the_choice_that_they_have_instead() -> None:
    sweep = sweep_of(clip=["none"] * 4 + ["norm"] * 8, clip__threshold=[np.nan] * 4 + [0.1] * 4 + [1.0] * 4)
    (axes,) = draw_final_loss(sweep.runs, "clip.threshold").axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["none", "0.1", "1"]
    assert lines(axes) == [pytest.approx([0.025, 0.065, 0.105])]


def test_a_run_that_diverged_stands_at_the_upper_edge() -> None:
    sweep = sweep_of(6, a__x=[1, 1, 1, 2, 2, 2])
    for run in (0, 3, 4):
        diverge(sweep, run, update=1)
    axes = drawable(draw_final_loss(sweep.runs, "a.x")).axes[0]
    above = [part for part in axes.collections if part.get_offset_transform() == axes.get_xaxis_transform()]
    assert sum(len(np.asarray(part.get_offsets())) for part in above) == 3
    assert lines(axes) == [pytest.approx([0.03, np.nan], nan_ok=True)]
    assert lines(draw_success_rate(sweep.runs, "a.x").axes[0])[0] == pytest.approx([100 / 3, 100 / 3])


def test_what_failed_or_did_not_end_does_not_count() -> None:
    sweep = sweep_of(6, a__x=[1, 1, 1, 2, 2, 2])
    fail(sweep, 0, "FAILED")
    fail(sweep, 1, None)
    assert lines(draw_success_rate(sweep.runs, "a.x").axes[0])[0] == pytest.approx([0, 200 / 3])
    assert lines(draw_final_loss(sweep.runs, "a.x").axes[0])[0] == pytest.approx([0.03, 0.05])


def test_a_loss_above_the_ceiling_is_beyond_the_axis() -> None:
    sweep = sweep_of(6, a__x=[1, 1, 1, 2, 2, 2])
    sweep.runs.loc[0, "loss/eval"] = 1e200
    assert draw_final_loss(sweep.runs, "a.x", ceiling=10.0).axes[0].get_ylim()[1] < 1


def test_an_exact_zero_stands_at_the_lower_end() -> None:
    sweep = sweep_of(6, a__x=[1, 1, 1, 2, 2, 2])
    sweep.runs.loc[0:2, "loss/eval"] = 0.0
    assert lines(draw_final_loss(sweep.runs, "a.x").axes[0])[0][0] == pytest.approx(0.04)


def test_without_any_finite_loss_that_is_said() -> None:
    sweep = sweep_of(2, a__x=[1, 2])
    for run in range(2):
        diverge(sweep, run, update=0)
    assert draw_final_loss(sweep.runs, "a.x").axes[0].texts[0].get_text() == "no run ended with a finite loss"


def test_single_runs_have_no_medians() -> None:
    random = np.random.default_rng(0)
    assert not draw_final_loss(sweep_of(30, a__x=random.random(30)).runs, "a.x").axes[0].lines


@pytest.mark.parametrize("count", [2, 13, 30])
def test_ticks_do_not_overlap(count: int) -> None:
    figure = drawable(draw_final_loss(sweep_of(2 * count, a__x=np.tile(np.linspace(1000, 9000, count), 2)).runs, "a.x"))
    boxes = [
        text.get_window_extent() for text in figure.axes[0].get_xticklabels() if text.get_text() and text.get_visible()
    ]
    assert len(boxes) > 1
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))


def test_every_name_stands_at_its_place_however_many_there_are() -> None:
    names = ["sgd", "nesterov", "rmsprop", "adam", "adamw", "rprop", "rprop_plus", "irprop_minus", "irprop_plus"]
    sweep = sweep_of(18, optimizer=[name for name in names for _ in range(2)])
    figure = drawable(draw_final_loss(sweep.runs, "optimizer"))
    labels = figure.axes[0].get_xticklabels()
    assert [text.get_text() for text in labels] == names
    assert {text.get_rotation() for text in labels} == {30.0}
