"""Which setting did best, by the one rule."""

import numpy as np
import pandas as pd

from bptt.analysis.ranking import choose_best, rank_groups


def make(rows: list[tuple[str, int, float, float | None]], outcome: str = "completed") -> pd.DataFrame:
    """A row per run: setting, seed, last loss, update at which it solved its task."""
    return pd.DataFrame(
        [
            {"run": number, "k": setting, "seed": seed, "loss/eval": loss, "solved": at is not None}
            | {"solved_update": np.nan if at is None else at, "outcome": outcome, "status": "FINISHED"}
            for number, (setting, seed, loss, at) in enumerate(rows)
        ]
    )


def rank(runs: pd.DataFrame) -> list[str]:
    return list(rank_groups(runs, runs["k"].tolist()).index)


def test_the_share_that_solved_the_task_comes_first() -> None:
    runs = make([("a", 0, 0.1, 5), ("a", 1, 0.1, None), ("b", 0, 9.0, 900), ("b", 1, 9.0, 900)])
    assert rank(runs) == ["b", "a"]


def test_then_the_median_update_then_the_median_loss_then_the_order() -> None:
    assert rank(make([("a", 0, 0.1, 200), ("b", 0, 0.9, 100)])) == ["b", "a"]
    assert rank(make([("a", 0, 0.2, 100), ("b", 0, 0.1, 100)])) == ["b", "a"]
    assert rank(make([("b", 0, 0.1, 100), ("a", 0, 0.1, 100)])) == ["b", "a"]


def test_half_that_never_solved_it_is_no_mean() -> None:
    runs = make([("a", 0, 1.0, 100), ("a", 1, 1.0, 300), ("a", 2, 1.0, None), ("a", 3, 1.0, None)])
    row = rank_groups(runs, runs["k"].tolist()).loc["a"]
    assert row.to_dict() == {"runs": 4, "success": 0.5, "updates": 300.0, "loss": 1.0}


def test_a_run_that_diverged_or_failed_is_as_bad_as_can_be() -> None:
    good, bad = make([("good", 0, 5.0, None)]), make([("diverged", 0, np.nan, None)], "diverged")
    failed = make([("failed", 0, 0.001, None)]).assign(outcome=None, status="FAILED")
    found = rank_groups(pd.concat([bad, failed, good], ignore_index=True), ["diverged", "failed", "good"])
    assert list(found.index) == ["good", "diverged", "failed"]
    assert found["loss"].tolist() == [5.0, np.inf, np.inf]


def test_the_best_of_each_condition() -> None:
    easy, hard = (
        make([("a", 0, 0.1, 10), ("b", 0, 0.1, 20)]).assign(length=5),
        make([("a", 0, 0.5, None), ("b", 0, 0.4, None)]).assign(length=9),
    )
    runs = pd.concat([easy, hard], ignore_index=True)
    runs["run"] = range(4)
    assert choose_best(runs, ["length", "k"], ["length"]) == [[0], [3]]
    assert choose_best(runs, ["length", "k"], []) == [[0]]
