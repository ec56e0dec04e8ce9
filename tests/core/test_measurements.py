"""Measurements at recorded updates: the shipped ones by hand, and one of a user's own."""

import dataclasses
from typing import Any

import numba
import numpy as np
import pytest

from bptt.core.kernel import UNITS
from bptt.core.measurements.measurement import Measurement, Snapshot, shipped_measurements
from bptt.core.measurements.spectral_radius import _limit, spectral_radii
from bptt.core.optimizers.sgd import Sgd
from bptt.core.products import product
from bptt.core.run import TIMED, Record, Run
from bptt.core.sequences import Floats
from bptt.core.simd import WIDTH, aligned_zeros, elements_at, pointer_to
from bptt.core.training import Training, kernels_of
from tests.core.comparing import assert_same_bits
from tests.core.making import make_model, make_run


class Largest:
    """The largest |θ|, the update's number, and the sum of the states."""

    names = ("weights/largest", "own/update", "own/state")
    kernels = ()

    def __init__(self) -> None:
        self.lanes: list[int] = []

    def measure(self, lanes: Snapshot) -> dict[str, Floats]:
        self.lanes.append(len(lanes.runs))
        return {
            "weights/largest": np.abs(lanes.parameters).max(axis=1),
            "own/update": np.full(len(lanes.runs), float(lanes.update)),
            "own/state": lanes.states.reshape(len(lanes.runs), -1).sum(axis=1),
        }


class Wrong:
    """Not a number for each lane."""

    names = ("own/wrong",)
    kernels = ()

    def measure(self, lanes: Snapshot) -> dict[str, Floats]:
        return {"own/wrong": np.zeros(len(lanes.runs) + 1)}


def trained(runs: list[Run], measurements: Any, checkpoint: Any = None) -> list[Record]:
    training = Training(runs, checkpoint, measurements)
    while training.advance() is not None:
        pass
    return training.records()


def test_shipped_ones_are_found_and_compiled_ahead() -> None:
    names = [name for measurement in shipped_measurements() for name in measurement.names]
    assert "weights/spectral_radius" in names
    run = make_run()
    assert {*names} <= {*trained([run], None)[0].history}
    for measurement in shipped_measurements():
        assert {*measurement.kernels} <= {*kernels_of([run])}


def test_one_of_ones_own_is_a_column_of_every_lane() -> None:
    own: Measurement = Largest()
    runs = [make_run(seed=seed, updates=9, log_points=3) for seed in range(5)]
    beside, alone = trained(runs, [*shipped_measurements(), own]), trained([runs[2]], [own])
    for records, among in ((beside, True), (alone, False)):
        for record in records:
            largest = max(np.abs(values).max() for values in record.parameters.values())
            assert record.history["weights/largest"][-1] == largest
            assert record.history["own/update"].tolist() == record.history["update"].tolist() == [1.0, 5.0, 9.0]
            np.testing.assert_allclose(record.history["own/state"][-1], record.state.sum(), rtol=1e-12)
            assert ("weights/spectral_radius" in record.history) is among


def test_it_changes_no_bit_of_what_else_is_recorded_and_goes_on_in_the_middle() -> None:
    runs = [make_run(seed=seed, updates=9, log_points=3) for seed in range(3)]
    with_own = [*shipped_measurements(), Largest()]
    usual, records = trained(runs, None), trained(runs, with_own)
    training = Training(runs, None, with_own)
    training.advance()
    resumed = trained(runs, with_own, training.checkpoint())
    for record, expected, again in zip(records, usual, resumed, strict=True):
        for name in expected.history.keys() - TIMED:
            assert_same_bits(record.history[name], expected.history[name], name)
        for name in record.history.keys() - TIMED:
            assert_same_bits(again.history[name], record.history[name], name)


def test_lanes_that_have_ended_are_measured_no_more() -> None:
    own = Largest()
    model = make_model("linear", readout="identity")
    sound = make_run(model=model, updates=9, log_points=9, optimizer=Sgd(alpha=1e-3))
    spoilt = dataclasses.replace(sound, optimizer=Sgd(alpha=1e200), seed=1)
    records = trained([spoilt, sound], [own])
    assert [record.outcome for record in records] == ["diverged", "completed"]
    assert np.isnan(records[0].history["weights/largest"][-1])
    assert np.isfinite(records[1].history["weights/largest"]).all()
    assert own.lanes[-1] == 1


def test_what_gives_no_number_for_each_lane_or_takes_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Wrong gave \{'own/wrong': \(3,\)\} for 2 lanes$"):
        trained([make_run(), make_run(seed=1)], [Wrong()])
    with pytest.raises(ValueError, match=r"^two metrics have the same name: .*own/state, own/state"):
        Training([make_run()], None, [Largest(), Largest()])


def large_matrices(size: int) -> Floats:
    """Drawn, near the identity, symmetric, positive, graded, orthogonal, triangular, two of one size, nilpotent, 0."""
    rng = np.random.default_rng(size)
    drawn, one = rng.standard_normal((size, size)) / np.sqrt(size), np.eye(size)
    two = np.diag(np.r_[1.0, -1.0, np.full(size - 2, 0.5)]) + 0.01 * np.triu(drawn, 1)
    graded = drawn * np.logspace(0, -8, size)[:, None]
    made = [drawn, one + 0.05 * drawn, drawn + drawn.T, rng.random((size, size)), graded, np.linalg.qr(drawn)[0]]
    return np.stack([*made, np.triu(drawn), two, np.eye(size, k=1), 0.0 * one])


@pytest.mark.parametrize("size", [129, pytest.param(200, marks=pytest.mark.slow)])
def test_the_spectral_radius_of_large_matrices_is_the_largest_eigenvalue(size: int) -> None:
    matrices = large_matrices(size)
    expected = [*np.abs(np.linalg.eigvals(matrices[:-2])).max(axis=-1), 0.0, 0.0]
    found = spectral_radii(matrices)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert [spectral_radii(one[None])[0] for one in matrices] == found.tolist()
    for scale in (1e-290, 1e290):
        np.testing.assert_allclose(spectral_radii(scale * matrices), scale * found, rtol=1e-12)
    broken = matrices.copy()
    broken[3, 1, 2] = np.inf
    assert np.array_equal(spectral_radii(broken), np.where(np.arange(len(found)) == 3, np.nan, found), equal_nan=True)


@numba.njit(error_model="numpy")
def only_squared(multiply: Any, room: Any, size: Any, units: Any) -> Any:
    memory = pointer_to(room)
    return _limit(multiply, memory, elements_at(memory, size * units * WIDTH), size, units)


def test_few_squarings_give_what_all_of_them_give() -> None:
    matrices = large_matrices(136)
    few = spectral_radii(matrices)
    power, size, units = aligned_zeros(2 * 136 * 136), 136, 136 // WIDTH
    for matrix, expected in zip(matrices, few, strict=True):
        power[: 136 * 136] = matrix.ravel()
        np.testing.assert_allclose(only_squared(product.address(UNITS), power, size, units), expected, rtol=1e-12)
