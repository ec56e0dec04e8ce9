"""Across the values of a condition nothing is ranked, compared or explained."""

from dataclasses import replace

import pandas as pd

from bptt.analysis.report.document import Paragraph
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.sections.setup import write_in_short
from bptt.analysis.sweep import Sweep
from tests.analysis.report.planted import planted


def two_lengths() -> Sweep:
    """Lengths 5 and 20, each with two kinds: over 5 runs of the second kind solve the task, over 20 of the first."""
    sweep = planted(kinds=("a", "b"), seeds=4)
    runs = pd.concat([sweep.runs, sweep.runs], ignore_index=True)
    runs = runs.assign(
        run=range(16),
        seed=[*range(4)] * 4,
        **{"task.length": [5] * 8 + [20] * 8, "solved": [False] * 4 + [True] * 8 + [False] * 4, "loss/eval": 0.5},
    )
    history = pd.concat([sweep.history, sweep.history.assign(run=sweep.history["run"] + 8)])
    return replace(
        sweep,
        runs=runs,
        history=history,
        swept=["task.length", "model.kind", "seed"],
        conditions=["task.length"],
    )


def test_settings_are_ranked_within_a_condition() -> None:
    findings = Findings(two_lengths())
    ranked = [(text, part["setting"].tolist(), part["solved"].tolist()) for text, part in findings.split_ranked()]
    assert ranked == [("length=5", ["kind=b", "kind=a"], [4, 0]), ("length=20", ["kind=a", "kind=b"], [4, 0])]


def test_a_sweep_without_conditions_is_ranked_as_a_whole() -> None:
    ((text, part),) = Findings(replace(two_lengths(), conditions=[])).split_ranked()
    assert text == ""
    assert part["setting"].tolist()[:2] == ["length=5 kind=b", "length=20 kind=a"]


def test_the_answer_names_the_best_of_each_condition() -> None:
    (paragraph,) = write_in_short(Findings(two_lengths())).elements
    assert isinstance(paragraph, Paragraph)
    text = "".join(str(getattr(span, "text", span)) for span in paragraph.spans)
    assert text.startswith("16 runs of 2 settings in 2 conditions. 8 of them solved the task, ")
    assert "With length=5: best kind=b, 4 of 4 runs solved" in text
    assert "; worst kind=b, 0 of 4 runs solved" in text.partition("With length=20: ")[2]
