"""The network that a run keeps, and how long it waits for a better one: by recorded updates, lane by lane."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from bptt.core.annotations import InvalidValue
from bptt.core.evaluation import Evaluation
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import to_flat
from bptt.core.random import Generator
from bptt.core.records.keeping import Best, ImprovementWatch
from bptt.core.run import TIMED, EarlyStop, Record, Run, Settings, seed_of
from bptt.core.simd import WIDTH
from bptt.core.training import Training, join_checkpoints, select_lanes
from tests.core.comparing import assert_same_bits, assert_same_record, finished
from tests.core.making import make_model, make_run

POINTS = 9


def make(lane: int = 0, **changes: Any) -> Run:
    """One whose evaluation is best somewhere on the way: it learns noise."""
    usual = {"updates": 40, "log_points": POINTS, "keep": "best", "optimizer": Sgd(alpha=2.0)}
    return make_run(seed=lane, **(usual | changes))


def plain(run: Run, **changes: Any) -> Run:
    return dataclasses.replace(run, train=dataclasses.replace(run.train, **({"keep": "last"} | changes)))


def find_best(record: Record, metric: str = "loss/eval") -> int:
    values = record.history[metric]
    return int(np.argmax(values) if metric.startswith("accuracy/") else np.argmin(values))


def advanced(runs: list[Run], points: int) -> Training:
    training = Training(runs)
    for _ in range(points):
        training.advance()
    return training


def test_the_best_is_what_was_better_than_all_before() -> None:
    least, largest, every = Best("loss/eval", 3), Best("accuracy/eval", 3), np.array([True, True, False])
    for best, sign in ((least, 1.0), (largest, -1.0)):
        assert best.take(sign * np.array([2.0, np.nan, 1.0]), every).tolist() == [True, False, False]
        assert best.take(sign * np.array([2.0, 3.0, 1.0]), every).tolist() == [False, True, False]
        assert best.take(sign * np.array([1.0, np.nan, 1.0]), every).tolist() == [True, False, False]
        assert best.take(sign * np.array([1.5, 2.0, 1.0]), ~every).tolist() == [False, False, True]


@pytest.mark.parametrize("lane", range(4))
def test_the_kept_network_is_that_of_a_training_that_ended_at_the_best_recorded_update(lane: int) -> None:
    run = make(lane)
    (kept,), (last,) = finished([run]), finished([plain(run)])
    place = find_best(last)
    update = int(last.history["update"][place])
    assert kept.kept_update == update == kept.once["kept/update"]
    for name in ("loss/eval", "accuracy/eval", "accuracy/all_right"):
        assert kept.once[f"kept/{name}"] == last.history[name][place]
    (shorter,) = finished([plain(run, updates=update)])
    for name, array in shorter.parameters.items():
        assert_same_bits(kept.parameters[name], array, name)
    assert_same_bits(kept.state, shorter.state, "state")
    assert kept.once["loss/test"] == shorter.once["loss/test"]
    assert kept.once["accuracy/test"] == shorter.once["accuracy/test"]


def test_somewhere_the_best_is_not_the_last_one() -> None:
    records = finished([make(lane) for lane in range(4)])
    assert any(1 < record.kept_update < record.updates for record in records)
    assert {name for name in records[0].once if name.startswith("kept/")} == {
        "kept/update",
        "kept/loss/eval",
        "kept/accuracy/eval",
        "kept/accuracy/all_right",
    }


def test_to_keep_the_best_changes_nothing_that_is_recorded_and_the_last_says_nothing_of_it() -> None:
    (kept,), (last,) = finished([make()]), finished([plain(make())])
    assert (kept.outcome, kept.updates) == (last.outcome, last.updates)
    for name in last.history.keys() - TIMED:
        assert_same_bits(kept.history[name], last.history[name], name)
    assert_same_bits(kept.flow, last.flow, "flow")
    assert not any(name.startswith("kept/") for name in last.once)
    assert last.kept_update == last.updates == 40


def test_of_equal_values_the_earlier_is_kept() -> None:
    run = make(keep_by="accuracy/eval", optimizer=Sgd(alpha=1e-9))
    (kept,), (last,) = finished([run]), finished([plain(run, keep_by="loss/eval")])
    assert len({*last.history["accuracy/eval"]}) == 1
    assert kept.kept_update == last.history["update"][0] == 1
    assert kept.once["kept/accuracy/eval"] == last.history["accuracy/eval"][0]


def test_the_largest_accuracy_is_the_best() -> None:
    (kept,) = finished([make(keep_by="accuracy/eval")])
    place = find_best(kept, "accuracy/eval")
    assert kept.kept_update == kept.history["update"][place] != kept.history["update"][find_best(kept)]


def test_what_a_test_set_says_is_of_the_kept_network() -> None:
    run = make(0)
    (kept,) = finished([run])
    test = run.task.test(Generator(seed_of(run, 3)))  # type: ignore[attr-defined]
    flat = to_flat(Training([run]).blocks, kept.parameters)
    losses, _ = Evaluation(run.model, run.loss, [test]).evaluate(flat[None])
    assert kept.once["loss/test"] == losses[0]
    assert kept.once["loss/test"] != finished([plain(run)])[0].once["loss/test"]


def test_a_state_that_is_carried_is_kept_with_its_network() -> None:
    run = make(3, carry_state=True, model=make_model("gru"), batch_size=2)
    (kept,), (last,) = finished([run]), finished([plain(run)])
    (shorter,) = finished([plain(run, updates=kept.kept_update)])
    assert kept.kept_update < last.updates
    assert_same_bits(kept.state, shorter.state, "state")
    assert kept.once["loss/test"] == shorter.once["loss/test"]


def diverging(lane: int, **changes: Any) -> Run:
    """Its states grow until its loss is no longer finite, after some that are recorded."""
    model = make_model("linear", readout="identity")
    return make(lane, model=model, optimizer=Sgd(alpha=0.05 + 0.45 * (lane % 2)), updates=60, log_points=30, **changes)


def test_a_lane_that_diverges_leaves_its_best_network_and_what_its_test_set_says() -> None:
    records, lasts = ([*finished([change(diverging(1))])] for change in (lambda run: run, plain))
    (kept,), (last,) = records, lasts
    assert kept.outcome == last.outcome == "diverged"
    place = int(np.nanargmin(last.history["loss/eval"]))
    assert kept.kept_update == last.history["update"][place] < kept.updates
    assert all(np.isfinite(array).all() for array in kept.parameters.values())
    assert np.isfinite(kept.state).all()
    assert np.isfinite(kept.once["loss/test"])
    assert "loss/test" not in last.once


def test_a_lane_that_diverges_before_anything_is_recorded_leaves_what_it_has() -> None:
    run = make(model=make_model("elman", readout="identity"), optimizer=Sgd(alpha=1e200), log_points=1)
    (kept,), (last,) = finished([run]), finished([plain(run)])
    assert kept.outcome == "diverged"
    if "kept/update" not in kept.once:
        assert_same_record(kept, last)


@pytest.mark.parametrize("batch", [1, 9])
@pytest.mark.parametrize("points", [0, 1, 4, POINTS - 1])
def test_lanes_keep_the_same_alone_among_others_and_resumed(batch: int, points: int) -> None:
    def choose(lane: int) -> Run:
        patience = None if lane % 3 == 0 else 1 + lane % 3
        return make(
            lane, model=make_model("gru"), batch_size=batch, early_stop=EarlyStop(metric="loss/eval", patience=patience)
        )

    runs = [choose(lane) for lane in range(WIDTH + 3)]
    alone = [finished([run])[0] for run in runs]
    assert {record.outcome for record in alone} == {"completed", "early_stopped"}
    saved = advanced(runs, points).checkpoint()
    for found, expected in zip(finished(runs, saved), alone, strict=True):
        assert_same_record(found, expected)
    chosen = [WIDTH + 1, 0, 2]
    for found, lane in zip(finished([runs[lane] for lane in chosen], select_lanes(saved, chosen)), chosen, strict=True):
        assert_same_record(found, alone[lane])
    parts = [select_lanes(saved, [4]), advanced(runs[:2], points).checkpoint()]
    for found, lane in zip(finished([runs[4], *runs[:2]], join_checkpoints(parts)), (4, 0, 1), strict=True):
        assert_same_record(found, alone[lane])


@pytest.mark.parametrize("points", [0, 3, 8])
def test_lanes_that_diverge_keep_the_same_among_others_and_resumed(points: int) -> None:
    runs = [diverging(lane) for lane in range(4)]
    alone = [finished([run])[0] for run in runs]
    assert {record.outcome for record in alone} == {"completed", "diverged"}
    for found, expected in zip(finished(runs, advanced(runs, points).checkpoint()), alone, strict=True):
        assert_same_record(found, expected)


def count_waited(values: Any, most: int) -> int | None:
    """The place at which patience runs out, stated plainly."""
    return next(
        (
            place
            for place in range(most, len(values))
            if not any(values[at] < min(values[:at]) for at in range(place - most + 1, place + 1))
        ),
        None,
    )


@pytest.mark.parametrize("metric", ["loss/eval", "loss/train", "accuracy/eval"])
def test_a_lane_stops_after_as_many_recorded_updates_without_a_better_value(metric: Any) -> None:
    def choose(patience: int | None) -> Run:
        return make(
            2, keep="last", log_points=20, early_stop=EarlyStop(metric=metric, patience=patience, threshold=0.0)
        )

    course = finished([plain(choose(1), early_stop=EarlyStop())])[0].history
    values = -course[metric] if metric.startswith("accuracy/") else course[metric]
    patiences = [1, 2, 3, 5, 19]
    stops = [count_waited(values, patience) for patience in patiences]
    assert None in stops
    assert len({*stops}) > 2
    for found, stop in zip(finished([choose(patience) for patience in patiences]), stops, strict=True):
        assert found.outcome == ("completed" if stop is None else "early_stopped")
        assert found.updates == course["update"][-1 if stop is None else stop]
        assert_same_bits(found.history[metric], course[metric][: None if stop is None else stop + 1], metric)


def test_patience_works_beside_a_threshold() -> None:
    course = finished([make(2, keep="last")])[0].history["loss/eval"]
    stop = count_waited(course, 2)
    assert stop is not None
    stops = []
    for threshold in (0.0, float(course[0])):
        early = EarlyStop(metric="loss/eval", patience=2, threshold=threshold)
        stops.append(len(finished([make(2, early_stop=early)])[0].history["update"]))
    assert stops == [stop + 1, 1]


def test_an_accuracy_has_a_threshold_beside_patience_where_it_is_above_0() -> None:
    stops = [
        finished([make(early_stop=EarlyStop(metric="accuracy/eval", patience=patience, threshold=threshold))])[
            0
        ].updates
        for patience, threshold in ((None, 0.0), (POINTS - 1, 0.0), (POINTS - 1, 1e-9))
    ]
    assert stops[0] == stops[2] == 1
    assert stops[1] > 1


def test_of_a_lane_that_is_not_trained_any_more_nothing_is_counted() -> None:
    patience = ImprovementWatch([make(early_stop=EarlyStop(metric="loss/eval", patience=2))] * 2)
    running = np.array([True, False])
    told = [patience.take(np.array([value, 0.0]), running).tolist() for value in (3.0, 3.0, 2.0, 2.5, 2.0)]
    assert told == [[False, False]] * 4 + [[True, False]]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"patience=3: waits for a metric"):
        EarlyStop(patience=3)
    with pytest.raises(InvalidValue, match=r"keep_by=accuracy/eval: has no effect with train.keep=last"):
        Settings(updates=1, keep_by="accuracy/eval")
