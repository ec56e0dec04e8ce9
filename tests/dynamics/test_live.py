"""`train.measure`: the dynamics at recorded updates, with the bits that they have after the fact."""

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.configuration.errors import ConfigurationError
from bptt.core.parameters import list_parameters, to_named
from bptt.core.run import TIMED, Measured, Record, Run, seed_of
from bptt.core.training import Training
from bptt.dynamics import jacobian_singular_values, lyapunov_spectrum
from bptt.dynamics.measures import NAMES, LiveMeasures, draw_batch, measure_runs
from bptt.sweeps.workers.measurements import choose_measurements
from bptt.tracking.folder.measures import MEASURED
from bptt.tracking.provenance.digest import compute_digest

ADDER = ["task=adder", "model=lstm", "model.hidden_size=3", "train.updates=12", "train.log_points=4"]
EVERY = "train.measure=[lyapunov_max,kaplan_yorke,singular_min,sharpness,fixed_points_stable,noise_scale]"


def build(*overrides: str, seeds: int = 1) -> list[Run]:
    run = check_configuration(compose([*ADDER, "train.snapshots=4", *overrides])).run
    return [dataclasses.replace(run, seed=seed) for seed in range(seeds)]


def train(runs: list[Run], checkpoint: Any = None, stop: int | None = None) -> Training:
    training = Training(runs, checkpoint, choose_measurements(runs[0]))
    while training.update != stop and training.advance() is not None:
        pass
    return training


def assert_same_history(found: Record, expected: Record) -> None:
    assert list(found.history) == list(expected.history)
    for name in expected.history.keys() - TIMED:
        assert np.array_equal(found.history[name], expected.history[name], equal_nan=True), name


def test_every_name_is_one_of_a_kind() -> None:
    assert tuple(name for names in NAMES.values() for name in names) == get_args(Measured)
    assert LiveMeasures(build(EVERY)[0]).names[0] == f"{MEASURED}lyapunov_max"


def test_the_numbers_are_those_after_the_fact_alone_among_others_and_resumed() -> None:
    runs = build(EVERY, seeds=9)
    together = train(runs).records()
    broken_off = train(runs, stop=5)
    assert broken_off.update == 5
    checkpoint = broken_off.checkpoint()
    for found, expected in zip(train(runs, checkpoint).records(), together, strict=True):
        assert_same_history(found, expected)
    for lane in (0, 8):
        (alone,) = train([runs[lane]]).records()
        assert_same_history(alone, together[lane])
        kinds = LiveMeasures(runs[0]).kinds
        for point, update in enumerate(alone.history["update"]):
            weights = {name: array[None] for name, array in alone.snapshots[int(update)].items()}
            columns = measure_runs(kinds, [runs[lane]], weights, [draw_batch(runs[lane])])
            for name in LiveMeasures(runs[0]).names:
                assert np.array_equal(columns[name], alone.history[name][point : point + 1], equal_nan=True), name


def test_without_it_a_run_has_the_bits_and_the_digest_that_it_had() -> None:
    plain, measured = build()[0], build(EVERY)[0]
    (one,), (other,) = train([plain]).records(), train([measured]).records()
    assert list(other.history) != list(one.history)
    for name in one.history.keys() - TIMED:
        assert np.array_equal(one.history[name], other.history[name], equal_nan=True), name
    resolved = check_configuration(compose(ADDER)).resolved
    assert resolved["train"]["measure"] == []
    before = {**resolved, "train": {key: value for key, value in resolved["train"].items() if key != "measure"}}
    assert compute_digest(resolved, "v") == compute_digest(before, "v")
    asked = {**resolved, "train": {**resolved["train"], "measure": ["sharpness"]}}
    assert compute_digest(asked, "v") != compute_digest(before, "v")


def test_a_lane_is_measured_by_numbers_of_its_own() -> None:
    """Leaks vary by lane."""
    words = [word for word in ADDER if word != "model=lstm"]
    words += ["model=leaky", "model.dale=0.5", "train.measure=[lyapunov_max,sharpness]"]
    runs = [check_configuration(compose([*words, f"model.leak={leak}"])).run for leak in (0.1, 0.9, 0.1)]
    together = train(runs).records()
    for run, found in zip(runs, together, strict=True):
        assert_same_history(found, train([run]).records()[0])
    assert together[0].history["dynamics/lyapunov_max"][0] != together[1].history["dynamics/lyapunov_max"][0]


def test_a_training_that_would_not_measure_it_is_refused() -> None:
    with pytest.raises(ValueError, match=r"train.measure=\['sharpness'\]: not among the measurements"):
        Training(build("train.measure=[sharpness]"))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["train.measure=[sharpnes]"], r"did you mean sharpness\?"),
        (["train.measure=sharpness"], r"train\.measure=sharpness: must be a list"),
        (["train.measure=[sharpness,sharpness]"], "must name each measure once"),
        (
            ["train.measure=[lyapunov_max,sharpness]", "train.truncation=2"],
            r"train\.measure=\[lyapunov_max, ?sharpness\]: sharpness is of a whole loss, whose gradient "
            r"train\.truncation=2 cuts",
        ),
        (
            ["train.measure=[sharpness_ratio]", "optimizer=adam"],
            r"train\.measure=\[sharpness_ratio\]: sharpness_ratio: of adam no largest sharpness is known; use sgd",
        ),
        (["train.measure=[truncation_cosine]"], "truncation_cosine is of a gradient that is cut"),
    ],
)
def test_what_can_t_be_measured_is_refused_in_a_line(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as refused:
        check_configuration(compose([*ADDER, *overrides]))
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("task", "batch", "carry", "shape"),
    [
        ("adder", 1, False, (16, 8)),
        ("adder", 5, False, (20, 8)),
        ("adder", 32, False, (32, 8)),
        ("leftbit", 1, True, (16, 13)),
    ],
)
def test_the_batch_is_of_whole_updates(task: str, batch: int, carry: bool, shape: tuple[int, int]) -> None:
    words = [f"task={task}", f"train.batch_size={batch}", f"train.carry_state={str(carry).lower()}"]
    run = check_configuration(compose(words)).run
    assert draw_batch(run).x.shape[:2] == shape
    page = run.task.training().page(np.random.SeedSequence(run.seed, spawn_key=(1,)), 0, batch)
    rows = page.rows[: shape[0] // batch].ravel()
    assert np.array_equal(draw_batch(run).x, page.sequences.x[rows])


def test_where_states_are_carried_sequences_that_follow_each_other_are_one() -> None:
    run = check_configuration(compose(["task=adder", "train.batch_size=2", "train.carry_state=true"])).run
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    weights = {
        name: array[None] for name, array in to_named(blocks, run.init.parameters(seed_of(run, 0), blocks)).items()
    }
    batch = draw_batch(run)
    x = np.stack([np.concatenate(batch.x[row::2]) for row in range(2)])
    expected = lyapunov_spectrum(run.model, weights, x)
    found = measure_runs(["lyapunov"], [run], weights, [batch])
    assert x.shape[1] == 8 * 8
    assert np.array_equal(found["dynamics/lyapunov_max"], expected.largest)


def test_what_is_behind_a_sequence_s_end_does_not_count() -> None:
    """Rows of different lengths as rows that are cut there, each by itself."""
    run = check_configuration(compose(["task=adder", "model=gru", "model.hidden_size=3"])).run
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    weights = {
        name: array[None] for name, array in to_named(blocks, run.init.parameters(seed_of(run, 0), blocks)).items()
    }
    x, lengths = draw_batch(run).x[:4], np.array([3, 8, 1, 5])
    own = [x[row : row + 1, :length] for row, length in enumerate(lengths)]
    exponents = [lyapunov_spectrum(run.model, weights, part).exponents for part in own]
    found = lyapunov_spectrum(run.model, weights, x, lengths=lengths).exponents
    np.testing.assert_allclose(found, np.mean(exponents, axis=0), rtol=1e-12)
    values = jacobian_singular_values(run.model, weights, x, lengths=lengths).values
    expected = [jacobian_singular_values(run.model, weights, part).values[0, 0] for part in own]
    np.testing.assert_allclose(values[0], expected, rtol=1e-12)
    with pytest.raises(ValueError, match="lengths: shape"):
        lyapunov_spectrum(run.model, weights, x, lengths=[1, 2, 3, 9])
