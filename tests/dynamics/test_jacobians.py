"""A timestep of many networks and its Jacobian, against the plain statement and its automatic differentiation."""

import itertools
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

from bptt.core import plain
from bptt.core.sequences import Floats
from bptt.dynamics import Networks, jacobian_singular_values, visit_states
from bptt.dynamics.cells import differentiate_plain
from tests.core.making import make_model
from tests.core.pairs import every_pair
from tests.dynamics.making import Leaking, draw_orthogonal, draw_parameters, of_lane, recurrent_only

CELLS = ("linear", "elman", "jordan", "leaky", "gru", "lstm")


def advance_plainly(model: Any, named: Any, x: Any, state: Any, outputs: int, xp: Any) -> Any:
    """The state after a timestep, as one row, by `bptt.core.plain`."""
    if model.cell.feedback:
        zero = [xp.zeros(model.hidden_size)] * model.layers
        return plain.timestep(model, named, x, zero, state, xp)[1]
    parts = xp.split(state, model.layers * model.cell.slots)
    slots = model.cell.slots
    per_layer = [parts[n] if slots == 1 else tuple(parts[n * slots : (n + 1) * slots]) for n in range(model.layers)]
    new, _, _ = plain.timestep(model, named, x, per_layer, xp.zeros(outputs), xp)
    return xp.concatenate([part for each in new for part in (each if slots > 1 else (each,))])


def assert_right(model: Any, outputs: int, seed: int) -> None:
    """Of every lane and row: the state equals the plain one, the Jacobian its derivative by `autograd`."""
    parameters = draw_parameters(model, 2, outputs, lanes=2, scale=0.8, seed=seed)
    networks = Networks(model, parameters)
    rng = np.random.default_rng(seed)
    x, state = rng.standard_normal((2, 3, 2)), rng.standard_normal((2, 3, networks.size))
    new, jacobian = networks.advance(x, state)
    assert jacobian.shape == (2, 3, networks.size, networks.size)
    for lane, row in itertools.product(range(2), range(3)):
        named = {name: array[lane] for name, array in parameters.items()}

        def one(s: Any, named: Any = named, seen: Any = x[lane, row]) -> Any:
            return advance_plainly(model, named, seen, s, outputs, anp)

        np.testing.assert_allclose(new[lane, row], one(state[lane, row]), rtol=1e-13, atol=1e-14)
        expected = autograd.jacobian(one)(state[lane, row])
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(jacobian[lane, row], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "readout", "bias", "layers"),
    every_pair(CELLS, ("none", "identity", "sigmoid", "softmax"), ("none", "single", "double"), (1, 2, 3)),
)
def test_jacobians_equal_automatic_differentiation(name: str, readout: str, bias: str, layers: int) -> None:
    model = make_model(name, readout=readout, bias=bias, layers=layers, hidden_size=4)
    assert_right(model, 4 if readout == "none" else 3, seed=layers)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "identity"])
@pytest.mark.parametrize("name", ["elman", "jordan", "leaky"])
def test_jacobian_of_every_activation(name: str, activation: str) -> None:
    assert_right(make_model(name, activation=activation, layers=2), 3, seed=11)


@pytest.mark.parametrize("name", CELLS)
def test_jacobians_equal_finite_differences(name: str) -> None:
    model = make_model(name, layers=2, bias="double")
    networks = Networks(model, draw_parameters(model, 2, 3, lanes=1))
    rng = np.random.default_rng(3)
    x, state = rng.standard_normal((1, 1, 2)), rng.standard_normal((1, 1, networks.size))
    _, jacobian = networks.advance(x, state)
    h, steps = 1e-6, np.eye(networks.size)
    columns = [
        (networks.advance(x, state + h * step)[0] - networks.advance(x, state - h * step)[0])[0, 0] / (2 * h)
        for step in steps
    ]
    np.testing.assert_allclose(jacobian[0, 0], np.stack(columns, axis=-1), atol=1e-8)


@pytest.mark.parametrize("name", CELLS)
def test_complex_steps_give_what_is_stated_in_closed_form(name: str) -> None:
    model = make_model(name, layers=1, bias="double")
    parameters = draw_parameters(model, 2, 3)
    networks = Networks(model, parameters)
    layer = networks._layers[0]
    rng = np.random.default_rng(4)
    width = parameters["cell.0.recurrent"].shape[1] if model.cell.feedback else model.cell.slots * model.hidden_size
    x, context = rng.standard_normal((3, 2, 2)), rng.standard_normal((3, 2, width))
    ours = networks._advance(layer, x, context, model.activation, True)
    stepped = differentiate_plain(model.cell)(layer, x, context, model.activation, True)
    for own, other in zip(ours, stepped, strict=True):
        assert own is not None
        assert other is not None
        assert own.shape == other.shape
        np.testing.assert_allclose(own, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bias", ["none", "single", "double"])
def test_a_cell_that_is_not_known_needs_its_plain_statement_alone(layers: int, bias: str) -> None:
    assert_right(Leaking(hidden_size=3, layers=layers, bias=bias), 3, seed=5)


def test_states_are_those_that_the_plain_statement_visits() -> None:
    model = make_model("lstm", layers=2)
    parameters = draw_parameters(model, 2, 3)
    x = np.random.default_rng(0).standard_normal((4, 6, 2))
    visited = visit_states(model, parameters, x)
    assert visited.shape == (3, 4, 6, 2 * 2 * 4)
    named = {name: array[1] for name, array in parameters.items()}
    state = np.zeros(16)
    for t in range(6):
        state = advance_plainly(model, named, x[2, t], state, 3, np)
        np.testing.assert_allclose(visited[1, 2, t], state, rtol=1e-12, atol=1e-15)
    own = visit_states(model, parameters, np.broadcast_to(x, (3, *x.shape)))
    np.testing.assert_array_equal(own, visited)


@pytest.mark.parametrize("name", CELLS)
def test_a_network_alone_visits_the_same_bits(name: str) -> None:
    model = make_model(name, layers=2)
    parameters = draw_parameters(model, 2, 3, lanes=11)
    x = np.random.default_rng(0).standard_normal((3, 5, 2))
    together, values = visit_states(model, parameters, x), jacobian_singular_values(model, parameters, x)
    for lane in (0, 7, 10):
        np.testing.assert_array_equal(visit_states(model, of_lane(parameters, lane), x)[0], together[lane])
        alone = jacobian_singular_values(model, of_lane(parameters, lane), x)
        np.testing.assert_array_equal(alone.values[0], values.values[lane])


def test_singular_values_of_an_orthogonal_linear_network_are_1() -> None:
    model, parameters = recurrent_only(draw_orthogonal(8, 0), activation="identity")
    found = jacobian_singular_values(model, parameters, np.zeros((1, 100, 1)))
    np.testing.assert_allclose(found.values, 1.0, atol=1e-13)
    np.testing.assert_allclose(found.condition, 1.0, atol=1e-13)


def test_singular_values_are_those_of_the_product_of_the_jacobians() -> None:
    model = make_model("gru")
    parameters = draw_parameters(model, 2, 3, scale=1.0)
    x = np.random.default_rng(0).standard_normal((2, 7, 2))
    found = jacobian_singular_values(model, parameters, x)
    networks = Networks(model, parameters)
    product: Any = np.eye(4)
    for _, jacobian in networks.follow(networks.read_inputs(x), networks.read_state(None, 2)):
        product = jacobian @ product
    expected = np.linalg.svd(product, compute_uv=False)
    np.testing.assert_allclose(found.values, expected, rtol=1e-9)
    np.testing.assert_allclose(found.largest, expected[..., 0], rtol=1e-13)
    np.testing.assert_allclose(found.smallest, expected[..., -1], rtol=1e-9)
    np.testing.assert_allclose(found.condition, expected[..., 0] / expected[..., -1], rtol=1e-9)


@pytest.mark.parametrize(("factor", "power"), [(0.5, 1000), (2.0, 1000)])
def test_a_product_of_many_jacobians_neither_over_nor_underflows(factor: float, power: int) -> None:
    """2^±1000 is a number; the square of its entries, which a norm would have on the way, is none."""
    model, parameters = recurrent_only(factor * draw_orthogonal(4, 1), activation="identity")
    found = jacobian_singular_values(model, parameters, np.zeros((1, power, 1)))
    np.testing.assert_allclose(found.values / factor**power, 1.0, rtol=1e-11)
    np.testing.assert_allclose(found.condition, 1.0, rtol=1e-11)


def test_a_singular_jacobian_has_an_infinite_condition() -> None:
    model, parameters = recurrent_only(np.diag([2.0, 0.0]), activation="identity")
    found = jacobian_singular_values(model, parameters, np.zeros((1, 3, 1)))
    np.testing.assert_array_equal(found.values, [[[8.0, 0.0]]])
    np.testing.assert_array_equal(found.condition, [[np.inf]])


def test_a_network_that_diverged_gives_nan_and_no_error() -> None:
    model, parameters = recurrent_only(np.eye(2), np.full((2, 2), np.nan))
    found = jacobian_singular_values(model, parameters, np.ones((1, 3, 1)))
    assert np.isfinite(found.values[0]).all()
    assert np.isnan(found.values[1]).all()
    assert np.isnan(found.condition[1]).all()


def wrong(**changes: Any) -> tuple[Any, dict[str, Floats]]:
    model, parameters = recurrent_only(np.eye(3), np.eye(3))
    changed: dict[str, Any] = parameters | changes
    return model, {name: array for name, array in changed.items() if array is not None}


@pytest.mark.parametrize(
    ("changes", "x", "state", "says"),
    [
        (
            {"cell.0.recurrent": None},
            np.zeros((1, 4, 1)),
            None,
            "cell.0.recurrent: not among the parameters; there are",
        ),
        ({"cell.0.input": np.ones((1, 3))}, np.zeros((1, 4, 1)), None, r"of one network take array\[None\]"),
        ({"cell.0.recurrent": np.ones((2, 3, 4))}, np.zeros((1, 4, 1)), None, r"shape \(2, 3, 4\); this model's is"),
        ({"cell.0.recurrent": np.ones((1, 3, 3))}, np.zeros((1, 4, 1)), None, r"shape \(1, 3, 3\); this model's is"),
        ({}, np.zeros((4, 1)), None, r"x: shape \(4, 1\); give \(N, T, 1\), the same for all networks"),
        ({}, np.zeros((1, 4, 2)), None, r"x: shape \(1, 4, 2\)"),
        ({}, np.zeros((3, 1, 4, 1)), None, r"or \(2, N, T, 1\)"),
        ({}, np.zeros((1, 4, 1)), np.zeros(4), r"state: shape \(4,\) does not broadcast to \(2, 1, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(changes: Any, x: Any, state: Any, says: str) -> None:
    model, parameters = wrong(**changes)
    with pytest.raises(ValueError, match=says) as caught:
        visit_states(model, parameters, x, state=state)
    assert "\n" not in str(caught.value)
