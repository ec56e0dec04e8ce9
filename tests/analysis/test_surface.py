"""The cost surface against closed forms, finite differences, and what training records."""

import numpy as np
import pytest

from bptt.analysis.surface import (
    compute_state_gradient,
    compute_state_gradients,
    compute_surface,
    draw_evaluation,
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
