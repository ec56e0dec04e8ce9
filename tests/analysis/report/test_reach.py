"""How far each setting carries, from counts by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd

from bptt.analysis.report.document import ShownTable
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.rendering import write_rows
from bptt.analysis.report.sections.reach import find_distance, tabulate_reach, write_reach
from bptt.analysis.sweep import Sweep
from tests.analysis.report.planted import planted


def two_tasks(counts: dict[tuple[str, int, str], int], seeds: int = 10) -> Sweep:
    """Of so many runs of each task, length and kind this many have solved the task."""
    sweep = planted(kinds=("a",) * len(counts), seeds=seeds)
    repeated = [key for key in counts for _ in range(seeds)]
    runs = sweep.runs.assign(
        **{"task": [key[0] for key in repeated], "loss.weight": [{"x": 1, "y": 24}[key[0]] for key in repeated]},
        **{"task.length": [key[1] for key in repeated], "model.kind": [key[2] for key in repeated]},
        seed=list(range(seeds)) * len(counts),
        solved=[seed < count for count in counts.values() for seed in range(seeds)],
        **{"accuracy/eval": [float(seed < count) for count in counts.values() for seed in range(seeds)]},
    )
    swept = ["task", "loss.weight", "task.length", "model.kind", "seed"]
    return replace(sweep, runs=runs, swept=swept, conditions=swept[:3])


COUNTS = {
    ("x", 10, "a"): 10,
    ("x", 20, "a"): 6,
    ("x", 50, "a"): 0,
    ("x", 10, "b"): 10,
    ("x", 20, "b"): 10,
    ("x", 50, "b"): 6,
    ("y", 10, "a"): 9,
    ("y", 20, "a"): 5,
    ("y", 50, "a"): 0,
    ("y", 10, "b"): 3,
    ("y", 20, "b"): 0,
    ("y", 50, "b"): 0,
}


def test_the_largest_length_that_more_than_half_solve_and_the_largest_beyond_doubt() -> None:
    findings = Findings(two_tasks(COUNTS))
    assert find_distance(findings) == "task.length"  # the weight has one value in each task
    table = tabulate_reach(findings, "task.length")
    assert table[["condition", "setting"]].agg(" ".join, axis=1).tolist() == [
        "task=x weight=1 kind=b",
        "task=x weight=1 kind=a",
        "task=y weight=24 kind=a",
        "task=y weight=24 kind=b",
    ]
    # 9 of 10 is above one half beyond doubt (55.5 to 99.7 %), 6 of 10 is not, and 5 of 10 is not more than half.
    np.testing.assert_array_equal(table["reach"], [50, 20, 10, np.nan])
    np.testing.assert_array_equal(table["sure"], [20, 10, 10, np.nan])
    assert table["solved_20"].tolist() == [10, 6, 5, 0]
    assert set(table["ended_50"]) == {10}


def test_the_report_has_it_where_a_condition_is_a_distance() -> None:
    (section,) = write_reach(Findings(two_tasks(COUNTS)))
    (table,) = section.elements
    assert isinstance(table, ShownTable)
    assert [column.heading for column in table.columns] == [
        *("condition", "setting", "more than half, up to", "beyond doubt, up to", "10", "20", "50")
    ]
    easier = {(task, 60 - length, kind): count for (task, length, kind), count in COUNTS.items()}
    assert write_reach(Findings(two_tasks(easier))) == []  # more of the larger value is easier: it is no distance
    assert write_reach(Findings(two_tasks(dict.fromkeys(COUNTS, 0)))) == []
    assert write_reach(Findings(replace(two_tasks(COUNTS), conditions=[]))) == []


def test_a_single_condition_needs_no_name() -> None:
    sweep = two_tasks({key: count for key, count in COUNTS.items() if key[0] == "x"})
    findings = Findings(replace(sweep, swept=["task.length", "model.kind", "seed"], conditions=["task.length"]))
    assert list(tabulate_reach(findings, "task.length"))[:3] == ["setting", "reach", "sure"]


def test_a_value_that_a_setting_was_not_trained_with_is_left_open() -> None:
    findings = Findings(two_tasks({key: count for key, count in COUNTS.items() if key != ("x", 50, "b")}))
    table = tabulate_reach(findings, "task.length").set_index(["condition", "setting"])
    row = table.loc["task=x weight=1", "kind=b"]
    assert (row["reach"], row["sure"]) == (20, 20)
    assert pd.isna(row["solved_50"])
    (section,) = write_reach(findings)
    cells = {tuple(str(cell.shown) for cell in row[:2]): row for row in write_rows(section.elements[0])}  # type: ignore[arg-type]
    shown = cells["task=x weight=1", "kind=b"]
    assert [str(getattr(cell.shown, "text", cell.shown)) for cell in shown[2:]] == ["20", "20", "10", "10", "–"]
    assert [None if cell.of is None else cell.of.text for cell in shown[4:]] == ["10", "10", None]


def test_a_range_among_lengths_is_left_out_and_said() -> None:
    sweep = two_tasks(COUNTS)
    lengths = sweep.runs["task.length"].astype(object)
    ranged = lengths.eq(20) & sweep.runs["task"].eq("x")
    assert find_distance(Findings(replace(sweep, runs=sweep.runs.assign(**{"task.length": lengths})))) == "task.length"
    findings = Findings(replace(sweep, runs=sweep.runs.assign(**{"task.length": lengths.where(~ranged, "[10,50]")})))
    assert find_distance(findings) == "task.length"
    table = tabulate_reach(findings, "task.length")
    assert table["solved_50"].tolist() == [6, 0, 0, 0]
    assert table["solved_20"].fillna(-1).tolist() == [-1, -1, 5, 0]
    (section,) = write_reach(findings)
    (shown,) = section.elements
    assert isinstance(shown, ShownTable)
    assert shown.caption[-1] == " Runs with another value are not in it: [10,50]."


def test_a_condition_of_names_is_no_distance() -> None:
    sweep = two_tasks(COUNTS)
    named = replace(sweep, runs=sweep.runs.assign(**{"task.length": sweep.runs["task.length"].astype(str) + "x"}))
    assert find_distance(Findings(named)) is None
