"""Regularizers: the gradient of their penalty, before clipping, whatever fills the vectors."""

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

from bptt.analysis.surface import compute_state_gradient
from bptt.core import lanes, training
from bptt.core.annotations import PerLane, Range
from bptt.core.clips.norm import Norm
from bptt.core.gradcheck import check_gradients, gradient_of
from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.inits.orthogonal import Orthogonal
from bptt.core.kernel import LANES, MODES, REGULARIZER, UNITS, Kernel
from bptt.core.lane_block import single_lane
from bptt.core.layout import read_net, readout_weights, state_delta_at
from bptt.core.optimizers.momentum import Momentum
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import list_parameters, parameter_count, to_flat, to_named
from bptt.core.plain import timestep, zero_state
from bptt.core.random import Generator
from bptt.core.regularizers.l2 import L2
from bptt.core.regularizers.l2_activity import L2Activity
from bptt.core.regularizers.none import NoRegularizer
from bptt.core.regularizers.omega import Omega
from bptt.core.regularizers.orthogonality import Orthogonality
from bptt.core.run import TIMED, Run, seed_of, works_on_states
from bptt.core.sequences import Pool, Sequences
from bptt.core.simd import WIDTH, element, elements, set_element
from bptt.core.training import Training, kernels_of
from tests.core.comparing import (
    assert_runs_are_the_same_beside_others,
    assert_same_bits,
    assert_same_record,
    finished,
)
from tests.core.discovering import components, example
from tests.core.making import Noise, make_model, make_run
from tests.core.pairs import every_pair

REAL = {name: kind for name, kind in components("regularizers").items() if kind.kernel is not None}


def parameters_of(run: Run, seed: int) -> Any:
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    return blocks, np.random.default_rng(seed).standard_normal(parameter_count(blocks)) * 0.4


def why_unfit(run: Run) -> str:
    """Why a regularizer can't be of such a run; empty where it can."""
    return str(getattr(run.regularizer, "find_unfit", lambda run: "")(run))


def some_sequences(count: int, outputs: int) -> Sequences:
    return Noise(outputs=outputs, ragged=True).make(Generator(np.random.SeedSequence(4)), count)


@pytest.mark.parametrize(
    ("regularizer", "name", "bias", "readout"),
    every_pair(REAL, components("models"), ("none", "single", "double"), ("none", "sigmoid")),
)
def test_gradient_is_that_of_the_penalty(regularizer: str, name: str, bias: str, readout: str) -> None:
    for hidden, layers in ((3, 2), (WIDTH, 1), (WIDTH + 1, 2)):
        hidden_size = 3 if readout == "none" else hidden
        model = make_model(name, layers=layers, bias=bias, readout=readout, hidden_size=hidden_size)
        without = make_run(model=model)
        run = dataclasses.replace(without, regularizer=example(REAL[regularizer]))
        if unfit := why_unfit(run):
            with pytest.raises(ValueError, match=f"^{REAL[regularizer].__name__} {unfit}$"):
                Training([run])
            return
        blocks, flat = parameters_of(run, hidden)
        sequences, held = some_sequences(2, 3), to_named(blocks, flat)
        of_states = {"xp": anp} if works_on_states(run.regularizer) else {}
        expected = autograd.grad(lambda named: run.regularizer.penalty(run, named, held, sequences, **of_states))(held)  # noqa: B023
        added = {}
        for mode in MODES:
            added[mode] = gradient_of(run, flat, sequences, mode) - gradient_of(without, flat, sequences, mode)
            np.testing.assert_allclose(added[mode], to_flat(blocks, expected), rtol=1e-9, atol=1e-12)
        assert_same_bits(added[LANES], added[UNITS], "what fills the vectors")


@pytest.mark.parametrize("regularizer", REAL)
def test_check_gradients_covers_it(regularizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(model=make_model("lstm", bias="double"), regularizer=example(REAL[regularizer]), batch_size=3)
    if why_unfit(run):
        run = dataclasses.replace(run, model=make_model("elman", bias="double", layers=2, hidden_size=2))
    assert all(error.ok for error in check_gradients(run))
    right = REAL[regularizer].penalty
    monkeypatch.setattr(REAL[regularizer], "penalty", lambda *given: 1.02 * right(*given))
    assert not all(error.ok for error in check_gradients(run))


def test_l2_by_hand() -> None:
    """One update of plain gradient descent: θ − α·(g + 2·factor·θ), and what is recorded of that gradient."""
    without = make_run(optimizer=Sgd(alpha=0.1), updates=1, log_points=1)
    run = dataclasses.replace(without, regularizer=L2(factor=0.25))
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    start = run.init.parameters(seed_of(run, 0), blocks)
    page = run.task.training().page(seed_of(run, 1), 0, 1)
    gradient = gradient_of(without, start, Sequences(page.sequences.x[page.rows[0]], page.sequences.y[page.rows[0]]))
    whole = gradient + 0.5 * start
    found, plain = finished([run])[0], finished([without])[0]
    np.testing.assert_allclose(to_flat(blocks, found.parameters), start - 0.1 * whole, rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(found.history["grad/norm"], np.linalg.norm(whole), rtol=1e-13)
    assert_same_bits(found.history["loss/train"], plain.history["loss/train"], "the loss has no penalty in it")
    assert_same_bits(found.flow, plain.flow, "nor has what flows back")


def test_l2_is_added_before_clipping() -> None:
    runs = [make_run(regularizer=L2(factor=factor), clip=Norm(threshold=0.5)) for factor in (0.0, 1e3)]
    free, held = finished(runs)
    assert held.history["grad/norm"].min() > 10 > free.history["grad/norm"].max()
    assert (held.history["grad/clipped"] == 1.0).all()
    moved = held.history["update/ratio"]
    assert np.isfinite(moved).all()
    assert (moved < 0.1).all()  # a step is at most α·threshold = 0.05


def test_l2_of_zero_has_the_bits_of_none() -> None:
    for name in components("models"):
        runs = [make_run(model=make_model(name), regularizer=part, seed=4) for part in (L2(factor=0.0), None)]
        found, expected = (finished([run])[0] for run in runs)
        for block, values in expected.parameters.items():
            np.testing.assert_array_equal(found.parameters[block], values)


def orthogonal(size: int) -> Any:
    return np.linalg.qr(np.random.default_rng(5).standard_normal((size, size)))[0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scale", [1.0, 0.9, 1.1])
def test_omega_of_a_scaled_orthogonal_matrix(scale: float, mode: str) -> None:
    """Every gradient goes back scale times as long: Ω = (scale² − 1)², and ∂Ω/∂R by hand."""
    run = make_run(model=make_model("linear", hidden_size=5), regularizer=Omega(factor=3.0))
    blocks, flat = parameters_of(run, 2)
    named = to_named(blocks, flat) | {"cell.0.recurrent": scale * orthogonal(5)}
    flat, sequences = to_flat(blocks, named), some_sequences(4, 3)
    np.testing.assert_allclose(
        float(run.regularizer.penalty(run, named, named, sequences)), 3.0 * (scale**2 - 1) ** 2, rtol=1e-9, atol=1e-12
    )
    without = dataclasses.replace(run, regularizer=NoRegularizer())
    added = gradient_of(run, flat, sequences, mode) - gradient_of(without, flat, sequences, mode)
    found = to_named(blocks, added)
    # Σ over i and j of R_ij · ∂Ω/∂R_ij = 4 (q − 1) q, since q is of degree 2 in R
    along = float((named["cell.0.recurrent"] * found["cell.0.recurrent"]).sum())
    np.testing.assert_allclose(along, 3.0 * 4 * (scale**2 - 1) * scale**2, rtol=1e-9, atol=1e-11)
    assert all((values == 0.0).all() for name, values in found.items() if name != "cell.0.recurrent")


def test_omega_leaves_out_gradients_that_have_vanished() -> None:
    """With a read-out of zeros nothing flows back, nothing counts, and nothing is added."""
    run = make_run(regularizer=Omega(factor=3.0))
    without = dataclasses.replace(run, regularizer=NoRegularizer())
    blocks, flat = parameters_of(run, 2)
    named = to_named(blocks, flat)
    flat = to_flat(blocks, named | {"readout.weight": 0.0 * named["readout.weight"]})
    for mode in MODES:
        found, expected = (gradient_of(one, flat, some_sequences(3, 3), mode) for one in (run, without))
        assert np.array_equal(found, expected)


def test_omega_keeps_gradients_from_vanishing() -> None:
    """From small recurrent weights: what a gradient loses per timestep gets less, unlike without it."""
    start = Initialisation(Normal(scale=0.3))
    decays = [
        finished([make_run(init=start, optimizer=Sgd(alpha=0.1), regularizer=part, updates=300, log_points=1)])[0]
        for part in (Omega(factor=2.0), None)
    ]
    kept, alone = (record.history["grad/decay"][-1] for record in decays)
    assert abs(kept) < 0.5 * abs(alone)


def test_omega_is_recorded_with_the_regularizer_and_without() -> None:
    """grad/omega is its penalty by itself, at the weights before each recorded update; all else is as it was."""
    plain = make_run(model=make_model("elman", layers=2), updates=3, log_points=3, batch_size=2)
    run = dataclasses.replace(plain, regularizer=Omega(factor=0.0))
    (found,), (expected,) = finished([plain]), finished([run])
    assert_same_record(found, expected)
    blocks = list_parameters(run.model, 2, 3)
    page, start = run.task.training().page(seed_of(run, 1), 0, 2), run.init.parameters(seed_of(run, 0), blocks)
    for update in (1, 2, 3):
        rows = page.rows[update - 1]
        sequences = Sequences(page.sequences.x[rows], page.sequences.y[rows])
        named = to_named(blocks, start)
        penalty = Omega(factor=1.0).penalty(run, named, named, sequences)
        np.testing.assert_allclose(found.history["grad/omega"][update - 1], float(penalty), rtol=1e-9)
        train = dataclasses.replace(run.train, updates=update)
        start = to_flat(blocks, finished([dataclasses.replace(run, train=train)])[0].parameters)


@pytest.mark.parametrize("batch_size", [1, 9])
@pytest.mark.parametrize("truncation", [None, 1, 2, 99])
def test_omega_is_that_of_the_whole_gradient_and_to_measure_it_changes_nothing(
    truncation: int | None, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of sequences of several lengths, whatever is cut off of the gradient that trains; l2 reads what flowed back."""
    changes: dict[str, Any] = {"task": Noise(ragged=True), "batch_size": batch_size, "updates": 4, "log_points": 2}
    runs = [
        make_run(model=make_model(name), truncation=truncation, regularizer=L2(factor=0.1), seed=seed, **changes)
        for seed, name in enumerate(("elman", "linear"))
    ]
    for run in runs:
        (found,) = finished([run])
        whole = dataclasses.replace(run.train, truncation=None)
        (first,) = finished([dataclasses.replace(run, train=whole, regularizer=Omega(factor=0.0))])
        assert found.history["grad/omega"][0] == first.history["grad/omega"][0] > 0
        with monkeypatch.context() as patch:
            for module in (lanes, training):
                patch.setattr(module, "find_measured_omega", lambda run: None)
            (without,) = finished([run])
        assert "grad/omega" not in without.history
        history = {name: values for name, values in found.history.items() if name != "grad/omega"}
        assert_same_record(dataclasses.replace(found, history=history), without)


@pytest.mark.parametrize("truncation", [None, 2])
def test_omega_is_of_the_loss_alone_beside_a_penalty_on_states(truncation: int | None) -> None:
    changes: dict[str, Any] = {"model": make_model("elman", layers=2), "updates": 1, "truncation": truncation}
    plain, pushed = (finished([make_run(**changes, regularizer=L2Activity(factor=factor))])[0] for factor in (0.0, 5.0))
    assert pushed.history["grad/omega"] == plain.history["grad/omega"]
    assert pushed.history["grad/norm"] != plain.history["grad/norm"]


@pytest.mark.parametrize("scale", [1.0, 0.9])
def test_omega_of_a_linear_network_is_known(scale: float) -> None:
    """0 of an orthogonal R, (0.81 − 1)² of 0.9·Q."""
    start = Initialisation(Normal(scale=0.5), {"recurrent": Orthogonal(scale=scale)})
    run = make_run(model=make_model("linear", hidden_size=5), init=start, updates=1, log_points=1)
    found = finished([run])[0].history["grad/omega"]
    np.testing.assert_allclose(found, (scale**2 - 1) ** 2, rtol=1e-12, atol=1e-28)


@pytest.mark.parametrize("name", ["gru", "lstm", "jordan"])
def test_omega_is_left_out_where_no_one_matrix_leads_from_state_to_state(name: str) -> None:
    assert "grad/omega" not in finished([make_run(model=make_model(name), updates=1)])[0].history


@pytest.mark.parametrize("name", ["jordan", "leaky", "lstm"])
def test_the_penalty_on_activity_flows_as_far_as_the_loss(name: str) -> None:
    """From every timestep, scored or not, each for itself: windows as of truncation, and only a last target."""
    changes = {"noise": 0.3} if name == "leaky" else {}
    for truncation, last_only in itertools.product((None, 1, 2, 4, 9), (False, True)):
        task = Noise(outputs=3, ragged=True, last_only=last_only)
        model = make_model(name, layers=2, bias="double", hidden_size=5, **changes)
        run = make_run(model=model, task=task, regularizer=L2Activity(factor=0.7), truncation=truncation)
        without = dataclasses.replace(run, regularizer=NoRegularizer())
        blocks, flat = parameters_of(run, 3)
        sequences, held = task.make(Generator(np.random.SeedSequence(4)), 3), to_named(blocks, flat)
        penalty = functools.partial(L2Activity(factor=0.7).penalty, run, xp=anp)
        expected = autograd.grad(lambda named: penalty(named, held, sequences))(held)  # noqa: B023
        whole = to_flat(blocks, expected)
        added = {
            mode: gradient_of(run, flat, sequences, mode) - gradient_of(without, flat, sequences, mode)
            for mode in MODES
        }
        assert_same_bits(added[LANES], added[UNITS], "what fills the vectors")
        assert np.linalg.norm(added[UNITS] - whole) <= 1e-10 * np.linalg.norm(whole), (truncation, last_only)


def test_mean_square_activity_is_recorded_and_becomes_small() -> None:
    """Of the batch, at the weights before the update; a factor of 0 measures and changes nothing else."""
    task = Noise(ragged=True)
    free, held = (
        make_run(model=make_model("gru", layers=2), task=task, regularizer=L2Activity(factor=f), updates=200, seed=3)
        for f in (0.0, 5.0)
    )
    (plain,), (measured,), (small,) = (
        finished([run]) for run in (dataclasses.replace(free, regularizer=NoRegularizer()), free, held)
    )
    assert [name for name in measured.history if name not in plain.history] == ["activations/mean_square"]
    for name in plain.history.keys() - TIMED:
        assert_same_bits(measured.history[name], plain.history[name], name)
    page, blocks = task.training().page(seed_of(free, 1), 0, 1), list_parameters(free.model, 2, 3)
    rows, named = page.rows[0], to_named(blocks, free.init.parameters(seed_of(free, 0), blocks))
    assert page.sequences.lengths is not None
    batch = Sequences(page.sequences.x[rows], page.sequences.y[rows], page.sequences.lengths[rows])
    squares, (state, output) = [], zero_state(free.model, 3, np)
    for x in batch.x[0, : batch.full_lengths[0]]:
        state, output, _ = timestep(free.model, named, x, state, output, np)
        squares += [np.mean(h**2) for h in state]
    np.testing.assert_allclose(measured.history["activations/mean_square"][0], np.mean(squares), rtol=1e-12)
    last = small.history["activations/mean_square"][-1]
    assert last < 0.3 * measured.history["activations/mean_square"][-1]
    assert_same_bits(small.history["loss/train"][:1], plain.history["loss/train"][:1], "the loss has no penalty in it")
    assert_same_bits(small.flow[:1], plain.flow[:1], "nor has what flows back")


def test_mean_square_activity_is_of_the_units_alone() -> None:
    """Sigmoid units that only fill a vector would have ½: alone, where units fill it, and among others."""
    model = make_model("elman", hidden_size=3, activation="sigmoid")
    runs = [
        make_run(model=model, regularizer=L2Activity(factor=0.1), seed=seed, updates=4) for seed in range(WIDTH + 1)
    ]
    assert_runs_are_the_same_beside_others(runs, "cell.0.input")


def test_orthogonality_draws_singular_values_to_one() -> None:
    """Of an orthogonal matrix it is 0; from any start, with a large factor, one comes about."""
    run = make_run(model=make_model("gru"), regularizer=Orthogonality(factor=1.0))
    blocks, flat = parameters_of(run, 3)
    named = to_named(blocks, flat)
    named["cell.0.recurrent"] = np.concatenate([orthogonal(4)] * 3, axis=1)
    assert float(run.regularizer.penalty(run, named, named, None)) < 1e-28  # type: ignore[arg-type]
    for mode in MODES:
        both = (run, dataclasses.replace(run, regularizer=NoRegularizer()))
        added = np.subtract(*(gradient_of(one, to_flat(blocks, named), some_sequences(2, 3), mode) for one in both))
        assert np.abs(added).max() < 1e-14
    drawn = make_run(optimizer=Sgd(alpha=0.01), regularizer=Orthogonality(factor=5.0), updates=500, log_points=1)
    values = np.linalg.svd(finished([drawn])[0].parameters["cell.0.recurrent"], compute_uv=False)
    assert np.abs(values - 1).max() < 0.05


def test_omega_asks_for_one_window_and_one_matrix() -> None:
    says = "asks for gradients that flow through all timesteps: use train.truncation=null"
    with pytest.raises(ValueError, match=f"^Omega {says}$"):
        Training([make_run(regularizer=Omega(factor=1.0), truncation=2)])


def test_none_is_never_called() -> None:
    called = [{kernel for kernel, _ in kernels_of([make_run(regularizer=part)])} for part in (None, L2(factor=1.0))]
    assert called[1] - called[0] == {L2.kernel}


@pytest.mark.parametrize("regularizer", REAL)
def test_lanes_have_their_own_and_go_on_in_the_middle(regularizer: str) -> None:
    def run_of(lane: int) -> Run:
        part = example(REAL[regularizer], 0.5 * lane)
        sgd = Momentum(alpha=0.05, epsilon=0.5)
        return make_run(optimizer=sgd, regularizer=part, seed=lane % 2, updates=9, log_points=4, batch_size=2)

    runs = [run_of(lane) for lane in range(WIDTH + 1)]
    assert_runs_are_the_same_beside_others(runs, "cell.0.recurrent")


@REGULARIZER("factor")
def add_deltas(sizes, theta, gradient, memory, begin, hyper):  # type: ignore[no-untyped-def]
    """To the read-out's weights of output 0: Σ over timesteps and rows of ∂loss/∂h of the top layer's units."""
    net = read_net(sizes)
    goes = elements(gradient, readout_weights(net) - net.weights + net.gradient)
    for t in range(begin, net.timesteps):
        for r in range(net.batch):
            given = elements(memory, state_delta_at(net, net.layers - 1, t)) + r * net.slots * net.span
            for j in range(net.hidden):
                place = goes + j * (net.outputs if net.per == 1 else 1)
                set_element(gradient, place, element(gradient, place) + hyper.factor * element(memory, given + j))


@dataclass(frozen=True, kw_only=True)
class Deltas:
    """What a regularizer that asks for ∂loss/∂h can see."""

    factor: Annotated[PerLane, Range(at_least=0)]

    kernel: ClassVar[Kernel] = add_deltas
    keeps_deltas: ClassVar[bool] = True

    def penalty(self, run: Any, parameters: Mapping[str, Any], held: Any, sequences: Any) -> Any:
        return 0.0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["linear", "elman", "gru", "lstm"])
def test_a_regularizer_sees_what_flows_back_to_every_state(name: str, mode: str) -> None:
    """With a target at the last timestep alone, training's ∂loss/∂h is what the gradient flow is measured of."""
    model = make_model(name, layers=2, hidden_size=5)
    without = make_run(model=model, task=Noise(last_only=True))
    run = dataclasses.replace(without, regularizer=Deltas(factor=1.0))
    blocks, flat = parameters_of(run, 7)
    sequences = run.task.evaluation(Generator(np.random.SeedSequence(5)))
    plain, seen = (to_named(blocks, gradient_of(one, flat, sequences, mode)) for one in (without, run))
    added = (seen["readout.weight"] - plain["readout.weight"])[:, 0]
    expected = compute_state_gradient(without, flat, sequences)[-1].sum(axis=0)
    np.testing.assert_allclose(added, expected, rtol=1e-9, atol=1e-13)
    for block, values in plain.items():
        if block != "readout.weight":
            assert_same_bits(seen[block], values, block)


def test_keeping_deltas_changes_no_bit() -> None:
    for name in components("models"):
        without = make_run(model=make_model(name), updates=6, batch_size=2, seed=2)
        kept = dataclasses.replace(without, regularizer=Deltas(factor=0.0))
        found, expected = finished([kept])[0], finished([without])[0]
        for block, values in expected.parameters.items():
            np.testing.assert_array_equal(found.parameters[block], values)
        assert_same_bits(found.flow, expected.flow, "flow")


def test_the_gradient_that_is_left_is_the_clipped_one() -> None:
    run = make_run(regularizer=L2(factor=3.0), clip=Norm(threshold=0.01), updates=1)
    _, flat = parameters_of(run, 1)
    lane = single_lane(run, Pool(some_sequences(2, 3), "sequential"), flat)
    lane.train(0, 1)
    np.testing.assert_allclose(np.linalg.norm(lane.gradients[0]), 0.01, rtol=1e-12)
