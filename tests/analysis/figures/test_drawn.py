import dataclasses
import io
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import pytest

from bptt.analysis.figures import SweepFigure, draw_sweep, gradients, outcomes, save_figure, training
from bptt.analysis.figures.material import Material
from bptt.analysis.sweep import Sweep
from tests.analysis.figures.swept import Swept, diverge, fail, sweep_of

Draw = Callable[[Material], Iterator[SweepFigure]]
COUNTS = "12 runs, 4 for each of 3 settings."


def checked(found: list[SweepFigure]) -> dict[str, SweepFigure]:
    for one in found:
        assert one.title
        assert one.caption.endswith(".")
        assert one.alt.endswith(".")
        assert "  " not in one.caption + one.alt
        assert "nan" not in one.caption + one.alt
    named = {one.name: one for one in found}
    assert len(named) == len(found)
    return named


def figures(sweep: Swept, *some: Draw) -> dict[str, SweepFigure]:
    """All figures of a sweep, or some kinds of them."""
    material = Material(cast("Sweep", sweep))
    return checked([one for draw in some for one in draw(material)] if some else draw_sweep(cast("Sweep", sweep)))


def rendered(found: dict[str, SweepFigure]) -> dict[str, SweepFigure]:
    for one in found.values():
        save_figure(one.figure, io.BytesIO(), "svg")
    return found


@pytest.fixture(scope="module")
def sizes() -> dict[str, SweepFigure]:
    return rendered(figures(sweep_of(model__hidden_size=np.repeat([2, 4, 8], 4))))


def grid() -> Swept:
    alpha = np.repeat([0.1, 1.0, 2.0], 8)
    return sweep_of(24, optimizer__alpha=alpha, model=np.tile(["elman", "gru", "lstm", "x"], 6))


def test_one_swept_key(sizes: dict[str, SweepFigure]) -> None:
    assert list(sizes) == [
        *("success_hidden_size", "survival", "convergence", "final_loss_hidden_size", "variance"),
        *("gradient_profiles", "gradient_flow_map", "radius_against_decay"),
        *("gradient_norm", "clipped_share", "update_ratio"),
    ]


def test_two_swept_keys_have_maps() -> None:
    found = figures(grid())
    assert list(found) == [
        *("success_map", "success_alpha", "survival", "convergence", "loss_map", "final_loss_alpha", "variance"),
        *("gradient_profiles_first", "gradient_profiles_last", "gradient_flow_map", "radius_against_decay"),
        *("gradient_norm", "clipped_share", "update_ratio"),
    ]
    assert (
        "from 0 % (learning rate α 0.1, cell elman) to 100 % (learning rate α 0.1, cell gru)"
        in found["success_map"].alt
    )
    assert "Runs that differ in cell are taken together." in found["gradient_flow_map"].caption
    assert "taken together" not in found["convergence"].caption


def test_captions_say_what_is_shown_and_of_how_many_runs(sizes: dict[str, SweepFigure]) -> None:
    assert all(one.caption.endswith(COUNTS) for one in sizes.values())
    assert sizes["success_hidden_size"].caption == (
        "The share of runs that solved their task against hidden units; bars are 95 % intervals (Clopper–Pearson). A "
        f"run has solved its task when it first recorded accuracy/eval>=1. {COUNTS}"
    )
    assert sizes["convergence"].caption == (
        "The evaluation loss through training. Lines are medians over runs, bands reach from quartile to quartile. "
        f"{COUNTS}"
    )


def test_alternative_texts_say_what_one_sees(sizes: dict[str, SweepFigure]) -> None:
    assert sizes["success_hidden_size"].alt == (
        "Points: solved runs in percent against hidden units. 50 % at hidden units 2, 50 % at hidden units 4 and 50 % "
        "at hidden units 8."
    )
    assert sizes["convergence"].alt == (
        "Line chart, evaluation loss, logarithmic, against update, one line for each value of hidden units (2, 4, 8). "
        "Medians at the end: from 0.025 (hidden units 2) to 0.105 (hidden units 8)."
    )
    assert "reaches back to 0.0065 at lag 3 (lag 0: 6.5) at the first update" in sizes["gradient_profiles"].alt


def test_at_the_first_update_settings_that_start_alike_have_no_figure() -> None:
    sweep = sweep_of(
        24, optimizer__alpha=np.repeat([0.1, 1.0, 2.0], 8), model=np.tile(["elman", "gru", "lstm", "x"], 6)
    )
    first = sweep.gradient_flow["update"] == 1
    sweep.gradient_flow.loc[first, "norm"] = 0.5 ** sweep.gradient_flow.loc[first, "lag"]
    assert "gradient_profiles_first" not in figures(sweep, gradients.draw_flow)


def test_what_diverged_failed_or_did_not_end_is_counted() -> None:
    sweep = sweep_of(6, a__x=[1, 1, 1, 2, 2, 2])
    diverge(sweep, 0, update=1)
    fail(sweep, 1, "FAILED")
    fail(sweep, 3, None)
    found = figures(sweep)
    counts = "4 runs, 2 for each of 2 settings; 1 diverged; not counted: 1 failed and 1 did not end."
    assert all(one.caption.endswith(counts) for one in found.values())
    assert "The 1 crosses at the upper edge" not in found["final_loss_x"].caption
    assert "A cross at the upper edge is a run that diverged" in found["final_loss_x"].caption


def test_where_most_have_diverged_crosses_are_explained() -> None:
    sweep = sweep_of(6, a__x=[1, 1, 1, 2, 2, 2])
    assert "cross" not in figures(sweep, training.draw_loss)["convergence"].caption
    for run in (3, 4):
        diverge(sweep, run, update=1)
    assert (
        "A line ends with a cross where most runs had diverged."
        in figures(sweep, training.draw_loss)["convergence"].caption
    )


def test_where_no_run_solved_its_task_nothing_is_said_of_it() -> None:
    sweep = sweep_of(a__x=np.repeat([1, 2, 3], 4), a__y=np.tile([1, 2], 6))
    sweep.runs["solved"] = False
    assert not figures(sweep, outcomes.draw_success, outcomes.draw_survivals)


def test_what_was_not_recorded_or_always_zero_has_no_figure() -> None:
    sweep = sweep_of(4, a__x=[1, 2, 1, 2])
    sweep.history["grad/clipped"] = 0.0
    sweep.history = sweep.history.drop(columns=["update/ratio", "weights/spectral_radius"])
    sweep.gradient_flow = sweep.gradient_flow.head(0)
    left = {"success_x", "survival", "convergence", "final_loss_x", "variance", "gradient_norm"}
    assert set(figures(sweep)) == left


def test_what_is_no_grid_has_no_map() -> None:
    found = figures(sweep_of(4, a__x=[1, 1, 2, 3], a__y=[1, 2, 1, 2]), outcomes.draw_success, outcomes.draw_losses)
    assert list(found) == ["success_x", "success_y", "final_loss_x", "final_loss_y"]


def test_seeds_alone_have_no_figure_against_a_key() -> None:
    found = figures(
        sweep_of(3), outcomes.draw_success, outcomes.draw_survivals, outcomes.draw_losses, outcomes.draw_variance
    )
    assert list(found) == ["survival"]


def test_a_single_run_has_its_loss_and_its_gradients() -> None:
    found = figures(sweep_of(1))
    assert next(iter(found)) == "convergence"
    assert found["convergence"].caption == (
        "The loss of training batches and of the evaluation set through training; below, the accuracy. 1 run."
    )
    assert "radius_against_decay" not in found
    assert "median" not in " ".join(one.caption + one.alt for one in found.values())
    assert found["convergence"].alt.endswith("training loss 0.01, evaluation loss 0.01 and accuracy 0 %.")


def test_a_search_is_drawn() -> None:
    random = np.random.default_rng(0)
    keys: dict[str, Any] = {"optimizer__alpha": 10 ** random.uniform(-4, 0, 30), "init__scale": random.random(30)}
    found = figures(sweep_of(30, **keys))
    assert {"final_loss_alpha", "final_loss_scale", "success_alpha", "variance"} <= set(found)
    assert "a line for each of the 30 runs" in found["convergence"].caption


def test_keys_with_dots_make_names_of_files_without() -> None:
    sweep = sweep_of(init__scale=np.repeat([0.1, 1.0], 6), init__recurrent__scale=np.tile([0.5, 1.0, 2.0], 4))
    assert list(figures(sweep, outcomes.draw_losses)) == ["loss_map", "final_loss_init_scale"]


def test_a_sweep_of_which_no_run_has_ended_has_no_figures() -> None:
    sweep = sweep_of(2, a__x=[1, 2])
    sweep.runs["outcome"] = None
    assert figures(sweep) == {}


def test_everything_diverged() -> None:
    sweep = sweep_of(4, a__x=[1, 2, 1, 2], a__y=[1, 1, 2, 2])
    for run in range(4):
        diverge(sweep, run, update=0)
    found = rendered(figures(sweep))
    assert {"final_loss_x", "loss_map"} & set(found) == {"final_loss_x", "loss_map"}


def test_a_drawn_figure_does_not_change(sizes: dict[str, SweepFigure]) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        sizes["convergence"].title = ""  # type: ignore[misc]


def test_settings_of_several_keys_have_rows_and_conditions_columns() -> None:
    # Every second run solves it: at length 5 all of elman's, at 20 all of gru's; identity stands for ReLU too.
    start = np.tile(np.repeat(["glorot", "identity"], 2), 4)
    cells = np.concatenate([np.tile(["gru", "elman"], 4), np.tile(["elman", "gru"], 4)])
    activation = ["relu" if one == "identity" else None for one in start]
    sweep = sweep_of(16, task__length=np.repeat([5, 20], 8), init=start, model=cells, model__activation=activation)
    sweep.conditions = ["task.length"]
    drawn = rendered(figures(sweep, outcomes.draw_success))["success_map"]
    axes = drawn.figure.axes[0]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == [
        "init=glorot model=gru",
        "init=glorot model=elman",
        "init=identity model=gru activation=relu",
        "init=identity model=elman activation=relu",
    ]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["5", "20"]
    shares = np.asarray(axes.collections[0].get_array()).reshape(4, 2)
    assert shares.tolist() == [[0, 100], [100, 0], [0, 100], [100, 0]]
    assert drawn.title == "Solved runs by setting and timesteps of a sequence"


def test_a_key_is_drawn_over_what_all_of_its_values_were_trained_with() -> None:
    # LSTMs are clipped alone: of clipping they say nothing.
    sweep = sweep_of(
        12,
        model=np.repeat(["lstm", "elman", "elman"], 4),
        clip=np.repeat(["norm", "norm", "none"], 4),
        init__scale=np.tile([1, 1, 2, 2], 3),
    )
    sweep.runs.loc[sweep.runs["model"] == "lstm", "solved"] = True
    found = figures(sweep, outcomes.draw_success)
    assert "4 runs are left out, whose other values do not occur at all of these." in found["success_clip"].caption
    assert "50 % at clipping norm and 50 % at clipping none" in found["success_clip"].alt
    assert "left out" not in found["success_scale"].caption
