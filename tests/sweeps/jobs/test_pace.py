"""How long a run is expected to take."""

from collections.abc import Sequence

import pytest

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.core.run import Run
from bptt.sweeps.jobs import pace
from bptt.sweeps.jobs.pace import Pace, measure_pace


def run(*overrides: str) -> Run:
    return check_configuration(compose(overrides)).run


@pytest.mark.parametrize(
    ("seconds", "trained"),
    [
        (1e-4, [4, 16, 64, 256, 1024]),  # until a tenth of a second of them tells the pace
        (2e-3, [4, 16, 64]),  # the first updates, which are slower, are not enough
        (0.5, [4]),  # of an update that takes long, few are
    ],
)
def test_a_pace_is_measured_in_about_a_second(
    seconds: float, trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def time_updates(runs: Sequence[Run], updates: int, planned: int) -> tuple[Pace, float]:
        asked.append(updates)
        return Pace(seconds, 0.0), updates * seconds

    monkeypatch.setattr(pace, "_time_updates", time_updates)
    measured = measure_pace([run("train.updates=10000")], 10_000)
    assert (measured.update, measured.record) == (seconds, 0.0)
    assert asked == trained


@pytest.mark.parametrize(("held_up", "trained"), [(0.0, [4, 16]), (-0.3, [4, 16]), (10.0, [4])])
def test_where_records_take_most_of_it_more_updates_are_looked_at(
    held_up: float, trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def time_stretches(training: object, updates: int) -> list[tuple[int, float]]:
        """An update takes 0.2 s, a record 0.6; the third stretch of few is held up, or less than the second."""
        asked.append(updates)
        lengths = {2: [1, 1], 4: [1, 1, 2], 16: [1, 3, 12]}[updates]
        return [(n, 0.2 * n + 0.6 + held_up * (n == 2)) for n in lengths]

    monkeypatch.setattr(pace, "_time_stretches", time_stretches)
    measured = measure_pace([run("train.updates=10000")], 10_000)
    assert asked == [*trained, 2]
    if len(trained) > 1:
        assert measured.update == pytest.approx(0.2)
        assert measured.record == pytest.approx(0.6)


def test_a_pace_counts_updates_records_and_the_end() -> None:
    trained = run("train.updates=1000", "train.log_points=11")
    assert Pace(update=0.5, record=2.0, end=30.0).seconds(trained) == 500 + 22 + 30


def test_what_is_looked_at_when_a_run_has_ended_is_counted_once() -> None:
    seen = run("task=temporal_order", "task.length=10", "task.eval_size=1", "task.test_size=100000")
    measured = measure_pace([seen], 10_000)
    assert measured.end > 10 * max(measured.update, measured.record)


def test_a_run_that_stops_early_is_not_taken_for_one_that_ends_at_each_update() -> None:
    seen = "task=temporal_order", "task.length=10", "task.eval_size=1", "task.test_size=100000"
    stops = run(*seen, "train.early_stop={metric: loss/eval, threshold: 100}")
    measured = measure_pace([stops], 10_000)
    assert measured.end > 10 * max(measured.update, measured.record)


@pytest.mark.parametrize("updates", [1, 2, 3])
def test_the_pace_of_a_run_of_few_updates(updates: int) -> None:
    trained = run(f"train.updates={updates}")
    measured = measure_pace([trained], updates)
    assert measured.update > 0
    assert measured.seconds(trained) > 0
