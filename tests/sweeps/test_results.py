"""How a sweep's runs ended is held as a few numbers each, and comes back as it was, but for what they recorded."""

from dataclasses import replace

import numpy as np
import pytest

from bptt.sweeps.results import RunResults, make_returns
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.lazy import Lazy
from tests.recording import jobs, results

ENDED = [result for block in range(5) for result in results(block)]


def test_results_come_back_without_what_was_recorded() -> None:
    held = RunResults()
    held.add(reversed(ENDED))
    assert dict(held) == {result.job: replace(result, record=None) for result in ENDED}
    assert [*held] == sorted(result.job for result in ENDED)
    assert len(held) == len(ENDED)
    assert (held.has("FAILED"), held.has("KILLED")) == (True, True)
    assert {*held.errors} == {result.job for result in ENDED if result.error}
    assert held.reused == {result.job: result.reused for result in ENDED if result.reused}
    for missing in (-1, len(ENDED), 8):
        assert missing not in held
        with pytest.raises(KeyError):
            held[missing]


def test_what_was_recorded_last_is_kept() -> None:
    held = RunResults()
    held.add(ENDED)
    for result in ENDED:
        wanted = {}
        if result.record is not None:
            wanted = {name: values[-1] for name, values in result.record.history.items()} | dict(result.record.once)
        assert held.find_last(result.job) == pytest.approx(wanted, nan_ok=True)
    assert held.find_last(8) == {}


def test_a_run_that_ended_again_has_ended_once() -> None:
    held = RunResults()
    held.add(ENDED)
    again = RunResult(job=4, status="FINISHED", record=ENDED[0].record, error=None, began=1.0, ended=2.0)
    held.add([again])
    assert held[4] == replace(again, record=None)
    assert (len(held), 4 in held.errors) == (len(ENDED), False)
    assert held.find_last(4)["loss/eval"] == 0.1


def test_returns_are_in_the_order_that_is_asked_for() -> None:
    held = RunResults()
    held.add(ENDED)
    told = make_returns(jobs(), held, Lazy([3, 0, 3, 4], held.__getitem__))
    assert [one.overrides for one in told] == [jobs()[number].overrides for number in (3, 0, 3, 4)]
    assert [one.return_value["loss/eval"] for one in told[:3]] == [0.0, 0.1, 0.0]
    with pytest.raises(RuntimeError, match="the planted error"):
        np.asarray(told[3].return_value)
