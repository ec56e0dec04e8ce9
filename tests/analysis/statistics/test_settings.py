import numpy as np
import pandas as pd
import pytest

from bptt.analysis.statistics.settings import (
    Interval,
    clopper_pearson,
    iqm_interval,
    median_interval,
    setting_statistics,
)

KEYS = ["model", "optimizer.alpha", "seed"]


@pytest.fixture
def runs() -> pd.DataFrame:
    """Two settings: gru, of 6 runs that end, one of which diverges; elman, of 5, and one that fails, one broken off."""
    loss = [0.1, 0.2, 0.3, 0.4, np.nan, 0.6, *[1.0, 2.0, 3.0, 4.0, 5.0], 9.0, 9.0]
    solved = [True, True, True, False, False, True, *[False] * 7]
    table = pd.DataFrame(
        {
            "run": range(13),
            "status": ["FINISHED"] * 11 + ["FAILED", None],
            "outcome": ["completed"] * 4 + ["diverged"] + ["early_stopped"] + ["completed"] * 5 + [None, None],
            "model": ["gru"] * 6 + ["elman"] * 7,
            "optimizer.alpha": [0.1] * 6 + [np.nan] * 7,
            "seed": [*range(6), *range(7)],
            "loss/eval": loss,
            "best/loss/eval": [0.05, 0.1, 0.2, 0.3, 0.9, 0.5, *[1.0] * 5, 9.0, 9.0],
            "solved": solved,
            "observed": [10.0, 20, 30, 100, 100, 60, *[100.0] * 5, np.nan, np.nan],
        }
    )
    when = table["observed"].where(table["solved"])
    return table.assign(solved_update=when, solved_after=when - 9)


def of(row: pd.Series, name: str) -> Interval:
    return Interval(*(float(row[name + end]) for end in ("", "_low", "_high")))


def test_settings_are_counted(runs: pd.DataFrame) -> None:
    table = setting_statistics(runs, KEYS)
    counts = ["setting", "runs", "ended", "diverged", "failed", "unfinished", "solved"]
    assert table[counts].to_numpy().tolist() == [
        ["model=gru alpha=0.1", 6, 6, 1, 0, 0, 4],
        ["model=elman", 7, 5, 0, 1, 1, 0],
    ]
    assert table["model"].tolist() == ["gru", "elman"]
    assert table["optimizer.alpha"].tolist()[0] == 0.1


def test_estimates_are_those_of_the_runs_that_ended(runs: pd.DataFrame) -> None:
    gru, elman = (row for _, row in setting_statistics(runs, KEYS).iterrows())
    losses = [0.1, 0.2, 0.3, 0.4, np.inf, 0.6]
    assert of(gru, "success") == clopper_pearson(4, 6)
    assert of(gru, "loss_median") == median_interval(losses)
    assert of(gru, "loss_iqm") == iqm_interval(losses)
    assert gru["loss_median"] == pytest.approx(0.35)
    assert gru["loss_iqm"] == pytest.approx((0.2 + 0.3 + 0.4 + 0.6) / 4)
    assert of(gru, "best_loss_median") == median_interval([0.05, 0.1, 0.2, 0.3, 0.9, 0.5])
    # 1, 2, 3 of 6 at 10, 20, 30, then 4 at 60: the interval of 1/6 holds one half, that of 4/6 still does.
    assert clopper_pearson(1, 6).high > 0.5 > clopper_pearson(4, 6).low
    updates = of(gru, "updates_to_solve_median")
    assert (updates.value, updates.low) == (30, 1)
    assert gru["updates_to_solve_median_after"] == 21
    assert np.isnan(updates.high)
    assert of(elman, "success") == clopper_pearson(0, 5)
    assert of(elman, "loss_median") == median_interval([1, 2, 3, 4, 5])
    assert np.isnan(elman["updates_to_solve_median"])


def test_what_no_run_recorded_has_no_column(runs: pd.DataFrame) -> None:
    assert not [name for name in setting_statistics(runs, KEYS) if name.startswith("accuracy")]
    bare = setting_statistics(runs.drop(columns=["solved", "observed", "best/loss/eval"]), KEYS)
    assert [*bare] == [
        *["setting", "model", "optimizer.alpha", "runs", "ended", "diverged", "failed", "unfinished"],
        *[f"loss_{which}{end}" for which in ("median", "iqm") for end in ("", "_low", "_high")],
    ]


def test_a_diverged_run_is_right_nowhere(runs: pd.DataFrame) -> None:
    accuracy = [1.0, 1, 1, 0.5, np.nan, 1, *[0.0] * 5, np.nan, np.nan]
    table = setting_statistics(runs.assign(**{"accuracy/eval": accuracy}), KEYS)
    assert of(table.iloc[0], "accuracy_iqm") == iqm_interval([1, 1, 1, 0.5, 0, 1])


def test_only_the_seed_was_swept(runs: pd.DataFrame) -> None:
    table = setting_statistics(runs, ["seed"])
    assert table["setting"].tolist() == ["all"]
    assert table["runs"].tolist() == [13]


def test_where_no_run_ended_there_are_counts_alone(runs: pd.DataFrame) -> None:
    none = runs.assign(status="FAILED", outcome=None, **{"loss/eval": np.nan})
    table = setting_statistics(none, KEYS)
    assert table["failed"].tolist() == [6, 7]
    assert table[["success", "loss_median", "updates_to_solve_median"]].isna().all(axis=None)


def test_all_runs_diverged(runs: pd.DataFrame) -> None:
    table = setting_statistics(runs.assign(status="FINISHED", outcome="diverged", **{"loss/eval": np.nan}), KEYS)
    assert table["loss_median"].tolist() == [np.inf, np.inf]


def test_the_same_bits_each_time_and_in_any_company(runs: pd.DataFrame) -> None:
    table = setting_statistics(runs, KEYS)
    assert table.equals(setting_statistics(runs, KEYS))
    alone = setting_statistics(runs[runs["model"] == "elman"], KEYS)
    shared = [name for name in alone if name not in ("model", "setting", "optimizer.alpha")]
    assert np.array_equal(table.loc[[1], shared].to_numpy(float), alone[shared].to_numpy(float), equal_nan=True)


def test_a_condition_is_no_part_of_a_setting(runs: pd.DataFrame) -> None:
    swept = ["optimizer.alpha", "model", "seed"]
    table = setting_statistics(runs, swept, ["model"])
    assert table[["condition", "setting", "solved"]].to_numpy().tolist() == [
        ["model=gru", "alpha=0.1", 4],
        ["model=elman", "all", 0],
    ]
    assert "condition" not in setting_statistics(runs, swept)
