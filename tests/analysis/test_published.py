"""What was published beside what runs say: verdicts from counts by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bptt.analysis.published import Answer, HeldAgainst, write_ours
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


def ask(sweep: Sweep, *rows: dict[str, Any]) -> list[Answer]:
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


def test_where_all_or_none_do_nothing_is_settled() -> None:
    (both,) = ask(two_kinds((20, 20)), A_AGAINST_B | {"claim": "same"})
    assert both.verdict == "unsettled"
    assert write_ours(both) == "all of both do"


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


def test_the_section_of_a_report() -> None:
    sweep = two_kinds((18, 4))
    rows = [
        A | {"what": "a share", "at": "table 2", "theirs": 0.2, "within": 0.1},
        A_AGAINST_B | {"what": "a is better", "claim": "more"},
        A | {"what": "a number", "theirs": "many"},
    ]
    (section,) = write_published(Findings(replace(sweep, published={"source": "Them (2016)", "rows": rows})))
    (table,) = [element for element in section.elements if element.kind == "table"]
    cells = write_rows(table)
    assert [row[0].shown for row in cells] == ["a share", "a is better", "a number"]
    assert [row[-1].shown for row in cells] == ["different", "the same", ""]
    texts = ["".join(map(str, element.spans)) for element in section.elements if element.kind == "paragraph"]
    assert texts == ["Them (2016)", "Of the numbers and claims of the source 1 of 2 is the same here, 1 is different."]
    assert write_published(Findings(sweep)) == []
