"""Leaky units, their noise and Dale's law: values by hand, bits in any company and from the middle, planted errors."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from bptt.core.evaluation import predict
from bptt.core.gradcheck import check_gradients
from bptt.core.inits.constant import Constant
from bptt.core.inits.identity import Identity
from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.inits.sparse import Sparse
from bptt.core.kernel import LANES, UNITS
from bptt.core.lane_block import single_lane
from bptt.core.lanes import fusing_key
from bptt.core.models.dale import keep_signs, sign_parameters, sign_units
from bptt.core.models.leaky import Leaky
from bptt.core.optimizers.adam import Adam
from bptt.core.optimizers.momentum import Momentum
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import list_parameters
from bptt.core.random import Generator
from bptt.core.regularizers.l2_activity import L2Activity
from bptt.core.regularizers.omega import OMEGA_METRIC
from bptt.core.run import Run, seed_of
from bptt.core.sequences import Floats, Sequences
from bptt.core.shapes.training import may_have_kernel
from bptt.core.simd import WIDTH
from bptt.core.training import Training
from tests.core.comparing import assert_runs_are_the_same_beside_others, assert_same_bits, assert_same_record, finished
from tests.core.making import Noise, make_model, make_run
from tests.core.test_training import Given, batch_of, start_of


def leaky(**changes: Any) -> Any:
    return make_model("leaky", **({"hidden_size": 5} | changes))


def states_of(run: Run, named: Any, sequences: Sequences, xi: Any = None) -> list[list[Floats]]:
    """The top layer's h of each sequence and timestep, its equations written out; xi (layers, T, N, H)."""
    model, found = run.model, []
    a, sigma, steps = model.leak, model.noise, sequences.timesteps  # type: ignore[attr-defined]
    for n in range(sequences.count):
        length, below = int(sequences.full_lengths[n]), list(sequences.x[n])
        for layer in range(model.layers):
            W, R, b = (named[f"cell.{layer}.{name}"] for name in ("input", "recurrent", "bias"))
            h, states = np.zeros(model.hidden_size), []
            for t in range(length):
                z = below[t] @ W + h @ R + b
                if xi is not None:
                    z = z + np.sqrt(2.0 / a) * sigma * xi[layer, steps - length + t, n]
                h = (1.0 - a) * h + a * np.tanh(z)
                states.append(h)
            below = states
        found.append(below)
    return found


def loss_of(run: Run, named: Any, sequences: Sequences, xi: Any = None) -> float:
    total = 0.0
    for n, states in enumerate(states_of(run, named, sequences, xi)):
        for t, h in enumerate(states):
            y = 1.0 / (1.0 + np.exp(-(h @ named["readout.weight"] + named["readout.bias"])))
            total += ((y - sequences.y[n, t]) ** 2).sum()
    return total / sequences.count


@pytest.mark.parametrize(("activation", "layers", "truncation"), [("tanh", 2, None), ("relu", 1, 2), ("sigmoid", 2, 1)])
def test_a_leak_of_1_without_noise_has_elmans_bits(activation: str, layers: int, truncation: int | None) -> None:
    """Weights, states, what is recorded, the flow of the gradient: alone, and in lanes."""
    shape = {"activation": activation, "layers": layers, "hidden_size": 5, "bias": "double"}
    settings: dict[str, Any] = {"truncation": truncation, "batch_size": 2, "task": Noise(ragged=True), "updates": 8}
    for lanes in (1, WIDTH + 1):
        found, expected = (
            finished([make_run(model=make_model(name, **shape, **own), seed=seed, **settings) for seed in range(lanes)])
            for name, own in (("leaky", {"leak": 1.0}), ("elman", {}))
        )
        for ours, elmans in zip(found, expected, strict=True):
            history = {name: values for name, values in elmans.history.items() if name != OMEGA_METRIC}
            assert_same_record(ours, dataclasses.replace(elmans, history=history))


def test_outputs_are_those_of_the_equation_and_have_no_noise() -> None:
    run = make_run(model=leaky(layers=2, noise=0.7), task=Noise(ragged=True))
    named, sequences = start_of(run), run.task.evaluation(Generator(np.random.SeedSequence(3)))
    found = predict(run, named, sequences)
    for n, states in enumerate(states_of(run, named, sequences)):
        logits = np.array(states) @ named["readout.weight"] + named["readout.bias"]
        np.testing.assert_allclose(found[n, : len(states)], 1.0 / (1.0 + np.exp(-logits)), rtol=1e-12)
    quiet = dataclasses.replace(run, model=leaky(layers=2, noise=0.0))
    np.testing.assert_array_equal(predict(quiet, named, sequences), found)


@pytest.mark.parametrize("batch", [1, 3])
def test_noise_is_the_runs_stream_5_of_each_update_and_timestep(batch: int) -> None:
    """With weights that stay: loss/train of each update, with numbers drawn here; loss/eval without any."""
    run = make_run(
        model=leaky(layers=2, noise=0.3), task=Noise(ragged=True), optimizer=Sgd(alpha=0.0), batch_size=batch, updates=3
    )
    run = dataclasses.replace(run, train=dataclasses.replace(run.train, log_points=3))
    (record,) = finished([run])
    named, drawn = start_of(run), Generator(np.random.SeedSequence(0, spawn_key=(5,)))
    for update in (1, 2, 3):
        xi = drawn.standard_normal((2, 5, batch, 5))
        expected = loss_of(run, named, batch_of(run, update), xi)
        np.testing.assert_allclose(record.history["loss/train"][update - 1], expected, rtol=1e-12)
        assert abs(expected / loss_of(run, named, batch_of(run, update)) - 1) > 1e-4
    evaluation = run.task.evaluation(Generator(seed_of(run, 2)))
    np.testing.assert_allclose(record.history["loss/eval"], loss_of(run, named, evaluation), rtol=1e-12)


@pytest.mark.parametrize("leak", [0.1, 0.5, 1.0])
def test_the_noise_of_a_unit_by_itself_has_the_variance_of_its_process(leak: float) -> None:
    """h ← (1 − a) h + √(2a) σ ξ comes to the variance σ²/(1 − a/2), whatever the timestep is of the time constant."""
    sequences = Sequences(np.zeros((400, 80, 1)), np.zeros((400, 1)))
    model = leaky(leak=leak, noise=0.3, activation="identity", hidden_size=20, bias="none", readout="identity")
    run = make_run(
        model=model, task=Given(sequences), init=Initialisation(Constant(scale=0.0)), batch_size=400, updates=1
    )
    (record,) = finished([run])
    h = record.state[:, :20]
    assert abs(h.var() / (0.3**2 / (1 - leak / 2)) - 1) < 0.06  # 8,000 numbers: four standard errors
    assert abs(h.mean()) < 0.02


def test_the_gradient_of_a_linear_unit_by_itself_fades_by_one_minus_the_leak() -> None:
    init = Initialisation(Normal(scale=0.5), {"recurrent": Constant(scale=0.0)})
    for leak in (0.05, 0.3):
        run = make_run(model=leaky(leak=leak, activation="identity"), init=init, task=Noise(timesteps=30), updates=1)
        (record,) = finished([run])
        np.testing.assert_allclose(record.history["grad/decay"], np.log(1.0 - leak), rtol=1e-12)


def mixed(lane: int, **changes: Any) -> Run:
    """A run whose numbers are its own; every third has no noise."""
    dale = changes.pop("dale", None)
    model = leaky(leak=0.2 + 0.05 * lane, noise=(0.0, 0.1, 0.2)[lane % 3], dale=dale, layers=2)
    given: dict[str, Any] = {"batch_size": 2, "updates": 9, "log_points": 4, "task": Noise(ragged=True)} | changes
    return make_run(model=model, seed=lane % 2, **given)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": Momentum(alpha=0.05, epsilon=0.5, noise=0.1)},
        {"dale": 0.6, "optimizer": Adam(alpha=0.05, beta1=0.9, beta2=0.99, small_constant=1e-8), "truncation": 2},
        {"dale": 0.6, "regularizer": L2Activity(factor=0.5), "carry_state": True, "batch_size": 1},
    ],
    ids=["noise of the gradient too", "signs and windows", "signs, activity and a carried state"],
)
def test_lanes_have_their_own_numbers_and_go_on_in_the_middle(changes: dict[str, Any]) -> None:
    runs = [mixed(lane, **changes) for lane in range(WIDTH + 1)]
    assert len({fusing_key(run) for run in runs}) == 1
    assert_runs_are_the_same_beside_others(runs, "cell.0.recurrent")


def test_vectors_of_units_and_of_lanes_draw_the_same_noise() -> None:
    for hidden in (3, WIDTH, WIDTH + 1):
        run = make_run(model=leaky(noise=0.4, dale=0.5, hidden_size=hidden), batch_size=3, task=Noise(ragged=True))
        start = run.init.parameters(seed_of(run, 0), list_parameters(run.model, 2, 3))
        ends = {}
        for mode in (UNITS, LANES):
            block = single_lane(run, run.task.training(), start, mode)
            block.train(0, 3)
            block.train(3, 5)
            ends[mode] = block.parameters[0]
        assert_same_bits(ends[LANES], ends[UNITS], "what fills the vectors")


def test_no_kernel_is_made_for_their_shape() -> None:
    """Such kernels know neither noise and signs nor penalties on states."""
    elman = make_run(task=Noise(outputs=1))
    assert may_have_kernel(elman)
    assert not may_have_kernel(dataclasses.replace(elman, model=leaky()))
    assert not may_have_kernel(dataclasses.replace(elman, regularizer=L2Activity(factor=0.1)))


def test_signs_are_of_the_group() -> None:
    keys = {fusing_key(make_run(model=leaky(dale=dale, leak=leak))) for dale in (None, 0.5, 0.8) for leak in (0.2, 0.4)}
    assert len(keys) == 3
    with pytest.raises(ValueError, match="only runs that differ in seed"):
        Training([make_run(model=leaky(dale=dale)) for dale in (None, 0.8)])


@pytest.mark.parametrize(("share", "hidden", "exciting"), [(0.8, 16, 13), (0.8, 5, 4), (0.0, 4, 0), (1.0, 4, 4)])
def test_units_that_excite_come_first(share: float, hidden: int, exciting: int) -> None:
    units = sign_units(leaky(dale=share, hidden_size=hidden))
    assert units is not None
    assert units.tolist() == [1.0] * exciting + [-1.0] * (hidden - exciting)


def test_a_cell_s_noise_is_one_of_its_numbers_and_signs_are_of_units() -> None:
    with pytest.raises(ValueError, match="noise='sigma' is none of the numbers"):
        dataclasses.replace(Leaky.cell, noise="sigma")

    class Fed(Leaky):
        cell = make_model("jordan").cell

    model = Fed(hidden_size=2, layers=1, activation="tanh", bias="none", readout="sigmoid", leak=0.5, dale=0.5)
    with pytest.raises(ValueError, match="weights from unit to unit, which Fed does not have"):
        sign_parameters(model, list_parameters(model, 2, 3))


def test_rows_of_recurrent_weights_keep_their_signs() -> None:
    """Whatever training does to R′, which crosses 0 here: what is left, measured and predicted with is D |R′|."""
    run = make_run(model=leaky(dale=0.6, layers=2), optimizer=Sgd(alpha=1.0), updates=60)
    training = Training([run])
    while training.advance() is not None:
        pass
    (record,) = training.records()
    blocks = list_parameters(run.model, 2, 3)
    raw = training.checkpoint()["lane.parameters"][0]
    crossed = np.sign(raw) != np.sign(run.init.parameters(seed_of(run, 0), blocks))
    recurrent = np.concatenate([np.full(b.size, b.kind == "recurrent") for b in blocks])
    assert crossed[recurrent].any()
    signs = sign_parameters(run.model, blocks)
    assert signs is not None
    for block in blocks:
        values, own = record.parameters[block.name], raw[block.first : block.first + block.size].reshape(block.shape)
        if block.kind == "recurrent":
            assert (values[:3] >= 0).all()
            assert (values[3:] <= 0).all()
            assert_same_bits(np.abs(values), np.abs(own), block.name)
        else:
            assert_same_bits(values, own, block.name)
    radius = max(np.abs(np.linalg.eigvals(record.parameters[f"cell.{n}.recurrent"])).max() for n in range(2))
    np.testing.assert_allclose(record.history["weights/spectral_radius"][-1], radius, rtol=1e-9)
    evaluation = run.task.evaluation(Generator(seed_of(run, 2)))
    np.testing.assert_allclose(record.history["loss/eval"][-1], loss_of(run, record.parameters, evaluation), rtol=1e-12)


def test_which_sign_a_trained_number_has_makes_no_difference() -> None:
    run = make_run(model=leaky(dale=0.6), optimizer=Momentum(alpha=0.2, epsilon=0.5), batch_size=2)
    blocks = list_parameters(run.model, 2, 3)
    start = run.init.parameters(seed_of(run, 0), blocks)
    ends = []
    for given in (start, keep_signs(start, sign_parameters(run.model, blocks))):
        block = single_lane(run, run.task.training(), given)
        block.train(0, 20)
        ends.append(block.parameters[0])
    np.testing.assert_array_equal(*ends)
    assert np.abs(ends[0] - start).max() > 0.1


def test_a_connection_of_0_is_none_and_stays_so() -> None:
    init = Initialisation(Normal(scale=0.5), {"recurrent": Identity(scale=0.5, input_std=0.1)})
    free, signed = (
        finished([make_run(model=leaky(dale=dale), init=init)])[0].parameters["cell.0.recurrent"]
        for dale in (None, 0.6)
    )
    between = ~np.eye(5, dtype=bool)
    assert (free[between] != 0).all()
    assert (signed[between] == 0).all()
    assert np.sign(np.diag(signed)).tolist() == [1, 1, 1, -1, -1]


PLAIN = Leaky.cell.plain


@pytest.mark.parametrize("lost", [0.0, 0.7])
def test_gradients_are_checked_by_what_keeps_to_signs(lost: float) -> None:
    """|R′| has no slope where a connection is not there, and bends near it: a difference across it is none."""
    start = Initialisation(Sparse(entries=1, radius=1.0, scale=0.3) if lost else Normal(scale=1e-3))
    run = make_run(model=leaky(dale=0.5, hidden_size=5), init=start, batch_size=3)
    assert all(error.ok for error in check_gradients(run))


@pytest.mark.parametrize(
    "change",
    [
        lambda p: {"leak": 1.002 * p["leak"]},
        lambda p: {"noise": 1.05 * p["noise"]},
        lambda p: {"recurrent": abs(p["recurrent"])},
    ],
    ids=["leak", "noise", "signs"],
)
def test_a_planted_error_fails_the_check(change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, task = leaky(noise=0.4, dale=0.6, hidden_size=3), Noise(timesteps=3, ragged=True)
    run = make_run(model=model, task=task, batch_size=3, regularizer=L2Activity(factor=1.0))
    assert all(error.ok for error in check_gradients(run))
    wrong = dataclasses.replace(Leaky.cell, plain=lambda p, *given: PLAIN({**p, **change(p)}, *given))
    monkeypatch.setattr(Leaky, "cell", wrong)
    assert not all(error.ok for error in check_gradients(run))
