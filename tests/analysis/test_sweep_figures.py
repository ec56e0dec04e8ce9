import io
import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection, QuadMesh
from matplotlib.figure import Figure

from bptt.analysis.bands import quartiles
from bptt.analysis.sweep_figures import summary_figures
from bptt.analysis.sweep_finals import wilson

UPDATES = np.array([1, 50, 100])
LAGS = np.arange(4)
Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def swept(runs: int = 12, **keys: Any) -> Tables:
    """Runs whose loss falls from 1 to 0.01·(run + 1), with accuracy 1 for every second; and the swept keys."""
    last = 0.01 * (np.arange(runs) + 1)
    history = pd.concat(
        pd.DataFrame(
            {
                "run": run,
                "update": UPDATES,
                "loss/eval": [1.0, 0.5, last[run]],
                "accuracy/eval": [0.0, 0.5, float(run % 2)],
                "grad/norm": [1.0, 0.1, 0.01],
            }
        )
        for run in range(runs)
    )
    flow = pd.DataFrame(
        [
            {"run": run, "update": update, "lag": lag, "norm": (run + 1) * 10.0**-lag / update}
            for run in range(runs)
            for update in UPDATES
            for lag in LAGS
        ]
    )
    ends = history.groupby("run").nth(-1).drop(columns="update")
    table = pd.DataFrame({"run": range(runs), "status": "FINISHED", "outcome": "completed", "updates": 100.0})
    table = table.assign(**{key.replace("__", "."): values for key, values in keys.items()}).merge(ends, on="run")
    return table, history, flow


def diverge(tables: Tables, run: int, update: int) -> None:
    """A run ends in between, with nothing but its training loss."""
    runs, history, _ = tables
    runs.loc[run, "outcome"] = "diverged"
    runs.loc[run, ["loss/eval", "accuracy/eval", "grad/norm"]] = np.nan
    beyond = (history["run"] == run) & (history["update"] > update)
    history.loc[beyond, ["loss/eval", "accuracy/eval", "grad/norm"]] = np.nan
    tables[2].loc[(tables[2]["run"] == run) & (tables[2]["update"] > update), "norm"] = np.nan


def figures(tables: Tables, *keys: str) -> dict[str, Figure]:
    drawn = summary_figures(*tables, [*keys, "seed"])
    for figure in drawn.values():
        figure.savefig(io.BytesIO())  # drawing finds what building does not: every warning is an error here
        assert figure.get_size_inches()[0] == 3.4
    return drawn


def lines(axes: Axes) -> list[list[float]]:
    return [np.asarray(line.get_ydata(), dtype=float).tolist() for line in axes.lines]


def caption(figure: Figure) -> str:
    return " ".join(figure.get_supxlabel().split())


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for found in figure.legends for text in found.get_texts()]


def panel_titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.axison]


def test_one_swept_key() -> None:
    tables = swept(model__hidden_size=np.repeat([2, 4, 8], 4))
    drawn = figures(tables, "model.hidden_size")
    assert list(drawn) == [
        *("convergence", "gradient_norm", "gradient_flow_first", "gradient_flow_last"),
        *("final_loss_hidden_size", "success_hidden_size"),
    ]


def test_convergence_is_the_median_over_seeds_with_the_middle_half() -> None:
    convergence = figures(swept(model__hidden_size=np.repeat([2, 4, 8], 4)), "model.hidden_size")["convergence"]
    (axes,) = convergence.axes
    assert axes.get_yscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("update", "evaluation loss")
    assert lines(axes) == [[1.0, 0.5, pytest.approx(end)] for end in (0.025, 0.065, 0.105)]
    band = np.array(axes.collections[0].get_paths()[0].vertices)
    assert np.unique(band[band[:, 0] == 100, 1]) == pytest.approx([0.0175, 0.0325])
    assert legend(convergence) == ["2", "4", "8"]
    assert caption(convergence) == "Lines: median; bands: middle half of the runs. 12 runs, 4 for each setting."


def test_gradients_have_a_figure_through_training_and_by_lag() -> None:
    drawn = figures(swept(model__hidden_size=np.repeat([2, 4, 8], 4)), "model.hidden_size")
    assert lines(drawn["gradient_norm"].axes[0])[0] == [1.0, 0.1, 0.01]
    for end, update in (("first", 1), ("last", 100)):
        (axes,) = drawn[f"gradient_flow_{end}"].axes
        assert axes.get_ylabel() == "‖∂loss/∂h‖"
        assert lines(axes)[0] == pytest.approx((2.5 * 10.0**-LAGS / update).tolist())
        assert f"{end} recorded update" in caption(drawn[f"gradient_flow_{end}"])


def test_a_gradient_that_was_cut_off_ends_its_line() -> None:
    runs, history, flow = swept(model__hidden_size=np.repeat([2, 4, 8], 4))
    flow.loc[flow["lag"] > 1, "norm"] = 0.0
    (axes,) = figures((runs, history, flow), "model.hidden_size")["gradient_flow_first"].axes
    assert np.isnan(lines(axes)[0]).tolist() == [False, False, True, True]


def test_final_losses_are_points_with_their_median() -> None:
    (axes,) = figures(swept(optimizer__alpha=np.repeat([0.01, 0.1, 1.0], 4)), "optimizer.alpha")[
        "final_loss_alpha"
    ].axes
    points = [np.asarray(part.get_offsets()) for part in axes.collections if isinstance(part, PathCollection)]
    assert np.concatenate(points)[:, 1] == pytest.approx(0.01 * np.arange(1, 13))
    (median,) = axes.lines
    # A logarithmic axis: by the decimal logarithm, labelled with the values.
    assert np.array(median.get_xydata()) == pytest.approx(np.array([[-2, 0.025], [-1, 0.065], [0, 0.105]]))
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.01", "0.1", "1"]
    assert (axes.get_xlabel(), axes.get_yscale()) == ("alpha", "log")


def test_text_has_points_and_medians_but_no_line_between() -> None:
    (axes,) = figures(swept(model=np.repeat(["elman", "gru", "lstm"], 4)), "model")["final_loss_model"].axes
    (median,) = axes.lines
    assert median.get_linestyle() == "None"
    assert np.asarray(median.get_xdata()).tolist() == [0, 1, 2]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["elman", "gru", "lstm"]


def test_success_is_the_share_of_runs_that_are_all_right() -> None:
    tables = swept(model__hidden_size=np.repeat([2, 4, 8], 4))
    tables[0].loc[0:3, "accuracy/eval"] = 1.0
    (axes,) = figures(tables, "model.hidden_size")["success_hidden_size"].axes
    assert lines(axes) == [[100, 50, 50]]
    (bars,) = axes.collections
    assert isinstance(bars, LineCollection)
    low, high = wilson(4, 4)
    assert np.asarray(bars.get_segments()[0])[:, 1] == pytest.approx([100 * low, 100 * high])
    assert axes.get_ylabel() == "runs that are all right (%)"


def test_without_any_run_that_is_all_right_there_is_no_figure_of_it() -> None:
    tables = swept(a__x=np.repeat([1, 2, 3], 4), a__y=np.tile([1, 2], 6))
    tables[0]["accuracy/eval"] = 0.9
    assert not [name for name in figures(tables, "a.x", "a.y") if name.startswith("success")]
    without = tables[0].drop(columns="accuracy/eval"), *tables[1:]
    assert not [name for name in figures(without, "a.x", "a.y") if name.startswith("success")]


def test_wilsons_interval() -> None:
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)  # Brown, Cai & DasGupta 2001
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert np.isnan(wilson(0, 0)).all()


def test_two_swept_keys_make_a_map() -> None:
    tables = swept(optimizer__alpha=np.repeat([0.1, 1.0], 6), optimizer__epsilon=np.tile([0.0, 0.5, 0.9], 4))
    drawn = figures(tables, "optimizer.alpha", "optimizer.epsilon")
    axes, bar = drawn["loss_map"].axes
    (mesh,) = [part for part in axes.collections if isinstance(part, QuadMesh)]
    # Up: epsilon, across: alpha; in each cell the median of two runs.
    assert np.asarray(mesh.get_array()) == pytest.approx(np.array([[0.025, 0.085], [0.035, 0.095], [0.045, 0.105]]))
    assert (axes.get_xlabel(), axes.get_ylabel(), bar.get_ylabel()) == ("alpha", "epsilon", "median final loss")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "0.5", "0.9"]
    axes, bar = drawn["success_map"].axes
    assert [text.get_text() for text in axes.texts] == ["50", "50", "50", "50", "50", "50"]
    assert bar.get_ylabel() == "runs that are all right (%)"


def test_two_swept_keys_tell_each_other_apart_in_the_other_figures() -> None:
    tables = swept(optimizer__alpha=np.repeat([0.1, 1.0], 6), optimizer__epsilon=np.tile([0.0, 0.5, 0.9], 4))
    drawn = figures(tables, "optimizer.alpha", "optimizer.epsilon")
    assert legend(drawn["final_loss_alpha"]) == ["0", "0.5", "0.9"]
    assert legend(drawn["success_epsilon"]) == ["0.1", "1"]
    assert legend(drawn["convergence"])[0] == "alpha=0.1 epsilon=0"


def test_many_settings_have_panels() -> None:
    tables = swept(24, a__x=np.repeat([1, 2, 3, 4], 6), model=np.tile(["elman", "gru", "lstm"], 8))
    drawn = figures(tables, "a.x", "model")
    for name in ("convergence", "gradient_norm", "gradient_flow_first"):
        assert panel_titles(drawn[name]) == ["model elman", "model gru", "model lstm"]
        assert legend(drawn[name]) == ["1", "2", "3", "4"]
        assert [len(axes.lines) for axes in drawn[name].axes[:3]] == [4, 4, 4]


def test_what_is_no_grid_has_no_map() -> None:
    tables = swept(4, a__x=[1, 1, 2, 3], a__y=[1, 2, 1, 2])
    assert not [name for name in figures(tables, "a.x", "a.y") if name.endswith("map")]
    tables = swept(8, a__x=[1, 2] * 4, a__y=[1, 1, 2, 2] * 2, a__z=[1] * 4 + [2] * 4)
    assert not [name for name in figures(tables, "a.x", "a.y", "a.z") if name.endswith("map")]


def test_a_search_shows_every_run_and_its_best() -> None:
    random = np.random.default_rng(0)
    tables = swept(30, optimizer__alpha=10 ** random.uniform(-4, 0, 30), optimizer__epsilon=random.random(30))
    drawn = figures(tables, "optimizer.alpha", "optimizer.epsilon")
    assert list(drawn) == [
        *("convergence", "gradient_norm", "final_loss_alpha", "success_alpha", "final_loss_epsilon", "success_epsilon")
    ]
    (axes,) = drawn["convergence"].axes
    assert len(axes.lines) == 30
    assert lines(axes)[-1] == [1.0, 0.5, 0.01]  # on top of the others
    assert not drawn["final_loss_alpha"].axes[0].lines  # no medians of single runs


def test_seeds_alone_are_one_line() -> None:
    drawn = figures(swept(3))
    assert lines(drawn["convergence"].axes[0]) == [[1.0, 0.5, 0.02]]
    assert legend(drawn["convergence"]) == []
    assert caption(drawn["convergence"]).endswith("of the runs. 3 runs.")


def test_a_run_that_diverged_counts_as_infinitely_bad() -> None:
    tables = swept(6, a__x=[1, 1, 1, 2, 2, 2])
    diverge(tables, 0, update=1)
    for run in (3, 4):
        diverge(tables, run, update=1)
    drawn = figures(tables, "a.x")
    curve, cut, cross = lines(drawn["convergence"].axes[0])
    assert curve == [1.0, 0.5, 0.03]  # the median of infinity, 0.02 and 0.03
    assert cut == [1.0, pytest.approx(np.nan, nan_ok=True), pytest.approx(np.nan, nan_ok=True)]
    assert cross == [1.0]
    assert caption(drawn["convergence"]) == (
        "Lines: median; bands: middle half of the runs; crosses: most have diverged. "
        "6 runs, 3 for each setting; 3 diverged."
    )
    axes = drawn["final_loss_x"].axes[0]
    crosses = [part for part in axes.collections if part.get_offset_transform() == axes.get_xaxis_transform()]
    assert sum(len(np.asarray(part.get_offsets())) for part in crosses) == 3
    assert lines(axes) == [pytest.approx([0.03, np.nan], nan_ok=True)]
    assert "Crosses: beyond the axis (3)." in caption(drawn["final_loss_x"])


def test_a_cell_whose_runs_diverged_has_a_cross() -> None:
    tables = swept(8, a__x=[1, 2] * 4, a__y=[1, 1, 2, 2] * 2)
    for run in (0, 4):
        diverge(tables, run, update=50)
    drawn = figures(tables, "a.x", "a.y")
    axes = drawn["loss_map"].axes[0]
    assert [np.array(line.get_xydata()).tolist() for line in axes.lines] == [[[0.0, 0.0]]]
    assert caption(drawn["loss_map"]).startswith("Crosses: most runs diverged")
    assert [text.get_text() for text in drawn["success_map"].axes[0].texts] == ["0", "100", "0", "100"]


def test_what_failed_or_did_not_end_is_counted() -> None:
    tables = swept(6, a__x=[1, 1, 1, 2, 2, 2])
    tables[0].loc[0, ["status", "outcome", "loss/eval", "accuracy/eval"]] = ["FAILED", None, np.nan, np.nan]
    tables[0].loc[1, ["status", "outcome", "loss/eval", "accuracy/eval"]] = [None, None, np.nan, np.nan]
    drawn = figures(tables, "a.x")
    for figure in drawn.values():
        assert caption(figure).endswith("6 runs, 3 for each setting; 1 failed, 1 did not end.")
    assert lines(drawn["convergence"].axes[0])[0] == [1.0, 0.5, 0.03]
    assert lines(drawn["success_x"].axes[0]) == [[0.0, pytest.approx(200 / 3)]]


def test_a_sweep_in_which_everything_diverged_is_drawn() -> None:
    tables = swept(4, a__x=[1, 2, 1, 2], a__y=[1, 1, 2, 2])
    for run in range(4):
        diverge(tables, run, update=0)
    drawn = figures(tables, "a.x", "a.y")
    assert drawn["convergence"].axes[0].texts[0].get_text() == "nothing finite was recorded"
    assert drawn["final_loss_x"].axes[0].texts[0].get_text() == "no run ended with a finite loss"


def test_a_sweep_of_which_no_run_has_ended_has_no_figures() -> None:
    runs, history, flow = swept(2, a__x=[1, 2])
    runs["outcome"] = None
    assert summary_figures(runs, history, flow, ["a.x"]) == {}


def test_a_loss_far_above_its_start_is_beyond_the_axis() -> None:
    tables = swept(6, a__x=[1, 1, 1, 2, 2, 2])
    runs, history, _ = tables
    runs.loc[0, "loss/eval"] = 1e200
    history.loc[(history["run"] == 0) & (history["update"] == 100), "loss/eval"] = 1e200
    drawn = figures(tables, "a.x")
    assert drawn["final_loss_x"].axes[0].get_ylim()[1] < 1
    assert "Crosses: beyond the axis (1)." in caption(drawn["final_loss_x"])
    assert drawn["convergence"].axes[0].get_ylim()[1] < 2


def test_an_exact_zero_stands_at_the_lower_end() -> None:
    tables = swept(6, a__x=[1, 1, 1, 2, 2, 2])
    tables[0].loc[0:2, "loss/eval"] = 0.0
    (axes,) = figures(tables, "a.x")["final_loss_x"].axes
    assert lines(axes)[0][0] == pytest.approx(0.04)


def test_runs_of_different_lengths_share_an_axis() -> None:
    runs, history, flow = swept(4, train__updates=[100, 50, 100, 50])
    history = history[(history["run"] % 2 == 0) | (history["update"] <= 50)]
    first, second = figures((runs, history, flow), "train.updates")["convergence"].axes[0].lines
    assert np.asarray(first.get_xdata()).tolist() == [1, 50]
    assert np.asarray(second.get_xdata()).tolist() == [1, 50, 100]


def test_without_gradients_by_lag_their_figures_are_missing() -> None:
    runs, history, flow = swept(4, a__x=[1, 2, 1, 2])
    assert not [name for name in figures((runs, history, flow.head(0)), "a.x") if name.startswith("gradient_flow")]


@pytest.mark.parametrize("count", [2, 13, 30])
def test_ticks_do_not_overlap(count: int) -> None:
    tables = swept(2 * count, a__x=np.tile(np.linspace(1000, 9000, count), 2))
    figure = figures(tables, "a.x")["final_loss_x"]
    boxes = [
        text.get_window_extent() for text in figure.axes[0].get_xticklabels() if text.get_text() and text.get_visible()
    ]
    assert len(boxes) > 1
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))


def test_quartiles_of_what_may_be_infinite() -> None:
    table = np.array([[1, 2, 3, 4], [1, 2, np.inf, np.inf], [1, np.nan, 3, np.nan], [np.nan] * 4, [np.inf] * 4])
    assert quartiles(table) == pytest.approx(
        np.array(
            [[1.75, 2.5, 3.25], [1.75, np.inf, np.inf], [1.5, 2.0, 2.5], [np.nan] * 3, [np.inf] * 3],
        ),
        nan_ok=True,
    )
