"""The edge of stability: which runs are there, how many, and what is drawn and said of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bptt.analysis.figures import draw_sweep
from bptt.analysis.figures.material import Material
from bptt.analysis.figures.stability import draw_stability
from bptt.analysis.report.contents import report_single
from bptt.analysis.stability import SHARPNESS, Edge, Stability, tabulate_edge
from bptt.analysis.statistics.conclusions import correct_level
from bptt.analysis.statistics.intervals import Interval, clopper_pearson
from tests.analysis.figures.swept import Swept, diverge, drawable, legend, lines, panel_titles, sweep_of
from tests.analysis.report.planted import planted

UPDATES = [0, 20, 40, 60, 80, 100]
SEEDS = 10


def plant() -> Swept:
    """Two tasks and two learning rates. Of task a with the larger rate all stay at the edge but one, which falls back
    before the end, and one that diverges; those of task b reach it never.
    """
    number = np.arange(4 * SEEDS)
    sweep = sweep_of(
        len(number),
        task=np.where(number < 2 * SEEDS, "a", "b"),
        optimizer__alpha=np.where(number // SEEDS % 2, 0.4, 0.1),
    )
    rows = []
    for run in number:
        path = [0.2, 0.3, 0.4, 0.4, 0.4, 0.4] if run < SEEDS else [0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
        if SEEDS <= run < 2 * SEEDS:
            path = [0.5, 0.8, 1.0, 1.02, 0.96 + run / 1000, 0.98]
        if run == SEEDS:
            path = [0.5, 0.8, 1.3, 0.9, 0.9, 0.9]
        rows += [(run, update, ratio) for update, ratio in zip(UPDATES, path, strict=True)]
    measures = pd.DataFrame(rows, columns=["run", "update", SHARPNESS])
    measures = measures[~((measures["run"] == SEEDS + 1) & (measures["update"] > 40))]
    diverge(sweep, SEEDS + 1, update=50)
    sweep.runs.loc[SEEDS + 1, "updates"] = 50
    return replace(sweep, measures=measures, conditions=["task"])


def stability_of(sweep: Swept) -> Stability:
    return Stability(sweep)  # type: ignore[arg-type]


def test_a_run_is_at_the_edge_by_its_median_over_the_last_quarter() -> None:
    runs = stability_of(plant()).runs.set_index("run")
    assert runs["rest"][SEEDS + 2] == pytest.approx((0.96 + (SEEDS + 2) / 1000 + 0.98) / 2)  # updates 80 and 100
    assert runs["at_edge"].sum() == SEEDS - 2
    assert runs.loc[SEEDS, ["reached", "at_edge"]].tolist() == [True, False]
    assert runs.loc[SEEDS + 1, ["reached", "at_edge", "diverged"]].tolist() == [True, False, True]
    assert np.isnan(runs["rest"][SEEDS + 1])
    assert runs["start"].iloc[[0, SEEDS]].tolist() == [0.2, 0.5]
    assert runs["reached"].sum() == SEEDS
    told = tabulate_edge(plant()).set_index("run")  # type: ignore[arg-type]
    assert told["edge/start"].equals(runs["start"].rename("edge/start"))
    assert told["edge/rest"][SEEDS + 1] == np.inf
    assert told["edge/rest"].drop(SEEDS + 1).tolist() == runs["rest"].drop(SEEDS + 1).tolist()


def test_a_start_above_the_edge_is_not_one_that_training_reached() -> None:
    sweep = plant()
    sweep.measures.loc[sweep.measures["update"] == 0, SHARPNESS] = 2.0
    assert stability_of(sweep).runs["reached"].sum() == SEEDS


def test_shares_have_intervals_that_allow_for_all_rows() -> None:
    table = stability_of(plant()).settings
    assert table["condition"].tolist() == ["task=a", "task=a", "task=b", "task=b"]
    assert table["setting"].tolist() == ["alpha=0.1", "alpha=0.4"] * 2
    assert table[["runs", "diverged", "reached", "at_edge"]].to_numpy().tolist() == [
        [10, 0, 0, 0],
        [10, 1, 10, 8],
        [10, 0, 0, 0],
        [10, 0, 0, 0],
    ]
    expected = clopper_pearson(8, 10, correct_level(4))
    row = table.iloc[1]
    assert (row["at_edge_share"], row["at_edge_share_low"], row["at_edge_share_high"]) == (
        expected.value,
        expected.low,
        expected.high,
    )
    assert row["rest_low"] <= row["rest"] <= row["rest_high"]


def test_words_follow_intervals() -> None:
    told = [str(Edge("task=a", 8, 10, Interval(0.8, low, high))) for low, high in ((0.55, 0.9), (0.4, 0.9), (0.1, 0.3))]
    assert told == [
        "8 of 10 with task=a (55 to 90 %: most)",
        "8 of 10 with task=a (40 to 90 %: whether most is not settled)",
        "8 of 10 with task=a (10 to 30 %: fewer than half)",
    ]
    leading = stability_of(plant()).leading
    assert (
        "is reached by 10 of 20 with task=a (25 to 75 %: whether most is not settled); 0 of 20 with task=b" in leading
    )
    assert "it is that of 8 of 20 with task=a" in leading
    assert leading.endswith("The 95 % intervals allow for all 2 conditions.")


def test_panels_are_conditions_lines_settings_and_at_one_lies_the_edge() -> None:
    stability = stability_of(plant())
    figure = next(draw_stability(Material(stability.sweep))).figure
    assert drawable(figure) is figure
    assert panel_titles(figure) == ["task a", "task b"]
    assert legend(figure) == ["0.1", "0.4"]
    first = lines(figure.axes[0])
    assert first[0] == pytest.approx([0.2, 0.3, 0.4, 0.4, 0.4, 0.4])
    assert first[1][:4] == pytest.approx([0.5, 0.8, 1.0, 1.02])
    assert [one for one in lines(figure.axes[1]) if len(one) == 2] == [[1.0, 1.0]]
    assert figure.axes[0].get_yscale() == "log"


@pytest.mark.parametrize("lacking", ["all", "sharpness", "updates", "others"])
def test_there_is_nothing_to_tell_where_it_was_not_measured_on_the_way(lacking: str) -> None:
    sweep = plant()
    assert stability_of(sweep).is_measured
    kept = {
        "all": sweep.measures.iloc[:0],
        "sharpness": sweep.measures[["run", "update"]],
        "updates": sweep.measures[sweep.measures["update"].isin([0, 100])],
        "others": sweep.measures.assign(**{SHARPNESS: np.nan}),  # as of Adam, which has no bound
    }
    assert not stability_of(replace(sweep, measures=kept[lacking])).is_measured


def test_a_report_has_the_section_and_the_figure_where_it_was_measured() -> None:
    plain = planted()
    assert "stability" not in [section.id for section in report_single(plain, [], []).sections]
    rows = [(run, update, 0.9 + 0.1 * (run < 4)) for run in plain.runs["run"] for update in (0, 10, 18, 20)]
    sweep = replace(plain)
    measures = pd.DataFrame(rows, columns=["run", "update", SHARPNESS]).assign(**{"dynamics/sharpness": 20.0})
    object.__setattr__(sweep, "measures", measures)
    assert "dynamics_sharpness_along" in [figure.name for figure in draw_sweep(sweep)]
    report = report_single(sweep, [], [])
    assert "stability" in [section.id for section in report.sections]
    (table,) = [table for table in report.tables if table.name == "stability"]
    assert table.frame["at_edge"].tolist() == [4, 0]
