"""JAX's gradient as it is written out is that of every cell, with masks and without."""

from functools import partial
from typing import Any

import pytest

from benchmarks.problem import build_problem, measure_difference
from benchmarks.sides import ours
from benchmarks.workloads import Workload, build_adder, build_configured, build_gated, build_leftbit, build_sine
from bptt.core.models.gru import Gru
from bptt.core.models.lstm import Lstm


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize(
    "run",
    [
        build_adder,
        build_leftbit,
        build_sine,
        partial(build_adder, model=build_gated(Gru, 4, "sigmoid")),
        partial(build_adder, model=build_gated(Lstm, 4, "sigmoid")),
        *(partial(build_configured, "sentiment", cell) for cell in ("linear", "elman", "gru", "lstm")),
    ],
)
def test_every_written_form_trains_as_the_core_does(run: Any, lanes: int) -> None:
    jax_side = pytest.importorskip("benchmarks.sides.jax_side", exc_type=ImportError)
    workload = Workload(name="", run=run, lanes=lanes)
    problem, trained = build_problem(workload, 8), ours.train_workload(workload, 8)
    forms = [form for form in jax_side.list_variants(problem) if form.written and form.unroll != 4]
    assert forms
    for form in forms:
        if form.product == "matmul":
            assert measure_difference(trained, jax_side.prepare(problem, form).trained()) < 1e-9, form


def test_a_cell_that_reads_its_output_is_not_written() -> None:
    jax_written = pytest.importorskip("benchmarks.sides.jax_written", exc_type=ImportError)
    assert not jax_written.is_written(build_configured("xor", "jordan", 0, 1, 1).model)
    assert jax_written.is_written(build_configured("xor", "linear", 0, 1, 1).model)
