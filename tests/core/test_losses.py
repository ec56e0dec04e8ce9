"""Losses and their derivatives against NumPy; extreme logits; what is not scored; the rule of weight and batch mean."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from bptt.core.evaluation import Evaluation
from bptt.core.gradcheck import gradient_of
from bptt.core.kernel import LANES, MODES, UNITS
from bptt.core.sequences import Floats, Sequences
from bptt.core.simd import WIDTH
from bptt.core.workspace import Workspace, lay_out
from tests.core import calling
from tests.core.comparing import finished
from tests.core.discovering import components
from tests.core.making import LOSSES, make_model, make_run

READOUT = {"squared_error": "identity", "binary_cross_entropy": "sigmoid", "cross_entropy": "softmax"}
STEPS, ROWS, OUTPUTS = 4, 3, 3


def log_sigmoid(z: Floats) -> Floats:
    return -np.logaddexp(0.0, -z)


def log_softmax(z: Floats) -> Floats:
    shifted = z - z.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def output_of(name: str, z: Floats) -> Floats:
    if name == "squared_error":
        return z
    return np.exp(log_sigmoid(z)) if name == "binary_cross_entropy" else np.exp(log_softmax(z))


def value_of(name: str, z: Floats, target: Floats) -> Floats:
    """(…): the unweighted loss of logits (…, outputs)."""
    if name == "squared_error":
        return ((z - target) ** 2).sum(axis=-1)
    if name == "binary_cross_entropy":
        return -(target * log_sigmoid(z) + (1.0 - target) * log_sigmoid(-z)).sum(axis=-1)
    return -(target * log_softmax(z)).sum(axis=-1)


def derivative_of(name: str, z: Floats, target: Floats) -> Floats:
    """By the logits; for squared error, by the outputs."""
    if name == "squared_error":
        return 2.0 * (z - target)
    if name == "binary_cross_entropy":
        return np.exp(log_sigmoid(z)) - target
    return np.exp(log_softmax(z)) * target.sum(axis=-1, keepdims=True) - target


def prepared(name: str, mode: str, logit: Floats, target: Floats, weights: Floats) -> Workspace:
    """A working memory in which a forward pass has left logits (lanes, T, rows, outputs); weights (lanes, T, rows)."""
    shape = Sequences(np.zeros((1, STEPS, 2)), np.zeros((1, STEPS, OUTPUTS)))
    space = Workspace(lay_out(make_model("linear", readout=READOUT[name]), LOSSES[name], shape, ROWS, mode), mode)
    net = space.net
    with np.errstate(invalid="ignore"):  # NaN among the logits
        output = output_of(name, logit)
    for region, values in ((net.output, output), (net.logit, logit), (net.target, target)):
        outputs_first = np.moveaxis(values, -1, 1).reshape(len(values), OUTPUTS, -1)
        space.lanes_first(region, OUTPUTS, net.places * net.per)[:, :, : STEPS * ROWS] = outputs_first
    for region, marks in ((net.live, np.ones_like(weights)), (net.scored, weights)):
        space.lanes_first(region, net.places * net.per)[:, : STEPS * ROWS] = marks.reshape(len(marks), -1)
    return space


def written(space: Workspace) -> tuple[Floats, Floats]:
    """(the loss of each place (lanes, T, rows), ∂loss/∂output (lanes, T, rows, outputs))."""
    net = space.net
    value = space.lanes_first(net.loss, net.places * net.per)[:, : STEPS * ROWS].reshape(-1, STEPS, ROWS)
    delta = space.lanes_first(net.output_delta, OUTPUTS, net.places * net.per)[:, :, : STEPS * ROWS]
    return value, np.moveaxis(delta.reshape(-1, OUTPUTS, STEPS, ROWS), 1, -1)


def assert_loss_right(name: str, mode: str, z: Floats, y: Floats, weights: Floats) -> None:
    space = prepared(name, mode, z, y, weights)
    calling.loss(components("losses")[name], space)
    value, delta = written(space)
    expected = np.where(weights > 0, weights * value_of(name, z, y), 0.0)
    np.testing.assert_allclose(value, expected, rtol=1e-13, atol=1e-16)
    expected = np.where(weights[..., None] > 0, weights[..., None] * derivative_of(name, z, y), 0.0)
    np.testing.assert_allclose(delta, expected, rtol=1e-13, atol=1e-16)


def lanes_in(mode: str) -> int:
    return WIDTH if mode == LANES else 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", components("losses"))
def test_value_and_derivative(name: str, mode: str) -> None:
    rng = np.random.default_rng(1)
    places = (lanes_in(mode), STEPS, ROWS)
    target = rng.dirichlet(np.ones(OUTPUTS), places)
    weights = rng.random(places) * (rng.random(places) < 0.7)
    assert_loss_right(name, mode, rng.standard_normal(target.shape) * 3.0, target, weights)
    assert_loss_right(name, mode, rng.standard_normal(target.shape), 2.0 * target, weights)  # not only shares of 1
    hot = np.eye(OUTPUTS)[rng.integers(OUTPUTS, size=places)]
    assert_loss_right(name, mode, rng.standard_normal(target.shape) * 10.0, hot, weights)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "cross_entropy"])
def test_extreme_logits_stay_finite(name: str) -> None:
    rng = np.random.default_rng(2)
    places = (WIDTH, STEPS, ROWS)
    logit = rng.choice([-800.0, 800.0], (*places, OUTPUTS)) + rng.standard_normal((*places, OUTPUTS))
    assert_loss_right(name, LANES, logit, np.eye(OUTPUTS)[rng.integers(OUTPUTS, size=places)], np.ones(places))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", components("losses"))
def test_what_is_not_scored_contributes_nothing_not_even_nan(name: str, mode: str) -> None:
    rng = np.random.default_rng(3)
    places = (lanes_in(mode), STEPS, ROWS)
    logit, target = rng.standard_normal((*places, OUTPUTS)), rng.random((*places, OUTPUTS))
    weights = np.ones(places)
    weights[0, 1, 2] = weights[-1, 3, 0] = 0.0
    space = prepared(name, mode, logit, target, weights)
    calling.loss(LOSSES[name], space)
    expected = [array.copy() for array in written(space)]
    for spoilt in (logit, target):
        spoilt[0, 1, 2] = spoilt[-1, 3, 0] = np.nan
    space = prepared(name, mode, logit, target, weights)
    calling.loss(LOSSES[name], space)
    for found, clean in zip(written(space), expected, strict=True):
        assert np.array_equal(found, clean)
        assert (found[weights == 0.0] == 0.0).all()
        assert np.isfinite(found).all()


def identity_set(name: str, x: Floats, target: Floats, **more: Any) -> tuple[Evaluation, Floats]:
    """Sequences whose logits are their inputs, and the parameters of a linear network that make it so."""
    model = make_model("linear", hidden_size=OUTPUTS, bias="none", readout=READOUT[name])
    theta = np.concatenate([np.eye(OUTPUTS).ravel(), np.zeros(OUTPUTS**2), np.eye(OUTPUTS).ravel()])
    return Evaluation(model, LOSSES[name](weight=1.0), [Sequences(x, target, **more)]), theta[None]


@pytest.mark.parametrize("name", components("losses"))
def test_a_sets_loss_is_the_mean_over_sequences_of_the_sum_over_scored_timesteps(name: str) -> None:
    rng = np.random.default_rng(4)
    x, target = rng.standard_normal((21, 5, OUTPUTS)), rng.dirichlet(np.ones(OUTPUTS), (21, 5))
    lengths, scored = rng.integers(1, 6, 21), rng.random((21, 5)) < 0.6
    evaluation, theta = identity_set(name, x, target, lengths=lengths, scored=scored)
    (loss,), (output,) = evaluation.evaluate(theta)
    counts = scored & (np.arange(5) < lengths[:, None])
    np.testing.assert_allclose(loss, (value_of(name, x, target) * counts).sum() / 21, rtol=1e-13)
    for n, length in enumerate(lengths):
        np.testing.assert_allclose(output[n, :length], output_of(name, x)[n, :length], rtol=1e-13, atol=1e-16)
    last, theta = identity_set(name, x, target[:, 0], lengths=lengths)
    (loss,), (output,) = last.evaluate(theta)
    ends = x[np.arange(21), lengths - 1]
    np.testing.assert_allclose(loss, value_of(name, ends, target[:, 0]).mean(), rtol=1e-13)
    np.testing.assert_allclose(output, output_of(name, ends), rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "cross_entropy"])
def test_a_whole_network_with_extreme_logits_is_finite(name: str) -> None:
    x = np.array([[[800.0, -800.0, 800.0], [-800.0, 0.0, 1.0]]])
    target = np.array([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    evaluation, theta = identity_set(name, x, target)
    (loss,), (output,) = evaluation.evaluate(theta)
    np.testing.assert_allclose(loss, value_of(name, x, target).sum(), rtol=1e-14)
    np.testing.assert_allclose(output, output_of(name, x), rtol=1e-13, atol=1e-307)


@pytest.mark.parametrize("batch", [4, 10])
@pytest.mark.parametrize("name", components("losses"))
def test_the_gradient_is_the_mean_over_the_batch_times_the_weight(name: str, batch: int) -> None:
    model = make_model("elman", readout=READOUT[name])
    run = make_run(model=model, loss=LOSSES[name](weight=1.0))
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((batch, 5, 2)), rng.dirichlet(np.ones(3), (batch, 5))
    flat = rng.standard_normal(4 * (2 + 4 + 1) + 5 * 3)
    each = [gradient_of(run, flat, Sequences(x[n : n + 1], y[n : n + 1])) for n in range(batch)]
    np.testing.assert_allclose(gradient_of(run, flat, Sequences(x, y)), np.mean(each, axis=0), rtol=1e-11, atol=1e-14)
    heavy = dataclasses.replace(run, loss=LOSSES[name](weight=1 / 13))
    found = gradient_of(heavy, flat, Sequences(x, y))
    np.testing.assert_allclose(found, np.mean(each, axis=0) / 13, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", components("losses"))
def test_training_and_evaluation_report_the_weighted_loss(name: str) -> None:
    model = make_model("gru", readout=READOUT[name])
    for batch_size in (2, 9):
        plain, heavy = (
            finished([make_run(model=model, loss=LOSSES[name](weight=weight), updates=1, batch_size=batch_size)])[0]
            for weight in (1.0, 3.0)
        )
        for metric in ("loss/train", "grad/norm"):  # before the update
            np.testing.assert_allclose(heavy.history[metric], 3.0 * plain.history[metric], rtol=1e-14)


def test_both_modes_are_tested() -> None:
    assert set(MODES) == {LANES, UNITS}
    assert set(READOUT) == set(components("losses"))
