from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bptt.analysis.comparison import (
    SOLVED,
    UPDATES,
    KeyDifference,
    SideEstimate,
    ask_about,
    choose_asked,
    choose_leading,
    choose_measure,
    compare_sides,
    conclude_about,
    describe_common,
    estimate_sides,
    find_differences,
    find_horizon,
    name_better,
    name_outcome,
    split_settings,
)
from bptt.analysis.statistics.conclusions import Comparison
from bptt.analysis.statistics.differences import PairCounts, paired_difference, probability_on_pairs
from bptt.analysis.statistics.intervals import (
    clopper_pearson,
    iqm_interval,
    median_interval,
    probability_of_improvement,
    share_difference,
)


@dataclass
class Side:
    """What a comparison takes of a sweep."""

    runs: pd.DataFrame
    swept: list[str] = field(default_factory=lambda: ["seed"])
    conditions: list[str] = field(default_factory=list)


def side(loss: list[float], first: int = 0, swept: tuple[str, ...] = ("seed",), **columns: Any) -> Side:
    """Runs that ended with these losses, and of which those below 1 had solved their task after 100 times it; their
    seeds count from the first.
    """
    table = pd.DataFrame({"loss/eval": loss, "outcome": "completed", "seed": first + np.arange(len(loss))})
    solved = table["loss/eval"] < 1
    updates = (100 * table["loss/eval"]).where(solved)
    table = table.assign(solved=solved, solved_update=updates, observed=updates.fillna(1000.0), **columns)
    return Side(table, [*swept])


def compare(a: Side, b: Side, metric: str = "loss/eval") -> dict[str, Comparison]:
    (found,) = compare_sides([(a, b)], [SOLVED, UPDATES, metric])  # type: ignore[list-item]
    return found


def estimate(one: Side, metric: str = "loss/eval") -> SideEstimate:
    (found,) = estimate_sides([one], [metric])  # type: ignore[list-item]
    return found


LOSSES = [0.1, 0.2, 0.3, 0.4, 1.2], [0.45, 1.5, 2.5, 3.5, 4.5, 5.5]
A, B, OTHER_SEEDS = side(LOSSES[0]), side(LOSSES[1]), side(LOSSES[1], first=100)
LEVEL = 1 - 0.05 / 3  # of three questions: solved, updates, the loss


def test_the_keys_that_differ_and_those_that_vary_alike() -> None:
    every = [{"model": "elman", "alpha": alpha, "seed": "0", "batch": "1"} for alpha in ("0.1", "0.2")]
    other = [{"model": "gru", "alpha": alpha, "seed": "0", "gates": "3"} for alpha in ("0.2", "0.1")]
    found, alike = find_differences([every, other])
    assert found == [
        KeyDifference("model", (frozenset({"elman"}), frozenset({"gru"}))),
        KeyDifference("batch", (frozenset({"1"}), frozenset({None}))),
        KeyDifference("gates", (frozenset({None}), frozenset({"3"}))),
    ]
    assert alike == [KeyDifference("alpha", (frozenset({"0.1", "0.2"}),) * 2)]
    # A key that differs on one of three sides differs, also where the two others are alike.
    found, _ = find_differences([every, every, other])
    assert found[0] == KeyDifference("model", (frozenset({"elman"}), frozenset({"elman"}), frozenset({"gru"})))


def test_shares_are_of_all_runs_and_their_difference_of_pairs() -> None:
    assert (estimate(A).share, estimate(B).share) == (clopper_pearson(4, 5), clopper_pearson(1, 6))
    found = compare(A, B)[SOLVED]
    # Seeds 0 to 4 have a partner; 0 solves it on both sides, 1 to 3 on A's alone, 4 on none.
    assert found.difference == paired_difference(PairCounts(3, 0, 2), LEVEL)
    assert (found.paired, found.runs, found.unmatched) == (True, (5, 5), 1)


def test_where_seeds_differ_runs_are_independent() -> None:
    found = compare(A, OTHER_SEEDS)
    assert found[SOLVED].paired is False
    expected = share_difference((4, 1), (5, 6), LEVEL)
    assert astuple(found[SOLVED].difference) == pytest.approx(astuple(expected))
    expected = probability_of_improvement(*LOSSES, True, LEVEL)
    assert astuple(found["loss/eval"].difference) == pytest.approx(astuple(expected))


def test_speed() -> None:
    assert estimate(A).updates.value == 30
    assert np.isnan(estimate(B).updates.value)
    # Of five pairs A is sooner on four, and neither solves it on one.
    assert compare(A, B)[UPDATES].difference == probability_on_pairs(PairCounts(4, 0, 1), LEVEL)
    assert [*compare(A, side([2.0] * 5))] == [SOLVED, "loss/eval"]


def test_of_many_the_one_question_is_what_tells_them_apart() -> None:
    def chosen(*sides: Side, metrics: tuple[str, ...] = ("loss/eval",), by_criterion: bool = True) -> str:
        return choose_asked(sides, metrics, by_criterion)  # type: ignore[arg-type]

    quick, never = side([0.1, 0.2]), side([2.0, 3.0])
    assert chosen(A, B, never) == chosen(quick, never, never) == SOLVED
    assert chosen(quick, quick, quick) == UPDATES
    assert chosen(never, never, never) == chosen(A, B, never, by_criterion=False) == "loss/eval"
    right = [Side(one.runs.assign(**{"accuracy/eval": [0.2, 0.4]})) for one in (never, never)]
    assert chosen(*right, metrics=("loss/eval", "accuracy/eval")) == "accuracy/eval"
    # One of them has none.
    assert chosen(*right, never) == "loss/eval"


def test_all_pairs_are_asked_about_together() -> None:
    sides = [A, B, side([0.1, 0.2, 5.0, 5.0, 5.0])]
    pairs = [(sides[0], sides[1]), (sides[0], sides[2]), (sides[1], sides[2])]
    found = compare_sides(pairs, [SOLVED], [("A", "B"), ("A", "C"), ("B", "C")])  # type: ignore[arg-type]
    assert [(one[SOLVED].question.a, one[SOLVED].question.b) for one in found] == [("A", "B"), ("A", "C"), ("B", "C")]
    # A solves seeds 0 to 3, B seed 0 and C seeds 0 and 1.
    counts = [PairCounts(3, 0, 2), PairCounts(2, 0, 3), PairCounts(0, 1, 4)]
    assert [one[SOLVED].difference for one in found] == [paired_difference(one, 1 - 0.05 / 3) for one in counts]
    # Exact tests of 3, 2 and 1 discordant pairs: 0.25, 0.5 and 1, of which the least is three times as large.
    assert [one[SOLVED].corrected for one in found] == pytest.approx([0.75, 1, 1])


def test_a_loss_is_better_where_it_is_smaller() -> None:
    assert estimate(A).metrics["loss/eval"].median == median_interval(LOSSES[0])
    assert estimate(B).metrics["loss/eval"].iqm == iqm_interval(LOSSES[1])
    found = compare(A, B)["loss/eval"]
    assert found.difference == probability_on_pairs(PairCounts(5, 0, 0), LEVEL)
    assert name_better(found) is None  # five pairs
    many, worse = side(LOSSES[0] * 2), side([loss + 5 for loss in LOSSES[0] * 2])
    assert name_better(compare(many, worse)["loss/eval"]) == "A"
    assert name_better(compare(worse, many)["loss/eval"]) == "B"


def test_an_accuracy_is_better_where_it_is_larger_and_other_metrics_are_neither() -> None:
    one, other = (
        Side(each.runs.assign(**{"accuracy/eval": each.runs["loss/eval"], "grad/decay": each.runs["loss/eval"]}))
        for each in (A, B)
    )
    accuracy, decay = (compare(one, other, metric)[metric] for metric in ("accuracy/eval", "grad/decay"))
    assert accuracy.difference == decay.difference == probability_on_pairs(PairCounts(0, 5, 0), LEVEL)


def test_a_run_that_diverged_is_the_worst_and_one_that_did_not_end_does_not_count() -> None:
    names = ["loss/eval", "accuracy/eval", "accuracy/test", "grad/decay"]
    table = pd.DataFrame({name: [0.1, np.nan, 9.0] for name in names}).assign(
        outcome=["completed", "diverged", None], seed=[0, 1, 2], solved=False, solved_update=np.nan, observed=100.0
    )
    found = {name: estimate(Side(table), name).metrics[name].median.value for name in names}
    # Of 0.1 and infinity, of 0.1 and 0, and of 0.1 alone.
    assert found == {"loss/eval": np.inf, "accuracy/eval": 0.05, "accuracy/test": 0.05, "grad/decay": 0.1}


def test_setting_by_setting() -> None:
    low, high = [0.1 + seed / 100 for seed in range(12)], [2.0 + seed / 100 for seed in range(12)]
    every = side([*low, *high, *low], swept=("alpha", "seed"), alpha=np.repeat([0.1, 0.2, 0.3], 12))
    other = side([*low, *high], swept=("alpha", "seed"), alpha=np.repeat([0.2, 0.1], 12))
    for each in (every, other):
        each.runs["seed"] %= 12
    parts = split_settings(every, other)  # type: ignore[arg-type]
    assert [setting for setting, _, _ in parts] == ["alpha=0.1", "alpha=0.2"]
    found = compare_sides([(a, b) for _, a, b in parts], [SOLVED, "loss/eval"])
    assert [name_better(one["loss/eval"]) for one in found] == ["A", "B"]
    assert {one["loss/eval"].comparisons for one in found} == {4}  # solved and the loss, of both
    assert split_settings(every, side(low)) == []  # type: ignore[arg-type]


def test_better_is_what_the_runs_leave_no_doubt_of() -> None:
    sure = compare(side([0.1] * 20), side([2.0] * 20))["loss/eval"]
    assert (sure.outcome, name_better(sure)) == ("more", "A")
    assert sure.difference.low > 0.5
    doubtful = compare(side([0.1] * 3), side([2.0] * 3))["loss/eval"]
    assert (doubtful.outcome, name_better(doubtful)) == ("unsettled", None)
    assert doubtful.difference.low < 0.5


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


def test_many_choices_are_each_compared_with_the_first() -> None:
    names = ["constant", "warmup", "cosine", "linear", "step"]
    many = runs([True, False] * 5, schedule=np.repeat(names, 2), seed=[0, 1] * 5)
    asked = [(one.a, one.b) for one in ask_about(many, ["schedule", "seed"], [])]
    assert asked == [(f"schedule={name}", "schedule=constant") for name in names[1:]]


def test_numbers_beside_a_choice_are_compared_with_each_other_too() -> None:
    # An LSTM with four biases of its forget gate, and a GRU, which has none: only the former differ in the bias alone.
    table = runs(
        [False, True] * 5,
        model=["gru"] * 2 + ["lstm"] * 8,
        init__gate_bias__forget=[None] * 2 + [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0],
        seed=[0, 1] * 5,
    )
    asked = [(one.a, one.b) for one in ask_about(table, ["model", "init.gate_bias.forget", "seed"], [])]
    assert sorted(asked) == [
        (f"forget={a}", f"forget={b}") for a, b in ((1, 0), (2, 0), (2, 1), (4, 0), (4, 1), (4, 2))
    ]
    # Where the ones without differ in nothing else, each bias is compared with none too.
    alike = runs(
        [False, True] * 6,
        init__gate_bias__forget=np.repeat([np.nan, 0, 1, 2, 3, 4], 2),
        seed=[0, 1] * 6,
    )
    asked = [(one.a, one.b) for one in ask_about(alike, ["init.gate_bias.forget", "seed"], [])]
    assert asked[:5] == [(f"forget={bias}", "forget=default") for bias in range(5)]
    assert asked[5:] == [("forget=4", "forget=0"), *((f"forget={n + 1}", f"forget={n}") for n in range(4))]


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
