import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from bptt.core.losses.binary_cross_entropy import BinaryCrossEntropy
from bptt.core.losses.cross_entropy import CrossEntropy
from bptt.core.losses.squared_error import SquaredError
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.common import score_bits, score_classes, score_close, score_sequences

NAN = float("nan")


def every_timestep(
    y: list[list[list[float]]], lengths: list[int] | None = None, scored: list[bool] | None = None
) -> Sequences:
    targets = np.array(y)
    return Sequences(
        np.zeros((*targets.shape[:2], 1)),
        targets,
        None if lengths is None else np.array(lengths),
        None if scored is None else np.array(scored),
    )


def test_bits_count_one_by_one_where_they_are_scored() -> None:
    sequences = every_timestep([[[1], [0], [1]], [[0], [1], [1]]], lengths=[3, 2], scored=[False, True, True])
    output = np.array([[[0.0], [0.4], [0.4]], [[0.9], [0.6], [0.0]]])
    # Scored: (0, 1) right, (0, 2) wrong, (1, 1) right; the first of each isn't scored, (1, 2) is behind the end.
    assert score_bits(output, sequences) == 2 / 3


def test_a_number_far_from_a_bit_is_not_that_bit() -> None:
    assert score_bits(np.array([[[1.6], [-0.6], [1.4], [-0.4]]]), every_timestep([[[1], [0], [1], [0]]])) == 0.5


def test_a_sequence_is_right_when_all_that_is_scored_of_it_is() -> None:
    sequences = every_timestep([[[1], [0], [1]], [[0], [1], [1]]], lengths=[3, 2], scored=[False, True, True])
    output = np.array([[[0.0], [0.4], [0.4]], [[0.9], [0.6], [0.0]]])
    assert score_sequences(output, sequences) == 0.5


def test_the_last_timestep_s_target_alone_decides_where_there_is_no_other() -> None:
    sequences = Sequences(np.zeros((4, 3, 1)), np.array([[5.0], [3.0], [2.0], [1.0]]))
    output = np.array([[4.6], [3.6], [2.49], [NAN]])
    assert score_sequences(output, sequences) == score_bits(output, sequences) == 0.5


def test_the_largest_output_is_the_class() -> None:
    sequences = Sequences(np.zeros((4, 3, 1)), np.array([[1.0, 0], [0, 1], [1, 0], [1, 0]]))
    output = np.array([[0.6, 0.4], [0.6, 0.4], [0.5, 0.5], [NAN, NAN]])
    assert score_classes(output, sequences) == 0.5


def test_classes_count_where_they_are_scored() -> None:
    sequences = every_timestep([[[1, 0], [0, 1], [1, 0]]], scored=[True, True, False])
    assert score_classes(np.array([[[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]]]), sequences) == 0.5


def test_close_is_less_than_the_error_away() -> None:
    sequences = Sequences(np.zeros((4, 3, 1)), np.zeros((4, 1)))
    assert score_close(np.array([[0.039], [-0.039], [0.04], [NAN]]), sequences, 0.04) == 0.5


SAMPLE = 40_000
SAMPLE_OF_CLASSES = 4_000

BITS: list[tuple[str, dict[str, Any]]] = [("adder", {}), ("adder", {"bits": 2}), ("adding", {"length": 10})]
BITS += [("xor", {}), ("xor", {"length": 8}), ("leftbit", {}), ("leftbit", {"stream": "0 1 1"})]
CLASSES: list[tuple[str, dict[str, Any]]] = [("copying", {"length": 3}), ("temporal_order", {"length": 10})]
FIXED: list[tuple[str, dict[str, Any]]] = [("counting", {}), ("sine", {}), ("sentiment", {}), ("charlm", {})]


def squared(answer: Floats, target: Floats) -> Floats:
    return ((answer - target) ** 2).sum(axis=-1)


def binary(answer: Floats, target: Floats) -> Floats:
    return -(target * np.log(answer) + (1 - target) * np.log(1 - answer)).sum(axis=-1)


def categorical(answer: Floats, target: Floats) -> Floats:
    return -(target * np.log(answer / answer.sum())).sum(axis=-1)


def search(cost: Callable[[Floats, Floats], Floats], targets: Floats, bounded: bool) -> float:
    """The least mean cost of one answer for all targets (N, outputs); from 1/3, without knowing what it is."""
    kinds, counts = np.unique(targets, axis=0, return_counts=True)
    bounds = [(1e-9, 1 - 1e-9)] * targets.shape[1] if bounded else None
    found = minimize(
        lambda answer: float(cost(answer, kinds) @ counts) / len(targets),
        np.full(targets.shape[1], 1 / 3),
        bounds=bounds,
        options={"ftol": 1e-14, "gtol": 1e-9} if bounded else {"gtol": 1e-9},
    )
    return float(found.fun)


def search_timestep_by_timestep(cost: Callable[[Floats, Floats], Floats], sequences: Sequences, bounded: bool) -> float:
    if sequences.last_only:
        return search(cost, sequences.y, bounded)
    scored = np.flatnonzero(sequences.full_scored[0])
    return sum(search(cost, sequences.y[:, t], bounded) for t in scored)


@pytest.mark.parametrize(("name", "changes"), BITS)
@pytest.mark.parametrize(("loss", "cost"), [(SquaredError, squared), (BinaryCrossEntropy, binary)])
def test_bits_and_numbers(name: str, changes: dict[str, Any], loss: Any, cost: Any, build: Callable[..., Any]) -> None:
    task = build(name, **changes)
    expected = search_timestep_by_timestep(cost, task.make(np.random.default_rng(5), SAMPLE), cost is binary)
    assert task.baseline(loss(weight=1.0)) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("name", "changes"), CLASSES)
@pytest.mark.parametrize(("loss", "cost"), [(SquaredError, squared), (CrossEntropy, categorical)])
def test_classes(name: str, changes: dict[str, Any], loss: Any, cost: Any, build: Callable[..., Any]) -> None:
    task = build(name, **changes)
    expected = search_timestep_by_timestep(
        cost, task.make(np.random.default_rng(5), SAMPLE_OF_CLASSES), cost is categorical
    )
    assert task.baseline(loss(weight=1.0)) == pytest.approx(expected, rel=0.01, abs=1e-6)


@pytest.mark.parametrize(("name", "changes"), FIXED)
def test_fixed_sets_have_one_answer_for_all_their_targets(
    name: str, changes: dict[str, Any], build: Callable[..., Any]
) -> None:
    task = build(name, **changes)
    sequences = task.evaluation(np.random.default_rng(0))
    targets = sequences.y if sequences.last_only else sequences.y.reshape(-1, task.outputs)
    each = len(targets) / sequences.count
    assert task.baseline(SquaredError(weight=1.0)) == pytest.approx(each * search(squared, targets, False), rel=1e-6)
    if name in ("sentiment", "charlm"):
        # Of the characters that the held-out text lacks the best share is 0, which a search only comes near.
        expected = each * search(categorical, targets, True)
        assert task.baseline(CrossEntropy(weight=1.0)) == pytest.approx(expected, rel=1e-4)


def test_published_values(build: Callable[..., Any]) -> None:
    assert build("adding").baseline(SquaredError(weight=1.0)) == pytest.approx(1 / 24, rel=1e-15)
    assert build("temporal_order").baseline(CrossEntropy(weight=1.0)) == pytest.approx(math.log(4), rel=1e-15)
    # Arjovsky, Shah & Bengio (2016), section 5: 10 ln 8 / (T + 20) for each of T + 20 timesteps.
    copying = build("copying", length=100)
    assert copying.baseline(CrossEntropy(weight=1.0)) / copying.timesteps == pytest.approx(10 * math.log(8) / 120)
    assert build("sine", amplitude=3.0).baseline(SquaredError(weight=1.0)) == pytest.approx(9 / 2, rel=2e-3)
    assert build("leftbit").baseline(BinaryCrossEntropy(weight=1 / 13)) == pytest.approx(12 / 13 * math.log(2))
    assert build("leftbit", eval_size=None).baseline(BinaryCrossEntropy(weight=1.0)) == pytest.approx(6 * math.log(2))


def test_the_loss_s_weight_counts(build: Callable[..., Any]) -> None:
    for loss in (SquaredError, BinaryCrossEntropy):
        one, other = (build("adder").baseline(loss(weight=weight)) for weight in (1.0, 0.5))
        assert other == one / 2


def test_arrays_have_that_of_their_evaluation(build: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    y, eval_y = np.zeros((2, 3, 1)), np.array([[[0.0], [4.0], [9.0]], [[2.0], [2.0], [9.0]]])
    lengths = np.array([2, 2])  # the nines are behind the ends
    np.savez(path, x=np.zeros((2, 3, 1)), y=y, eval_x=np.zeros((2, 3, 1)), eval_y=eval_y, eval_lengths=lengths)
    assert build("arrays", path=str(path)).baseline(SquaredError(weight=1.0)) == 2 * np.var([0, 4, 2, 2])


def test_a_loss_that_does_not_say_what_a_constant_costs_has_no_baseline(build: Callable[..., Any]) -> None:
    for name in ("adder", "copying", "sine"):
        assert build(name).baseline(object()) is None
