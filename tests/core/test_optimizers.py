"""Steps of every optimizer: the first two worked out by hand, more of them against other statements of the method."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from bptt.core.annotations import InvalidValue
from bptt.core.gradcheck import gradient_of
from bptt.core.kernel import BATCH_LOSS
from bptt.core.optimizers.irprop_minus import IrpropMinus
from bptt.core.optimizers.irprop_plus import IrpropPlus
from bptt.core.optimizers.rprop import Rprop
from bptt.core.optimizers.rprop_plus import RpropPlus
from bptt.core.parameters import list_parameters, to_flat, to_named
from bptt.core.run import Run, seed_of
from bptt.core.sequences import Floats, Sequences
from bptt.core.simd import WIDTH
from tests.core.calling import Steps
from tests.core.comparing import finished
from tests.core.discovering import example, stepping_optimizers
from tests.core.making import make_run

EXACT = 1e-15
THETA, FIRST, SECOND = 0.7, 0.25, -0.125  # a parameter and its first two gradients

#: Hyperparameters in the order in which the kernel names them, and the parameter after one and after two steps.
BY_HAND: dict[str, tuple[list[float], float, float]] = {
    "sgd": ([0.1], 0.7 - 0.1 * 0.25, 0.7 - 0.1 * 0.25 + 0.1 * 0.125),
    "momentum": (
        [0.1, 0.9],
        0.675,  # change 0.025
        0.665,  # change −0.0125 + 0.9 · 0.025 = 0.01
    ),
    "nesterov": (
        [0.1, 0.9],
        0.6525,  # change 0.025; θ − (0.025 + 0.0225)
        0.656,  # change 0.01; θ − (−0.0125 + 0.009)
    ),
    "rmsprop": (
        [0.01, 0.75, 1e-3],
        0.7 - 0.01 * 0.25 / (0.125 + 1e-3),  # v = 0.25 · 0.0625 = 0.125²
        # v = 0.75 · 0.015625 + 0.25 · 0.015625 = 0.015625 = 0.125²
        0.7 - 0.01 * 0.25 / (0.125 + 1e-3) + 0.01 * 0.125 / (0.125 + 1e-3),
    ),
    "adam": (
        [0.01, 0.5, 0.75, 1e-3],
        0.7 - 0.01 * 0.25 / (0.25 + 1e-3),  # m̂ = g, v̂ = g²
        # m = 0.5 · 0.125 − 0.5 · 0.125 = 0
        0.7 - 0.01 * 0.25 / (0.25 + 1e-3),
    ),
    "rprop": (
        [1.2, 0.5, 0.01],
        0.7 - 0.005,  # the sign before the first is 0, which the first differs from
        0.7 - 0.005 + 0.0025,
    ),
    "irprop_minus": (
        [1.2, 0.5, 0.01, 1e-6, 50.0],
        0.7 - 0.01,  # neither agrees nor turns
        0.7 - 0.01,  # turned: Δ = 0.005, and no step
    ),
    "adamw": (
        [0.01, 0.5, 0.75, 1e-3],  # as adam; what shrinks beside it is in test_beside.py
        0.7 - 0.01 * 0.25 / (0.25 + 1e-3),
        0.7 - 0.01 * 0.25 / (0.25 + 1e-3),
    ),
    "rprop_plus": (
        [1.2, 0.5, 0.01, 1e-6, 50.0],
        0.7 - 0.01,
        0.7,  # turned, and the step is taken back
    ),
    "irprop_plus": (
        [1.2, 0.5, 0.01, 1e-6, 50.0, 3.0],
        0.7 - 0.01,
        0.7 - 0.01,  # turned, but the loss is 3 as before
    ),
}


@pytest.mark.parametrize("name", stepping_optimizers())
def test_first_two_steps_by_hand(name: str) -> None:
    component = stepping_optimizers()[name]
    hyper, first, second = BY_HAND[name]
    assert len(hyper) == len(component.kernel.hyper)
    steps = Steps(component, hyper, [THETA])
    np.testing.assert_allclose(steps.step([FIRST]), first, rtol=EXACT)
    np.testing.assert_allclose(steps.step([SECOND]), second, rtol=EXACT)


def sgd(grads: Iterator[float], alpha: float) -> Iterator[float]:
    for g in grads:
        yield -alpha * g


def momentum(grads: Iterator[float], alpha: float, epsilon: float) -> Iterator[float]:
    """PyTorch's with its buffer multiplied by α: change = α·g + ε·change."""
    buffer = 0.0
    for g in grads:
        buffer = epsilon * buffer + g
        yield -alpha * buffer


def nesterov(grads: Iterator[float], alpha: float, epsilon: float) -> Iterator[float]:
    """torch.optim.SGD(nesterov=True): the step is the gradient plus momentum times the new buffer."""
    buffer = 0.0
    for g in grads:
        buffer = epsilon * buffer + g
        yield -alpha * (g + epsilon * buffer)


def rmsprop(grads: Iterator[float], alpha: float, decay: float, small: float) -> Iterator[float]:
    """torch.optim.RMSprop."""
    mean = 0.0
    for g in grads:
        mean = decay * mean + (1 - decay) * g**2
        yield -alpha * g / (math.sqrt(mean) + small)


def adam(grads: Iterator[float], alpha: float, beta1: float, beta2: float, small: float) -> Iterator[float]:
    """torch.optim.Adam."""
    m = v = 0.0
    for number, g in enumerate(grads, 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        yield -alpha * (m / (1 - beta1**number)) / (math.sqrt(v / (1 - beta2**number)) + small)


def sign(x: float) -> float:
    return float(np.sign(x))


def rprop(grads: Iterator[float], eta_plus: float, eta_minus: float, delta: float) -> Iterator[float]:
    """The counting article's: deltas[sign == previous] *= η⁺, the others *= η⁻; the previous sign is 0 at first."""
    previous = 0.0
    for g in grads:
        delta *= eta_plus if sign(g) == previous else eta_minus
        previous = sign(g)
        yield -sign(g) * delta


def irprop_minus(
    grads: Iterator[float], eta_plus: float, eta_minus: float, delta: float, low: float, high: float
) -> Iterator[float]:
    """torch.optim.Rprop, step sizes from etas and step_sizes: a gradient that turned counts as 0."""
    previous = 0.0
    for g in grads:
        if g * previous > 0:
            delta = min(delta * eta_plus, high)
        if g * previous < 0:
            delta, g = max(delta * eta_minus, low), 0.0
        previous = g
        yield -sign(g) * delta


def rprop_plus(
    grads: Iterator[float], eta_plus: float, eta_minus: float, delta: float, low: float, high: float
) -> Iterator[float]:
    """Igel & Hüsken's Rprop⁺: a step whose gradient turned is taken back, and the gradient counts as 0."""
    return irprop_plus(grads, eta_plus, eta_minus, delta, low, high, itertools.count())


def irprop_plus(
    grads: Iterator[float],
    eta_plus: float,
    eta_minus: float,
    delta: float,
    low: float,
    high: float,
    losses: float | Iterable[float],
) -> Iterator[float]:
    """Igel & Hüsken's iRprop⁺: as Rprop⁺, where the loss has grown."""
    previous = last = 0.0
    before = math.inf
    for g, loss in zip(grads, losses if isinstance(losses, Iterable) else itertools.repeat(losses), strict=False):
        if g * previous < 0:
            delta = max(delta * eta_minus, low)
            last = -last if loss > before else 0.0
            previous = 0.0
        else:
            delta = min(delta * eta_plus, high) if g * previous > 0 else delta
            last = -sign(g) * delta
            previous = g
        before = loss
        yield last


WRITTEN_OUT: dict[str, Callable[..., Iterator[float]]] = {
    function.__name__: function
    for function in (sgd, momentum, nesterov, rmsprop, adam, rprop, irprop_minus, rprop_plus, irprop_plus)
} | {"adamw": adam}


def course(
    definition: Callable[..., Iterator[float]], theta: float, grads: Sequence[float], hyper: list[float]
) -> Floats:
    return theta + np.cumsum(list(definition(iter(grads), *hyper)))


@pytest.mark.parametrize("name", stepping_optimizers())
def test_many_steps_against_the_written_out_definition(name: str) -> None:
    component, rng = stepping_optimizers()[name], np.random.default_rng(1)
    lanes = [example(component, 0.05 * lane) for lane in range(WIDTH)]
    hyper = np.array([[getattr(lane, field, 3.0) for lane in lanes] for field in component.kernel.hyper])
    theta, grads = (
        rng.standard_normal((5, WIDTH)),
        rng.standard_normal((25, 5, WIDTH)) * 10.0 ** rng.integers(-3, 3, 5)[:, None],
    )
    grads[:, 3] = np.abs(grads[:, 3])  # always the same sign
    grads[4:7, 4] = 0.0
    steps = Steps(component, hyper, theta)
    found = np.stack([steps.step(gradient) for gradient in grads])
    for p in range(5):
        for lane in range(WIDTH):
            expected = course(WRITTEN_OUT[name], theta[p, lane], list(grads[:, p, lane]), list(hyper[:, lane]))
            np.testing.assert_allclose(found[:, p, lane], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", stepping_optimizers())
def test_slots_belong_to_one_parameter_of_one_lane(name: str) -> None:
    component, rng = stepping_optimizers()[name], np.random.default_rng(2)
    hyper = BY_HAND[name][0]
    grads = rng.standard_normal((6, 4, WIDTH))
    together = Steps(component, hyper, np.zeros((4, WIDTH)))
    alone = Steps(component, hyper, np.zeros((1, WIDTH)))
    for gradient in grads:
        found = together.step(gradient)
        assert np.array_equal(found[2], alone.step(gradient[2:3])[0])
    spoilt = Steps(component, hyper, np.zeros((4, WIDTH)))
    for gradient in grads:
        changed = gradient.copy()
        changed[1, WIDTH - 1] = np.nan
        last = spoilt.step(changed)
    touched = np.zeros(last.shape, bool)
    touched[1, WIDTH - 1] = True
    assert np.array_equal(last[~touched], found[~touched])


@pytest.mark.parametrize("name", stepping_optimizers())
def test_frozen_lanes_do_not_move(name: str) -> None:
    component, rng = stepping_optimizers()[name], np.random.default_rng(3)
    start = rng.standard_normal((3, WIDTH))
    steps, free = Steps(component, BY_HAND[name][0], start), Steps(component, BY_HAND[name][0], start)
    steps.live[0, 1] = 0.0
    for gradient in rng.standard_normal((3, 3, WIDTH)):
        gradient[:, 1] *= np.inf
        found, expected = steps.step(gradient), free.step(gradient)
    assert np.array_equal(found[:, 1], start[:, 1])
    assert np.array_equal(np.delete(found, 1, axis=1), np.delete(expected, 1, axis=1))
    assert (found != start)[:, 0].all()


def test_rprop_of_a_zero_gradient_keeps_its_place_and_grows() -> None:
    steps = Steps(Rprop, [1.2, 0.5, 0.01], [1.0])
    assert (steps.step([0.0]) == 1.0).all()  # 0 equals the sign before the first: Δ = 0.012
    np.testing.assert_allclose(steps.step([1.0]), 1.0 - 0.006, rtol=EXACT)


def test_rprop_of_a_gradient_that_is_always_zero_never_leaves_its_place() -> None:
    steps = Steps(Rprop, [1.2, 0.5, 0.01], [1.0])
    for _ in range(4000):  # Δ is infinite by then
        steps.step([0.0])
    assert np.isinf(steps.slots[1]).all()
    assert (steps.step([0.0]) == 1.0).all()


def test_irprop_minus_keeps_its_steps_within_bounds() -> None:
    steps = Steps(IrpropMinus, [2.0, 0.5, 0.1, 0.08, 0.3], [0.0])
    places = [float(steps.step([gradient])[0, 0]) for gradient in (1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0)]
    # Δ: 0.1; 0.2; 0.3 (not 0.4); turned, 0.15; 0.15; turned, 0.08 (not 0.075); 0.08; turned, 0.08 (not 0.04); 0.08
    expected = np.cumsum([-0.1, -0.2, -0.3, 0.0, 0.15, 0.0, -0.08, 0.0, 0.08])
    np.testing.assert_allclose(places, expected, rtol=1e-14)


@pytest.mark.parametrize("kind", [IrpropMinus, RpropPlus, IrpropPlus])
def test_bounds_that_cross_are_refused(kind: type[Any]) -> None:
    with pytest.raises(InvalidValue, match=r"delta_min=2.0: at most delta_max=1.0"):
        kind(eta_plus=1.2, eta_minus=0.5, delta_zero=0.1, delta_min=2.0, delta_max=1.0)


def test_rprop_plus_takes_back_what_it_did() -> None:
    steps = Steps(RpropPlus, [2.0, 0.5, 0.1, 0.08, 0.3], [1.0])
    places = [float(steps.step([gradient])[0, 0]) for gradient in (1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0)]
    # Δ: 0.1; 0.2; 0.3 (not 0.4); turned, 0.15, and 0.3 back; 0.15; turned, 0.08 (not 0.075), and 0.15 back; 0.08
    expected = [0.9, 0.7, 0.4, 0.7, 0.85, 0.7, 0.62]
    np.testing.assert_allclose(places, expected, rtol=1e-14)


def test_irprop_plus_asks_whether_the_loss_has_grown_in_each_lane() -> None:
    """Losses that fall in lane 0, stay in lane 1, grow in lane 2, and grow once in lane 3, when nothing turns."""
    hyper, theta = [2.0, 0.5, 0.1, 1e-6, 50.0, 0.0], np.ones((2, WIDTH))
    steps, row = Steps(IrpropPlus, hyper, theta), np.array([[0.9, 1.0, 1.1, 1.0]])
    losses = [np.resize(row**number, WIDTH) for number in range(3)]
    losses[2][3] = losses[1][3] = 2.0
    found = []
    for loss, gradient in zip(losses, (1.0, 1.0, -1.0), strict=True):
        steps.change(BATCH_LOSS, loss)
        found.append(steps.step(np.full((2, WIDTH), gradient))[:, :4])
    np.testing.assert_allclose(found[0], 0.9, rtol=EXACT)
    np.testing.assert_allclose(found[1], 0.7, rtol=EXACT)
    np.testing.assert_allclose(found[2], [[0.7, 0.7, 0.9, 0.7]] * 2, rtol=EXACT)


@pytest.mark.parametrize("batch_size", [2, 9])
@pytest.mark.parametrize("name", ["rprop_plus", "irprop_plus"])
def test_backtracking_in_training(name: str, batch_size: int) -> None:
    """Ten updates, against the definition on gradients of where training was; something is taken back."""
    optimizer = dataclasses.replace(example(stepping_optimizers()[name]), delta_zero=0.3)
    runs = [make_run(optimizer=optimizer, updates=n, batch_size=batch_size, log_points=n) for n in range(1, 11)]
    records = [finished([run])[0] for run in runs]
    losses = records[-1].history["loss/train"].tolist()
    assert any(later > earlier for earlier, later in itertools.pairwise(losses))
    hyper = [losses if field == BATCH_LOSS else getattr(optimizer, field) for field in optimizer.kernel.hyper]
    blocks = list_parameters(runs[0].model, 2, 3)
    start = runs[0].init.parameters(seed_of(runs[0], 0), blocks)
    places = np.stack([start, *(to_flat(blocks, record.parameters) for record in records)])
    page = runs[-1].task.training().page(seed_of(runs[-1], 1), 0, batch_size)
    grads = np.stack(
        [
            gradient_of(runs[0], flat, Sequences(page.sequences.x[rows], page.sequences.y[rows]))
            for flat, rows in zip(places, page.rows[:10], strict=False)
        ]
    )
    back = 0
    for p in range(len(start)):
        expected = course(WRITTEN_OUT[name], start[p], list(grads[:, p]), hyper)
        np.testing.assert_allclose(places[1:, p], expected, rtol=1e-11, atol=1e-14)
        back += int(np.isclose(places[2:, p], places[:-2, p], rtol=1e-12).sum())
    assert back > 0


@pytest.mark.parametrize("batch_size", [2, 9])
@pytest.mark.parametrize("name", stepping_optimizers())
def test_training_takes_these_steps(name: str, batch_size: int) -> None:
    """Two updates of a whole run are the by-hand rule applied to the run's own gradients, in both modes."""
    optimizer = example(stepping_optimizers()[name])
    whole = finished([make_run(optimizer=optimizer, updates=2, batch_size=batch_size)])[0]
    losses = whole.history["loss/train"].tolist()
    hyper = [losses if field == BATCH_LOSS else getattr(optimizer, field) for field in optimizer.kernel.hyper]
    once = finished([make_run(optimizer=optimizer, updates=1, batch_size=batch_size)])[0].parameters
    twice = whole.parameters
    still = make_run(updates=1, batch_size=batch_size)
    blocks_gradient = _gradients(still, once, batch_size)
    for block, (start, first, second) in blocks_gradient.items():
        for place in np.ndindex(start.shape):
            grads = [float(first[place]), float(second[place])]
            moved = course(WRITTEN_OUT[name], float(start[place]), grads, hyper)
            np.testing.assert_allclose([once[block][place], twice[block][place]], moved, rtol=1e-11, atol=1e-14)


def _gradients(run: Run, once: Mapping[str, Floats], batch_size: int) -> dict[str, tuple[Floats, Floats, Floats]]:
    """Per block: the start, and the gradients of the first and, at `once`, of the second update's batch."""
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    start = run.init.parameters(np.random.SeedSequence(run.seed, spawn_key=(0,)), blocks)
    page = run.task.training().page(np.random.SeedSequence(run.seed, spawn_key=(1,)), 0, batch_size)
    grads = [
        gradient_of(run, flat, Sequences(page.sequences.x[rows], page.sequences.y[rows]))
        for flat, rows in zip((start, to_flat(blocks, once)), page.rows[:2], strict=True)
    ]
    named = [to_named(blocks, flat) for flat in (start, *grads)]
    return {block.name: (named[0][block.name], named[1][block.name], named[2][block.name]) for block in blocks}
