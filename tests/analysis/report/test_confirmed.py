"""What was solved at the end is confirmed on a set that nobody looked at before."""

from dataclasses import replace

import numpy as np

from bptt.analysis.report.findings import Findings
from bptt.analysis.report.sections.results import choose_columns
from bptt.analysis.statistics.settings import clopper_pearson
from tests.analysis.report.planted import planted


def test_runs_that_fail_the_test_set_are_not_confirmed() -> None:
    sweep = planted(kinds=("a", "b"), seeds=4)
    last = [1.0, 1.0, 1.0, 0.5, 0.0, 1.0, 0.0, 0.0]
    test = [1.0, 0.9, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    runs = sweep.runs.assign(**{"accuracy/eval": last, "accuracy/test": test})
    found = Findings(replace(sweep, runs=runs)).statistics
    assert found[["held", "confirmed"]].to_numpy().tolist() == [[3, 2], [1, 1]]
    assert found["confirmed_share_low"].tolist() == [clopper_pearson(2, 4).low, clopper_pearson(1, 4).low]
    assert "solved on the test set too" in [column.heading for column in choose_columns(found, [])]


def test_of_runs_that_keep_their_best_network_that_one_is_asked() -> None:
    """The test set is of the network that is kept: what the last one came to says nothing of it."""
    sweep = planted(kinds=("a", "b"), seeds=4)
    last = [1.0, 0.9, 1.0, 0.5, 0.0, 1.0, 0.0, 0.0]
    kept = [1.0, 1.0, 0.9, np.nan, 0.5, 1.0, 0.0, 0.0]
    test = [1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.0, 0.0]
    runs = sweep.runs.assign(**{"accuracy/eval": last, "kept/accuracy/eval": kept, "accuracy/test": test})
    found = Findings(replace(sweep, runs=runs)).statistics
    assert found[["held", "confirmed"]].to_numpy().tolist() == [[2, 2], [1, 0]]


def test_without_a_test_set_nothing_is_said_of_one() -> None:
    sweep = planted(kinds=("a", "b"), seeds=4)
    assert "confirmed" not in Findings(sweep).statistics
    some = sweep.runs.assign(**{"accuracy/test": [1.0] * 7 + [float("nan")]})
    assert "confirmed" not in Findings(replace(sweep, runs=some)).statistics
