"""Schedules: s(u) by hand, and training with α·s(u) against training with that α."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from bptt.core.clips.norm import Norm
from bptt.core.gradcheck import gradient_of
from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.kernel import UNITS
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
#: Hyperparameters in the order in which the kernel names them, and s at some updates of 1,000.
BY_HAND: dict[str, tuple[list[float], dict[int, float]]] = {
    "warmup": ([80.0], {1: 0.0125, 40: 0.5, 79: 0.9875, 80: 1.0, 81: 1.0, 1000: 1.0}),
}


@pytest.mark.parametrize("name", [name for name, kind in components("schedules").items() if kind.kernel is not None])
def test_by_hand(name: str) -> None:
    component, (hyper, expected) = components("schedules")[name], BY_HAND[name]
    for update, share in expected.items():
        assert (scheduled(component, hyper, update, 1000) == share).all()


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
