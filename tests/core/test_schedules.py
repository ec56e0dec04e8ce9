"""Schedules: s(u) by hand, and training with α·s(u) against training with that α."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bptt.core import lanes
from bptt.core.clips.norm import Norm
from bptt.core.gradcheck import gradient_of
from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.kernel import LANES, UNITS
from bptt.core.optimizers.rprop import Rprop
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import list_parameters, to_flat
from bptt.core.run import Run, seed_of
from bptt.core.schedules.constant import ConstantSchedule
from bptt.core.schedules.warmup import Warmup, warm_up
from bptt.core.sequences import Sequences
from bptt.core.simd import WIDTH
from bptt.core.training import Training, kernels_of
from tests.core.calling import Steps, scheduled
from tests.core.comparing import assert_same_parameters, assert_same_record, finished
from tests.core.discovering import components, example
from tests.core.making import make_model, make_run

UPDATES = 12
WITH_ALPHA = [name for name, component in components("optimizers").items() if "alpha" in component.kernel.hyper]
REAL = {name: kind for name, kind in components("schedules").items() if kind.kernel is not None}
#: Hyperparameters in the order in which the kernel names them, and s at some updates of 1,000.
BY_HAND: dict[str, tuple[list[float], dict[int, float]]] = {
    "warmup": ([80.0], {1: 0.0125, 40: 0.5, 79: 0.9875, 80: 1.0, 81: 1.0, 1000: 1.0}),
    # x = (u − 200) / 800
    "cosine": ([0.2, 200.0], {1: 0.005, 100: 0.5, 200: 1.0, 400: 0.2 + 0.8 * (2 + 2**0.5) / 4, 600: 0.6, 1000: 0.2}),
    "linear": ([0.2, 200.0], {1: 0.005, 100: 0.5, 200: 1.0, 400: 0.8, 600: 0.6, 1000: 0.2}),
    "step": ([50.0, 0.5, 100.0], {1: 0.01, 100: 1.0, 149: 1.0, 150: 0.5, 199: 0.5, 200: 0.25, 1000: 2.0**-18}),
    "inverse_sqrt": ([40.0], {1: 0.025, 20: 0.5, 40: 1.0, 160: 0.5, 1000: 0.2}),
}


@pytest.mark.parametrize("name", REAL)
def test_by_hand(name: str) -> None:
    component, (hyper, expected) = components("schedules")[name], BY_HAND[name]
    for update, share in expected.items():
        np.testing.assert_allclose(scheduled(component, hyper, update, 1000), share, rtol=3e-16, err_msg=str(update))


def torchs_cosine(u: int) -> float:
    """CosineAnnealingLR of T_max = 999 and eta_min = 0.1, after u − 1 epochs."""
    return 0.1 + 0.9 * (1 + math.cos(math.pi * (u - 1) / 999)) / 2


#: What PyTorch's schedules multiply a learning rate by, and hyperparameters that mean the same; no warm-up.
WRITTEN_OUT: dict[str, tuple[list[float], Callable[[int], float]]] = {
    "cosine": ([0.1, 0.0], torchs_cosine),
    "linear": ([0.1, 0.0], lambda u: 1 + (0.1 - 1) * (u - 1) / 999),  # LinearLR
    "step": ([30.0, 0.9, 0.0], lambda u: 0.9 ** ((u - 1) // 30)),  # StepLR
    "inverse_sqrt": ([0.0], lambda u: u**-0.5),
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_every_update_without_a_warm_up(name: str) -> None:
    component, (hyper, share) = components("schedules")[name], WRITTEN_OUT[name]
    for update in range(1, 1001):
        np.testing.assert_allclose(scheduled(component, hyper, update, 1000), share(update), rtol=2e-14, atol=3e-16)
    if name != "inverse_sqrt":
        assert (scheduled(component, hyper, 1, 1) == 1.0).all()  # the only update is the first


@pytest.mark.parametrize("name", ["cosine", "linear", "step"])
def test_every_update_is_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    schedulers = torch.optim.lr_scheduler
    optimizer = torch.optim.SGD([torch.zeros(1, dtype=torch.float64, requires_grad=True)], lr=1.0)
    scheduler = {
        "cosine": lambda: schedulers.CosineAnnealingLR(optimizer, 999, eta_min=0.1),
        "linear": lambda: schedulers.LinearLR(optimizer, 1.0, 0.1, total_iters=999),
        "step": lambda: schedulers.StepLR(optimizer, 30, gamma=0.9),
    }[name]()
    for update in range(1, 1001):
        found = scheduled(components("schedules")[name], WRITTEN_OUT[name][0], update, 1000)
        np.testing.assert_allclose(found, scheduler.get_last_lr()[0], rtol=1e-12, atol=1e-13)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("name", [name for name in BY_HAND if name != "warmup"])
def test_a_warm_up_is_that_of_the_warm_up(name: str) -> None:
    """Up to its end; behind it, what it falls by begins at 1, whatever lane a hyperparameter belongs to."""
    component, others = components("schedules")[name], BY_HAND[name][0][:-1]
    warmups = np.array([0.0, 1.0, 2.5, 40.0, *np.linspace(3, 99, WIDTH - 4)])
    hyper = np.array([*([[value] * WIDTH for value in others]), warmups])
    for update in (1, 2, 3, 39, 40, 99):
        found, grown = scheduled(component, hyper, update, 100), scheduled(Warmup, warmups[None], update, 100)
        growing = update <= np.maximum(warmups, 1.0)
        np.testing.assert_allclose(found[growing], grown[growing], rtol=3e-16)
        assert (found[~growing] < 1.0).all() or name == "step"
        for lane in range(WIDTH):
            assert scheduled(component, hyper[:, lane], update, 100)[0] == found[lane]


def test_steps_of_each_lane() -> None:
    every, factor = [1.0, 2.0, 3.0, 1.0] + [7.0] * (WIDTH - 4), [0.5, 0.1, 0.3, 0.0] + [1.0] * (WIDTH - 4)
    hyper = np.array([every, factor, [0.0] * WIDTH])
    expected = {1: [1.0, 1.0, 1.0, 1.0], 2: [0.5, 1.0, 1.0, 0.0], 8: [2.0**-7, 0.1**3, 0.09, 0.0]}
    for update, shares in expected.items():
        found = scheduled(components("schedules")["step"], hyper, update, 9)
        np.testing.assert_allclose(found[:4], shares, rtol=1e-15)
        assert (found[4:] == 1.0).all()


def test_warm_up_of_each_lane_and_of_none() -> None:
    lanes = np.array([[0.0, 1.0, 2.0, 3.0] + [1e6] * (WIDTH - 4)])
    assert scheduled(Warmup, lanes, 1, 10)[:4].tolist() == [1.0, 1.0, 1 / 2, 1 / 3]
    assert scheduled(Warmup, lanes, 2, 10)[:4].tolist() == [1.0, 1.0, 1.0, 2 / 3]
    assert (scheduled(Warmup, lanes, 2, 10)[4:] == 2e-6).all()


def run_of(optimizer: str, schedule: Any = None, **changes: Any) -> Run:
    given = {"seed": 1, "updates": UPDATES, "log_points": 4, "batch_size": 2}
    return make_run(
        optimizer=example(components("optimizers")[optimizer]),
        schedule=schedule,
        clip=Norm(threshold=0.3),
        **(given | changes),
    )


@pytest.mark.parametrize("optimizer", WITH_ALPHA)
def test_an_alpha_that_is_not_scaled_has_the_bits_of_a_constant_one(optimizer: str) -> None:
    for warmup in (0.0, 1.0):
        found, expected = (finished([run_of(optimizer, part)])[0] for part in (Warmup(warmup=warmup), None))
        assert_same_record(found, expected)


@pytest.mark.parametrize("optimizer", WITH_ALPHA)
@pytest.mark.parametrize("batch_size", [2, 9])
def test_each_update_is_made_with_alpha_times_s(optimizer: str, batch_size: int) -> None:
    """The optimizer's own kernel, given that α by hand at each update, on gradients of where training was."""
    chosen, updates, names = example(components("optimizers")[optimizer]), 6, components("optimizers")[optimizer]
    run = make_run(optimizer=chosen, schedule=Warmup(warmup=4.0), updates=updates, log_points=1, batch_size=batch_size)
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    page = run.task.training().page(seed_of(run, 1), 0, batch_size)
    values = [getattr(chosen, name) for name in names.kernel.hyper]
    steps = Steps(names, values, run.init.parameters(seed_of(run, 0), blocks))
    for update in range(1, updates + 1):
        rows = page.rows[update - 1]
        gradient = gradient_of(run, steps.parameters[:, 0], Sequences(page.sequences.x[rows], page.sequences.y[rows]))
        steps.change("alpha", chosen.alpha * min(update / 4, 1.0))
        steps.step(gradient)
        record = finished([dataclasses.replace(run, train=dataclasses.replace(run.train, updates=update))])[0]
        np.testing.assert_allclose(
            to_flat(blocks, record.parameters), steps.parameters[:, 0], rtol=1e-11, atol=1e-14, err_msg=str(update)
        )


@pytest.mark.parametrize("name", REAL)
def test_lanes_of_every_schedule_and_a_run_that_goes_on_in_the_middle(name: str) -> None:
    parts = [example(REAL[name], 0.3 * lane) for lane in range(WIDTH + 1)]
    runs = [run_of("momentum", part, seed=lane % 3) for lane, part in enumerate(parts)]
    alone = [finished([run])[0] for run in runs]
    training = Training(runs)
    training.advance()
    training.advance()
    for checkpoint in (None, training.checkpoint()):
        for found, expected in zip(finished(runs, checkpoint), alone, strict=True):
            assert_same_record(found, expected)
    changed = {record.parameters["cell.0.input"].tobytes() for record in [*alone, finished([run_of("momentum")])[0]]}
    assert len(changed) > WIDTH // 2


@pytest.mark.parametrize("name", REAL)
def test_a_lane_beside_lanes_that_are_not_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose hyperparameters are 0: nothing that comes of them disturbs the run, or never ends."""
    run = run_of("adam", example(REAL[name]))
    alone = finished([run])[0]
    monkeypatch.setattr(lanes, "fewest_lanes", lambda model, batch: 1)
    assert {mode for kernel, mode in kernels_of([run]) if kernel is run.schedule.kernel} == {LANES}
    assert_same_record(finished([run])[0], alone)


@pytest.mark.parametrize("name", REAL)
def test_each_update_of_every_schedule_by_hand(name: str) -> None:
    """Plain gradient descent with α times the kernel's s(u), on gradients of where training was."""
    part, updates = example(REAL[name]), 6
    run = make_run(optimizer=Sgd(alpha=0.2), schedule=part, updates=updates, log_points=2, batch_size=2)
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    page, theta = run.task.training().page(seed_of(run, 1), 0, 2), run.init.parameters(seed_of(run, 0), blocks)
    values = [getattr(part, field) for field in part.kernel.hyper]
    for update in range(1, updates + 1):
        rows = page.rows[update - 1]
        gradient = gradient_of(run, theta, Sequences(page.sequences.x[rows], page.sequences.y[rows]))
        theta = theta - 0.2 * scheduled(REAL[name], values, update, updates)[0] * gradient
    np.testing.assert_allclose(to_flat(blocks, finished([run])[0].parameters), theta, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("optimizer", WITH_ALPHA)
def test_lanes_have_schedules_of_their_own_and_go_on_in_the_middle(optimizer: str) -> None:
    warmups = [0.0, 3.0, 5.5, 40.0, *np.linspace(1, 9, WIDTH - 3)]
    runs = [run_of(optimizer, Warmup(warmup=float(warmup)), seed=lane % 3) for lane, warmup in enumerate(warmups)]
    alone = [finished([run])[0] for run in runs]
    assert len({record.parameters["cell.0.input"].tobytes() for record in alone}) >= len(runs) - 1
    for found, expected in zip(finished(runs), alone, strict=True):
        assert_same_record(found, expected)
    for advances in (1, 2):
        training = Training(runs)
        for _ in range(advances):
            training.advance()
        assert 0 < training.update < UPDATES
        for found, expected in zip(finished(runs, training.checkpoint()), alone, strict=True):
            assert_same_record(found, expected)


def test_what_is_recorded_changes_no_scheduled_weight() -> None:
    often, seldom = (finished([run_of("adam", Warmup(warmup=7.0), log_points=points)])[0] for points in (UPDATES, 1))
    assert_same_parameters(often, seldom)


def test_a_constant_schedule_is_never_called() -> None:
    called = [{kernel for kernel, _ in kernels_of([run_of("sgd", part)])} for part in (None, Warmup(warmup=2.0))]
    assert called[1] - called[0] == {warm_up}
    assert called[0] <= called[1]


def test_without_a_learning_rate_there_is_nothing_to_scale() -> None:
    rprop = Rprop(eta_plus=1.2, eta_minus=0.5, delta_zero=0.01)
    assert finished([make_run(optimizer=rprop, schedule=ConstantSchedule())])[0].outcome == "completed"
    with pytest.raises(ValueError, match=r"^Rprop has no alpha that Warmup could scale$"):
        Training([make_run(optimizer=rprop, schedule=Warmup(warmup=2.0))])


def test_a_run_that_ends_earlier_fuses_with_no_other() -> None:
    """Of how many updates s may ask; the update's number alone decides a warm-up."""
    short, long = (run_of("sgd", Warmup(warmup=50.0), updates=updates, log_points=1) for updates in (5, 9))
    with pytest.raises(ValueError, match="only runs that differ in"):
        Training([short, long])
    training = Training([dataclasses.replace(long, train=dataclasses.replace(long.train, log_points=9))])
    for _ in range(5):
        training.advance()
    assert_same_parameters(training.records()[0], finished([short])[0])


def test_units_and_lanes() -> None:
    model = make_model("gru", hidden_size=12)
    start = Initialisation(Normal(scale=0.2))
    run = make_run(model=model, init=start, optimizer=Sgd(alpha=0.1), schedule=Warmup(warmup=9.0), updates=5)
    assert {mode for kernel, mode in kernels_of([run]) if kernel is run.optimizer.kernel} == {UNITS}
    for found in finished([run] * WIDTH):
        assert_same_record(found, finished([run])[0])
