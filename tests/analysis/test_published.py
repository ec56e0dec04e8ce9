"""What was published beside what runs say: verdicts from counts by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bptt.analysis.published import _MADE, HeldAgainst, PublishedAnswer, write_ours
from bptt.analysis.report.document import Paragraph, ShownTable
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.rendering import write_rows
from bptt.analysis.report.sections.published import write_published
from bptt.analysis.sweep import Sweep
from tests.analysis.report.planted import planted

SEEDS = 20


def two_kinds(solved: tuple[int, int], losses: tuple[float, float] = (0.1, 0.2)) -> Sweep:
    """Of 20 seeds of each kind so many have solved the task; losses rise a little with the seed."""
    sweep = planted(kinds=("a", "b"), seeds=SEEDS)
    kind = np.repeat([0, 1], SEEDS)
    seed = np.tile(np.arange(SEEDS), 2)
    did = seed < np.array(solved)[kind]
    runs = sweep.runs.assign(
        **{"model.kind": np.array(["a", "b"])[kind], "loss/eval": np.array(losses)[kind] * (1 + seed / 1000)},
        **{"accuracy/eval": did.astype(float)},
        seed=seed,
        solved=did,
        solved_update=np.where(did, 10.0 + seed, np.nan),
        observed=np.where(did, 10.0 + seed, 50.0),
    )
    return replace(sweep, runs=runs, swept=["model.kind", "seed"], conditions=[])


def ask(sweep: Sweep, *rows: dict[str, Any]) -> list[PublishedAnswer]:
    every = [{"what": "something", **row} for row in rows]
    held = HeldAgainst.of(Findings(replace(sweep, published={"source": "Them (2016)", "rows": every})))
    assert held is not None
    return held.answers


A, B = {"where": {"model.kind": "a"}}, {"where": {"model.kind": "b"}}
A_AGAINST_B = A | {"against": {"model.kind": "b"}}


def test_a_share_is_the_same_only_where_its_whole_interval_is_near() -> None:
    sweep = two_kinds((20, 0))
    all_of_them, none = ask(sweep, A | {"theirs": 1, "within": 0.25}, B | {"theirs": 0.9})
    # 20 of 20, at 97.5 %, as there are two numbers: 0.0125^(1/20) = 0.803.
    assert all_of_them.ours.low == pytest.approx(0.0125 ** (1 / 20))
    assert (all_of_them.solved, all_of_them.runs, all_of_them.verdict) == (20, 20, "same")
    assert (none.solved, none.verdict) == (0, "different")
    (near,) = ask(sweep, A | {"theirs": 1})  # 83 to 100 % is not all of it within ten points
    assert near.ours.low == pytest.approx(0.025 ** (1 / 20))
    assert near.verdict == "unsettled"


def test_a_number_is_different_only_where_the_whole_interval_is_farther_than_the_tolerance() -> None:
    sweep = two_kinds((20, 20), (0.1, 0.2))
    # The median is 0.101, its interval narrow: it leaves 0.1 out, and is within 2 % of it, and farther than 0.1 %.
    same, different = ask(sweep, *(A | {"measure": "loss/eval", "theirs": 0.1, "within": w} for w in (0.02, 0.001)))
    assert (same.verdict, different.verdict) == ("same", "different")
    (wide,) = ask(two_kinds((20, 20)), A | {"theirs": 0.95, "within": 0.1})
    assert wide.ours.low < 0.85  # 83 to 100 %: neither within ten points nor all of it farther
    assert wide.verdict == "unsettled"


def test_at_least_and_at_most() -> None:
    sweep = two_kinds((20, 0))
    rows = [A | {"theirs": 0.5, "claim": claim, "within": 0} for claim in ("at_least", "at_most", "equal")]
    assert [answer.verdict for answer in ask(sweep, *rows)] == ["same", "different", "different"]


def test_a_columns_median_beside_a_number() -> None:
    sweep = two_kinds((20, 0))
    rows = [A | {"measure": "loss/eval", "theirs": theirs, "within": 0.05} for theirs in (0.1, 0.2)]
    same, different = ask(sweep, *rows)
    assert same.ours.value == pytest.approx(0.1 * 1.0095)
    assert same.ours.low < same.ours.value < same.ours.high
    assert (same.verdict, different.verdict) == ("same", "different")


def test_claims_are_judged_on_pairs() -> None:
    sweep = two_kinds((18, 4))
    more, less, same = ask(sweep, *(A_AGAINST_B | {"claim": claim} for claim in ("more", "less", "same")))
    assert more.found is not None
    assert more.found.paired
    assert more.found.shares == (0.9, 0.2)
    assert (more.runs, more.verdict, less.verdict, same.verdict) == (20, "same", "different", "different")
    assert write_ours(more).startswith("90 % against 20 %: +70 points (+")


def test_a_claim_about_a_column_and_one_about_updates() -> None:
    sweep = two_kinds((20, 20))
    later = sweep.runs.assign(
        **{name: sweep.runs[name] + 5 * sweep.runs["model.kind"].eq("b") for name in ("solved_update", "observed")}
    )
    smaller, sooner = ask(
        replace(sweep, runs=later),
        A_AGAINST_B | {"claim": "less", "measure": "loss/eval"},
        A_AGAINST_B | {"claim": "less", "measure": "updates"},
    )
    assert (smaller.verdict, sooner.verdict) == ("same", "same")
    assert write_ours(smaller).startswith("the first's is smaller on 100 % of pairs (")
    (larger,) = ask(sweep, A_AGAINST_B | {"claim": "more", "measure": "loss/eval"})
    assert larger.verdict == "different"
    assert write_ours(larger).startswith("the first's is larger on 0 % of pairs (0 to ")


def test_updates_are_counted_as_long_as_both_sides_were_watched() -> None:
    sweep = two_kinds((20, 20))
    runs = pd.concat([sweep.runs, sweep.runs.assign(run=sweep.runs["run"] + 100, **{"model.kind": "c"})])
    runs.loc[runs["model.kind"].eq("c"), ["solved", "observed", "solved_update"]] = [False, 12.0, np.nan]
    (answer,) = ask(
        replace(sweep, runs=runs.reset_index(drop=True)), A_AGAINST_B | {"claim": "same", "measure": "updates"}
    )
    assert answer.found is not None
    assert answer.found.question.horizon == 29.0  # not 12, which are those of a third kind


def test_where_all_or_none_do_nothing_is_settled() -> None:
    (both,) = ask(two_kinds((20, 20)), A_AGAINST_B | {"claim": "same"})
    assert both.verdict == "unsettled"
    assert write_ours(both) == "all of 20 do, and all of 20: no difference can show"


def test_a_row_that_no_run_answers_and_one_without_a_number() -> None:
    missing, shown, updates = ask(
        two_kinds((20, 20)),
        {"where": {"model.kind": "c"}, "theirs": 1},
        A | {"theirs": "all of them"},
        A | {"measure": "updates", "theirs": 19.5},
    )
    assert (missing.verdict, missing.runs, write_ours(missing)) == ("missing", 0, "")
    assert (shown.verdict, write_ours(shown)) == ("shown", "20 of 20 (80 to 100 %)")
    assert updates.ours.value == 19  # the tenth of 10, 11, … 29


def test_a_key_that_was_not_swept_is_the_configurations() -> None:
    (own, other) = ask(
        two_kinds((20, 20)),
        {"where": {"model.hidden_size": 3}, "theirs": 1},
        {"where": {"model.hidden_size": 4}, "theirs": 1},
    )
    assert (own.runs, other.runs) == (40, 0)


def test_derived_numbers_are_of_the_runs_that_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of each kind and seed, whatever its number of patterns: 2 of kind a, 1 of kind b, which are partners."""
    sweep = two_kinds((20, 20))
    lengths = np.where(sweep.runs["seed"] % 2 == 0, 10, 20) + sweep.runs["model.kind"].eq("b")
    sweep = replace(
        sweep,
        runs=sweep.runs.assign(**{"task.patterns": lengths}),
        swept=["model.kind", "task.patterns", "seed"],
        conditions=["task.patterns"],
    )
    column = pd.Series(np.where(sweep.runs["model.kind"].eq("a"), 2.0, 1.0) + sweep.runs["seed"] / 100)
    column[[3, 23]] = np.nan
    made = pd.DataFrame({"run": sweep.runs["run"], "stored/most": column})
    monkeypatch.setitem(_MADE, "stored/", lambda _: made)
    number, more = ask(
        sweep,
        A | {"measure": "stored/most", "theirs": 5},
        A_AGAINST_B | {"measure": "stored/most", "claim": "more"},
    )
    assert (number.runs, number.verdict) == (19, "different")
    assert number.ours.value == pytest.approx(2.1)  # seeds but 3: the tenth of 19
    assert more.found is not None
    assert (more.found.paired, more.runs, more.verdict) == (True, 19, "same")
    for name in ("stored/such", "no/such"):
        (lacking,) = ask(sweep, A | {"measure": name, "theirs": 5})
        assert (lacking.verdict, lacking.why) == ("missing", f"something: no run has {name}")


def test_the_area_of_a_predictor_is_a_number_of_all_runs_that_are_asked_for() -> None:
    """Seeds below 10 solve it, and start nearer to 0: of a solved and an unsolved run never the solved is farther."""
    sweep = two_kinds((10, 10))
    start = {"first/dynamics/lyapunov_max": -0.1 - sweep.runs["seed"] / 10}
    (area, more) = ask(
        replace(sweep, runs=sweep.runs.assign(**start)),
        {"measure": "area/|λ₁|", "theirs": 0.5, "claim": "at_most", "within": 0},
        {"measure": "area/λ₁", "theirs": 0.5, "claim": "at_most", "within": 0},
    )
    assert (area.ours.value, area.runs, area.verdict) == (0.0, 40, "same")
    assert (more.ours.value, more.verdict) == (1.0, "different")
    assert 0 < area.ours.high < 0.5
    (lacking,) = ask(replace(sweep, runs=sweep.runs.assign(**start)), {"measure": "area/σ₁"})
    assert lacking.why.startswith("σ₁: no such predictor was measured (measured: λ₁, |λ₁|")


def test_an_area_that_no_condition_tells_is_no_number() -> None:
    sweep = two_kinds((20, 20))
    start = {"first/dynamics/lyapunov_max": -0.1 - sweep.runs["seed"] / 10}
    (area,) = ask(replace(sweep, runs=sweep.runs.assign(**start)), {"measure": "area/λ₁", "theirs": 0.5})
    assert (area.verdict, write_ours(area)) == ("unsettled", "no number")


def test_the_section_of_a_report() -> None:
    sweep = two_kinds((18, 4))
    rows = [
        A | {"what": "a share", "at": "table 2", "theirs": 0.2, "within": 0.1},
        A_AGAINST_B | {"what": "a is better", "claim": "more"},
        A | {"what": "a number", "theirs": "many"},
        A | {"what": "a bound", "theirs": 0.6, "claim": "at_least"},
    ]
    (section,) = write_published(Findings(replace(sweep, published={"source": "Them (2016)", "rows": rows})))
    (table,) = [element for element in section.elements if isinstance(element, ShownTable)]
    cells = write_rows(table)
    assert [row[0].shown for row in cells] == ["a share", "a is better", "a number", "a bound"]
    assert [row[-1].shown for row in cells] == ["different", "the same", "", "the same"]
    assert [row[2].shown for row in cells] == ["0.2", "", "many", "at least 0.6"]
    texts = ["".join(map(str, element.spans)) for element in section.elements if isinstance(element, Paragraph)]
    assert texts == ["Them (2016)", "Of the numbers and claims of the source 2 of 3 are the same here, 1 is different."]
    assert write_published(Findings(sweep)) == []


def test_runs_that_nothing_tells_apart_are_no_pairs_whichever_comes_first() -> None:
    sweep = two_kinds((20, 20))
    more = pd.concat([sweep.runs.assign(**{"optimizer.alpha": 0.1}), sweep.runs.assign(**{"optimizer.alpha": 0.2})])
    more = more.assign(run=range(len(more)), **{"loss/eval": np.linspace(0.1, 0.9, len(more))})
    row = {
        "where": {"model.kind": "b", "optimizer.alpha": 0.1},
        "against": {"model.kind": "a"},
        "measure": "loss/eval",
        "claim": "less",
    }
    found = []
    for runs in (more, more.iloc[::-1]):
        swept = replace(sweep, runs=runs.reset_index(drop=True), swept=["model.kind", "optimizer.alpha", "seed"])
        (answer,) = ask(swept, row)
        assert answer.found is not None
        assert not answer.found.paired
        found.append((answer.verdict, answer.ours))
    assert found[0] == found[1]


def test_a_row_that_can_not_be_answered_leaves_the_others() -> None:
    good, typo, text, both = ask(
        two_kinds((20, 20)),
        A | {"theirs": 0.5},
        A | {"measure": "loss/evil"},
        A | {"measure": "outcome"},
        {"where": {}, "against": {"model.kind": "a"}, "claim": "more"},
    )
    assert good.verdict == "different"
    assert [one.verdict for one in (typo, text, both)] == ["missing"] * 3
    assert write_ours(typo) == "something: no run has loss/evil"
    assert write_ours(text) == "something: outcome is no number"
    assert write_ours(both) == "something: where and against have runs in common"


def test_what_was_never_reached_is_later_than_what_was_watched() -> None:
    sweep = two_kinds((0, 20))
    rows = [A | {"measure": "updates", "theirs": 10, "claim": claim} for claim in ("equal", "at_least", "at_most")]
    assert [answer.verdict for answer in ask(sweep, *rows)] == ["different", "same", "different"]


def test_the_margin_of_a_claim_is_the_rows_own() -> None:
    (answer,) = ask(two_kinds((18, 4)), A_AGAINST_B | {"claim": "same", "within": 0.99})
    assert answer.verdict == "different"  # more often for sure, however wide the margin
    assert answer.found is not None
    assert answer.found.question.margin == 0.99
