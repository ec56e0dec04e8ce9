"""Fixed points of networks that have known ones."""

from typing import Any

import numpy as np
import pytest

from bptt.dynamics import Networks, fixed_points, visit_states
from tests.core.making import make_model
from tests.dynamics.making import draw_parameters, of_lane, recurrent_only

STARTS = np.random.default_rng(0).standard_normal((24, 3))


def test_a_linear_network_has_the_one_that_solves_its_equations() -> None:
    """h = x W + h R + b at h = (x W + b)(1 − R)⁻¹, and every state's Jacobian is Rᵀ."""
    recurrent = np.array([[0.5, 0.2, 0.0], [-0.1, 0.8, 0.1], [0.0, 0.3, -0.4]])
    model, parameters = recurrent_only(recurrent, 2.0 * recurrent, activation="identity", bias="single")
    parameters["cell.0.bias"] = np.array([[0.1, -0.2, 0.3], [0.4, 0.5, 0.6]])
    found = fixed_points(model, parameters, STARTS, x=[0.7])
    for lane, (own, matrix) in enumerate(zip(found, (recurrent, 2.0 * recurrent), strict=True)):
        expected = (0.7 + parameters["cell.0.bias"][lane]) @ np.linalg.inv(np.eye(3) - matrix)
        np.testing.assert_allclose(own.states, [expected], rtol=1e-9)
        np.testing.assert_array_equal(own.starts, [24])
        np.testing.assert_allclose(
            np.sort_complex(own.eigenvalues[0]), np.sort_complex(np.linalg.eigvals(matrix)), rtol=1e-10
        )
    assert [bool(own.stable[0]) for own in found] == [True, False]


def test_a_bistable_unit_has_two_stable_ones_and_one_between() -> None:
    """h = tanh(2 h) at 0 and ±0.9575040240772687; the slopes there are 2 and 2 (1 − h²)."""
    model, parameters = recurrent_only([[2.0]])
    (found,) = fixed_points(model, parameters, np.linspace(-1.5, 1.5, 31)[:, None])
    order = np.argsort(found.states[:, 0])
    top = 0.9575040240772687
    np.testing.assert_allclose(found.states[order, 0], [-top, 0.0, top], atol=1e-10)
    np.testing.assert_array_equal(found.stable[order], [True, False, True])
    np.testing.assert_allclose(found.eigenvalues[order, 0], [2 - 2 * top**2, 2.0, 2 - 2 * top**2], rtol=1e-8)
    assert found.starts.sum() == 31
    assert (found.speeds <= 1e-20).all()
    assert (np.diff(found.starts) <= 0).all()


def test_two_bistable_units_have_nine_of_which_four_are_stable() -> None:
    model, parameters = recurrent_only(2.0 * np.eye(2))
    grid = np.stack(np.meshgrid(*[np.linspace(-1.2, 1.2, 13)] * 2), axis=-1).reshape(-1, 2)
    (found,) = fixed_points(model, parameters, grid)
    assert len(found.states) == 9
    assert found.stable.sum() == 4
    assert (np.abs(np.abs(found.states[found.stable]) - 0.9575040240772687) < 1e-9).all()


def test_a_latch_made_of_an_lstm_holds_either_value() -> None:
    """Gates open wide: c = f c + i g with g = tanh(40 h), f = σ(5) and i = σ(−1), so |c| = i / (1 − f) is held."""
    model = make_model("lstm", hidden_size=1, readout="none")
    parameters = {
        "cell.0.input": np.zeros((1, 1, 4)),
        "cell.0.recurrent": np.array([[[0.0, 0.0, 40.0, 0.0]]]),
        "cell.0.bias": np.array([[-1.0, 5.0, 0.0, 20.0]]),
    }
    (found,) = fixed_points(model, parameters, np.random.default_rng(0).uniform(-2.0, 2.0, (40, 2)))
    held = 1.0 / (1.0 + np.exp(1.0)) / (1.0 - 1.0 / (1.0 + np.exp(-5.0)))
    stable = found.states[found.stable]
    order = np.argsort(stable[:, 1])
    np.testing.assert_allclose(stable[order, 1], [-held, held], rtol=1e-6)
    np.testing.assert_allclose(stable[order, 0], np.tanh([-held, held]), rtol=1e-6)
    assert not found.stable[np.argmin(np.abs(found.states).sum(axis=1))]


def test_what_is_found_stands_still_and_stable_ones_draw_states_to_them() -> None:
    model, parameters = recurrent_only(
        *(1.6 * np.random.default_rng(s).standard_normal((5, 5)) / np.sqrt(5) for s in range(4))
    )
    visited = visit_states(model, parameters, np.random.default_rng(1).standard_normal((6, 20, 1)))
    found = fixed_points(model, parameters, visited.reshape(4, -1, 5))
    networks = Networks(model, parameters)
    assert all(len(own.states) for own in found)
    for lane, own in enumerate(found):
        for point, stable in zip(own.states, own.stable, strict=True):
            state = np.broadcast_to(point, (4, 1, 5))
            new, _ = networks.advance(np.zeros((4, 1, 1)), state)
            np.testing.assert_allclose(new[lane, 0], point, atol=1e-9)
            if stable:
                state = state + 1e-4
                for _ in range(2000):
                    state, _ = networks.advance(np.zeros((4, 1, 1)), state)
                np.testing.assert_allclose(state[lane, 0], point, atol=1e-6)
        apart = np.linalg.norm(own.states[:, None] - own.states[None], axis=-1) + np.eye(len(own.states))
        assert (apart > 1e-4).all()


def test_a_line_of_fixed_points_gives_one_for_each_start() -> None:
    """A counting network without inputs: where it stands, it stays."""
    model, parameters = recurrent_only([[1.0]], activation="identity")
    (found,) = fixed_points(model, parameters, np.arange(5.0)[:, None])
    np.testing.assert_array_equal(np.sort(found.states[:, 0]), np.arange(5.0))
    np.testing.assert_array_equal(found.stable, False)


def test_a_network_without_any_gives_none() -> None:
    """h + 1 = h has no solution."""
    model, parameters = recurrent_only([[1.0]], activation="identity")
    (found,) = fixed_points(model, parameters, np.arange(5.0)[:, None], x=[1.0])
    assert found.states.shape == (0, 1)
    assert found.eigenvalues.shape == (0, 1)
    assert len(found.stable) == len(found.starts) == len(found.speeds) == 0


@pytest.mark.parametrize("name", ["elman", "jordan", "gru", "lstm"])
def test_a_network_alone_has_the_same_bits_as_among_others(name: str) -> None:
    model = make_model(name, layers=2)
    parameters = draw_parameters(model, 2, 3, lanes=5, scale=1.2)
    size = Networks(model, parameters).size
    starts, x = np.random.default_rng(0).standard_normal((12, size)), np.random.default_rng(1).standard_normal((5, 2))
    together = fixed_points(model, parameters, starts, x=x)
    assert any(len(own.states) for own in together)
    for lane in range(5):
        (alone,) = fixed_points(model, of_lane(parameters, lane), starts, x=x[lane])
        np.testing.assert_array_equal(alone.states, together[lane].states)
        np.testing.assert_array_equal(alone.eigenvalues, together[lane].eigenvalues)


def test_a_network_that_diverged_has_none_and_leaves_the_others() -> None:
    model, parameters = recurrent_only([[np.nan]], [[2.0]])
    found = fixed_points(model, parameters, np.array([[-1.0], [0.1], [1.0]]))
    assert [len(own.states) for own in found] == [0, 3]


@pytest.mark.parametrize(
    ("starts", "x", "says"),
    [
        (np.zeros((4, 2)), None, r"starts: shape \(4, 2\); give \(M, 3\), the same for all networks, or \(2, M, 3\)"),
        (np.zeros((3, 4, 3)), None, r"starts: shape \(3, 4, 3\)"),
        (np.zeros((4, 3)), np.zeros(2), r"x: shape \(2,\); give \(1,\), the same for all networks, or \(2, 1\)"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(starts: Any, x: Any, says: str) -> None:
    model, parameters = recurrent_only(np.eye(3), np.eye(3))
    with pytest.raises(ValueError, match=says):
        fixed_points(model, parameters, starts, x=x)
