"""Plain C++ trains what the core trains; else its times would say nothing."""

import shutil
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from benchmarks.problem import build_problem, measure_difference
from benchmarks.sides import cpp_side, ours
from benchmarks.workloads import Workload, build_adder, build_leftbit, build_sine
from bptt.core.evaluation import Evaluation
from bptt.core.models.elman import Elman
from bptt.core.parameters import list_parameters, to_flat
from bptt.core.run import Run
from bptt.core.sequences import Sequences

needs_compiler = pytest.mark.skipif(cpp_side.is_missing(), reason="there is no g++")
_WIDER = Elman(hidden_size=24, layers=1, activation="sigmoid", bias="none", readout="sigmoid")


@needs_compiler
@pytest.mark.parametrize(
    ("run", "lanes"),
    [
        (build_adder, 1),
        (build_adder, 21),
        (partial(build_adder, model=_WIDER, bits=9), 9),
        (partial(build_adder, model=_WIDER, bits=9), 1),
        (build_leftbit, 1),
        (build_leftbit, 21),
    ],
)
def test_every_form_trains_as_the_core_does(run: Any, lanes: int) -> None:
    workload = Workload(name="", run=run, lanes=lanes)
    problem, trained = build_problem(workload, 32), ours.train_workload(workload, 32)
    forms = cpp_side.list_variants(problem)
    assert forms
    for form in forms:
        assert measure_difference(trained, cpp_side.prepare(problem, form).trained()) < 1e-9, form


@needs_compiler
@pytest.mark.parametrize("lanes", [8, 21])
def test_networks_are_evaluated_as_the_core_does(lanes: int) -> None:
    def build(seed: int, updates: int, log_points: int) -> Run:
        run = build_adder(seed, updates, log_points)
        return replace(run, train=replace(run.train, batch_size=40))

    workload = Workload(name="", run=build, lanes=lanes)
    problem, runs = build_problem(workload, 1), workload.runs(1, 1)
    evaluate = cpp_side.prepare_evaluation(problem)
    assert evaluate is not None
    blocks = list_parameters(runs[0].model, runs[0].task.inputs, runs[0].task.outputs)
    named = [{name: of[lane] for name, of in problem.parameters.items()} for lane in range(lanes)]
    sets = [Sequences(problem.x[0, lane].swapaxes(0, 1), problem.y[0, lane].swapaxes(0, 1)) for lane in range(lanes)]
    losses, _ = Evaluation(runs[0].model, runs[0].loss, sets).evaluate(np.stack([to_flat(blocks, of) for of in named]))
    np.testing.assert_allclose(evaluate(), losses * runs[0].loss.weight, rtol=1e-12)


@needs_compiler
def test_another_learning_rate_is_seen() -> None:
    workload = Workload(name="", run=build_adder, lanes=8)
    problem, trained = build_problem(workload, 32), ours.train_workload(workload, 32)
    optimizer: Any = problem.run.optimizer
    other = replace(problem, run=replace(problem.run, optimizer=replace(optimizer, alpha=0.1 + 1e-7)))
    [form] = cpp_side.list_variants(other)
    assert measure_difference(trained, cpp_side.prepare(other, form).trained()) > 1e-9


def test_what_no_program_trains_has_no_form() -> None:
    tanh = build_problem(Workload(name="", run=build_sine, lanes=2), 1)
    biased = Elman(hidden_size=16, layers=1, activation="sigmoid", bias="single", readout="sigmoid")
    with_bias = build_problem(Workload(name="", run=partial(build_adder, model=biased), lanes=2), 1)
    assert cpp_side.list_variants(tanh) == cpp_side.list_variants(with_bias) == []
    assert cpp_side.prepare_evaluation(tanh) is cpp_side.prepare_evaluation(with_bias) is None


def test_without_a_compiler_there_is_no_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert cpp_side.list_variants(build_problem(Workload(name="", run=build_adder, lanes=2), 1)) == []
    assert cpp_side.describe_compiler() == ()
