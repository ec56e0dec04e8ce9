"""What may be asked of a sweep's runs, and of which runs the answers are made."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bptt.analysis.questions import (
    ask_about,
    choose_leading,
    choose_measure,
    conclude_about,
    describe_common,
    find_horizon,
    name_outcome,
)


def runs(solved: list[bool], **keys: Any) -> pd.DataFrame:
    """Runs that ended; those that solved their task did at update 100, and all were watched until 500."""
    number = np.arange(len(solved))
    table = pd.DataFrame(
        {
            "run": number,
            "outcome": "completed",
            "solved": solved,
            "solved_update": np.where(solved, 100.0, np.nan),
            "observed": np.where(solved, 100.0, 500.0),
            "loss/eval": np.where(solved, 0.1, 1.0) + number / 1000,
            "accuracy/eval": np.where(solved, 1.0, 0.5),
        }
    )
    return table.assign(**{key.replace("__", "."): values for key, values in keys.items()})


def test_runs_are_compared_by_what_tells_them_apart() -> None:
    some, all_, none = runs([True, False]), runs([True, True]), runs([False, False])
    assert (choose_measure(some), choose_measure(all_)) == ("solved", "updates")
    assert choose_measure(none.assign(**{"accuracy/eval": [0.2, 0.3]})) == "accuracy"
    assert choose_measure(none) == "loss"
    assert choose_measure(none.drop(columns="accuracy/eval")) == "loss"
    assert (find_horizon(some), find_horizon(all_)) == (500, 100)


def test_few_values_are_each_compared_with_each_and_many_with_the_next() -> None:
    few = runs([True, False, True] * 2, model__layers=[1, 1, 2, 2, 3, 3], seed=[0, 1] * 3)
    names = [(one.a, one.b) for one in ask_about(few, ["model.layers", "seed"], [])]
    assert names == [("layers=3", "layers=2"), ("layers=3", "layers=1"), ("layers=2", "layers=1")]
    many = runs([True, False] * 5, model__layers=np.repeat([1, 2, 3, 4, 5], 2), seed=[0, 1] * 5)
    names = [(one.a, one.b) for one in ask_about(many, ["model.layers", "seed"], [])]
    assert names[0] == ("layers=5", "layers=1")
    assert names[1:] == [(f"layers={n + 1}", f"layers={n}") for n in range(1, 5)]


def test_pairs_have_equal_seeds_and_all_else_equal() -> None:
    table = runs(
        [True, True, False, False, True, False, False, False],
        clip=["norm"] * 4 + ["none"] * 4,
        optimizer__alpha=[0.1, 0.1, 0.2, 0.2] * 2,
        seed=[0, 1] * 4,
    )
    found = {one.a: one for one in ask_about(table, ["clip", "optimizer.alpha", "seed"], [])}
    (condition,) = found["clip=none"].conditions
    assert condition.name == ""
    assert list(condition.a.values()) == [1, 0, 0, 0]
    assert list(condition.b.values()) == [1, 1, 0, 0]
    assert list(condition.a) == list(condition.b)


def test_a_condition_is_where_a_question_is_asked_and_never_asked_about() -> None:
    table = runs(
        [True, True, False, False, False, False, False, False],
        task__length=[5] * 4 + [20] * 4,
        clip=["norm", "norm", "none", "none"] * 2,
        seed=[0, 1] * 4,
    )
    (one,) = ask_about(table, ["task.length", "clip", "seed"], ["task.length"], ["no noise"])
    assert (one.a, one.b, one.common) == ("clip=none", "clip=norm", ("no noise",))
    assert [condition.name for condition in one.conditions] == ["length=5", "length=20"]
    (answer,) = conclude_about(table, ["task.length", "clip", "seed"], ["task.length"])
    # Over 20 timesteps no run solves it: two pairs are left, which norm wins.
    assert (answer.conditions, answer.silent) == (("length=5",), (("length=20", "none"),))
    assert answer.difference.value == -1
    assert answer.p == 0.5
    assert name_outcome(answer) == "not settled"


def test_runs_that_did_not_end_are_no_partners() -> None:
    table = runs([False, True, True, False], clip=["norm", "norm", "none", "none"], seed=[0, 1, 0, 1])
    table.loc[3, "outcome"] = None
    (one,) = conclude_about(table, ["clip", "seed"], [])
    assert (one.runs, one.unmatched) == ((1, 1), 1)
    assert ask_about(table.assign(outcome=None), ["clip", "seed"], []) == []


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_setting_leaves_nothing_to_ask(seeds: int) -> None:
    assert ask_about(runs([True] * seeds, seed=range(seeds)), ["seed"], []) == []


def test_a_difference_that_is_sure_comes_first() -> None:
    solved = [False] * 20 + [True] * 20 + [True] * 19 + [False]
    table = runs(solved, model__layers=np.repeat([1, 2, 3], 20), seed=[*range(20)] * 3)
    found = conclude_about(table, ["model.layers", "seed"], [])
    (leading,) = choose_leading(found)
    assert (leading.question.a, leading.question.b, leading.outcome) == ("layers=2", "layers=1", "more")
    assert name_outcome(leading) == "more often"
    assert leading.comparisons == 3


def test_what_runs_have_in_common_is_named() -> None:
    common = {
        "optimizer._target_": "bptt.core.optimizers.adam.Adam",
        "optimizer.alpha": 0.01,
        "clip._target_": "bptt.core.clips.norm.NormClip",
        "clip.threshold": 1.0,
        "train.updates": 8000,
    }
    assert describe_common(common) == (
        "the optimizer adam with the learning rate 0.01",
        "clipping by norm at 1",
        "8,000 updates",
    )
    assert describe_common({"clip._target_": "bptt.core.clips.none.NoClip"}) == ("no clipping",)
    assert describe_common({"clip._target_": "bptt.core.clips.norm.Norm"}) == ("clipping by norm",)
    assert describe_common({}) == ()


def test_what_else_differs_makes_no_comparison() -> None:
    # LSTMs are all clipped, of the others half: what is not clipped says nothing of cells.
    table = runs(
        [True] * 4 + [False, True, False, False] + [False] * 4,
        model=["lstm"] * 4 + ["elman"] * 8,
        clip=["norm"] * 8 + ["none"] * 4,
        seed=[0, 1, 2, 3] * 3,
    )
    cells, clipping = ask_about(table, ["model", "clip", "seed"], [])
    ((lstm, elman),) = [(dict(one.b), dict(one.a)) for one in cells.conditions]
    assert (cells.a, cells.b) == ("model=elman", "model=lstm")
    assert sorted(lstm.values()) == [1, 1, 1, 1]
    assert sorted(elman.values()) == [0, 0, 0, 1]
    ((norm, none),) = [(dict(one.a), dict(one.b)) for one in clipping.conditions]
    if clipping.a == "clip=none":
        norm, none = none, norm
    assert (sorted(norm.values()), sorted(none.values())) == ([0, 0, 0, 1], [0, 0, 0, 0])


def test_values_that_were_never_trained_with_all_else_equal_are_not_asked_about() -> None:
    table = runs([True, False] * 2, model=["lstm"] * 2 + ["elman"] * 2, optimizer__alpha=[1, 1, 2, 2], seed=[0, 1] * 2)
    assert ask_about(table, ["model", "optimizer.alpha", "seed"], []) == []
