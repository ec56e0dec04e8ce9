import numpy as np
import pytest

from bptt.analysis.figures import draw_clipped_share, draw_convergence, draw_gradient_norm, draw_update_ratio
from bptt.analysis.figures.panels import compute_quartiles, count_crosses
from tests.analysis.figures.swept import diverge, drawable, fail, legend, lines, panel_titles, sweep_of

NAN = pytest.approx(np.nan, nan_ok=True)
SIZES = np.repeat([2, 4, 8], 4)


def test_convergence_is_the_median_over_seeds_with_the_middle_half() -> None:
    figure = drawable(draw_convergence(*sweep_of(model__hidden_size=SIZES).given))
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("update", "evaluation loss")
    assert lines(axes) == [[1.0, 0.5, pytest.approx(end)] for end in (0.025, 0.065, 0.105)]
    band = np.array(axes.collections[0].get_paths()[0].vertices)
    assert np.unique(band[band[:, 0] == 100, 1]) == pytest.approx([0.0175, 0.0325])
    assert legend(figure) == ["2", "4", "8"]


def test_accuracy_and_clipping_are_in_percent() -> None:
    sweep = sweep_of(model__hidden_size=SIZES)
    (axes,) = drawable(draw_convergence(*sweep.given, metric="accuracy/eval")).axes
    assert (axes.get_ylabel(), axes.get_yscale(), axes.get_ylim()) == ("accuracy (%)", "linear", (-4, 104))
    assert lines(axes)[0] == [0.0, 50.0, 50.0]
    (axes,) = drawable(draw_clipped_share(*sweep.given)).axes
    assert axes.get_ylabel() == "clipped updates (%)"
    assert lines(axes)[0] == [100.0, 50.0, 0.0]


def test_the_gradients_norm_and_the_size_of_updates_are_logarithmic() -> None:
    sweep = sweep_of(model__hidden_size=SIZES)
    (axes,) = drawable(draw_gradient_norm(*sweep.given)).axes
    assert (axes.get_yscale(), lines(axes)[0]) == ("log", [1.0, 0.1, 0.01])
    (axes,) = drawable(draw_update_ratio(*sweep.given)).axes
    # At the first update, from weights of zero, there is none.
    assert (axes.get_yscale(), lines(axes)[0]) == ("log", [NAN, 1e-2, 1e-3])


def test_many_settings_have_panels() -> None:
    sweep = sweep_of(24, a__x=np.repeat([1, 2, 3, 4], 6), model=np.tile(["elman", "gru", "lstm"], 8))
    figure = drawable(draw_convergence(*sweep.given))
    assert panel_titles(figure) == ["cell elman", "cell gru", "cell lstm"]
    assert legend(figure) == ["1", "2", "3", "4"]
    assert [len(axes.lines) for axes in figure.axes[:3]] == [4, 4, 4]


def test_few_settings_of_two_keys_have_a_line_each() -> None:
    sweep = sweep_of(optimizer__alpha=np.repeat([0.1, 1.0], 6), optimizer__epsilon=np.tile([0.0, 0.5, 0.9], 4))
    assert legend(draw_convergence(*sweep.given))[0] == "alpha=0.1 epsilon=0"


def test_a_legend_is_read_in_rows() -> None:
    figure = draw_convergence(
        *sweep_of(16, a__x=np.repeat([10000, 20000, 30000, 40000, 50000, 60000, 70000, 80000], 2)).given
    )
    # Matplotlib fills columns: two rows of four.
    assert legend(figure) == ["10000", "50000", "20000", "60000", "30000", "70000", "40000", "80000"]


def test_a_search_shows_every_run_and_its_best() -> None:
    random = np.random.default_rng(0)
    sweep = sweep_of(30, optimizer__alpha=10 ** random.uniform(-4, 0, 30), optimizer__epsilon=random.random(30))
    (axes,) = drawable(draw_convergence(*sweep.given)).axes
    assert len(axes.lines) == 30
    assert lines(axes)[-1] == [1.0, 0.5, 0.01]  # on top of the others


def test_seeds_alone_are_one_line() -> None:
    figure = drawable(draw_convergence(*sweep_of(3).given))
    assert lines(figure.axes[0]) == [[1.0, 0.5, 0.02]]
    assert legend(figure) == []


def test_a_run_that_diverged_counts_as_infinitely_bad() -> None:
    sweep = sweep_of(6, a__x=[1, 1, 1, 2, 2, 2])
    for run in (0, 3, 4):
        diverge(sweep, run, update=1)
    figure = drawable(draw_convergence(*sweep.given))
    curve, cut, cross = lines(figure.axes[0])
    assert curve == [1.0, 0.5, 0.03]  # the median of infinity, 0.02 and 0.03
    assert cut == [1.0, NAN, NAN]
    assert cross == [1.0]
    assert count_crosses(figure) == 1
    accuracy = draw_convergence(*sweep.given, metric="accuracy/eval")
    assert lines(accuracy.axes[0]) == [[0.0, 50.0, 0.0], [0.0, 0.0, 0.0]]
    # There is no share of clipped updates where nothing is updated.
    assert lines(draw_clipped_share(*sweep.given).axes[0]) == [[100.0, 50.0, 0.0]] * 2


def test_what_failed_or_did_not_end_does_not_count() -> None:
    sweep = sweep_of(6, a__x=[1, 1, 1, 2, 2, 2])
    fail(sweep, 0, "FAILED")
    fail(sweep, 1, None)
    assert lines(draw_convergence(*sweep.given).axes[0])[0] == [1.0, 0.5, 0.03]


def test_a_sweep_in_which_everything_diverged_is_drawn() -> None:
    sweep = sweep_of(4, a__x=[1, 2, 1, 2], a__y=[1, 1, 2, 2])
    for run in range(4):
        diverge(sweep, run, update=0)
    assert drawable(draw_convergence(*sweep.given)).axes[0].texts[0].get_text() == "nothing finite was recorded"


def test_a_loss_far_above_its_start_is_beyond_the_axis() -> None:
    sweep = sweep_of(6, a__x=[1, 1, 1, 2, 2, 2])
    history = sweep.history
    history.loc[(history["run"] < 3) & (history["update"] == 100), "loss/eval"] = 1e200
    axes = drawable(draw_convergence(*sweep.given)).axes[0]
    assert axes.get_ylim()[1] < 2
    assert lines(axes)[0] == [1.0, 0.5, NAN]


def test_runs_of_different_lengths_share_an_axis() -> None:
    sweep = sweep_of(4, train__updates=[100, 50, 100, 50])
    history = sweep.history[(sweep.history["run"] % 2 == 0) | (sweep.history["update"] <= 50)]
    first, second = draw_convergence(history, sweep.runs, sweep.swept).axes[0].lines
    assert np.asarray(first.get_xdata()).tolist() == [1, 50]
    assert np.asarray(second.get_xdata()).tolist() == [1, 50, 100]


def test_a_run_that_stopped_early_keeps_its_loss_but_has_no_gradient() -> None:
    sweep = sweep_of(3, a__x=[1, 1, 1])
    history = sweep.history[(sweep.history["run"] > 0) | (sweep.history["update"] <= 50)]
    history.loc[history["run"] == 2, "grad/clipped"] = 1.0
    assert lines(draw_convergence(history, sweep.runs, sweep.swept).axes[0]) == [[1.0, 0.5, 0.03]]  # of 0.5, 0.02, 0.03
    assert lines(draw_clipped_share(history, sweep.runs, sweep.swept).axes[0]) == [[100.0, 50.0, 50.0]]  # of 0 and 100


def test_quartiles_of_what_may_be_infinite() -> None:
    table = np.array([[1, 2, 3, 4], [1, 2, np.inf, np.inf], [1, np.nan, 3, np.nan], [np.nan] * 4, [np.inf] * 4])
    assert compute_quartiles(table) == pytest.approx(
        np.array(
            [[1.75, 2.5, 3.25], [1.75, np.inf, np.inf], [1.5, 2.0, 2.5], [np.nan] * 3, [np.inf] * 3],
        ),
        nan_ok=True,
    )
