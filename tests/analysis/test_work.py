"""Runs compared by what they cost: gradient evaluations and processor time in place of updates."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bptt.analysis.figures import draw_convergence, draw_survival_curves, draw_sweep
from bptt.analysis.figures.material import tabulate_metric
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.sections.costs import write_costs
from bptt.analysis.work import GRADIENTS, SECONDS, UPDATES, check_axis, costs_differ, restate_history, restate_runs
from bptt.analysis.work import tabulate_work as tabulate
from bptt.cli.main import main
from tests.analysis.figures.swept import Swept, diverge, drawable, sweep_of


def priced(runs: int = 8, **keys: Any) -> Swept:
    """As `sweep_of`; an update of the second half of the runs costs ten gradients, and each takes run r 1 + r ms."""
    sweep = sweep_of(runs, optimizer=["sgd"] * (runs // 2) + ["costly"] * (runs - runs // 2), **keys)
    run, updates = sweep.history["run"].to_numpy(), sweep.history["update"].to_numpy()
    each = np.where(run < runs // 2, 1.0, 10.0)
    sweep.history = sweep.history.assign(
        **{GRADIENTS: each * updates, SECONDS: 1e-3 * (1 + run) * each * updates}
    ).reset_index(drop=True)
    sweep.runs = sweep.runs.merge(sweep.history.groupby("run")[[GRADIENTS, SECONDS]].max(), on="run")
    sweep.runs["solved_update"] = sweep.runs["observed"].where(sweep.runs["solved"])
    return sweep


def test_an_axis_that_there_is_not_is_refused_with_what_was_meant() -> None:
    history = priced().history
    assert [check_axis(along, history) for along in (UPDATES, GRADIENTS, SECONDS)] == [UPDATES, GRADIENTS, SECONDS]
    with pytest.raises(ValueError, match=r"^along=work/gradient: must be update, .*; did you mean work/gradients\?$"):
        check_axis("work/gradient", history)
    with pytest.raises(ValueError, match=r"^along=work/seconds: was not recorded of these runs; train them again, or"):
        check_axis(SECONDS, sweep_of().history)


def test_a_metric_stands_at_what_a_run_had_cost() -> None:
    sweep = priced(4)
    table = tabulate_metric(restate_history(sweep.history, GRADIENTS), sweep.runs, "loss/eval")
    assert table.updates.tolist() == [1, 10, 50, 100, 500, 1000]
    assert table.values[:, 0].tolist() == [1.0, 1.0, 0.5, 0.01, 0.01, 0.01]  # of each what it had recorded by then
    np.testing.assert_array_equal(table.values[:, 3], [np.nan, 1.0, 1.0, 1.0, 0.5, 0.04])


def test_a_row_without_its_cost_has_that_of_so_many_updates_and_keeps_what_it_says() -> None:
    sweep = priced(4)
    diverge(sweep, 3, 50)
    last = restate_history(sweep.history, GRADIENTS).query("run == 3").iloc[-1]
    assert last["update"] == 1000
    table = tabulate_metric(restate_history(sweep.history, GRADIENTS), sweep.runs, "loss/eval")
    assert table.values[-1, 3] == np.inf


@pytest.mark.parametrize("logarithmic", [False, True])
def test_many_values_are_put_at_a_few_places_and_never_before_their_time(logarithmic: bool) -> None:
    rng = np.random.default_rng(1)
    updates = np.unique(np.geomspace(1, 5000, 50).round()) if logarithmic else np.arange(1.0, 5001.0, 100.0)
    history = pd.concat(
        pd.DataFrame({"run": run, "update": updates, SECONDS: updates * rate, "loss/eval": 1.0 / updates})
        for run, rate in enumerate(rng.uniform(0.5, 2.0, 40))
    )
    found = restate_history(history, SECONDS)
    assert found["update"].nunique() <= 200
    assert not found.duplicated(["run", "update"]).any()
    assert (found["update"] >= found[SECONDS] * (1 - 1e-12)).all()
    assert (found.groupby("run")["loss/eval"].min() == history.groupby("run")["loss/eval"].min()).all()
    limit = 0.06 * found[SECONDS] if logarithmic else history[SECONDS].max() / 199
    assert (found["update"] - found[SECONDS] <= limit * (1 + 1e-9)).all()


def test_times_to_solve_are_what_they_cost() -> None:
    sweep = priced(4)
    sweep.runs["observed"] = [100.0, 50.0, 100.0, 50.0]
    sweep.runs["solved_update"] = sweep.runs["observed"].where(sweep.runs["solved"])
    found = restate_runs(sweep.runs, sweep.history, GRADIENTS)
    assert found["observed"].tolist() == [100, 50, 1000, 500]
    np.testing.assert_array_equal(found["solved_update"], [np.nan, 50, np.nan, 500])
    np.testing.assert_array_equal(found["solved_after"], [np.nan, 1, np.nan, 10])
    diverge(sweep, 2, 1)  # watched as far as it was to be trained
    assert restate_runs(sweep.runs, sweep.history, GRADIENTS)["observed"].tolist() == [100, 50, 1000, 500]


def test_what_each_setting_cost() -> None:
    sweep = priced(8)
    sweep.runs["solved"], sweep.runs["observed"] = True, [50.0, 50.0, 100.0, 100.0] * 2
    sweep.runs["solved_after"] = [1.0, 1.0, 50.0, 50.0] * 2
    table = tabulate(sweep.runs, sweep.history, sweep.swept)
    assert table["setting"].tolist() == ["optimizer=sgd", "optimizer=costly"]
    assert table["ended"].tolist() == table["solved"].tolist() == [4, 4]
    assert table["gradients_per_update"].tolist() == [1.0, 10.0]
    np.testing.assert_allclose(table["seconds_per_update"], [2.5e-3, 6.5e-2])
    assert table[["updates_after", "updates"]].to_numpy().tolist() == [[1, 50], [1, 50]]
    assert table[["gradients_after", "gradients"]].to_numpy().tolist() == [[1, 50], [10, 500]]
    np.testing.assert_allclose(table["seconds"], [0.1, 3.0])  # of 0.05, 0.1, 0.3, 0.4 and 2.5, 3, 7, 8 seconds


def test_a_report_tells_costs_where_updates_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = priced(8)
    findings = Findings(sweep)  # type: ignore[arg-type]
    ((section,), figures) = write_costs(findings), draw_sweep(sweep)  # type: ignore[arg-type]
    assert section.title == "What it cost"
    names = [figure.name for figure in figures]
    assert {"survival", "survival_work_gradients", "convergence", "convergence_work_gradients"} <= {*names}
    alike = priced(8)
    alike.runs[GRADIENTS], alike.runs["optimizer"] = 100.0, ["sgd", "adam"] * 4
    assert not costs_differ(alike.runs)
    assert write_costs(Findings(alike)) == []  # type: ignore[arg-type]
    assert not any("work" in figure.name for figure in draw_sweep(alike))  # type: ignore[arg-type]
    (along,) = [f for f in draw_sweep(alike, along=SECONDS) if f.name == "convergence"]  # type: ignore[arg-type]
    assert along.figure.axes[0].get_xlabel() == "processor time (s)"


@pytest.mark.parametrize(("along", "label"), [(GRADIENTS, "gradient evaluations"), (SECONDS, "processor time (s)")])
def test_figures_have_either_across(along: Any, label: str) -> None:
    sweep = priced(8)
    ends = {GRADIENTS: [1000, 1000], SECONDS: [8, 7]}[along]  # run 7 had solved its task before run 6 ended without
    figures = (
        draw_convergence(*sweep.given, along=along),
        draw_survival_curves(sweep.runs, sweep.swept, along, sweep.history),
    )
    for figure, end in zip(figures, ends, strict=True):
        assert drawable(figure).axes[0].get_xlabel() == label
        assert max(np.max(line.get_xdata()) for line in figure.axes[0].lines) == pytest.approx(end)


def test_the_command_refuses_what_is_no_axis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-m", "experiment=xor", "train.updates=4", "seed=0,1"]) == 0
    capsys.readouterr()
    assert main(["report", "latest", "--along", "work/second", "-o", "there"]) == 2
    said = "--along=work/second: must be update, work/gradients or work/seconds; did you mean work/seconds?\n"
    assert capsys.readouterr().err == said
    assert not Path("there").exists()
    assert main(["report", "latest", "--along", "work/seconds", "-o", "there"]) == 0
    assert "--along work/seconds" in Path("there/report.md").read_text(encoding="utf-8")
