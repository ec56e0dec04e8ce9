"""Lyapunov exponents: values that are known in closed form, a chaotic system's from the literature, and bits."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bptt.core.sequences import Floats
from bptt.dynamics import Networks, kaplan_yorke_dimension, lyapunov_spectrum, measure_growth
from bptt.dynamics.directions import Directions
from tests.core.making import make_model
from tests.dynamics.making import draw_orthogonal, draw_parameters, of_lane, recurrent_only


def chaotic(size: int, gain: float, seed: int) -> Floats:
    return gain * np.random.default_rng(seed).standard_normal((size, size)) / np.sqrt(size)


def log_eigenvalues(matrix: Floats) -> Floats:
    return np.sort(np.log(np.abs(np.linalg.eigvals(matrix))))[::-1]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 17])
def test_directions_are_those_of_lapack(size: int) -> None:
    jacobians = np.random.default_rng(size).standard_normal((11, size, size))
    directions = Directions(11, size)
    directions.turn(jacobians)
    q, r = np.linalg.qr(jacobians)
    np.testing.assert_allclose(np.abs(directions.orthonormal), np.abs(q), atol=1e-11)
    np.testing.assert_allclose(directions.growth, np.log(np.abs(np.diagonal(r, axis1=1, axis2=2))), atol=1e-11)
    directions.turn(jacobians[::-1].copy())
    turned = directions.orthonormal
    np.testing.assert_allclose(turned.swapaxes(1, 2) @ turned, np.broadcast_to(np.eye(size), turned.shape), atol=1e-14)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_growth_neither_over_nor_underflows(scale: float) -> None:
    jacobian = scale * draw_orthogonal(5, 0)[None]
    np.testing.assert_allclose(measure_growth([jacobian] * 3), np.log(scale), rtol=1e-14)


def test_a_direction_that_is_lost_has_no_growth_and_leaves_the_others() -> None:
    jacobian = np.diag([2.0, 0.0, 0.5])[None]
    np.testing.assert_allclose(measure_growth([jacobian] * 3), [[np.log(2.0), np.log(0.5), -np.inf]], rtol=1e-14)


def test_at_the_fixed_point_exponents_are_the_eigenvalues_logarithms() -> None:
    """Without inputs h stays 0, where tanh′ = 1 and J = Rᵀ; pairs of complex eigenvalues take turns."""
    matrices = [chaotic(8, 0.9, seed) for seed in (1, 3, 4)]
    model, parameters = recurrent_only(*matrices)
    found = lyapunov_spectrum(model, parameters, np.zeros((1, 4000, 1)), washout=400)
    np.testing.assert_allclose(found.exponents, np.stack([log_eigenvalues(m) for m in matrices]), atol=4e-5)


def test_at_the_fixed_point_real_eigenvalues_are_found_to_the_last_digits() -> None:
    turn = draw_orthogonal(8, 1)
    recurrent = turn @ np.diag([1.2, -1.0, 0.9, 0.7, -0.5, 0.3, 0.2, 0.1]) @ turn.T
    model, parameters = recurrent_only(recurrent)
    found = lyapunov_spectrum(model, parameters, np.zeros((1, 4000, 1)), washout=1000)
    np.testing.assert_allclose(found.exponents[0], log_eigenvalues(recurrent), atol=1e-12)


def test_their_sum_is_the_mean_logarithm_of_the_determinant() -> None:
    model = make_model("gru", hidden_size=5)
    parameters = draw_parameters(model, 2, 3, lanes=4, scale=1.0)
    x = np.random.default_rng(0).standard_normal((2, 300, 2))
    found = lyapunov_spectrum(model, parameters, x)
    networks = Networks(model, parameters)
    steps = networks.follow(networks.read_inputs(x), networks.read_state(None, 2))
    logarithms = np.stack([np.linalg.slogdet(jacobian)[1] for _, jacobian in steps])
    np.testing.assert_allclose(found.total, logarithms.mean(axis=(0, 2)), rtol=1e-12)


def test_a_linear_orthogonal_network_has_exponents_0() -> None:
    matrices = [draw_orthogonal(16, seed) for seed in range(3)]
    model, parameters = recurrent_only(*matrices, activation="identity")
    found = lyapunov_spectrum(model, parameters, np.random.default_rng(0).standard_normal((1, 500, 1)))
    np.testing.assert_allclose(found.exponents, 0.0, atol=1e-13)


def test_a_counting_network_has_the_logarithm_of_its_one_weight() -> None:
    weights = np.array([0.5, 1.0, 1.5])
    model, parameters = recurrent_only(*weights.reshape(3, 1, 1), activation="identity")
    found = lyapunov_spectrum(model, parameters, np.ones((1, 20, 1)))
    np.testing.assert_allclose(found.largest, np.log(weights), atol=1e-15)
    np.testing.assert_array_equal(found.dimension, [0.0, 1.0, 1.0])


@pytest.mark.parametrize(("name", "outputs"), [("elman", 3), ("jordan", 3), ("gru", 3), ("lstm", 3)])
def test_exponents_are_those_of_lapack_along_the_trajectory(name: str, outputs: int) -> None:
    model = make_model(name, hidden_size=4, layers=2)
    parameters = draw_parameters(model, 2, outputs, lanes=2, scale=1.0)
    x = np.random.default_rng(1).standard_normal((3, 40, 2))
    found = lyapunov_spectrum(model, parameters, x, washout=10)
    networks = Networks(model, parameters)
    q: Any = np.broadcast_to(np.eye(networks.size), (2, 3, networks.size, networks.size))
    grown = np.zeros((2, 3, networks.size))
    for t, (_, jacobian) in enumerate(networks.follow(networks.read_inputs(x), networks.read_state(None, 3))):
        q, r = np.linalg.qr(jacobian @ q)
        grown += np.log(np.abs(np.diagonal(r, axis1=-2, axis2=-1))) * (t >= 10)
    np.testing.assert_allclose(found.exponents, -np.sort(-grown.mean(axis=1) / 30), rtol=1e-5)


def test_a_chaotic_network_is_told_from_one_that_is_not() -> None:
    """Sompolinsky, Crisanti & Sommers 1988: without inputs, chaos from a gain of 1 on, here well on either side."""
    model, parameters = recurrent_only(*(chaotic(64, gain, 0) for gain in (0.5, 3.0)))
    start = np.random.default_rng(0).standard_normal(64)
    found = lyapunov_spectrum(model, parameters, np.zeros((1, 600, 1)), washout=200, state=start)
    assert found.largest[0] < -0.3
    assert found.largest[1] > 0.2
    assert found.dimension[0] == 0.0
    assert 1.0 < found.dimension[1] < 64.0
    without = lyapunov_spectrum(model, parameters, np.zeros((1, 600, 1)), washout=200)
    assert without.largest[1] == pytest.approx(np.log(np.abs(np.linalg.eigvals(chaotic(64, 3.0, 0))).max()), abs=2e-2)


def test_the_exponent_of_two_trajectories_that_part_is_the_largest() -> None:
    """By its definition: how the distance of neighbours grows, small throughout."""
    size = 64
    model, parameters = recurrent_only(chaotic(size, 3.0, 0))
    networks = Networks(model, parameters)
    x = networks.read_inputs(np.zeros((1, 2000, 1)))
    start = networks.read_state(np.random.default_rng(1).standard_normal(size), 1)
    apart, grown = np.full(size, 1e-9 / np.sqrt(size)), 0.0
    state, other = start, start + apart
    for t in range(2000):
        state, other = networks.advance(x[:, :, t], state)[0], networks.advance(x[:, :, t], other)[0]
        distance = np.linalg.norm(other - state)
        grown += np.log(distance / 1e-9) if t >= 200 else 0.0
        other = state + (other - state) * (1e-9 / distance)
    found = lyapunov_spectrum(model, parameters, np.zeros((1, 2000, 1)), washout=200, state=start)
    assert found.largest[0] == pytest.approx(grown / 1800, abs=1e-4)
    assert found.largest[0] > 0.1


def lorenz_jacobians(systems: int, steps: int, dt: float) -> Iterator[Floats]:
    """The Jacobians of Runge & Kutta's step for Lorenz' system (σ, ρ, β) = (10, 28, 8/3), of several starts."""
    s, r, b = 10.0, 28.0, 8.0 / 3.0

    def slope(u: Floats) -> Floats:
        x, y, z = u.T
        return np.stack([s * (y - x), x * (r - z) - y, x * y - b * z], axis=1)

    def derivative(u: Floats) -> Floats:
        x, y, z = u.T
        zero, one = np.zeros_like(x), np.ones_like(x)
        rows = [[-s * one, s * one, zero], [r - z, -one, -x], [y, x, -b * one]]
        return np.moveaxis(np.array(rows), -1, 0)

    u = np.random.default_rng(0).standard_normal((systems, 3)) + np.array([0.0, 1.0, 30.0])
    eye = np.eye(3)
    for _ in range(steps):
        k1, d1 = slope(u), derivative(u)
        u2 = u + 0.5 * dt * k1
        k2, d2 = slope(u2), derivative(u2) @ (eye + 0.5 * dt * d1)
        u3 = u + 0.5 * dt * k2
        k3, d3 = slope(u3), derivative(u3) @ (eye + 0.5 * dt * d2)
        u4 = u + dt * k3
        k4, d4 = slope(u4), derivative(u4) @ (eye + dt * d3)
        u = u + dt / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        yield eye + dt / 6.0 * (d1 + 2.0 * d2 + 2.0 * d3 + d4)


def test_lorenz_system_has_the_published_exponents() -> None:
    """0.906, 0, −14.572 per second and dimension 2.062 (Sprott 2003, "Chaos and Time-Series Analysis")."""
    dt, steps, washout = 0.01, 6000, 1000
    grown = measure_growth(lorenz_jacobians(200, steps, dt), washout) / dt
    mean = grown.mean(axis=0)
    np.testing.assert_allclose(mean, [0.906, 0.0, -14.572], atol=1e-2)
    np.testing.assert_allclose(grown.sum(axis=1), -(10.0 + 8.0 / 3.0 + 1.0), atol=1e-3)
    assert kaplan_yorke_dimension(mean[None])[0] == pytest.approx(2.062, abs=1e-3)


@pytest.mark.parametrize(
    ("exponents", "dimension"),
    [
        ([-0.1, -0.2], 0.0),
        ([0.0, -1.0], 1.0),
        ([0.9, 0.0, -14.5], 2.0 + 0.9 / 14.5),
        ([0.5, -0.2, -0.6], 2.0 + 0.3 / 0.6),
        ([0.5, 0.1], 2.0),
        ([0.5, -np.inf], 1.0),
        ([np.nan, 0.0], np.nan),
    ],
)
def test_kaplan_and_yorkes_dimension(exponents: list[float], dimension: float) -> None:
    np.testing.assert_allclose(kaplan_yorke_dimension(np.array([exponents])), [dimension], rtol=1e-15)


@pytest.mark.parametrize("name", ["linear", "elman", "jordan", "gru", "lstm"])
def test_a_network_alone_has_the_same_bits_as_among_others(name: str) -> None:
    model = make_model(name, hidden_size=5, layers=2)
    parameters = draw_parameters(model, 2, 3, lanes=11)
    x = np.random.default_rng(0).standard_normal((2, 30, 2))
    together = lyapunov_spectrum(model, parameters, x, washout=5).exponents
    for lane in (0, 7, 10):
        alone = lyapunov_spectrum(model, of_lane(parameters, lane), x, washout=5).exponents
        np.testing.assert_array_equal(alone[0], together[lane])


def test_a_network_that_diverged_has_nan_and_leaves_the_others() -> None:
    model, parameters = recurrent_only(np.full((2, 2), np.nan), 0.5 * np.eye(2))
    found = lyapunov_spectrum(model, parameters, np.zeros((1, 5, 1)))
    assert np.isnan(found.exponents[0]).all()
    np.testing.assert_allclose(found.exponents[1], np.log(0.5), rtol=1e-14)


@pytest.mark.parametrize("washout", [-1, 5, 9])
def test_a_washout_of_all_timesteps_is_refused(washout: int) -> None:
    model, parameters = recurrent_only(np.eye(2))
    with pytest.raises(ValueError, match=f"washout={washout}: not from 0 to 4, one less than the 5 timesteps"):
        lyapunov_spectrum(model, parameters, np.zeros((1, 5, 1)), washout=washout)
    if washout > 0:
        with pytest.raises(ValueError, match=f"washout={washout}: of 5 timesteps none is left"):
            measure_growth([np.eye(2)[None]] * 5, washout)
