"""What is told of a search: its front and its importances beside Optuna's own, its figures, its sentences."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bptt
from bptt.analysis.chosen import write_halved
from bptt.analysis.figures import draw_sweep
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.sections.search import write_search
from bptt.analysis.report.writing import make_report_files
from bptt.analysis.search import find_front
from bptt.analysis.sweep import Sweep

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

SMALL = ["task=xor", "train.updates=54", "train.log_points=18", "task.eval_size=16", "hydra.launcher.workers=1"]
BARE = ["report=false", "tracking.enabled=false", "hydra/sweeper=optuna", "hydra.sweep.dir=found"]
SEARCHED = ["optimizer.alpha=tag(log,interval(0.001,1))", "model.hidden_size=interval(2,6)", "init.scale=0.5,1"]
TWO = "hydra.sweeper.objectives={loss/eval: minimize, parameters: minimize}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("searched")


@pytest.fixture(scope="module")
def found(folder: Path) -> Sweep:
    """A search with two objectives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        how = [TWO, "hydra.sweeper.trials=24", "hydra.sweeper.batch=12"]
        return bptt.sweep([*SMALL, *BARE, *SEARCHED, *how])


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A search with halving."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("halved"))
        how = ["hydra.sweeper.trials=20", "hydra.sweeper.batch=10", "hydra.sweeper.halving={eta: 3, min_updates: 4}"]
        return bptt.sweep([*SMALL, "model.hidden_size=3", *BARE, SEARCHED[0], SEARCHED[2], *how])


def study_of(folder: Path) -> Any:
    return optuna.load_study(study_name="search", storage=f"sqlite:///{folder / 'found' / 'study.db'}")


def test_the_front_is_optunas_own(found: Sweep, folder: Path) -> None:
    trials, study = found.trials, study_of(folder)
    assert trials.objectives == {"loss/eval": "minimize", "parameters": "minimize"}
    theirs = sorted(tuple(trial.values) for trial in study.best_trials)
    ours = sorted(trials.front[["loss/eval", "parameters"]].itertuples(index=False, name=None))
    assert ours == [*dict.fromkeys(theirs)]
    assert 1 <= len(ours) < len(trials.ended) <= 24


def test_a_point_on_the_front_is_beaten_by_none() -> None:
    costs = np.array([[1, 5], [2, 2], [2, 3], [3, 2], [5, 1], [5, 1], [np.inf, 0]])
    assert find_front(costs).tolist() == [True, True, False, False, True, True, True]


def test_importances_are_optunas_own_and_lie_in_their_ranges(found: Sweep, folder: Path) -> None:
    trials, study = found.trials, study_of(folder)
    table = trials.importances
    for number, name in enumerate(trials.objectives):
        theirs = optuna.importance.get_param_importances(
            study,
            evaluator=optuna.importance.PedAnovaImportanceEvaluator(),
            target=lambda trial, number=number: trial.values[number],
        )
        ours = table[table["objective"] == name].set_index("key")["importance"]
        assert ours.to_dict() == pytest.approx(theirs, abs=0.02)  # values are shortened to six digits
        assert ours.sum() == pytest.approx(1.0)
        assert ours.is_monotonic_decreasing
    assert (table["low"] <= table["high"]).all()
    assert table["low"].between(0, 1).all()
    of_size = table[table["objective"] == "parameters"].iloc[0]
    assert of_size["key"] == "model.hidden_size"
    assert of_size["importance"] > 0.8


def test_what_is_drawn_of_a_search(found: Sweep) -> None:
    drawn = {one.name: one for one in draw_sweep(found)}
    assert [*drawn][:6] == ["pareto", "search_history", "slices", "contour", "importances", "timeline"]
    for one in drawn.values():
        assert one.caption.endswith(".")
        assert "  " not in one.caption + one.alt
    assert "they are no test, and say nothing of a cause" in drawn["importances"].caption
    (axes,) = drawn["pareto"].figure.axes
    (front,) = (np.asarray(line.get_xdata()) for line in axes.lines if line.get_marker() == "s")
    assert len(front) == len(found.trials.front)
    best = drawn["search_history"].figure.axes[0].lines[1].get_ydata()
    assert np.array_equal(best, np.minimum.accumulate(found.trials.ended["loss/eval"]))
    named = [label.get_text() for label in drawn["importances"].figure.axes[0].get_yticklabels()]
    assert sorted(named) == ["hidden units", "learning rate α", "scale of the start"]


def test_the_report_of_a_search(found: Sweep, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    missing: list[str] = []
    files = make_report_files([found], missing=missing)
    assert missing == []
    page = files["report.md"].decode()
    front = found.trials.front
    assert f"{len(front)} are on the Pareto front of loss/eval and parameters" in page
    assert "optuna-dashboard sqlite:///study.db" in page
    kept = pd.read_csv(pd.io.common.BytesIO(files["tables/pareto.csv"]))
    assert np.array_equal(kept["loss/eval"], front["loss/eval"])
    assert "resamples of the trials). That describes them; it is no test" in " ".join(page.split())


def test_trials_that_were_given_up_have_no_value_at_the_end(halved: Sweep) -> None:
    trials = halved.trials
    up = halved.runs["given_up"].notna()
    assert 10 < up.sum() == trials.table["given_up"].notna().sum()
    assert not trials.table.loc[trials.table["given_up"].notna(), "ended"].any()
    assert len(trials.ended) == (~up).sum() < 20
    assert trials.importances.empty
    names = [one.name for one in draw_sweep(halved)]
    assert "halving" in names
    assert "importances" not in names
    findings = Findings(halved)
    (section,) = write_search(findings)
    text = " ".join(str(span) for element in section.elements for span in getattr(element, "spans", ()))
    assert "were given up by halving, and have no value at the end" in text
    assert "Importances are told of 20 trials or more" in text
    assert findings.leading == [trials.write_best()]
    assert trials.write_best().startswith(f"The best of {len(trials.ended)} trials that were trained to their end has")
    assert write_halved(halved) == ""


def test_a_sweep_that_is_no_search_has_none_of_it(found: Sweep) -> None:
    from dataclasses import replace

    plain = replace(found, searched=None)
    assert not plain.trials.is_search
    assert write_search(Findings(plain)) == []
    assert not {"pareto", "slices", "timeline"} & {one.name for one in draw_sweep(plain)}
