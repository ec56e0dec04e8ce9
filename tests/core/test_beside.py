"""What is beside an optimizer's step, weight decay and noise, alone and together with everything else."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bptt.configuration.checks import check_remedies
from bptt.core.clips.norm import Norm
from bptt.core.gradcheck import gradient_of
from bptt.core.kernel import LANES, UNITS
from bptt.core.lane_block import single_lane
from bptt.core.lanes import BESIDE
from bptt.core.optimizers.adamw import AdamW
from bptt.core.optimizers.noise import AddsNoise
from bptt.core.optimizers.recurrent_constraint import draw_start, find_constraint
from bptt.core.optimizers.rprop import Rprop
from bptt.core.optimizers.sgd import Sgd
from bptt.core.optimizers.weight_decay import ShrinksWeights
from bptt.core.parameters import list_parameters, mark_trained, to_flat, to_named
from bptt.core.plain import move_constrained
from bptt.core.random import Generator
from bptt.core.regularizers.l2 import L2
from bptt.core.run import Run, seed_of
from bptt.core.sequences import Floats, Sequences
from bptt.core.shapes import training as shapes
from bptt.core.shapes.training import ShapeKernel
from bptt.core.simd import WIDTH
from bptt.core.training import Training, kernels_of
from tests.core.comparing import (
    assert_runs_are_the_same_beside_others,
    assert_same_parameters,
    assert_same_record,
    finished,
)
from tests.core.discovering import components, example, stepping_optimizers
from tests.core.making import Noise, make_model, make_run

OPTIMIZERS = stepping_optimizers()
SHRINKING = [name for name, kind in OPTIMIZERS.items() if issubclass(kind, ShrinksWeights)]


def of(name: str, **changes: float) -> Any:
    """An optimizer as its tests have it, with these values."""
    return dataclasses.replace(example(OPTIMIZERS[name]), **changes)


def run_of(optimizer: Any, **changes: Any) -> Run:
    return make_run(optimizer=optimizer, **({"seed": 1, "updates": 8, "log_points": 4, "batch_size": 2} | changes))


def flat(run: Run) -> Floats:
    """The parameters with which a run ends."""
    return to_flat(list_parameters(run.model, run.task.inputs, run.task.outputs), finished([run])[0].parameters)


def test_every_optimizer_takes_noise_and_each_with_alpha_but_adam_shrinks_weights() -> None:
    assert all(issubclass(kind, AddsNoise) for kind in OPTIMIZERS.values())
    assert [n for n, kind in OPTIMIZERS.items() if "alpha" in kind.kernel.hyper and n != "adam"] == SHRINKING


# ------------------------------------------------------------------------------------------------------- weight decay
def test_weights_shrink_by_hand() -> None:
    """θ − α·(g + λ·θ), all parameters, and what is recorded of it."""
    run = run_of(Sgd(alpha=0.25, weight_decay=0.5), updates=1)
    blocks = list_parameters(run.model, 2, 3)
    start = run.init.parameters(seed_of(run, 0), blocks)
    page = run.task.training().page(seed_of(run, 1), 0, 2)
    rows = page.rows[0]
    gradient = gradient_of(run, start, Sequences(page.sequences.x[rows], page.sequences.y[rows]))
    (record,) = finished([run])
    expected = start - 0.25 * (gradient + 0.5 * start)
    np.testing.assert_allclose(to_flat(blocks, record.parameters), expected, rtol=1e-13, atol=1e-16)
    moved = np.linalg.norm(expected - start) / np.linalg.norm(start)
    np.testing.assert_allclose(record.history["update/ratio"], moved, rtol=1e-12)
    np.testing.assert_allclose(record.history["grad/norm"], np.linalg.norm(gradient), rtol=1e-12)


@pytest.mark.parametrize("schedule", [None, "cosine"])
def test_for_gradient_descent_it_is_l2_of_half_the_factor(schedule: str | None) -> None:
    part = None if schedule is None else example(components("schedules")[schedule])
    decoupled = run_of(Sgd(alpha=0.2, weight_decay=0.3), schedule=part)
    coupled = run_of(Sgd(alpha=0.2), schedule=part, regularizer=L2(factor=0.15))
    np.testing.assert_allclose(flat(decoupled), flat(coupled), rtol=1e-12, atol=1e-15)
    assert not np.allclose(flat(decoupled), flat(run_of(Sgd(alpha=0.2), schedule=part)), rtol=1e-3)


def quadratic_run(updates: int, **changes: Any) -> tuple[Run, Floats, Any]:
    """A run, its start, and the gradient of each of its updates as a function of θ."""
    run = run_of(
        AdamW(alpha=0.05, beta1=0.8, beta2=0.9, small_constant=1e-6, weight_decay=0.4), updates=updates, **changes
    )
    page = run.task.training().page(seed_of(run, 1), 0, 2)

    def gradient(theta: Floats, update: int) -> Floats:
        rows = page.rows[update - 1]
        return gradient_of(run, theta, Sequences(page.sequences.x[rows], page.sequences.y[rows]))

    return run, run.init.parameters(seed_of(run, 0), list_parameters(run.model, 2, 3)), gradient


def test_adamw_is_adam_on_the_loss_alone_and_shrinks_what_it_steps_from() -> None:
    run, theta, gradient = quadratic_run(20)
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for u in range(1, 21):
        g = gradient(theta, u)
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
        step = (m / (1 - 0.8**u)) / (np.sqrt(v / (1 - 0.9**u)) + 1e-6)
        theta = theta - 0.05 * step - 0.05 * 0.4 * theta
    np.testing.assert_allclose(flat(run), theta, rtol=1e-10, atol=1e-13)


def test_adamw_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    run, start, gradient = quadratic_run(20)
    theta = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.AdamW([theta], lr=0.05, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.4)
    for update in range(1, 21):
        theta.grad = torch.tensor(gradient(theta.detach().numpy(), update))
        optimizer.step()
    np.testing.assert_allclose(flat(run), theta.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SHRINKING)
def test_without_decay_and_noise_nothing_changes_a_bit(name: str) -> None:
    fields = {"weight_decay": 0.0, "noise": 0.0, "noise_decay": 7.0}
    (found,), (expected,) = finished([run_of(of(name, **fields))]), finished([run_of(of(name))])
    assert_same_record(found, expected)


# --------------------------------------------------------------------------------------------------------------- noise
def test_a_generator_skips_to_where_draws_would_have_brought_it() -> None:
    for count in (0, 1, 2, 17, 1000, 12345):
        drawn, skipped = Generator(np.random.SeedSequence(3)), Generator(np.random.SeedSequence(3))
        drawn.random(count)
        skipped.skip(count)
        assert np.array_equal(drawn.words, skipped.words)
        assert drawn.random() == skipped.random()
    far = Generator(np.random.SeedSequence(3))
    far.skip(10**30)
    far.skip(2**128 - 10**30)
    assert np.array_equal(far.words, Generator(np.random.SeedSequence(3)).words)


@pytest.mark.parametrize("hidden", [4, 5, 12])
def test_noise_by_hand(hidden: int) -> None:
    """Plain gradient descent, on gradients with the numbers of one generator, so many for each update."""
    model, updates = make_model("elman", hidden_size=hidden), 5
    run = run_of(Sgd(alpha=0.1, noise=0.3, noise_decay=0.8), model=model, updates=updates, clip=Norm(threshold=0.2))
    blocks = list_parameters(model, 2, 3)
    theta = run.init.parameters(seed_of(run, 0), blocks)
    numbers = Generator(seed_of(run, 4)).standard_normal((updates, theta.size))
    page = run.task.training().page(seed_of(run, 1), 0, 2)
    for u in range(1, updates + 1):
        rows = page.rows[u - 1]
        g = gradient_of(run, theta, Sequences(page.sequences.x[rows], page.sequences.y[rows]))
        g = g * min(1.0, 0.2 / float(np.linalg.norm(g))) + math.sqrt(0.3 / (1 + u) ** 0.8) * numbers[u - 1]
        theta = theta - 0.1 * g
    np.testing.assert_allclose(flat(run), theta, rtol=1e-11, atol=1e-14)
    (record,) = finished([run])
    np.testing.assert_allclose(
        record.history["update/ratio"][-1], 0.1 * np.linalg.norm(g) / np.linalg.norm(theta + 0.1 * g)
    )


def test_noise_is_normal_and_of_its_variance() -> None:
    """Ten thousand numbers of a gradient that is 0: mean and spread within four standard errors, none twice."""
    still = run_of(Sgd(alpha=1.0, noise=4.0, noise_decay=0.0), model=make_model("gru", hidden_size=48), updates=1)
    still = dataclasses.replace(still, clip=Norm(threshold=1e-300))
    moved = flat(still) - still.init.parameters(seed_of(still, 0), list_parameters(still.model, 2, 3))
    count = moved.size
    assert count > 7000
    assert len(np.unique(moved)) > 0.99 * count
    assert abs(moved.mean()) < 4 * 2 / math.sqrt(count)
    assert abs(moved.std() / 2 - 1) < 4 / math.sqrt(2 * count)


def test_noise_changes_nothing_else_that_is_drawn() -> None:
    loud, still = (run_of(of("adam", noise=noise), updates=1) for noise in (1.0, 0.0))
    (found,), (expected,) = finished([loud]), finished([still])
    assert found.history["loss/train"] == expected.history["loss/train"]
    assert found.history["grad/norm"] == expected.history["grad/norm"]
    assert not np.array_equal(found.parameters["cell.0.input"], expected.parameters["cell.0.input"])


def test_what_is_recorded_changes_no_noise() -> None:
    often, seldom = (finished([run_of(of("sgd", noise=0.1), log_points=points)])[0] for points in (8, 1))
    assert_same_parameters(often, seldom)


# ------------------------------------------------------------------------------------------------------------ together
def mixed(lane: int, **changes: Any) -> Run:
    """Lanes with neither, either and both."""
    decay, noise = [(0.0, 0.0), (0.3, 0.0), (0.0, 0.2), (0.1 * lane, 0.05 * lane)][lane % 4]
    optimizer = of("momentum", weight_decay=decay, noise=noise, noise_decay=0.1 * lane)
    return run_of(optimizer, seed=lane, **changes)


@pytest.mark.parametrize("batch_size", [1, 9])
@pytest.mark.parametrize("hidden", [3, 13])
def test_lanes_with_and_without_and_a_run_that_goes_on(hidden: int, batch_size: int) -> None:
    model = make_model("elman", hidden_size=hidden)
    runs = [mixed(lane, model=model, batch_size=batch_size) for lane in range(2 * WIDTH + 1)]
    assert_runs_are_the_same_beside_others(runs, "cell.0.input")


@pytest.mark.slow
@pytest.mark.parametrize("lane", [0, 1, 2])
def test_a_kernel_of_a_shape_serves_lanes_with_and_without(lane: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever run is asked first, and whichever lanes fill a vector together."""
    model = make_model("elman", hidden_size=6, readout="sigmoid")
    runs = [mixed(number, model=model, batch_size=1) for number in range(lane, lane + WIDTH + 1)]
    runs = [dataclasses.replace(run, task=Noise(outputs=1)) for run in runs]
    expected = finished(runs)
    monkeypatch.setattr(shapes, "_WORTH", 0)
    (made,) = {kernel for kernel, _ in kernels_of(runs[:WIDTH]) if isinstance(kernel, ShapeKernel)}
    assert made.shape.optimizer is None
    for found, other in zip(finished(runs), expected, strict=True):
        assert_same_record(found, other)
    alone = [finished([run])[0] for run in runs]
    for found, other in zip(alone, expected, strict=True):
        assert_same_record(found, other)


def test_a_lane_that_has_ended_stays() -> None:
    """Where the loss is no number nothing shrinks or moves from there on."""
    runs = [mixed(lane) for lane in range(4)]
    starts = [run.init.parameters(seed_of(run, 0), list_parameters(run.model, 2, 3)) for run in runs]
    for mode in (LANES, UNITS):
        start = starts[3].copy()
        start[-1] = np.nan
        block = single_lane(runs[3], runs[3].task.training(), start, mode)
        block.train(0, 3)
        assert np.array_equal(block.parameters[0], start, equal_nan=True)


def test_an_optimizer_of_a_package_may_shrink_weights_only_where_it_has_an_alpha() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Shrinking(ShrinksWeights, Rprop):
        pass

    chosen = Shrinking(eta_plus=1.2, eta_minus=0.5, delta_zero=0.1, weight_decay=0.1)
    with pytest.raises(ValueError, match=r"^Shrinking has no alpha by which weights could decay$"):
        Training([run_of(chosen)])
    assert check_remedies(run_of(chosen)) == [
        "optimizer.weight_decay=0.1: weights decay by α, which Shrinking does not have; use 0"
    ]
    assert issubclass(Shrinking, BESIDE)


@pytest.mark.parametrize("only", [("readout",), ("recurrent", "bias"), ("cell",)])
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_only_what_is_named_is_trained(name: str, only: Any) -> None:
    """Whatever would move the rest: noise, weight decay, a step of zero gradients."""
    changes = {"noise": 0.1} | ({"weight_decay": 0.2} if name in SHRINKING else {})
    runs = [run_of(of(name, **changes), only=only, seed=seed) for seed in range(WIDTH + 1)]
    alone = [finished([run])[0] for run in runs]
    for found, expected, run in zip(finished(runs), alone, runs, strict=True):
        assert_same_record(found, expected)
        blocks = list_parameters(run.model, 2, 3)
        start = to_named(blocks, run.init.parameters(seed_of(run, 0), blocks))
        moved = {block.kind for block in blocks if not np.array_equal(found.parameters[block.name], start[block.name])}
        kinds = {"readout": {"readout_weight", "readout_bias"}, "cell": {"input", "recurrent", "bias"}}
        assert moved == set().union(*(kinds.get(part, {part}) for part in only))


def test_the_norm_of_a_gradient_is_that_of_what_is_trained() -> None:
    run = run_of(Sgd(alpha=0.1), only=("readout",), updates=1, clip=Norm(threshold=1e-3))
    blocks = list_parameters(run.model, 2, 3)
    page, start = run.task.training().page(seed_of(run, 1), 0, 2), run.init.parameters(seed_of(run, 0), blocks)
    rows = page.rows[0]
    gradient = gradient_of(run, start, Sequences(page.sequences.x[rows], page.sequences.y[rows]))
    gradient = gradient * mark_trained(blocks, ("readout",))
    (record,) = finished([run])
    size = np.linalg.norm(gradient)
    np.testing.assert_allclose(record.history["grad/norm"], size, rtol=1e-12)
    np.testing.assert_allclose(to_flat(blocks, record.parameters), start - 0.1 * gradient * 1e-3 / size, rtol=1e-12)


def test_a_kernel_of_a_shape_takes_its_own_step_only_where_nothing_is_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(Sgd(alpha=0.1), task=Noise(outputs=1), batch_size=1)
    monkeypatch.setattr(shapes, "_WORTH", 0)
    taken: dict[Any, Any] = {None: Sgd, ("readout",): None}
    for part, optimizer in taken.items():
        chosen = dataclasses.replace(run, train=dataclasses.replace(run.train, only=part))
        (kernel,) = [kernel for kernel, _ in kernels_of([chosen]) if isinstance(kernel, ShapeKernel)]
        assert kernel.shape.optimizer is optimizer


Slots = list[Floats]
Step = Callable[[Any, float, int, Floats, Floats, Slots, float], Floats]


def adam(o: Any, alpha: float, u: int, theta: Floats, g: Floats, s: Slots, loss: float) -> Floats:
    s[0], s[1] = o.beta1 * s[0] + (1 - o.beta1) * g, o.beta2 * s[1] + (1 - o.beta2) * g**2
    return theta - alpha * (s[0] / (1 - o.beta1**u)) / (np.sqrt(s[1] / (1 - o.beta2**u)) + o.small_constant)


def momentum(o: Any, alpha: float, u: int, theta: Floats, g: Floats, s: Slots, loss: float) -> Floats:
    s[0] = alpha * g + o.epsilon * s[0]
    return theta - s[0]


def nesterov(o: Any, alpha: float, u: int, theta: Floats, g: Floats, s: Slots, loss: float) -> Floats:
    s[0] = alpha * g + o.epsilon * s[0]
    return theta - alpha * g - o.epsilon * s[0]


def rmsprop(o: Any, alpha: float, u: int, theta: Floats, g: Floats, s: Slots, loss: float) -> Floats:
    s[0] = o.decay * s[0] + (1 - o.decay) * g**2
    return theta - alpha * g / (np.sqrt(s[0]) + o.small_constant)


def resilient(o: Any, alpha: float, u: int, theta: Floats, g: Floats, s: Slots, loss: float) -> Floats:
    """Of the two updates the first steps by Δ₀ (the article's by Δ₀·η⁻), the second as its variant says."""
    name, now, before = type(o).__name__, np.sign(g), s[0]
    delta = np.full(g.shape, o.delta_zero) if u == 1 else s[1]
    s[0], last = now, s[2]
    if name == "Rprop":
        s[1] = delta * np.where(now == before, o.eta_plus, o.eta_minus)
        return theta - now * s[1]
    grown, shrunk = np.minimum(delta * o.eta_plus, o.delta_max), np.maximum(delta * o.eta_minus, o.delta_min)
    turned = now * before < 0
    s[1] = np.where(now * before > 0, grown, np.where(turned, shrunk, delta))
    s[0] = np.where(turned, 0.0, now)
    back = {"IrpropMinus": 0.0, "RpropPlus": 1.0, "IrpropPlus": float(u > 1 and loss > s[3][0])}[name]
    step = np.where(turned, -back * last, -now * s[1])
    s[2], s[3] = step, np.full(g.shape, loss)
    return theta + step


PLAIN: dict[str, Step] = {
    "sgd": lambda o, alpha, u, theta, g, s, loss: theta - alpha * g,
    "momentum": momentum,
    "nesterov": nesterov,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adam,
    **dict.fromkeys(("rprop", "irprop_minus", "rprop_plus", "irprop_plus"), resilient),
}


def share_of(schedule: Any, u: int, last: int) -> float:
    """s(u), stated plainly."""
    kind = type(schedule).__name__
    if kind == "ConstantSchedule":
        return 1.0
    peak = max(schedule.warmup, 1.0)
    if u <= peak:
        return float(min(1.0, u / schedule.warmup)) if schedule.warmup else 1.0
    x = 0.0 if kind == "Warmup" else (u - peak) / (last - peak)
    shares: dict[str, Callable[[], float]] = {
        "Warmup": lambda: 1.0,
        "CosineSchedule": lambda: schedule.floor + (1 - schedule.floor) * (1 + math.cos(math.pi * x)) / 2,
        "LinearSchedule": lambda: 1 - (1 - schedule.floor) * x,
        "StepSchedule": lambda: schedule.factor ** math.floor((u - peak) / schedule.every),
        "InverseSqrtSchedule": lambda: math.sqrt(peak / u),
    }
    return shares[kind]()


def clipped(clip: Any, g: Floats) -> Floats:
    kind = type(clip).__name__
    if kind == "Norm":
        return g * min(1.0, clip.threshold / float(np.linalg.norm(g)))
    return np.clip(g, -clip.threshold, clip.threshold) if kind == "Value" else g


def follow(run: Run, losses: Sequence[float]) -> Floats:
    """Where a run's parameters are in the end, by NumPy alone but for the gradient of the loss and its penalty."""
    blocks, optimizer = list_parameters(run.model, run.task.inputs, run.task.outputs), run.optimizer
    theta, held = draw_start(run, blocks), find_constraint(run) is not None
    factors = {
        b: (theta[b.first : b.first + b.size].reshape(b.shape), np.eye(b.hidden), np.zeros(b.hidden))
        for b in blocks
        if b.kind == "recurrent"
    }
    slots: Slots = [np.zeros(theta.size) for _ in range(4)]
    updates, page = run.train.updates, run.task.training().page(seed_of(run, 1), 0, run.train.batch_size)
    normal = Generator(seed_of(run, 4)).standard_normal((updates, theta.size))
    for u in range(1, updates + 1):
        rows, data = page.rows[u - 1], page.sequences
        part = np.ones(theta.size) if run.train.only is None else mark_trained(blocks, run.train.only)
        g = clipped(run.clip, part * gradient_of(run, theta, Sequences(data.x[rows], data.y[rows])))
        spread = math.sqrt(optimizer.noise / (1 + u) ** optimizer.noise_decay)  # type: ignore[attr-defined]
        alpha = share_of(run.schedule, u, updates) * getattr(optimizer, "alpha", 0.0)
        shrunk = theta * (1 - alpha * getattr(optimizer, "weight_decay", 0.0))
        name = next(name for name, kind in OPTIMIZERS.items() if kind is type(optimizer))
        stepped = PLAIN[name](optimizer, alpha, u, shrunk, g + spread * normal[u - 1], slots, losses[u - 1])
        change, theta = theta - stepped, np.where(part > 0, stepped, theta)
        for b in factors if held else ():
            place = slice(b.first, b.first + b.size)
            margin = run.model.spectral_margin  # type: ignore[attr-defined]
            r, *factors[b] = move_constrained(change[place].reshape(b.shape), *factors[b], margin)  # type: ignore[assignment]
            theta[place] = r.ravel()
    return theta


@st.composite
def composed(draw: st.DrawFn) -> Run:
    """Any optimizer, schedule, decay, noise, clip, regularizer and constraint that go together."""
    name = draw(st.sampled_from(sorted(OPTIMIZERS)))
    chosen = of(name, noise=draw(st.sampled_from([0.0, 0.1])), noise_decay=draw(st.sampled_from([0.0, 0.55])))
    if name in SHRINKING:
        chosen = dataclasses.replace(chosen, weight_decay=draw(st.sampled_from([0.0, 0.3])))
    schedules = sorted(components("schedules")) if "alpha" in chosen.kernel.hyper else ["constant"]
    schedule = example(components("schedules")[draw(st.sampled_from(schedules))])
    if hasattr(schedule, "warmup"):
        schedule = dataclasses.replace(schedule, warmup=draw(st.sampled_from([0.0, 1.0, 1.5, 4.0])))
    held = {"recurrent_constraint": "orthogonal", "spectral_margin": draw(st.sampled_from([0.0, 0.2]))}
    constraints = [{}, held] if name in ("sgd", "momentum", "nesterov") else [{}]
    fields = {"hidden_size": draw(st.sampled_from([3, 7]))} | draw(st.sampled_from(constraints))
    model = make_model(draw(st.sampled_from(["elman", "linear"])), **fields)
    return run_of(
        chosen,
        model=model,
        schedule=schedule,
        clip=example(components("clips")[draw(st.sampled_from(sorted(components("clips"))))]),
        regularizer=example(components("regularizers")[draw(st.sampled_from(sorted(components("regularizers"))))]),
        seed=draw(st.integers(0, 5)),
        updates=draw(st.sampled_from([2, 3])),
        batch_size=draw(st.sampled_from([1, 3])),
        log_points=3,
        only=draw(st.sampled_from([None, ("readout",), ("recurrent", "readout_weight")])),
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(composed())
def test_any_combination_is_its_plain_statement(run: Run) -> None:
    (record,) = finished([run])
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    expected = follow(run, record.history["loss/train"].tolist())
    np.testing.assert_allclose(to_flat(blocks, record.parameters), expected, rtol=1e-9, atol=1e-12)
