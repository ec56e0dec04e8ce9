"""Across the values of a condition nothing is ranked, compared or explained."""

from dataclasses import replace

from bptt.analysis.report.document import Paragraph
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.sections.setup import write_in_short
from bptt.analysis.sweep import Sweep
from tests.analysis.report.planted import planted


def two_lengths() -> Sweep:
    """Lengths 5 and 20, each with two kinds: over 5 runs of the second kind solve the task, over 20 of the first."""
    sweep = planted(kinds=("a", "b", "c", "d"), seeds=4)
    kinds = ["a"] * 4 + ["b"] * 4
    runs = sweep.runs.assign(
        **{"task.length": [5] * 8 + [20] * 8, "model.kind": kinds * 2, "loss/eval": 0.5},
        solved=[False] * 4 + [True] * 8 + [False] * 4,
    )
    return replace(sweep, runs=runs, swept=["task.length", "model.kind", "seed"], conditions=["task.length"])


def test_settings_are_ranked_within_a_condition() -> None:
    findings = Findings(two_lengths())
    ranked = [(text, part["setting"].tolist(), part["solved"].tolist()) for text, part in findings.split_ranked()]
    assert ranked == [("length=5", ["kind=b", "kind=a"], [4, 0]), ("length=20", ["kind=a", "kind=b"], [4, 0])]


def test_a_sweep_without_conditions_is_ranked_as_a_whole() -> None:
    ((text, part),) = Findings(replace(two_lengths(), conditions=[])).split_ranked()
    assert text == ""
    assert part["setting"].tolist()[:2] == ["length=5 kind=b", "length=20 kind=a"]


def test_the_answer_compares_within_conditions() -> None:
    findings = Findings(two_lengths())
    lead, counts = (
        "".join(str(getattr(span, "text", span)) for span in paragraph.spans)
        for paragraph in write_in_short(findings, None).elements
        if isinstance(paragraph, Paragraph)
    )
    assert counts.startswith("16 runs of 2 settings in 2 conditions. 8 of them solved the task, ")
    (found,) = findings.conclusions
    assert (found.question.a, found.question.b, found.conditions) == ("kind=b", "kind=a", ("length=5", "length=20"))
    # Of eight pairs of equal seeds each kind wins four.
    assert (found.runs, found.difference.value, found.p, found.outcome) == ((8, 8), 0.0, 1.0, "unsettled")
    assert "Whether kind=b or kind=a solves the task more often is not settled by these runs: 50 % against 50 %" in lead


def test_settings_that_differ_in_more_than_the_key_are_no_pairs() -> None:
    sweep = two_lengths()
    (found,) = Findings(replace(sweep, conditions=[])).conclusions[:1]
    assert found.question.a.startswith(("length=", "kind="))
    assert found.runs == (8, 8)
