"""Losses and their derivatives against NumPy; extreme logits; what is not scored; the rule of weight and batch mean."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from bptt.core.evaluation import EvaluationSet
from bptt.core.gradcheck import gradient_of
from bptt.core.kernel import LANES, SHARED, THETA
from bptt.core.layout import Net, build_net
from bptt.core.sequences import Floats, Sequences
from bptt.core.simd import WIDTH, aligned_zeros
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


def prepared(name: str, logit: Floats, target: Floats, weights: Floats) -> tuple[Net, Floats]:
    """A working memory in which a forward pass has left logits (T, rows, outputs, WIDTH); weights (T, rows, WIDTH)."""
    net = build_net(
        model=make_model("linear", readout=READOUT[name]),
        inputs=2,
        outputs=OUTPUTS,
        timesteps=STEPS,
        rows=ROWS,
        last_only=False,
        fused=LOSSES[name].fused,
    )
    memory = aligned_zeros(net.size, WIDTH)
    with np.errstate(invalid="ignore"):  # NaN among the logits
        output = np.moveaxis(output_of(name, np.moveaxis(logit, 2, -1)), -1, 2)
    memory[net.output + ROWS * OUTPUTS : net.output_delta] = output.reshape(-1, WIDTH)
    memory[net.logit : net.output] = logit.reshape(-1, WIDTH)
    memory[net.target : net.live] = target.reshape(-1, WIDTH)
    memory[net.live : net.scored] = 1.0
    memory[net.scored : net.state] = weights.reshape(-1, WIDTH)
    return net, memory


def assert_loss_right(name: str, mode: str, logit: Floats, target: Floats, weights: Floats) -> None:
    net, memory = prepared(name, logit, target, weights)
    found = calling.loss(components("losses")[name], mode, net, memory)
    z, y = np.moveaxis(logit, 2, -1), np.moveaxis(target, 2, -1)
    value = np.where(weights > 0, weights * value_of(name, z, y), 0.0)
    np.testing.assert_allclose(found, value.sum(axis=(0, 1)), rtol=1e-13)
    delta = memory[net.output_delta : net.logit_delta].reshape(STEPS, ROWS, OUTPUTS, WIDTH)
    expected = np.where(weights[..., None] > 0, weights[..., None] * derivative_of(name, z, y), 0.0)
    np.testing.assert_allclose(delta, np.moveaxis(expected, -1, 2), rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("mode", THETA)
@pytest.mark.parametrize("name", components("losses"))
def test_value_and_derivative(name: str, mode: str) -> None:
    rng = np.random.default_rng(1)
    shape = (STEPS, ROWS, OUTPUTS, WIDTH)
    target = rng.dirichlet(np.ones(OUTPUTS), (STEPS, ROWS, WIDTH)).transpose(0, 1, 3, 2)
    weights = rng.random((STEPS, ROWS, WIDTH)) * (rng.random((STEPS, ROWS, WIDTH)) < 0.7)
    assert_loss_right(name, mode, rng.standard_normal(shape) * 3.0, target, weights)
    assert_loss_right(name, mode, rng.standard_normal(shape), 2.0 * target, weights)  # not only shares of 1
    hot = np.eye(OUTPUTS)[rng.integers(OUTPUTS, size=(STEPS, ROWS, WIDTH))].transpose(0, 1, 3, 2)
    assert_loss_right(name, mode, rng.standard_normal(shape) * 10.0, hot, weights)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "cross_entropy"])
def test_extreme_logits_stay_finite(name: str) -> None:
    rng = np.random.default_rng(2)
    logit = rng.choice([-800.0, 800.0], (STEPS, ROWS, OUTPUTS, WIDTH)) + rng.standard_normal(
        (STEPS, ROWS, OUTPUTS, WIDTH)
    )
    target = np.eye(OUTPUTS)[rng.integers(OUTPUTS, size=(STEPS, ROWS, WIDTH))].transpose(0, 1, 3, 2)
    assert_loss_right(name, LANES, logit, target, np.ones((STEPS, ROWS, WIDTH)))


@pytest.mark.parametrize("name", components("losses"))
def test_what_is_not_scored_contributes_nothing_not_even_nan(name: str) -> None:
    rng = np.random.default_rng(3)
    shape = (STEPS, ROWS, OUTPUTS, WIDTH)
    logit, target = rng.standard_normal(shape), rng.random(shape)
    weights = np.ones((STEPS, ROWS, WIDTH))
    weights[1, 2, 0] = weights[3, 0, WIDTH - 1] = 0.0
    net, memory = prepared(name, logit, target, weights)
    expected = calling.loss(LOSSES[name], LANES, net, memory)
    for spoilt in (logit, target):
        spoilt[1, 2, :, 0] = spoilt[3, 0, :, WIDTH - 1] = np.nan
    net, memory = prepared(name, logit, target, weights)
    assert np.array_equal(calling.loss(LOSSES[name], LANES, net, memory), expected)
    delta = memory[net.output_delta : net.logit_delta].reshape(shape)
    assert (delta[1, 2, :, 0] == 0.0).all()
    assert (delta[3, 0, :, WIDTH - 1] == 0.0).all()
    assert np.isfinite(delta).all()


def identity_set(name: str, x: Floats, target: Floats, **more: Any) -> tuple[EvaluationSet, Floats]:
    """Sequences whose logits are their inputs, and the parameters of a linear network that make it so."""
    model = make_model("linear", hidden_size=OUTPUTS, bias="none", readout=READOUT[name])
    theta = np.concatenate([np.eye(OUTPUTS).ravel(), np.zeros(OUTPUTS**2), np.eye(OUTPUTS).ravel()])
    return EvaluationSet(model, LOSSES[name](weight=1.0), Sequences(x, target, **more)), theta


@pytest.mark.parametrize("name", components("losses"))
def test_a_sets_loss_is_the_mean_over_sequences_of_the_sum_over_scored_timesteps(name: str) -> None:
    rng = np.random.default_rng(4)
    x, target = rng.standard_normal((21, 5, OUTPUTS)), rng.dirichlet(np.ones(OUTPUTS), (21, 5))
    lengths, scored = rng.integers(1, 6, 21), rng.random((21, 5)) < 0.6
    evaluation, theta = identity_set(name, x, target, lengths=lengths, scored=scored)
    loss, output = evaluation.evaluate(theta)
    counts = scored & (np.arange(5) < lengths[:, None])
    np.testing.assert_allclose(loss, (value_of(name, x, target) * counts).sum() / 21, rtol=1e-13)
    for n, length in enumerate(lengths):
        np.testing.assert_allclose(output[n, :length], output_of(name, x)[n, :length], rtol=1e-13, atol=1e-16)
    last, theta = identity_set(name, x, target[:, 0], lengths=lengths)
    loss, output = last.evaluate(theta)
    ends = x[np.arange(21), lengths - 1]
    np.testing.assert_allclose(loss, value_of(name, ends, target[:, 0]).mean(), rtol=1e-13)
    np.testing.assert_allclose(output, output_of(name, ends), rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "cross_entropy"])
def test_a_whole_network_with_extreme_logits_is_finite(name: str) -> None:
    x = np.array([[[800.0, -800.0, 800.0], [-800.0, 0.0, 1.0]]])
    target = np.array([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    evaluation, theta = identity_set(name, x, target)
    loss, output = evaluation.evaluate(theta)
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
    assert set(THETA) == {LANES, SHARED}
    assert set(READOUT) == set(components("losses"))
