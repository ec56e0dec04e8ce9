"""What is trained on all sides, what the machine needs for it, and the figures of what was found."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks import figures, report
from benchmarks.growth import Growth
from benchmarks.limit import Rates, Work, count_work
from benchmarks.measure import Spread
from benchmarks.problem import build_problem
from benchmarks.workloads import (
    CELLS,
    GRID,
    LANES,
    LARGE,
    TASKS,
    Workload,
    build_adder,
    build_configured,
    build_elman,
    build_leftbit,
    build_sine,
)


def test_the_grid_has_every_task_with_every_cell() -> None:
    assert {(workload.name, workload.lanes) for workload in GRID} == {
        (f"{task}, {cell}", lanes) for task in TASKS for cell in CELLS for lanes in LANES
    }
    assert type(build_configured("xor", "gru", 3, 7, 2).model).__name__ == "Gru"


def test_a_problem_has_what_training_draws() -> None:
    workload = Workload(name="adder", run=build_adder, lanes=2)
    found = build_problem(workload, 5)
    assert found.x.shape == (5, 2, 8, 1, 2)
    assert found.y.shape == (5, 2, 8, 1, 1)
    assert found.live is None
    assert found.scored is None
    powers = 2.0 ** np.arange(8)
    terms = np.einsum("ultbi,t->uli", found.x, powers)
    assert np.array_equal(terms.sum(axis=-1), np.einsum("ultbo,t->ul", found.y, powers))
    assert np.array_equal(found.first(2).x, found.x[:2])


def test_shorter_sequences_end_with_the_longest() -> None:
    found = build_problem(Workload(name="xor", run=partial(build_configured, "sentiment", "elman"), lanes=1), 6)
    assert found.live is not None
    lengths = found.live.sum(axis=2)
    assert len(np.unique(lengths)) > 1
    assert found.live[:, :, -1].all()
    assert not found.x[~found.live].any()
    assert found.asked.tolist() == [found.timesteps - 1]


def test_work_is_counted_from_the_equations() -> None:
    # 8 timesteps, 2 inputs, 16 units, 1 output: W, R and V forward, W, R and V of the gradient, R and V backward.
    found = count_work(build_adder(0, 1, 1))
    assert found.fmas == 2 * 8 * 2 * 16 + 2 * 8 * 256 + 7 * 256 + 3 * 8 * 16
    assert found.functions == {"sigmoid": 8 * 16 + 8}
    # A gradient of one timestep flows to none before it.
    assert count_work(build_leftbit(0, 1, 1)).fmas == 2 * 7 * 3 + 2 * 7 * 9 + 3 * 6 * 3
    # The sine is asked for at the end alone.
    assert count_work(build_sine(0, 1, 1, model=build_elman(4))).functions == {"tanh": 32 * 20 * 4}
    assert Work(1000.0, {"exp": 10.0}).micros(Rates(fma=0.1, functions={"exp": 2.0})) == pytest.approx(0.12)
    assert Rates(fma=0.1, functions={}).gflops == 20.0


def test_figures_are_drawn_from_the_file(tmp_path: Path) -> None:
    ones = Spread(2.0, 1.0, 4.0)
    row = {"name": "adder", "lanes": 1, "targets": {"best": 2.5}, "ratios": {"torch": ones, "jax": ones}}
    points = [
        Growth(what=what, series="adder", size=size, micros=ones, limit=0.5)
        for what in ("lanes", "hidden units")
        for size in (1, 2)
    ]
    path = tmp_path / "found.json"
    report.write_json(path, {"results": [row], "growth": points})
    assert [drawn.name for drawn in figures.write(path)] == ["found.png", "found-growth.png"]
    figure = figures.draw_ratios([row | {"ratios": {"torch": vars(ones), "jax": vars(ones)}}])
    [axes] = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["adder, 1 run"]
    assert [np.asarray(line.get_xdata())[0] for line in axes.lines if line.get_label() == "target"] == [2.5]


def test_large_networks_are_as_they_are_called() -> None:
    for workload in LARGE:
        run = workload.run(0, 1, 1)
        assert workload.name.endswith(f"H {run.model.hidden_size}, batch {run.train.batch_size}")
        assert run.task.timesteps == 200
        assert "torch32" in workload.sides


def test_a_problem_of_one_lane_has_its_numbers() -> None:
    found = build_problem(Workload(name="adder", run=build_adder, lanes=3), 4)
    lane = found.of_lane(1)
    assert (lane.lanes, lane.updates) == (1, 4)
    assert np.array_equal(lane.x[:, 0], found.x[:, 1])
    assert np.array_equal(lane.parameters["cell.0.recurrent"][0], found.parameters["cell.0.recurrent"][1])
