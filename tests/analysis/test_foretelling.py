"""What was measured at the start, and what is said of it: on planted runs, whose numbers are known."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from bptt.analysis.figures import draw_sweep
from bptt.analysis.figures.foretelling import draw_areas
from bptt.analysis.foretelling import Start
from bptt.analysis.report.contents import report_single
from bptt.analysis.report.document import Paragraph
from bptt.analysis.statistics.roc import RocArea, conclude_foretelling, roc_area
from bptt.analysis.statistics.words import write_foretelling
from tests.analysis.figures.swept import Swept, drawable, fail, legend, sweep_of
from tests.analysis.report.planted import planted

SEEDS = 30
EXPONENT = "first/dynamics/lyapunov_max"


def plant(conditions: bool = True) -> Swept:
    """Runs of two starts in two conditions: the nearer their exponent is to 0, the rather they are solved."""
    rng = np.random.default_rng(8)
    number = np.arange(4 * SEEDS)
    keys = {"task__length": np.where(number < 2 * SEEDS, 10, 20), "init__scale": np.where(number % 2, 0.1, 1.0)}
    sweep = sweep_of(len(number), **keys)
    exponent = rng.normal(size=len(number))
    runs = sweep.runs.assign(
        seed=number % (2 * SEEDS) // 2,
        solved=np.abs(exponent) + 0.3 * rng.normal(size=len(number)) < 0.7,
        **{EXPONENT: exponent},
    )
    return replace(sweep, runs=runs, conditions=["task.length"] if conditions else [])


def start_of(sweep: Swept) -> Start:
    return Start(sweep)  # type: ignore[arg-type]


def area_by_hand(runs: "NDArray[np.float64]", solved: "NDArray[np.bool_]") -> float:
    return float(mannwhitneyu(runs[solved], runs[~solved]).statistic / solved.sum() / (~solved).sum())


def test_numbers_and_their_distances_from_where_gradients_neither_vanish_nor_explode() -> None:
    sweep = plant()
    start = start_of(sweep)
    assert [one.symbol for one in start.predictors] == ["λ₁", "|λ₁|"]  # radius and decay start alike in all runs
    sweep.history.loc[sweep.history["update"] == 1, "weights/spectral_radius"] = np.linspace(0.5, 2, len(sweep.runs))
    sweep.history["grad/omega"] = np.where(sweep.history["run"] < 5, np.nan, sweep.history["run"])
    sweep.runs["first/dynamics/singular_max"] = np.exp(np.linspace(-1, 1, len(sweep.runs)))
    again = start_of(sweep)
    assert [one.symbol for one in again.predictors] == ["λ₁", "|λ₁|", "σ₁", "|ln σ₁|", "ρ", "|ρ − 1|", "Ω"]
    assert again.runs["|λ₁|"].to_numpy() == pytest.approx(np.abs(sweep.runs[EXPONENT]))
    assert again.runs["|ρ − 1|"].to_numpy() == pytest.approx(np.abs(np.linspace(0.5, 2, len(sweep.runs)) - 1))
    assert again.runs["|ln σ₁|"].to_numpy() == pytest.approx(np.abs(np.linspace(-1, 1, len(sweep.runs))))
    assert again.runs["Ω"].isna().sum() == 5
    assert sum(again.found[-1].area.runs) == len(sweep.runs) - 5


def test_it_compares_within_conditions_and_within_settings() -> None:
    sweep = plant()
    start, runs = start_of(sweep), sweep.runs
    distance, solved = runs[EXPONENT].abs().to_numpy(), runs["solved"].to_numpy()
    table = start.by_condition[start.by_condition["symbol"] == "|λ₁|"]
    assert table["condition"].tolist() == ["length=10", "length=20"]
    for length, area in zip((10, 20), table["area"], strict=True):
        here = (runs["task.length"] == length).to_numpy()
        assert area == pytest.approx(area_by_hand(distance[here], solved[here]))
    setting = runs["task.length"] * 10 + runs["init.scale"]
    overall = start.overall.set_index("symbol").loc["|λ₁|"]
    assert overall["within"] == pytest.approx(roc_area(distance, solved, runs["seed"], setting).value)
    assert (overall["runs"], overall["seeds"], overall["conditions"]) == (4 * SEEDS, SEEDS, 2)
    assert overall["area_high"] < 0.3


def test_what_foretells_most_is_told_with_its_interval_and_beside_the_others() -> None:
    sweep = plant()
    sweep.history["grad/omega"] = sweep.history["run"].map(sweep.runs[EXPONENT].abs() + np.linspace(0, 2, 120))
    start = start_of(sweep)
    first, second = start.leading
    area = start.found[1]
    told = [f"{100 * (1 - end):.0f}" for end in (area.interval.value, area.interval.high, area.interval.low)]
    assert first == (
        "Runs whose largest Lyapunov exponent's distance from 0 is smaller at the start are solved rather: of a"
        " solved and an unsolved run of one condition it is the solved one that has the smaller with a probability of"
        f" {told[0]} % (95 % interval {told[1]} to {told[2]}, 120 runs of 30 seeds, corrected for 3 comparisons)."
    )
    assert second.startswith(("It foretells more than the regularizer Ω of the gradient (", "That it foretells more"))
    assert start.found[0].outcome in ("unsettled", "nothing")


def area(value: float, variance: float) -> RocArea:
    return RocArea(value, variance, 50, 50, 500, (500, 500), 0, np.empty(0))


def test_words_follow_intervals() -> None:
    found = conclude_foretelling(
        {
            "a": area(0.6, 0.0004),
            "b": area(0.4, 0.0004),
            "c": area(0.52, 0.0002),
            "d": area(0.58, 0.003),
            "e": roc_area([1], [True]),
        }
    )
    assert [one.outcome for one in found] == ["larger", "smaller", "nothing", "unsettled", "silent"]
    texts = [write_foretelling(one, conditions=True) for one in found]
    assert texts[0].startswith("Runs whose a is larger at the start are solved rather: of a solved")
    assert "with a probability of 60 % (95 % interval " in texts[1]
    assert ", all of it within 50 ± 10 %, 1,000 runs of 50 seeds, corrected for 5 comparisons)." in texts[2]
    assert "is not settled: of a solved and an unsolved run of one condition" in texts[3]
    assert f"{found[3].to_differ:,} seeds would settle a difference like this one, about" in texts[3]
    assert texts[4].startswith("In each condition all runs or none were solved")


def test_three_seeds_are_too_few_for_an_interval_and_it_says_so() -> None:
    (found,) = conclude_foretelling({"a": roc_area([1, 2, 3, 4], [False, True, False, True], [0, 0, 1, 1])})
    assert found.outcome == "unsettled"
    assert write_foretelling(found).endswith("of 75 % (too few seeds for an interval, 4 runs of 2 seeds).")


def test_runs_that_have_not_ended_or_were_not_measured_do_not_count() -> None:
    sweep = plant()
    fail(sweep, 0, "FAILED")
    sweep.runs.loc[1, EXPONENT] = np.nan
    start = start_of(sweep)
    assert start.runs["run"].tolist() == list(range(1, 4 * SEEDS))
    assert sum(start.found[0].area.runs) == 4 * SEEDS - 2


@pytest.mark.parametrize("lacking", ["measures", "unsolved", "solved", "seeds"])
def test_there_is_nothing_to_tell_without_measures_or_without_both_outcomes(lacking: str) -> None:
    sweep = plant()
    assert start_of(sweep).is_measured
    if lacking == "measures":
        sweep.runs[EXPONENT] = np.nan
    elif lacking == "seeds":
        del sweep.runs["seed"]
    else:
        sweep.runs["solved"] = lacking == "solved"
    assert not start_of(sweep).is_measured


def test_each_area_stands_where_it_is_with_its_interval() -> None:
    start = start_of(plant())
    figure = drawable(draw_areas(start))
    (axes,) = figure.axes
    drawn = [(line.get_marker(), np.asarray(line.get_xdata(), float).tolist()) for line in axes.lines]
    points = [x[0] for marker, x in drawn if marker not in ("None", "", None)]
    by = start.by_condition
    expected = [
        100 * value
        for one, found in zip(start.predictors, start.found, strict=True)
        for value in [found.interval.value, *by.loc[by["symbol"] == one.symbol, "area"]]
    ]
    assert points == pytest.approx(expected)
    ends = [x for _, x in drawn[1:] if len(x) == 2]
    assert ends[0] == pytest.approx([100 * start.found[0].interval.low, 100 * start.found[0].interval.high])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["λ₁", "|λ₁|"]
    assert legend(figure) == ["10", "20"]
    assert not legend(drawable(draw_areas(start_of(plant(conditions=False)))))


def test_a_report_has_the_section_and_the_figure_where_the_start_was_measured() -> None:
    plain = planted(seeds=12, losses=lambda run, update: 1.0)
    assert "start" not in [section.id for section in report_single(plain, [], []).sections]
    assert "start" not in [figure.name for figure in draw_sweep(plain)]
    exponent = np.linspace(-1, 1, len(plain.runs))
    sweep = replace(plain, runs=plain.runs.assign(**{EXPONENT: exponent, "solved": exponent > -0.2}))
    assert "start" in [figure.name for figure in draw_sweep(sweep)]
    (section,) = [one for one in report_single(sweep, [], []).sections if one.id == "start"]
    leading = section.elements[0]
    assert isinstance(leading, Paragraph)
    assert str(leading.spans[0]).startswith("Runs whose largest Lyapunov exponent is larger at the start")
    (answer,) = [one for one in report_single(sweep, [], []).sections if one.id == "question"]
    told = [str(one.spans[0]) for one in answer.elements if isinstance(one, Paragraph) and one.lead]
    assert told[-1].startswith("Runs whose largest Lyapunov exponent is larger at the start are solved rather")
    (table,) = [table for table in report_single(sweep, [], []).tables if table.name.startswith("start")]
    assert (table.name, table.frame["outcome"][0], table.frame["told"][0]) == ("start", "larger", "a larger one")
