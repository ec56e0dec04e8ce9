"""The helpers of the benchmarks; nothing here depends on how long anything takes."""

import gc
import time
from collections.abc import Callable

import pytest

from benchmarks import measure
from benchmarks.measure import Spread, alternate, choose_updates, compare_rounds, find_least, summarise, time_call


def test_spread_is_median_smallest_and_largest() -> None:
    assert summarise([5.0, 1.0, 9.0]) == Spread(5.0, 1.0, 9.0)
    assert summarise(iter([4.0, 1.0, 3.0, 2.0])) == Spread(2.5, 1.0, 4.0)


def test_rounds_alternate_in_the_order_given() -> None:
    calls: list[str] = []

    def side(name: str, values: list[float]) -> Callable[[], float]:
        def measure_one() -> float:
            calls.append(name)
            return values.pop(0)

        return measure_one

    measured = alternate({"a": side("a", [1.0, 2.0]), "b": side("b", [3.0, 4.0]), "c": side("c", [5.0, 6.0])}, 2)
    assert calls == ["a", "b", "c", "a", "b", "c"]
    assert measured == {"a": [1.0, 2.0], "b": [3.0, 4.0], "c": [5.0, 6.0]}


def test_what_is_least_of_each_side_is_found() -> None:
    values = {"steady": [2.0, 2.0, 2.0], "disturbed": [9.0, 1.5, 9.0]}
    found = find_least({name: iter(of).__next__ for name, of in values.items()}, 3)
    assert found == {"steady": 2.0, "disturbed": 1.5}


def test_ratios_are_taken_round_by_round() -> None:
    # The second round is twice as slow for both: the ratio doesn't see it.
    assert compare_rounds([10.0, 20.0, 12.0], [1.0, 2.0, 1.0]) == Spread(10.0, 10.0, 12.0)


def test_ratios_need_as_many_rounds_of_both() -> None:
    with pytest.raises(ValueError, match="zip"):
        compare_rounds([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("target", "each", "step", "most", "expected"),
    [(1.0, 0.01, 1, None, 100), (1.0, 0.001, 400, None, 800), (0.1, 1.0, 64, None, 64), (1.0, 0.01, 1, 30, 30)],
)
def test_updates_for(target: float, each: float, step: int, most: int | None, expected: int) -> None:
    assert choose_updates(target, each, step=step, most=most) == expected


def test_processor_time_leaves_out_what_a_process_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_clock", time.perf_counter)
    measure.count_processor_time()
    assert time_call(lambda: time.sleep(0.2)) < 0.1


def test_seconds_calls_once_and_turns_the_collector_on_again() -> None:
    calls: list[bool] = []
    assert time_call(lambda: calls.append(gc.isenabled())) >= 0
    assert calls == [False]
    assert gc.isenabled()
