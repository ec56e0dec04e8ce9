"""The cost surface against closed forms, finite differences, and what training records."""

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from bptt.analysis.surface import (
    compute_state_gradient,
    compute_state_gradients,
    compute_surface,
    draw_cost_surface,
    draw_evaluation,
    draw_gradient_lines,
    draw_initial,
    enclose,
    follow_path,
    list_run_parameters,
    name_weight,
)
from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.core import plain
from bptt.core.evaluation import Evaluation
from bptt.core.gradcheck import first_sequences
from bptt.core.parameters import to_named
from bptt.core.run import Run
from bptt.core.sequences import Sequences
from bptt.core.training import train

COUNTING = ["experiment=roelants_counting"]
DIVERGING = ["task=counting", "model=linear", "model.hidden_size=1", "model.bias=none", "model.readout=none"]
DIVERGING += ["init=constant", "init.input=2", "init.recurrent=3", "train.batch_size=20", "optimizer=sgd"]
LEFTBIT = ["experiment=outlace_leftbit", "train.updates=50", "train.log_points=7"]
GATED = ["task=temporal_order", "task.length=12", "model.hidden_size=3"]


def built(overrides: list[str]) -> Run:
    return check_configuration(compose(overrides)).run


def named(run: Run) -> dict[str, np.ndarray]:
    return to_named(list_run_parameters(run), draw_initial(run))


def last_states(run: Run, wx: float, wrec: float) -> np.ndarray:
    x = draw_evaluation(run).x[:, :, 0]
    return sum(x[:, k] * wx * wrec ** (x.shape[1] - 1 - k) for k in range(x.shape[1]))


def test_a_surface_is_the_loss_at_each_of_its_points() -> None:
    run = built(COUNTING)
    xs, ys = np.array([-3.0, 0.0, 1.0]), np.array([-2.0, 1.0])
    table = compute_surface(run, named(run), xs=xs, ys=ys)
    assert list(table.columns) == ["x", "y", "loss"]
    assert [*zip(table["x"], table["y"], strict=True)] == [(x, y) for y in ys for x in xs]
    target = draw_evaluation(run).y[:, 0]
    expected = [np.mean((last_states(run, x, y) - target) ** 2) for y in ys for x in xs]
    np.testing.assert_allclose(table["loss"], expected, rtol=1e-13, atol=1e-25)


def test_a_surface_passes_through_what_training_recorded() -> None:
    run = built(["experiment=zhu_adder", "train.updates=20"])
    record = train([run])[0]
    x, y = ("cell.0.recurrent", (2, 3)), ("readout.weight", (5, 0))
    here = [record.parameters[block][index] for block, index in (x, y)]
    table = compute_surface(run, record.parameters, x=x, y=y, xs=[here[0], 0.0], ys=[here[1], 9.0])
    assert table["loss"][0] == record.history["loss/eval"][-1]
    assert table["loss"].nunique() == 4


def test_a_surface_of_other_sequences() -> None:
    run = built(COUNTING)
    one = Sequences(np.ones((1, 3, 1)), np.array([[3.0]]))
    table = compute_surface(run, named(run), xs=[2.0], ys=[1.0], sequences=one)
    assert table["loss"].tolist() == [9.0]


def test_a_path_ends_where_the_article_does() -> None:
    way = follow_path(built(COUNTING))
    assert list(way.columns) == ["update", "x", "y", "loss"]
    assert way["update"].tolist() == [*range(501)]
    assert way.loc[0, ["x", "y"]].tolist() == [-1.5, 2.0]
    # The first gradient has no sign before it to agree with.
    assert way.loc[1, ["x", "y"]].tolist() == [-1.5 + 0.0005, 2.0 - 0.0005]
    assert way.iloc[-1][["x", "y"]].tolist() == pytest.approx([1.001355547207059, 0.9996744737846419], abs=1e-12)


@pytest.mark.parametrize("overrides", [COUNTING, LEFTBIT], ids=["rows", "lanes and carried states"])
def test_a_path_has_the_bits_of_training(overrides: list[str]) -> None:
    run = built(overrides)
    record = train([run])[0]
    way = follow_path(run, x=("cell.0.recurrent", (0, 0))) if overrides is LEFTBIT else follow_path(run)
    recorded = way.set_index("update").loc[record.history["update"]]
    assert np.array_equal(recorded["loss"], record.history["loss/eval"])
    assert recorded["y"].iloc[-1] == record.parameters["cell.0.recurrent"][0, 0]


def test_a_path_at_some_updates() -> None:
    run = built(LEFTBIT)
    whole, some = follow_path(run), follow_path(run, updates=[0, 3, 50])
    assert some.equals(whole[whole["update"].isin([0, 3, 50])].reset_index(drop=True))


def test_a_path_ends_before_the_update_that_diverges() -> None:
    run = built([*DIVERGING, "train.updates=50"])
    record = train([run])[0]
    assert record.outcome == "diverged"
    way = follow_path(run)
    assert way["update"].tolist() == [*range(record.updates)]
    assert np.isfinite(way[["x", "y"]].to_numpy()).all()


def test_state_gradients_of_the_linear_unit() -> None:
    run = built(COUNTING)
    points = [(1.0, -2.0), (1.0, 0.5)]
    table = compute_state_gradients(run, named(run), points)
    assert list(table.columns) == ["x", "y", "layer", "unit", "k", "gradient"]
    target = draw_evaluation(run).y[:, 0]
    for point in points:
        here = table[(table["x"] == point[0]) & (table["y"] == point[1])]
        assert here["k"].tolist() == [*range(1, 11)]
        arriving = np.sum(2 * (last_states(run, *point) - target) / 20)
        np.testing.assert_allclose(here["gradient"], arriving * point[1] ** np.arange(9.0, -1.0, -1.0), rtol=1e-12)


@pytest.mark.parametrize("model", ["gru", "lstm", "jordan"])
def test_state_gradients_have_the_norms_of_the_gradient_flow(model: str) -> None:
    layers = 1 if model == "jordan" else 2
    run = built([*GATED, f"model={model}", f"model.layers={layers}", "train.updates=1", "train.batch_size=1"])
    gradient = compute_state_gradient(run, draw_initial(run), first_sequences(run, 1))
    norms = np.linalg.norm(gradient, axis=(0, 2))[::-1]
    np.testing.assert_allclose(norms, train([run])[0].flow[0], rtol=1e-12)


def test_state_gradients_are_derivatives() -> None:
    # Of the upper layer: from the lower one's state the loss can also be reached through the upper one, at once.
    run = built([*GATED, "model=gru", "model.layers=2", "train.batch_size=11"])
    data = first_sequences(run, 11)
    flat, after = draw_initial(run), 5
    weights = to_named(list_run_parameters(run), flat)
    states = np.zeros((11, 2 * 3 + run.task.outputs))
    for n in range(11):
        state, output = plain.zero_state(run.model, run.task.outputs, np)
        for t in range(after):
            state, output, _ = plain.timestep(run.model, weights, data.x[n, t], state, output, np)
        states[n, :6] = np.concatenate(state)
    rest = Evaluation(run.model, run.loss, [Sequences(data.x[:, after:], data.y)])

    def loss(moved: np.ndarray) -> float:
        shifted = states + np.append(moved, np.zeros(run.task.outputs))
        return float(rest.evaluate(flat[None], shifted[None])[0][0]) * run.loss.weight

    step = 1e-5 * np.eye(6)[3:]
    expected = [(loss(move) - loss(-move)) / 2e-5 for move in step]
    found = compute_state_gradient(run, flat, data)[1, after - 1]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-10)
    assert np.min(np.abs(found)) > 1e-6


@pytest.mark.parametrize(
    ("weight", "line"),
    [
        (("cell.0.inputs", (0, 0)), "cell.0.inputs: no such weights; did you mean cell.0.input?"),
        (("readout.weight", (0, 0)), "readout.weight: no such weights"),
        (("cell.0.input", (0, 1)), r"cell.0.input\[0, 1\]: no such weight; cell.0.input has the shape \(1, 1\)"),
        (("cell.0.input", (0,)), r"cell.0.input\[0\]: no such weight"),
        (("cell.0.recurrent", (0, 0)), r"cell.0.recurrent\[0, 0\]: is both weights of the surface"),
    ],
)
def test_weights_that_are_not_there(weight: tuple[str, tuple[int, ...]], line: str) -> None:
    run = built(COUNTING)
    with pytest.raises(ValueError, match=f"^{line}"):
        compute_surface(run, named(run), x=weight, xs=[0.0], ys=[0.0])


def test_room_around_a_path() -> None:
    way = follow_path(built(COUNTING), updates=[0, 500])
    xs, ys = enclose(way, points=3, room=0.5)
    width = way["x"][1] - way["x"][0]
    assert xs == pytest.approx([-1.5 - width / 2, -1.5 + width / 2, -1.5 + 1.5 * width])
    assert len(ys) == 3
    assert enclose(way[:1], points=3)[0].tolist() == [-2.5, -1.5, -0.5]


def test_names_of_weights() -> None:
    assert name_weight(("cell.0.recurrent", (0, 2))) == "cell.0.recurrent[0, 2]"


XS, YS = np.linspace(-1.0, 1.0, 5), np.linspace(0.0, 3.0, 4)


def surface(loss: Any) -> pd.DataFrame:
    x, y = (values.ravel() for values in np.meshgrid(XS, YS))
    return pd.DataFrame({"x": x, "y": y, "loss": loss(x, y)})


def path(*points: tuple[float, float]) -> pd.DataFrame:
    x, y = np.array(points).T
    return pd.DataFrame({"update": range(len(points)), "x": x, "y": y, "loss": 1.0})


def gradients(*lines: tuple[float, float, list[float]]) -> pd.DataFrame:
    return pd.concat(
        pd.DataFrame({"x": x, "y": y, "layer": 0, "unit": 0, "k": range(1, len(line) + 1), "gradient": line})
        for x, y, line in lines
    )


def drawn(figure: Figure) -> None:
    """Drawing finds what building does not: every warning is an error here."""
    figure.savefig(io.BytesIO())


def mesh_of(figure: Figure, panel: int = 0) -> Any:
    return figure.axes[panel].collections[0]


def test_colours_are_the_loss_on_one_logarithmic_scale() -> None:
    bowl = surface(lambda x, y: 10 ** (x + y))
    flat = surface(lambda x, y: 1e5 + 0 * x)
    figure = draw_cost_surface([bowl, flat], labels=("wx", "wrec"), title="two of them")
    assert figure.get_suptitle() == "two of them"
    assert np.array_equal(mesh_of(figure).get_array(), bowl["loss"].to_numpy().reshape(4, 5))
    assert mesh_of(figure).norm is mesh_of(figure, 1).norm
    assert (mesh_of(figure).norm.vmin, mesh_of(figure).norm.vmax) == (0.1, 1e5)
    left, right, bar = figure.axes
    assert (left.get_xlabel(), left.get_ylabel(), right.get_ylabel()) == ("wx", "wrec", "")
    assert (left.get_xlim(), left.get_ylim()) == ((-1.0, 1.0), (0.0, 3.0))
    assert bar.get_xlabel() == "loss"
    assert figure.get_size_inches()[0] == 3.4
    drawn(figure)


def test_a_loss_of_zero_has_the_lowest_colour_and_one_that_is_not_finite_has_none() -> None:
    figure = draw_cost_surface([surface(lambda x, y: np.where(x == 0, 0.0, np.where(y == 3, np.inf, 1 + y)))])
    losses = mesh_of(figure).get_array()
    assert losses[:3, 2].tolist() == [1.0] * 3
    assert losses.mask.sum() == 4
    drawn(figure)


def test_a_flat_surface_still_shows_what_there_is() -> None:
    figure = draw_cost_surface([surface(lambda x, y: 0.05 + 0.001 * x)])
    norm = mesh_of(figure).norm
    assert (norm.vmin, norm.vmax) == pytest.approx((0.049, 0.051))
    figure.draw_without_rendering()
    texts = [text.get_text() for text in figure.axes[1].get_xticklabels() if text.get_text()]
    assert 3 <= len(texts) <= 6
    drawn(figure)


def test_an_exploding_loss_leaves_the_others_their_colours() -> None:
    figure = draw_cost_surface([surface(lambda x, y: 10 ** (-100 * y))])
    norm = mesh_of(figure).norm
    assert (norm.vmin, norm.vmax) == (1e-12, 1.0)
    drawn(figure)


def test_a_path_has_a_dot_for_each_update_and_marks_at_its_ends() -> None:
    way = path((0.5, 0.0), (0.25, 1.0), (0.0, 2.0))
    figure = draw_cost_surface([surface(lambda x, y: 1 + y)], paths={"rprop": way})
    line, dots, start, end = figure.axes[0].lines
    assert np.array_equal(np.asarray(line.get_xydata()), way[["x", "y"]])
    assert np.array_equal(np.asarray(dots.get_xydata()), way[["x", "y"]])
    assert (start.get_marker(), np.asarray(start.get_xydata()).tolist()) == ("o", [[0.5, 0.0]])
    assert (end.get_marker(), np.asarray(end.get_xydata()).tolist()) == ("*", [[0.0, 2.0]])
    assert not figure.legends
    drawn(figure)


def test_several_paths_have_a_legend() -> None:
    ways = {f"eta_plus={value}": path((0, 0), (value, value)) for value in (0.5, 1.0)}
    figure = draw_cost_surface([surface(lambda x, y: 1 + y)] * 2, paths=ways)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [*ways]
    colours = {line.get_color() for line in figure.axes[0].lines}
    assert len(colours) == 2
    drawn(figure)


def test_long_names_stand_below_each_other() -> None:
    ways = {f"eta_plus={value} eta_minus=0.5 seed=1": path((0, 0), (value, value)) for value in (0.5, 1.0)}
    figure = draw_cost_surface([surface(lambda x, y: 1 + y)], paths=ways)
    assert figure.legends[0]._ncols == 1  # type: ignore[attr-defined]
    drawn(figure)


def test_points_look_as_their_gradients_do() -> None:
    points = [(0.5, 1.0), (-0.5, 2.0)]
    figure = draw_cost_surface([surface(lambda x, y: 1 + y)], points=points)
    lines = draw_gradient_lines(gradients(*[(*point, [1.0, 2.0]) for point in points]))
    shown = [(m.get_marker(), m.get_color(), np.asarray(m.get_xydata())[0].tolist()) for m in figure.axes[0].lines]
    assert [entry[:2] for entry in shown] == [(m.get_marker(), m.get_color()) for m in lines.axes[0].lines]
    assert [tuple(entry[2]) for entry in shown] == points
    drawn(figure)


def test_gradients_go_back_in_time_on_a_symlog_axis() -> None:
    figure = draw_gradient_lines(gradients((1, -2, [16.0, -8.0, 4.0]), (1, 0, [0.0, 0.0, 0.1])), state="s")
    (axes,) = figure.axes
    first, second = axes.lines
    assert np.array_equal(np.asarray(first.get_xydata()), [[1, 16], [2, -8], [3, 4]])
    assert np.array_equal(np.asarray(second.get_ydata()), [0.0, 0.0, 0.1])
    assert axes.get_yscale() == "symlog"
    assert axes.xaxis_inverted()
    assert axes.get_ylabel() == "∂loss/∂sₖ"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["(1, −2)", "(1, 0)"]
    drawn(figure)


def test_a_line_is_the_sum_over_layers_and_units() -> None:
    table = gradients((1, 1, [1.0, 2.0]))
    both = pd.concat([table, table.assign(unit=1, gradient=[10.0, -2.0])])
    assert np.array_equal(np.asarray(draw_gradient_lines(both).axes[0].lines[0].get_ydata()), [11.0, 0.0])


@pytest.mark.parametrize("loss", [np.nan, np.inf, 0.0, 1e300, 5e-324, 1.0])
def test_unusual_losses_are_drawn(loss: float) -> None:
    drawn(draw_cost_surface([surface(lambda x, y: 0 * x + loss)]))


@pytest.mark.parametrize("gradient", [[0.0, 0.0], [np.nan, np.inf], [1e300, -1e300], [1e-300, 1e300], [1.0]])
def test_unusual_gradients_are_drawn(gradient: list[float]) -> None:
    drawn(draw_gradient_lines(gradients((1, 1, gradient))))
