from collections.abc import Sequence

import numpy as np
import pytest

from bptt.analysis.statistics import conclusions
from bptt.analysis.statistics.conclusions import Comparison, ConditionRuns, Measure, Question, conclude
from bptt.analysis.statistics.words import write_conclusion, write_p


def pair(both: int, wins: int, losses: int, neither: int, name: str = "") -> ConditionRuns:
    a = [1] * (both + wins) + [0] * (losses + neither)
    b = [1] * both + [0] * wins + [1] * losses + [0] * neither
    return ConditionRuns(name, dict(enumerate(a)), dict(enumerate(b)))


def apart(a: Sequence[float], b: Sequence[float], name: str = "") -> ConditionRuns:
    return ConditionRuns(name, dict(enumerate(a)), {seed + 1000: value for seed, value in enumerate(b)})


def ask(*conditions: ConditionRuns, measure: Measure = "solved", horizon: float | None = None) -> Comparison:
    return conclude([Question("A", "B", measure, conditions, horizon)])[0]


def test_more_often() -> None:
    question = Question("clipping", "none", "solved", [pair(20, 9, 1, 30)], common=("clip norm 1", "2,000 updates"))
    found = conclude([question])[0]
    assert (found.outcome, found.paired, found.runs, found.unmatched) == ("more", True, (60, 60), 0)
    assert found.p == found.corrected == pytest.approx(0.0215, abs=5e-5)
    assert write_conclusion(found) == (
        "clipping solves the task more often than none: 48 % against 35 %, a difference of 13 percentage points "
        "(95 % interval 2 to 25, 60 pairs of equal seeds, exact McNemar p = 0.021). "
        "All of these runs have clip norm 1 and 2,000 updates, which may decide."
    )
    assert "solves the task less often than" in write_conclusion(ask(pair(20, 1, 9, 30)))


def test_several_questions_are_corrected_together() -> None:
    questions = [Question("A", "B", "solved", [pair(20, wins, 1, 30)]) for wins in (9, 14, 2)]
    found = conclude(questions)
    assert [one.outcome for one in found] == ["unsettled", "more", "unsettled"]
    assert [one.comparisons for one in found] == [3, 3, 3]
    assert found[0].level == pytest.approx(1 - 0.05 / 3)
    assert found[0].corrected == pytest.approx(2 * found[0].p)
    assert "p = 0.0029, corrected for 3 comparisons)" in write_conclusion(found[1])
    assert found[0].difference.low < 0 < conclude(questions[:1])[0].difference.low


def test_about_as_often_needs_the_whole_interval_within_the_margin() -> None:
    found = ask(pair(100, 1, 2, 97))
    assert found.outcome == "same"
    assert write_conclusion(found) == (
        "A and B solve the task about as often: 50.5 % against 51.0 %, a difference of −0.5 percentage points "
        "(95 % interval −3 to 2, all of it within ±10 points, 200 pairs of equal seeds, exact McNemar p = 1)."
    )
    narrow = Question("A", "B", "solved", [pair(100, 1, 2, 97)], margin=0.02)
    assert conclude([narrow])[0].outcome == "unsettled"


def test_not_settled_tells_how_many_seeds_would() -> None:
    found = ask(pair(10, 5, 3, 12))
    assert (found.outcome, found.to_differ, found.to_equal) == ("unsettled", 493, 310)
    assert write_conclusion(found).endswith(
        "About 493 seeds would settle a difference like this one, about 310 seeds that there is none of 10 points."
    )


def test_adding_over_three_lengths_is_not_settled_by_five_pairs_at_one_of_them() -> None:
    found = ask(pair(20, 0, 0, 0, "T=20"), pair(10, 5, 0, 5, "T=100"), pair(0, 0, 0, 20, "T=400"))
    assert found.outcome == "unsettled"
    assert found.conditions == ("T=100",)
    assert found.silent == (("T=20", "all"), ("T=400", "none"))
    assert found.p == 0.0625
    assert write_conclusion(found).endswith(
        "Left out, since no difference can show there: at T=20 all runs of both solve it and at T=400 no run of either "
        "solves it."
    )


@pytest.mark.parametrize(
    ("counts", "reason"), [((5, 0, 0, 0), "all runs of both solve it"), ((0, 0, 0, 2), "no run of either solves it")]
)
def test_where_all_or_none_solve_it_nothing_is_known(counts: tuple[int, int, int, int], reason: str) -> None:
    found = ask(pair(*counts))
    assert found.outcome == "silent"
    assert write_conclusion(found) == f"Whether A or B solves the task more often, these runs can't tell: {reason}."


def test_ties_in_conditions_that_could_tell() -> None:
    found = ask(pair(10, 0, 0, 10))
    assert (found.outcome, found.p, found.to_differ) == ("unsettled", 1.0, None)
    assert write_conclusion(found).endswith("About 70 seeds would settle that there is none of 10 points.")


def test_one_pair_and_two() -> None:
    one = ask(pair(0, 1, 0, 0))
    assert one.outcome == "unsettled"
    assert "100 % against 0 %" in write_conclusion(one)
    assert "(95 % interval −95 to 100, 1 pair of equal seeds, exact McNemar p = 1)" in write_conclusion(one)
    assert ask(pair(0, 2, 0, 0)).outcome == "unsettled"


@pytest.mark.parametrize("conditions", [[], [ConditionRuns("", {1: 1}, {})], [ConditionRuns("", {1: np.nan}, {1: 0})]])
def test_one_setting_alone(conditions: list[ConditionRuns]) -> None:
    found = ask(*conditions)
    assert found.outcome == "missing"
    assert write_conclusion(found) == (
        "A and B can't be compared: not both have runs that ended in the same condition."
    )


def test_without_a_seed_in_common_runs_are_no_pairs() -> None:
    found = ask(apart([1] * 7 + [0] * 13, [1] * 16 + [0] * 4))
    assert (found.outcome, found.paired, found.runs) == ("less", False, (20, 20))
    assert write_conclusion(found) == (
        "A solves the task less often than B: 35 % against 80 %, a difference of −45 percentage points "
        "(95 % interval −69 to −11, 20 and 20 runs that are no pairs, Fisher's exact test p = 0.0095)."
    )
    several = ask(apart([1] * 7 + [0] * 13, [1] * 16 + [0] * 4, "T=1"), apart([1, 0], [1, 0], "T=2"))
    assert "exact stratified test" in write_conclusion(several)


def test_runs_without_a_partner_are_left_out_and_told() -> None:
    whole = pair(10, 9, 0, 10)
    runs = ConditionRuns("", {**whole.a, 99: 1}, {**whole.b, 100: 0, 101: 0})
    found = ask(runs)
    assert (found.runs, found.unmatched) == ((29, 29), 3)
    assert "29 pairs of equal seeds, 3 runs without a partner left out" in write_conclusion(found)
    few = ConditionRuns("", {seed: seed % 2 for seed in range(20)}, {seed + 19: seed % 2 for seed in range(20)})
    assert not ask(few).paired  # one pair would waste 19 runs


def test_losses_on_pairs() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 30), rng.normal(1.5, 1, 30)
    found = ask(ConditionRuns("", dict(enumerate(a)), dict(enumerate(b))), measure="loss")
    assert found.outcome == "more"
    assert found.difference.value == np.mean(a < b)
    assert found.effect is not None
    assert found.effect.value == pytest.approx(np.median(a - b))
    told = write_conclusion(found)
    assert told.startswith(
        "A does better than B: on 90 % of the pairs it is A that has the lower loss, ties counted half"
    )
    assert "exact sign test p < 0.001)" in told
    assert "The median difference in loss is −" in told
    worse = ask(ConditionRuns("", dict(enumerate(a)), dict(enumerate(b))), measure="accuracy")
    assert write_conclusion(worse).startswith(
        "A does worse than B: on 10 % of the pairs it is A that has the higher acc"
    )


def test_losses_of_runs_that_are_no_pairs() -> None:
    rng = np.random.default_rng(0)
    found = ask(apart(rng.normal(0, 1, 20).tolist(), rng.normal(1.5, 1, 20).tolist()), measure="loss")
    assert (found.outcome, found.paired, found.effect) == ("more", False, None)
    assert "a run of A has a lower loss than one of B with a probability of" in write_conclusion(found)
    assert "Mann–Whitney test" in write_conclusion(found)


def test_updates_to_solve() -> None:
    rng = np.random.default_rng(1)
    a = {seed: 100.0 * rng.integers(1, 5) for seed in range(25)}
    b = {seed: 100.0 * rng.integers(4, 12) if seed % 3 else np.inf for seed in range(25)}
    found = ask(ConditionRuns("", a, b), measure="updates", horizon=2000)
    assert found.outcome == "more"
    told = write_conclusion(found)
    assert told.startswith("A solves the task sooner than B: on ")
    assert found.effect is not None
    assert found.effect.value == np.mean([min(a[seed], 2000) - min(b[seed], 2000) for seed in a])
    assert "The mean number of updates, none counted beyond 2,000, differs by −" in told
    unsolved = dict.fromkeys(range(5), np.inf)
    assert ask(ConditionRuns("", unsolved, unsolved), measure="updates").silent == (("", "none"),)
    alike = dict.fromkeys(range(5), 100.0)
    assert ask(ConditionRuns("", alike, alike), measure="updates").silent == (("", "same"),)


def test_about_as_well() -> None:
    seeds = range(800)
    a, b = dict.fromkeys(seeds, 0.0), {seed: (-1.0) ** seed for seed in seeds}
    found = ask(ConditionRuns("", a, b), measure="loss")
    assert found.outcome == "same"
    assert write_conclusion(found).startswith("A and B do about as well: on 50 % of the pairs")
    assert "all of it within 50 ± 10 %" in write_conclusion(found)


def test_an_end_is_never_rounded_across_a_border() -> None:
    found = ask(pair(0, 11, 2, 400))
    assert found.outcome == "more"
    assert "2.7 % against 0.5 %, a difference of 2.2 percentage points (95 % interval 0.3 to 4," in write_conclusion(
        found
    )


def test_p_has_two_digits() -> None:
    assert [write_p(p) for p in (1.0, 0.0214, 0.3, 0.00099)] == ["p = 1", "p = 0.021", "p = 0.3", "p < 0.001"]


def test_no_difference_is_called_one_in_more_than_a_twentieth_of_families(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conclusions, "_add_needs", lambda _, found: found)  # takes long, decides nothing
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(200):
        solved = rng.random((4, 20)) < 0.5
        questions = [
            Question("A", "B", "solved", [ConditionRuns("", dict(enumerate(solved[i])), dict(enumerate(solved[j])))])
            for i, j in ((0, 1), (0, 2), (1, 2), (2, 3))
        ]
        wrong += any(one.outcome in ("more", "less") for one in conclude(questions))
    assert wrong / 200 <= 0.05


def test_the_same_runs_give_the_same_words() -> None:
    rng = np.random.default_rng(6)
    a, b = dict(enumerate(rng.random(12))), dict(enumerate(rng.random(12)))
    turned = ConditionRuns("", dict(reversed(a.items())), dict(reversed(b.items())))
    assert write_conclusion(ask(ConditionRuns("", a, b), measure="loss")) == write_conclusion(
        ask(turned, measure="loss")
    )


def test_another_metric_is_called_by_its_name() -> None:
    a, b = dict(enumerate(range(20))), dict(enumerate(range(1, 21)))
    runs = [ConditionRuns("", a, b)]
    said = write_conclusion(conclude([Question("A", "B", "loss", runs, called="RMSE")])[0])
    assert "it is A that has the lower RMSE, ties" in said
    assert "The median difference in RMSE is −1" in said
    said = write_conclusion(conclude([Question("A", "B", "accuracy", runs, called="R²")])[0])
    assert "it is A that has the higher R², ties" in said
