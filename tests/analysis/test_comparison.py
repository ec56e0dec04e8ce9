import numpy as np
import pandas as pd
import pytest

from bptt.analysis.comparison import (
    KeyDifference,
    compare_metric,
    compare_settings,
    compare_speed,
    compare_success,
    find_differences,
    name_better,
)
from bptt.analysis.statistics.intervals import (
    Interval,
    clopper_pearson,
    iqm_interval,
    median_interval,
    probability_of_improvement,
    share_difference,
)


def runs(loss: list[float], **columns: list[object]) -> pd.DataFrame:
    """Runs that ended with these losses, and of which those below 1 had solved their task after 100 times it."""
    table = pd.DataFrame({"loss/eval": loss, "outcome": "completed"})
    solved = table["loss/eval"] < 1
    updates = (100 * table["loss/eval"]).where(solved)
    return table.assign(solved=solved, solved_update=updates, observed=updates.fillna(1000.0), **columns)


A = runs([0.1, 0.2, 0.3, 0.4, 1.2])
B = runs([0.45, 1.5, 2.5, 3.5, 4.5, 5.5])


def test_the_keys_that_differ_and_those_that_vary_alike() -> None:
    every = [{"model": "elman", "alpha": alpha, "seed": "0", "batch": "1"} for alpha in ("0.1", "0.2")]
    other = [{"model": "gru", "alpha": alpha, "seed": "0", "gates": "3"} for alpha in ("0.2", "0.1")]
    found, alike = find_differences(every, other)
    assert found == [
        KeyDifference("model", frozenset({"elman"}), frozenset({"gru"})),
        KeyDifference("batch", frozenset({"1"}), frozenset({None})),
        KeyDifference("gates", frozenset({None}), frozenset({"3"})),
    ]
    assert alike == [KeyDifference("alpha", frozenset({"0.1", "0.2"}), frozenset({"0.1", "0.2"}))]


def test_success() -> None:
    found = compare_success(A, B)
    assert (found.a, found.b) == (clopper_pearson(4, 5), clopper_pearson(1, 6))
    assert found.difference == share_difference((4, 1), (5, 6))


def test_speed() -> None:
    found = compare_speed(A, B)
    assert found.a.value == 30
    assert np.isnan(found.b.value)
    # Of 5·6 pairs: A's four that solve it do so before all of B, and its fifth does not, like five of B.
    assert found.sooner.value == pytest.approx((4 * 6 + 5 / 2) / 30)


def test_a_loss_is_better_where_it_is_smaller() -> None:
    found = compare_metric(A, B, "loss/eval")
    assert found.smaller_is_better is True
    assert found.a.median == median_interval(A["loss/eval"])
    assert found.b.iqm == iqm_interval(B["loss/eval"])
    assert found.improvement == probability_of_improvement(A["loss/eval"], B["loss/eval"])
    assert name_better(found.improvement) is None  # five against six
    a, b = pd.concat([A, A]), pd.concat([B, B])
    assert name_better(compare_metric(a, b, "loss/eval").improvement) == "A"
    assert name_better(compare_metric(b, a, "loss/eval").improvement) == "B"


def test_an_accuracy_is_better_where_it_is_larger_and_other_metrics_are_neither() -> None:
    one, other = (
        table.assign(**{"accuracy/eval": table["loss/eval"], "grad/decay": table["loss/eval"]}) for table in (A, B)
    )
    accuracy, decay = (compare_metric(one, other, metric) for metric in ("accuracy/eval", "grad/decay"))
    assert (accuracy.smaller_is_better, decay.smaller_is_better) == (False, None)
    expected = probability_of_improvement(A["loss/eval"], B["loss/eval"], smaller_is_better=False)
    assert accuracy.improvement == decay.improvement == expected


def test_a_run_that_diverged_is_the_worst_and_one_that_did_not_end_does_not_count() -> None:
    table = pd.DataFrame({"loss/eval": [0.1, np.nan, 9.0], "grad/decay": [0.1, np.nan, 9.0]})
    table["outcome"] = ["completed", "diverged", None]
    # Of 0.1 and infinity, and of 0.1 alone.
    assert compare_metric(table, B, "loss/eval").a.median.value == np.inf
    assert compare_metric(table, table, "grad/decay").a.median.value == 0.1


def test_setting_by_setting() -> None:
    a, b = pd.concat([A, A]), pd.concat([B, B])
    every = pd.concat([a.assign(alpha=0.1), b.assign(alpha=0.2), a.assign(alpha=0.3)])
    other = pd.concat([a.assign(alpha=0.2), b.assign(alpha=0.1)])
    found = compare_settings(every, other, ["alpha"])
    assert [setting for setting, _, _ in found] == ["alpha=0.1", "alpha=0.2"]
    assert [name_better(metric.improvement) for _, _, metric in found] == ["A", "B"]
    assert found[1][1].difference == share_difference((2, 8), (12, 10))


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.51, 0.9, "A"), (0.1, 0.49, "B"), (0.4, 0.6, None), (np.nan, np.nan, None)]
)
def test_better_is_what_the_interval_leaves_no_doubt_of(low: float, high: float, expected: str | None) -> None:
    assert name_better(Interval(0.5, low, high)) == expected
