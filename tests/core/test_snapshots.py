"""Parameters that are kept along the way: of which updates, and with which bits."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import to_flat, to_named
from bptt.core.records.keeping import snapshot_updates
from bptt.core.run import EarlyStop, Record, Run, Settings, seed_of
from bptt.core.simd import WIDTH
from bptt.core.training import Training, join_checkpoints, select_lanes
from tests.core.comparing import assert_same_record, finished
from tests.core.making import make_model, make_run


def make(lane: int = 0, **changes: Any) -> Run:
    return make_run(seed=lane, updates=24, **({"log_points": 7, "snapshots": 4} | changes))


def advanced(runs: list[Run], points: int) -> Training:
    training = Training(runs)
    for _ in range(points):
        training.advance()
    return training


def assert_same_snapshots(found: Record, expected: Record) -> None:
    assert list(found.snapshots) == list(expected.snapshots)
    for update, named in expected.snapshots.items():
        for name, array in named.items():
            np.testing.assert_array_equal(found.snapshots[update][name], array)


@pytest.mark.parametrize(
    ("settings", "updates"),
    [
        (Settings(updates=100), []),
        (Settings(updates=100, snapshots=1), [0, 1, 100]),
        (Settings(updates=100, snapshots=3), [0, 1, 50, 100]),
        (Settings(updates=100, snapshots=3, log_points=5), [0, 1, 50, 100]),
        (Settings(updates=100, snapshots=4, log_points=5), [0, 1, 26, 75, 100]),
        (Settings(updates=100, snapshots=3, snapshot_spacing="log"), [0, 1, 10, 100]),
        (Settings(updates=100, snapshots=3, snapshot_spacing="log", log_points=3, log_spacing="log"), [0, 1, 10, 100]),
        (Settings(updates=100, snapshots=10**15, log_points=3), [0, 1, 50, 100]),
        (Settings(updates=1, snapshots=20), [0, 1]),
    ],
)
def test_they_are_recorded_updates_nearest_to_those_that_are_asked_for(settings: Settings, updates: list[int]) -> None:
    np.testing.assert_array_equal(snapshot_updates(settings), updates)


def test_they_are_the_parameters_with_which_a_shorter_training_ends() -> None:
    run = make(batch_size=3)
    (record,) = finished([run])
    assert list(record.snapshots) == [0, 1, 9, 16, 24]
    blocks = Training([run]).blocks
    np.testing.assert_array_equal(to_flat(blocks, record.snapshots[0]), run.init.parameters(seed_of(run, 0), blocks))
    for update in (1, 9, 16, 24):
        shorter = dataclasses.replace(run, train=dataclasses.replace(run.train, updates=update, snapshots=0))
        (alone,) = finished([shorter])
        assert alone.snapshots == {}
        for name, array in alone.parameters.items():
            np.testing.assert_array_equal(record.snapshots[update][name], array)


def test_to_keep_them_changes_nothing_else() -> None:
    for found, expected in zip(
        finished([make(lane) for lane in range(3)]),
        finished([make(lane, snapshots=0) for lane in range(3)]),
        strict=True,
    ):
        assert_same_record(found, expected)


@pytest.mark.parametrize("batch", [1, 9])
@pytest.mark.parametrize("points", [0, 1, 3, 6])
def test_a_training_that_goes_on_keeps_the_same(batch: int, points: int) -> None:
    runs = [make(lane, model=make_model("gru"), batch_size=batch) for lane in range(WIDTH + 3)]
    alone = [finished([run])[0] for run in runs]
    saved = advanced(runs, points).checkpoint()
    for found, expected in zip(finished(runs, saved), alone, strict=True):
        assert_same_snapshots(found, expected)
    kept = [WIDTH + 1, 0, 2]
    chosen = finished([runs[lane] for lane in kept], select_lanes(saved, kept))
    for found, lane in zip(chosen, kept, strict=True):
        assert_same_snapshots(found, alone[lane])
    parts = [select_lanes(saved, [4]), advanced(runs[:2], points).checkpoint()]
    for found, lane in zip(finished([runs[4], *runs[:2]], join_checkpoints(parts)), (4, 0, 1), strict=True):
        assert_same_snapshots(found, alone[lane])


def test_a_run_that_ends_early_keeps_those_that_it_came_to() -> None:
    stop = EarlyStop(metric="loss/train", threshold=0.0)
    runs = [
        make(0, early_stop=stop),
        make(1, early_stop=dataclasses.replace(stop, threshold=1e9)),
        make(2, model=make_model("elman", readout="identity"), optimizer=Sgd(alpha=1e200), early_stop=stop),
    ]
    together = finished([runs[0], runs[1]]) + finished([runs[2]])
    assert [record.outcome for record in together] == ["completed", "early_stopped", "diverged"]
    assert [list(record.snapshots) for record in together] == [[0, 1, 9, 16, 24], [0, 1], [0, 1]]
    for found, run in zip(together, runs, strict=True):
        assert_same_snapshots(found, finished([run])[0])


def test_a_snapshot_is_a_copy() -> None:
    (record,) = finished([make()])
    first = {name: array.copy() for name, array in record.snapshots[0].items()}
    record.parameters["cell.0.input"][:] = 7.0
    blocks = Training([make()]).blocks
    assert to_named(blocks, to_flat(blocks, record.snapshots[0])).keys() == first.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(record.snapshots[0][name], array)
