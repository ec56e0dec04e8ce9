"""How settings stand so far: by the rule of a report, within a condition, of runs that have ended."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.analysis.ranking import rank_groups
from bptt.analysis.sweep import load_sweep
from bptt.tracking.folder.sweep import SweepFolder
from bptt.watch.curves import Portion, RecordedPortions
from bptt.watch.standing import compare_arms, find_arms
from tests.recording import archived

COLUMNS = ("number", "name", "stage", "swept")


def portions(archive: SweepFolder) -> list[Portion]:
    found = RecordedPortions(archive)
    found.read(archive.blocks(), [], sealed=True)
    return [*found.ended.values()]


def test_arms_are_settings_in_the_order_of_their_first_runs(tmp_path: Path) -> None:
    archive = archived(tmp_path / "s")
    arms = find_arms(archive.read_columns(COLUMNS), archive.journal)
    assert arms.conditions == [""] * 9
    assert arms.settings[:3] == ["model=elman alpha=0", "model=lstm alpha=0", "model=elman alpha=0.1"]
    assert [runs.tolist() for runs in arms.runs] == [[number] for number in range(9)]
    arms = find_arms(archive.read_columns(COLUMNS), archived(tmp_path / "t", conditions=["optimizer.alpha"]).journal)
    assert arms.conditions[:4] == ["alpha=0", "alpha=0", "alpha=0.1", "alpha=0.1"]
    assert arms.settings[:4] == ["model=elman", "model=lstm", "model=elman", "model=lstm"]


@pytest.mark.parametrize("solved", [None, "loss/eval<=0.5", "accuracy/eval>=0.75"])
def test_they_stand_as_in_the_sweeps_own_tables(tmp_path: Path, solved: str | None) -> None:
    archive = archived(tmp_path / "s", conditions=["optimizer.alpha"], solved=solved)
    arms = find_arms(archive.read_columns(COLUMNS), archive.journal)
    found, criterion = compare_arms(arms, portions(archive), solved)
    sweep = load_sweep(tmp_path / "s")
    assert str(criterion) == str(sweep.solved)
    for number, row in enumerate(sweep.runs.to_dict("records")):
        mine = found[number]
        began = number < 8
        assert (mine.runs, mine.ended) == (1, int(began))
        assert mine.solved == int(row["solved"] and began)
        assert mine.failed == int(row["status"] == "FAILED")
        assert mine.diverged == int(row["outcome"] == "diverged")
        assert mine.by == (int(row["solved_update"]) if row["solved"] else None)
    for condition in dict.fromkeys(arms.conditions):
        members = [arm for arm, one in enumerate(arms.conditions) if one == condition and found[arm].ended]
        runs = sweep.runs.iloc[members].reset_index(drop=True)
        order = rank_groups(runs, members).index.tolist()
        assert sorted(members, key=lambda arm: found[arm].rank or 0) == order


def test_shares_have_exact_intervals_and_losses_quartiles() -> None:
    rows = [
        {"number": n, "name": "", "stage": "result", "swept": json.dumps({"a": str(n // 4), "seed": str(n % 4)})}
        for n in range(8)
    ]

    class Journal:
        swept = ("a", "seed")
        tuned: tuple[str, ...] = ()
        conditions = None

    arms = find_arms(rows, Journal())  # type: ignore[arg-type]
    losses = np.array([[1.0, 1, 1, 1, 1, 1], [0.1, 0.3, np.inf, 0.2, 0.5, 0.9]])
    outcome = ["completed", "completed", "diverged", "completed", "completed", None]
    failed, kept = np.array([False] * 5 + [True]), np.full(6, np.nan)
    one = Portion(np.arange(6), np.array([10, 20]), {"loss/eval": losses}, True, outcome, failed, kept)
    (first, second), _ = compare_arms(arms, [one], "loss/eval<=0.25")
    assert (first.runs, first.ended, first.solved, first.diverged, first.rank) == (4, 4, 2, 1, 0)
    assert first.loss.tolist() == pytest.approx([0.175, 0.25, np.inf])
    # Clopper and Pearson's: https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval, 2 of 4.
    assert (first.share.low, first.share.high) == pytest.approx((0.0676, 0.9324), abs=1e-4)
    assert first.by == 20
    assert (second.runs, second.ended, second.failed, second.solved, second.by, second.rank) == (4, 2, 1, 0, None, 1)
    assert second.loss.tolist() == [0.5, 0.5, 0.5]


def test_a_stage_that_chooses_gives_way_to_the_result() -> None:
    def row(number: int, stage: str, **swept: Any) -> dict[str, Any]:
        return {"number": number, "name": "", "stage": stage, "swept": json.dumps(swept)}

    class Journal:
        swept = ("model", "alpha", "seed")
        tuned = ("alpha",)
        conditions = None

    tuning = [row(n, "tuning", model="ab"[n % 2], alpha=str(n // 2), seed="9") for n in range(4)]
    assert find_arms(tuning, Journal()).settings == [  # type: ignore[arg-type]
        "model=a alpha=0",
        "model=b alpha=0",
        "model=a alpha=1",
        "model=b alpha=1",
    ]
    result = [row(4 + n, "result", model="ab"[n % 2], alpha=str(n % 2), seed=str(n // 2)) for n in range(4)]
    arms = find_arms([*tuning, *result], Journal())  # type: ignore[arg-type]
    assert (arms.stage, arms.settings) == ("result", ["model=a", "model=b"])
    assert [runs.tolist() for runs in arms.runs] == [[4, 6], [5, 7]]


def test_nothing_stands_before_anything_has_ended(tmp_path: Path) -> None:
    archive = archived(tmp_path / "s")
    arms = find_arms(archive.read_columns(COLUMNS), archive.journal)
    found, criterion = compare_arms(arms, [], None)
    assert criterion is None
    assert {(one.ended, one.rank, one.by) for one in found} == {(0, None, None)}
