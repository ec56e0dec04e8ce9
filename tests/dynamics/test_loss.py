"""Sharpness, the bias of truncation and the noise of gradients, against plain statements of them."""

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest

from bptt.core.gradcheck import gradient_of
from bptt.core.inits.glorot import Glorot
from bptt.core.inits.initialisation import Initialisation
from bptt.core.kernel import UNITS
from bptt.core.losses.squared_error import SquaredError
from bptt.core.optimizers.momentum import Momentum
from bptt.core.optimizers.nesterov import Nesterov
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import list_parameters, mark_trained, to_flat
from bptt.core.regularizers.l2 import L2
from bptt.core.regularizers.omega import Omega
from bptt.core.run import Run, seed_of
from bptt.core.sequences import Floats, Sequences
from bptt.core.simd import WIDTH
from bptt.core.training import Training
from bptt.dynamics import noise_scale, sharpness, truncation_bias
from bptt.dynamics.gradients import take_rows
from bptt.dynamics.sharpness import find_stable_sharpness
from bptt.tasks.series.sine import Sine
from tests.core.making import make_model, make_run
from tests.dynamics.making import draw_parameters, of_lane

MODELS = ("linear", "elman", "jordan", "leaky", "gru", "lstm")


def flat_of(run: Run, parameters: Any, lane: int) -> Floats:
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    return to_flat(blocks, {name: array[lane] for name, array in parameters.items()})


def draw_sequences(count: int, timesteps: int = 6, seed: int = 0, ragged: bool = False) -> Sequences:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, timesteps + 1, count) if ragged else None
    return Sequences(rng.standard_normal((count, timesteps, 2)), rng.random((count, timesteps, 3)), lengths)


def one_timestep(weight: float = 1.0, **parts: Any) -> tuple[Run, dict[str, Floats], Sequences]:
    """y = x W of one timestep: a loss that is quadratic in W."""
    model = make_model("linear", hidden_size=3, bias="none", readout="none")
    run = make_run(model=model, inputs=4, outputs=3, loss=SquaredError(weight=weight), **parts)
    rng = np.random.default_rng(0)
    return run, draw_parameters(model, 4, 3), Sequences(rng.standard_normal((7, 1, 4)), rng.standard_normal((7, 3)))


def test_sharpness_of_a_quadratic_is_its_largest_curvature() -> None:
    """L = w/N Σ ‖x_n W − t_n‖² has the Hessian 2 w/N XᵀX for each column of W."""
    run, parameters, sequences = one_timestep(weight=0.7)
    x = sequences.x[:, 0]
    expected = np.linalg.eigvalsh(2.0 * 0.7 / 7.0 * x.T @ x)[-1]
    np.testing.assert_allclose(sharpness(run, parameters, sequences), expected, rtol=1e-8)


def test_the_regularizer_is_part_of_the_loss() -> None:
    """Factor · ‖θ‖² adds twice the factor to every eigenvalue."""
    run, parameters, sequences = one_timestep()
    bent, _, _ = one_timestep(regularizer=L2(factor=0.3))
    difference = sharpness(bent, parameters, sequences) - sharpness(run, parameters, sequences)
    np.testing.assert_allclose(difference, 0.6, rtol=1e-7)


def test_noise_of_states_is_left_out() -> None:
    sequences = draw_sequences(5, ragged=True)
    quiet, noisy = (make_run(model=make_model("leaky", hidden_size=3, noise=noise)) for noise in (0.0, 0.5))
    parameters = draw_parameters(quiet.model, 2, 3, lanes=2)
    found, expected = (noise_scale(run, parameters, sequences) for run in (noisy, quiet))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("optimizer", "model", "bound"),
    [
        (Sgd(alpha=0.1), {}, 20.0),
        (Sgd(alpha=0.1, weight_decay=15.0), {}, 5.0),
        (Momentum(alpha=0.1, epsilon=0.5, weight_decay=4.0), {}, 24.0),
        (Nesterov(alpha=0.1, epsilon=0.5), {}, 15.0),
        (Nesterov(alpha=0.1, epsilon=0.5, weight_decay=4.0), {}, np.nan),
        (Sgd(alpha=0.1), {"recurrent_constraint": "orthogonal"}, np.nan),
    ],
)
def test_how_sharp_a_loss_an_optimizer_can_bear(optimizer: Any, model: dict[str, Any], bound: float) -> None:
    """Where θ ← −θ on a quadratic loss of this sharpness; NaN where no such sharpness is known."""
    run = make_run(optimizer=optimizer, model=make_model("elman", **model))
    np.testing.assert_allclose(find_stable_sharpness(run), bound, rtol=1e-12)


def test_sharpness_is_of_what_is_trained() -> None:
    """The whole Hessian's block of the read-out, and under Dale's law of the connections that there are."""
    sequences = draw_sequences(5)
    for model, only, lost in (("elman", ("readout",), 0.0), ("leaky", None, 0.7)):
        free = make_run(model=make_model(model, hidden_size=3), only=only)
        run = free if only else make_run(model=make_model(model, hidden_size=3, dale=0.5))
        parameters = draw_parameters(run.model, 2, 3, lanes=1)
        recurrent = parameters["cell.0.recurrent"]
        signs = np.where(np.arange(3) < 2, 1.0, -1.0)[:, None]
        if not only:
            recurrent[:] = signs * np.abs(recurrent) * (np.random.default_rng(0).random(recurrent.shape) > lost)
        blocks, flat = list_parameters(run.model, 2, 3), flat_of(run, parameters, 0)
        kept = (
            mark_trained(blocks, only) > 0 if only else to_flat(blocks, {k: v[0] for k, v in parameters.items()}) != 0
        )
        whole = make_run(model=make_model(model, hidden_size=3))

        def slope(theta: Floats, whole: Run = whole) -> Floats:
            return gradient_of(whole, theta, sequences)

        columns = [(slope(flat + 1e-5 * e) - slope(flat - 1e-5 * e)) / 2e-5 for e in np.eye(flat.size)]
        hessian = np.array(columns)[np.ix_(kept, kept)]
        expected = np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1]
        np.testing.assert_allclose(sharpness(run, parameters, sequences), [expected], rtol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_sharpness_is_the_largest_eigenvalue_of_the_whole_hessian(name: str) -> None:
    run, sequences = make_run(model=make_model(name, hidden_size=3)), draw_sequences(5, ragged=True)
    parameters = draw_parameters(run.model, 2, 3, lanes=2)
    found = sharpness(run, parameters, sequences)
    for lane in range(2):
        theta = flat_of(run, parameters, lane)
        h = 1e-5
        columns = [
            (gradient_of(run, theta + h * step, sequences) - gradient_of(run, theta - h * step, sequences)) / (2 * h)
            for step in np.eye(theta.size)
        ]
        hessian = np.stack(columns)
        expected = np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1]
        assert found[lane] == pytest.approx(expected, rel=1e-6)


def test_training_with_gradient_descent_comes_to_the_edge_of_stability() -> None:
    """Cohen et al. 2021: full batch, α = 0.4, and sharpness comes to 2/α = 5, from above here."""
    task = Sine(amplitude=1.0, step=0.1, window=8, windows=64, eval_size=4, readout="identity")
    model = make_model("elman", hidden_size=8, readout="identity")
    init = Initialisation(Glorot(scale=1.0))

    def train(updates: int) -> tuple[Run, float]:
        run = make_run(
            task=task, model=model, init=init, seed=23, updates=updates, batch_size=64, optimizer=Sgd(alpha=0.4)
        )
        training = Training([run], measurements=())
        while training.advance() is not None:
            pass
        (record,) = training.records()
        parameters = {name: array[None] for name, array in record.parameters.items()}
        return run, float(sharpness(run, parameters, task._training)[0])

    run, after_400 = train(400)
    _, after_1600 = train(1600)
    blocks = list_parameters(model, 1, 1)
    start = run.init.parameters(seed_of(run, 0), blocks)
    named = {b.name: start[b.first : b.first + b.size].reshape(1, *b.shape) for b in blocks}
    before = float(sharpness(run, named, task._training)[0])
    assert (before, after_400, after_1600) == pytest.approx((14.445, 5.399, 5.0232), rel=2e-4)


@pytest.mark.parametrize("truncation", [6, 7, 100])
def test_truncation_of_all_timesteps_has_no_bias(truncation: int) -> None:
    run, sequences = make_run(), draw_sequences(4)
    found = truncation_bias(run, draw_parameters(run.model, 2, 3), sequences, truncation)
    np.testing.assert_array_equal(found.cosine, 1.0)
    np.testing.assert_array_equal(found.ratio, 1.0)


@pytest.mark.parametrize("name", MODELS)
def test_bias_of_truncation_is_that_of_the_two_gradients(name: str) -> None:
    run, sequences = make_run(model=make_model(name), truncation=3), draw_sequences(4, ragged=True)
    parameters = draw_parameters(run.model, 2, 3, scale=1.0)
    found = truncation_bias(run, parameters, sequences, 2)
    for lane in range(3):
        theta = flat_of(run, parameters, lane)
        whole, cut = (
            gradient_of(
                dataclasses.replace(run, train=dataclasses.replace(run.train, truncation=k)), theta, sequences, UNITS
            )
            for k in (None, 2)
        )
        sizes = np.linalg.norm(whole), np.linalg.norm(cut)
        assert found.cosine[lane] == pytest.approx(whole @ cut / (sizes[0] * sizes[1]), rel=1e-12)
        assert found.ratio[lane] == pytest.approx(sizes[1] / sizes[0], rel=1e-12)
        assert found.cosine[lane] < 1.0 - 1e-6


def test_bias_of_truncation_falls_with_what_is_kept() -> None:
    run, sequences = make_run(), draw_sequences(8)
    parameters = draw_parameters(run.model, 2, 3, scale=0.4)
    cosines = np.stack([truncation_bias(run, parameters, sequences, k).cosine for k in (1, 3, 5)])
    assert (np.diff(cosines, axis=0) > 0.0).all()


def test_noise_scale_is_the_trace_of_the_covariance_over_the_square_of_the_mean() -> None:
    run, sequences = make_run(model=make_model("gru"), truncation=4), draw_sequences(9, ragged=True)
    parameters = draw_parameters(run.model, 2, 3)
    found = noise_scale(run, parameters, sequences)
    for lane in range(3):
        theta = flat_of(run, parameters, lane)
        rows = np.stack([gradient_of(run, theta, take_rows(sequences, n, n + 1)) for n in range(9)])
        mean = rows.mean(axis=0)
        np.testing.assert_allclose(mean, gradient_of(run, theta, sequences), rtol=1e-9, atol=1e-13)
        expected = np.trace(np.cov(rows.T)) / (mean @ mean)
        assert found[lane] == pytest.approx(expected, rel=1e-12)


def test_rows_that_are_all_alike_have_no_noise() -> None:
    run, sequences = make_run(), draw_sequences(1)
    twice = Sequences(np.repeat(sequences.x, 5, axis=0), np.repeat(sequences.y, 5, axis=0))
    np.testing.assert_allclose(noise_scale(run, draw_parameters(run.model, 2, 3), twice), 0.0, atol=1e-30)


@pytest.mark.parametrize("name", ["elman", "lstm"])
def test_a_network_alone_has_the_same_bits_as_among_others(name: str) -> None:
    """Among others it stands in a vector of lanes, alone in vectors of units."""
    run, lanes = make_run(model=make_model(name)), WIDTH + 3
    parameters = draw_parameters(run.model, 2, 3, lanes=lanes)
    batches = [draw_sequences(4, seed=lane) for lane in range(lanes)]
    sharp, bias = sharpness(run, parameters, batches), truncation_bias(run, parameters, batches, 2)
    noise = noise_scale(run, parameters, batches)
    assert len(set(sharp)) == lanes
    for lane in (0, WIDTH - 1, WIDTH + 2):
        own, batch = of_lane(parameters, lane), batches[lane]
        np.testing.assert_array_equal(sharpness(run, own, batch), sharp[lane : lane + 1])
        np.testing.assert_array_equal(noise_scale(run, own, batch), noise[lane : lane + 1])
        alone = truncation_bias(run, own, batch, 2)
        np.testing.assert_array_equal([alone.cosine[0], alone.ratio[0]], [bias.cosine[lane], bias.ratio[lane]])


def test_a_network_that_diverged_has_nan_and_leaves_the_others() -> None:
    run, sequences = make_run(), draw_sequences(4)
    parameters = draw_parameters(run.model, 2, 3)
    expected = [sharpness(run, parameters, sequences), noise_scale(run, parameters, sequences)]
    for array in parameters.values():
        array[1] = np.nan
    found = [sharpness(run, parameters, sequences), noise_scale(run, parameters, sequences)]
    bias = truncation_bias(run, parameters, sequences, 2)
    for numbers, before in zip(found, expected, strict=True):
        np.testing.assert_array_equal(numbers[[0, 2]], before[[0, 2]])
    for numbers in (*found, bias.cosine, bias.ratio, truncation_bias(run, parameters, sequences, 9).cosine):
        np.testing.assert_array_equal(np.isnan(numbers), [False, True, False])


def test_what_does_not_fit_is_refused_in_a_line() -> None:
    run, sequences = make_run(), draw_sequences(4)
    parameters = draw_parameters(run.model, 2, 3)
    with pytest.raises(ValueError, match="truncation=0: at least 1 timestep"):
        truncation_bias(run, parameters, sequences, 0)
    with pytest.raises(ValueError, match="sequences: 1 row; the noise of a gradient is measured from two rows on"):
        noise_scale(run, parameters, draw_sequences(1))
    with pytest.raises(ValueError, match="sequences: 2 batches of 1 shapes for 3 networks; give one for all"):
        sharpness(run, parameters, [sequences, sequences])
    with pytest.raises(ValueError, match="sequences: 3 batches of 2 shapes for 3 networks"):
        sharpness(run, parameters, [sequences, sequences, draw_sequences(5)])
    with pytest.raises(ValueError, match=r"tolerance=0\.0, iterations=100: above 0, and at least 1"):
        sharpness(run, parameters, sequences, tolerance=0.0)


def test_a_gradient_that_is_that_of_no_loss_has_no_sharpness() -> None:
    """Its derivative is not symmetric, so the largest eigenvalue of a tridiagonal matrix would be none of its."""
    run, sequences = make_run(), draw_sequences(4)
    parameters = draw_parameters(run.model, 2, 3)
    cut = dataclasses.replace(run, train=dataclasses.replace(run.train, truncation=5))
    with pytest.raises(ValueError, match=r"train\.truncation=5: its gradient is that of no loss"):
        sharpness(cut, parameters, sequences)
    whole = dataclasses.replace(run, train=dataclasses.replace(run.train, truncation=6))
    np.testing.assert_array_equal(sharpness(whole, parameters, sequences), sharpness(run, parameters, sequences))
    omega = dataclasses.replace(run, regularizer=Omega(factor=0.5))
    for measure in (sharpness, noise_scale, functools.partial(truncation_bias, truncation=2)):
        with pytest.raises(ValueError, match="regularizer=omega: its gradient is that of no loss; measure a run with"):
            measure(omega, parameters, sequences)
