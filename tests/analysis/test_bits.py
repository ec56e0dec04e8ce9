from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bptt.analysis.bits import FLOW, STATE, ComparedPart, Deviation, RunComparison, compare_runs, compare_texts
from bptt.core.run import Record


def record(**changes: Any) -> Record:
    made = Record(
        outcome="completed",
        updates=30,
        history={
            "update": np.array([1, 10, 20, 30]),
            "loss/eval": np.array([0.5, 0.25, 0.125, 1e-7]),
            "grad/decay": np.array([np.nan, -0.0, 0.0, -1.5]),
        },
        flow=np.array([[1.0, 0.5], [1.0, 0.25], [1.0, 0.125], [1.0, np.nan]]),
        parameters={"cell.0.input": np.array([[1.0, -2.0]]), "cell.0.bias": np.array([1e-17, 3.0])},
        state=np.array([[0.5, 0.25]]),
    )
    return replace(made, **changes)


def changed(array: Any, place: Any, value: float | None = None) -> Any:
    """A copy with one number replaced; None: by the next number that there is."""
    copy = np.array(array)
    copy[place] = np.nextafter(copy[place], np.inf) if value is None else value
    return copy


def history(name: str, place: int, value: float | None = None) -> Record:
    then = record().history
    return record(history={**then, name: changed(then[name], place, value)})


def part(found: RunComparison, name: str) -> ComparedPart:
    (wanted,) = [one for one in found.parts if one.name == name]
    return wanted


def test_the_same_record_has_the_same_bits() -> None:
    found = compare_runs(record(), record())
    assert found.same
    assert found.same_bits
    assert found.first is None
    assert [(one.name, one.values) for one in found.parts] == [
        ("outcome", 1),
        ("last update", 1),
        ("recorded updates", 4),
        ("loss/eval", 4),
        ("grad/decay", 4),
        (FLOW, 8),
        ("cell.0.input", 2),
        ("cell.0.bias", 2),
        (STATE, 2),
    ]
    assert found.only_then == found.only_now == ()


@pytest.mark.parametrize(
    ("now", "name", "first"),
    [
        (history("loss/eval", 2), "loss/eval", Deviation(20, "", 0.125, float(np.nextafter(0.125, 1)))),
        (history("grad/decay", 1, 0.0), "grad/decay", Deviation(10, "", -0.0, 0.0)),
        (
            record(flow=changed(record().flow, (2, 1))),
            FLOW,
            Deviation(20, "lag 1", 0.125, float(np.nextafter(0.125, 1))),
        ),
        (
            record(parameters={**record().parameters, "cell.0.input": np.array([[1.0, np.nextafter(-2, 0)]])}),
            "cell.0.input",
            Deviation(None, "[0, 1]", -2.0, float(np.nextafter(-2, 0))),
        ),
        (
            record(state=changed(record().state, (0, 0))),
            STATE,
            Deviation(None, "[0, 0]", 0.5, float(np.nextafter(0.5, 1))),
        ),
        (record(outcome="diverged"), "outcome", Deviation(None, "", "completed", "diverged")),
        (record(updates=29), "last update", Deviation(None, "", 30, 29)),
    ],
)
def test_one_bit_is_found(now: Record, name: str, first: Deviation) -> None:
    found = compare_runs(record(), now)
    assert not found.same
    assert [one.name for one in found.parts if one.first is not None] == [name]
    wanted = part(found, name)
    assert repr(wanted.first) == repr(first)  # which tells 0.0 from -0.0
    assert wanted.differing == 1
    assert found.first == (wanted, wanted.first)


def test_every_bit_counts() -> None:
    loss = record().history["loss/eval"]
    for bit in range(64):
        flipped = loss.copy()
        flipped.view(np.int64)[1] ^= np.array(1, np.int64) << np.int64(bit)
        found = compare_runs(record(), record(history={**record().history, "loss/eval": flipped}))
        assert part(found, "loss/eval").first is not None, bit


def test_weights_along_the_way_are_compared_where_both_have_them() -> None:
    kept = {0: {"cell.0.input": np.array([[1.0, 2.0]])}, 10: {"cell.0.input": np.array([[3.0, 4.0]])}}
    other = {**kept, 10: {"cell.0.input": changed(kept[10]["cell.0.input"], (0, 1))}}
    assert compare_runs(record(snapshots=kept), record(snapshots=kept)).same_bits
    assert compare_runs(record(snapshots=kept), record()).same_bits
    found = compare_runs(record(snapshots=kept), record(snapshots=other))
    assert part(found, "cell.0.input after 0").first is None
    assert part(found, "cell.0.input after 10").first == Deviation(None, "[0, 1]", 4.0, np.nextafter(4.0, np.inf))


def test_no_number_is_like_any_other_that_is_none() -> None:
    then, now = record(), record()
    now.history["grad/decay"].view(np.int64)[0] ^= 1
    assert np.isnan(now.history["grad/decay"][0])
    assert compare_runs(then, now).same_bits
    found = compare_runs(then, history("grad/decay", 0, 1.0))
    assert part(found, "grad/decay").largest == np.inf
    assert not compare_runs(then, history("grad/decay", 0, 1.0), tolerance=0.5).same


def test_what_differs_first_comes_first() -> None:
    then = record()
    now = record(
        history={**then.history, "loss/eval": changed(then.history["loss/eval"], 2)},
        flow=changed(then.flow, (1, 0)),
        outcome="early_stopped",
    )
    first = compare_runs(then, now).first
    assert first is not None
    assert (first[0].name, first[1].update, first[1].place) == (FLOW, 10, "lag 0")


def test_a_tolerance_is_relative_to_each_number_and_to_the_largest_weight() -> None:
    near = history("loss/eval", 3, 1e-7 * (1 + 1e-10))
    assert compare_runs(record(), near, 1e-9).same
    assert not compare_runs(record(), near, 1e-9).same_bits
    assert not compare_runs(record(), near, 1e-11).same
    assert part(compare_runs(record(), near, 1e-9), "loss/eval").largest == pytest.approx(1e-10, rel=1e-3)
    assert compare_runs(record(), history("grad/decay", 1, 0.0), 1e-300).same
    bias = record(parameters={**record().parameters, "cell.0.bias": np.array([-1e-17, 3.0])})
    assert compare_runs(record(), bias, 1e-9).same
    assert part(compare_runs(record(), bias, 1e-18), "cell.0.bias").first == Deviation(None, "[0]", 1e-17, -1e-17)
    # The first that is beyond the tolerance, not the first that has other bits.
    both = history("loss/eval", 0)
    both.history["loss/eval"][2] = 0.2
    assert part(compare_runs(record(), both, 1e-9), "loss/eval").first == Deviation(20, "", 0.125, 0.2)
    assert not compare_runs(record(), record(outcome="diverged"), 0.5).same


def test_infinite_numbers() -> None:
    infinite, negative = history("loss/eval", 3, np.inf), history("loss/eval", 3, -np.inf)
    assert compare_runs(infinite, infinite, 0.5).same_bits
    assert not compare_runs(infinite, negative, 0.5).same
    assert not compare_runs(infinite, record(), 0.5).same


def test_other_recorded_updates_are_a_difference_and_what_was_before_is_compared() -> None:
    now = record(
        updates=20,
        history={name: values[:3] for name, values in record().history.items()},
        flow=record().flow[:3],
    )
    found = compare_runs(record(), now)
    assert part(found, "recorded updates").first == Deviation(None, "number 4", 30, "none")
    assert part(found, "loss/eval").values == 3
    assert part(found, "loss/eval").first is None
    assert part(found, FLOW).values == 6


def test_only_one_of_both_has_it() -> None:
    then = record(history={**record().history, "old/metric": np.zeros(4)}, state=np.empty((0, 0)))
    now = record(history={**record().history, "update/ratio": np.zeros(4)})
    found = compare_runs(then, now)
    assert found.same_bits
    assert (found.only_then, found.only_now) == (("old/metric",), ("update/ratio",))
    assert STATE not in [one.name for one in found.parts]
    fewer = {"cell.0.input": record().parameters["cell.0.input"]}
    assert part(compare_runs(record(), record(parameters=fewer)), "cell.0.bias's shape").first == Deviation(
        None, "", "(2,)", "none"
    )
    assert not compare_runs(record(), record(flow=record().flow[:, :1])).same


def test_a_run_that_was_broken_off_is_compared_without_its_outcome() -> None:
    assert compare_runs(record(), record(outcome="early_stopped"), ended=False).same


def test_told() -> None:
    assert compare_texts("end", "finished", "finished").same_bits
    assert compare_texts("end", "finished", "failed: x").parts[0].first == Deviation(None, "", "finished", "failed: x")
