"""Recurrent weights that stay orthogonal, or within a margin of it."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from bptt.configuration.checks import check_remedies
from bptt.core.clips.norm import Norm
from bptt.core.gradcheck import check_gradients, gradient_of
from bptt.core.inits.constant import Constant
from bptt.core.inits.identity import Identity
from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.inits.orthogonal import Orthogonal
from bptt.core.kernel import LANES, UNITS
from bptt.core.lane_block import single_lane
from bptt.core.optimizers.adam import Adam
from bptt.core.optimizers.momentum import Momentum
from bptt.core.optimizers.recurrent_constraint import draw_start
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import list_parameters, to_named
from bptt.core.plain import move_constrained
from bptt.core.run import Run, seed_of
from bptt.core.sequences import Floats
from bptt.core.simd import WIDTH
from bptt.core.training import Training
from tests.core.comparing import assert_runs_are_the_same_beside_others, assert_same_record, finished
from tests.core.making import make_model, make_run

R = "cell.0.recurrent"


def held(name: str = "elman", margin: float = 0.0, **changes: Any) -> Run:
    """A run whose R is held; fields of its model by their names."""
    fields = {key: changes.pop(key) for key in ("hidden_size", "layers", "bias") if key in changes}
    model = make_model(name, recurrent_constraint="orthogonal", spectral_margin=margin, **fields)
    chosen: dict[str, Any] = {"optimizer": Sgd(alpha=0.1), "seed": 1} | changes
    return make_run(model=model, **chosen)


def far_from_orthogonal(matrix: Floats) -> float:
    return float(np.linalg.norm(matrix.T @ matrix - np.eye(len(matrix))))


def singular(matrix: Floats) -> Any:
    return np.linalg.svd(matrix, compute_uv=False)


def lowered(mode: str, run: Run, updates: int) -> tuple[Floats, dict[str, Floats]]:
    """The parameters, and all else that is kept, of a run alone in either mode."""
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    block = single_lane(run, run.task.training(), draw_start(run, blocks), mode)
    block.train(0, updates)
    return block.parameters[0], block.saved(0)


@pytest.mark.parametrize(("hidden", "layers", "bias"), [(5, 1, "single"), (WIDTH + 1, 2, "double"), (WIDTH, 1, "none")])
def test_updates_are_their_plain_statement(hidden: int, layers: int, bias: str) -> None:
    """Momentum on a clipped gradient; what it would take from R moves U, V and p. In both modes the same bits."""
    run = held(
        margin=0.3, hidden_size=hidden, layers=layers, bias=bias, optimizer=Momentum(alpha=0.2, epsilon=0.5),
        clip=Norm(threshold=0.5), updates=20, batch_size=3,
    )  # fmt: skip
    blocks = list_parameters(run.model, 2, 3)
    (units, kept), (lanes, _) = (lowered(mode, run, 20) for mode in (UNITS, LANES))
    assert np.array_equal(units, lanes)
    theta, page = draw_start(run, blocks), run.task.training().page(seed_of(run, 1), 0, 3)
    change, eye = np.zeros_like(theta), np.eye(hidden)
    own = [block for block in blocks if block.kind == "recurrent"]
    factors = {b.name: (theta[b.first : b.first + b.size].reshape(b.shape), eye, np.zeros(hidden)) for b in own}
    for rows in page.rows[:20]:
        gradient = gradient_of(
            run, theta, dataclasses.replace(page.sequences, x=page.sequences.x[rows], y=page.sequences.y[rows])
        )
        change = 0.2 * gradient * min(1.0, 0.5 / float(np.linalg.norm(gradient))) + 0.5 * change
        theta = theta - change
        for b in own:
            place = slice(b.first, b.first + b.size)
            r, *factors[b.name] = move_constrained(change[place].reshape(b.shape), *factors[b.name], 0.3)  # type: ignore[assignment]
            theta[place] = r.ravel()
    np.testing.assert_allclose(units, theta, rtol=1e-10, atol=1e-13)
    for b, found in zip(own, kept["factors"], strict=True):
        np.testing.assert_allclose(found, np.vstack([*factors[b.name][:2], factors[b.name][2][None]]), atol=1e-12)
        assert np.abs(found[-1]).max() > 1e-3  # p has moved


@pytest.mark.parametrize("margin", [0.0, 0.001, 0.1, 1.0])
def test_it_holds_over_many_updates(margin: float) -> None:
    """‖UᵀU − I‖ and ‖VᵀV − I‖ stay below 1e-12, and singular values within the margin, with large steps all along."""
    run = held(margin=margin, hidden_size=6, optimizer=Sgd(alpha=0.5), updates=10_000, log_points=2)
    _, kept = lowered(UNITS, run, 10_000)
    (found,) = kept["factors"]
    u, v, p = found[:6], found[6:12], found[12]
    assert max(far_from_orthogonal(u), far_from_orthogonal(v)) < 1e-12
    values = singular(to_named(list_parameters(run.model, 2, 3), kept["parameters"])[R])
    assert np.abs(values - 1.0).max() <= margin + 1e-13
    assert np.linalg.norm(u - np.eye(6)) > 0.1
    share = 1.0 / (1.0 + np.exp(-p))
    np.testing.assert_allclose(values, np.sort(2 * margin * (share - 0.5) + 1)[::-1], rtol=1e-12)
    assert (p != 0.0).any() == (margin > 0)


@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_a_small_step_lowers_the_loss_by_the_gradient_along_the_constraint(margin: float) -> None:
    """dL/dα = −½‖A‖² − ½‖B‖² − ‖∂L/∂p‖² at α = 0, of R alone, by the loss before and after."""
    run = held(margin=margin, hidden_size=5, optimizer=Sgd(alpha=1e-6), only=("recurrent",), updates=2, log_points=2)
    blocks = list_parameters(run.model, 2, 3)
    page, start = run.task.training().page(seed_of(run, 1), 0, 1), draw_start(run, blocks)
    rows = page.rows[0]
    data = dataclasses.replace(page.sequences, x=page.sequences.x[rows], y=page.sequences.y[rows])
    g, r = (to_named(blocks, flat)[R] for flat in (gradient_of(run, start, data), start))
    a, b, slope = g @ r.T - r @ g.T, g.T @ r - r.T @ g, margin / 2 * np.diag(r.T @ g)
    expected = 0.5 * (a**2).sum() + 0.5 * (b**2).sum() + (slope**2).sum()
    theta, _ = lowered(UNITS, run, 1)
    moved = to_named(blocks, theta)[R] - r
    np.testing.assert_allclose(-(g * moved).sum() / 1e-6, expected, rtol=1e-4)
    assert expected > 1e-6


@pytest.mark.parametrize("batch_size", [1, 9])
def test_lanes_have_their_own_margin_and_go_on_in_the_middle(batch_size: int) -> None:
    """Beside one that diverges."""
    rates = [0.1, 0.05, 1e200, *[0.02 * lane for lane in range(1, WIDTH - 1)]]
    runs = [
        held(
            "linear", margin=0.1 * (lane % 3), optimizer=Sgd(alpha=alpha), seed=lane, updates=40, batch_size=batch_size
        )
        for lane, alpha in enumerate(rates)
    ]
    assert_runs_are_the_same_beside_others(runs, R)


@pytest.mark.parametrize(
    "scheme", [Orthogonal(scale=1.0), Normal(scale=0.3), Identity(scale=2.0, input_std=0.1), Constant(scale=0.0)]
)
def test_it_starts_from_the_orthogonal_factor_of_what_an_init_gives(scheme: Any) -> None:
    run = held(init=Initialisation(scheme), hidden_size=7)
    blocks = list_parameters(run.model, 2, 3)
    given = to_named(blocks, run.init.parameters(seed_of(run, 0), blocks))
    found = to_named(blocks, draw_start(run, blocks))
    assert far_from_orthogonal(found[R]) < 1e-14
    if not isinstance(scheme, Constant):
        upper = found[R].T @ given[R]
        np.testing.assert_allclose(np.tril(upper, -1), 0.0, atol=1e-14)
        assert (np.diag(upper) > 0).all()
    if isinstance(scheme, Orthogonal):
        np.testing.assert_allclose(found[R], given[R], atol=1e-14)
    assert all(np.array_equal(found[name], given[name]) for name in found if name != R)
    assert all(error.ok for error in check_gradients(run))


def test_what_is_not_trained_stays() -> None:
    run = held(only=("readout",), updates=40)
    blocks = list_parameters(run.model, 2, 3)
    (record,) = finished([run])
    assert np.array_equal(record.parameters[R], to_named(blocks, draw_start(run, blocks))[R])


def test_a_linear_network_neither_loses_nor_adds_to_what_flows_back() -> None:
    """Ω is 0, gradients keep their length, and the spectral radius is 1, all through training."""
    history = finished([held("linear", updates=200, log_points=5)])[0].history
    np.testing.assert_allclose(history["weights/spectral_radius"], 1.0, rtol=1e-12)
    assert history["grad/omega"].max() < 1e-24


def test_none_has_the_bits_of_a_model_that_does_not_know_it() -> None:
    """A margin without a constraint is nothing."""
    plain, margined = (
        make_run(model=make_model("elman", **fields), seed=2) for fields in ({}, {"spectral_margin": 0.3})
    )
    for found, expected in zip(finished([plain]), finished([margined]), strict=True):
        assert_same_record(found, expected)


def test_other_optimizers_are_refused() -> None:
    run = held(optimizer=Adam(alpha=0.1, beta1=0.9, beta2=0.99, small_constant=1e-8))
    says = "asks for steps along the gradient: use optimizer=sgd, optimizer=momentum or optimizer=nesterov"
    assert check_remedies(run) == [f"model.recurrent_constraint=orthogonal: {says}"]
    with pytest.raises(ValueError, match=f"^recurrent_constraint=orthogonal {says}$"):
        Training([run])
    loose = make_run(model=make_model("elman", spectral_margin=0.1))
    assert check_remedies(loose) == [
        "model.spectral_margin=0.1: has no effect with model.recurrent_constraint=none; use 0, or orthogonal"
    ]
