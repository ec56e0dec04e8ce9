"""What notebooks share, on a small sweep."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bptt
from bptt.analysis.notebook import (
    compare_with_others,
    find_best_run,
    find_varied,
    open_sweep,
    outline,
    rebuild_run,
    write_intervals,
)
from bptt.analysis.statistics.settings import probability_of_improvement, setting_statistics
from bptt.analysis.sweep import Sweep
from bptt.core.training import train
from bptt.tracking.history.find import SourceError

OVERRIDES = ["experiment=roelants_counting", "train.updates=40", "optimizer.eta_plus=1.1,1.3", "tracking.enabled=false"]
OVERRIDES += ["init=uniform", "init.scale=1", "init.input=null", "init.recurrent=null", "seed=range(4)"]
OVERRIDES += ["hydra.launcher.workers=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def sweep(folder: Path) -> Sweep:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return bptt.sweep(OVERRIDES)


def test_a_notebook_beside_multirun_opens_what_is_there(
    folder: Path, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "analysis").mkdir()
    monkeypatch.chdir(folder / "analysis")
    with pd.option_context("display.max_colwidth", 50):
        results = open_sweep("latest")
        assert Path.cwd() == folder
        assert results.name == sweep.name
        assert open_sweep(sweep.name).runs.equals(sweep.runs)
        assert pd.get_option("display.max_colwidth") is None


def test_a_sweep_none_of_whose_runs_has_ended(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    none = dataclasses.replace(sweep, runs=sweep.runs.assign(outcome=None))
    monkeypatch.setattr("bptt.analysis.notebook.load_sweep", lambda *_, **__: none)
    with pytest.raises(SourceError, match=f"{sweep.name}: no run of it has ended"):
        open_sweep(sweep.name)


def test_an_overview(sweep: Sweep) -> None:
    told = outline(sweep)[""]
    assert told.index.tolist() == ["sweep", "command", "swept", "runs", "solved means"]
    assert told["command"].startswith("bptt train -m experiment=roelants_counting train.updates=40")
    assert told["swept"] == "optimizer.eta_plus, seed"
    assert told["runs"] == f"8: 8 ended, 0 diverged, 0 failed, {sweep.runs['solved'].sum()} solved"
    assert told["solved means"] == str(sweep.solved)
    asked = outline(dataclasses.replace(sweep, question="which?"))
    assert asked.loc["question", ""] == "which?"


def test_what_was_varied_beside_the_seed(sweep: Sweep) -> None:
    assert find_varied(sweep) == ["optimizer.eta_plus"]
    assert find_varied(dataclasses.replace(sweep, runs=sweep.runs[:4])) == []


def test_intervals_stand_behind_their_estimates() -> None:
    table = pd.DataFrame({"setting": ["a", "b", "c"], "loss": [0.12345, np.nan, 2.0]})
    table = table.assign(loss_low=[0.1, np.nan, 1.0], loss_high=[np.inf, np.nan, np.nan], other=1)
    shown = write_intervals(table, ["loss", "setting", "absent"])
    assert shown.columns.tolist() == ["loss", "setting"]
    assert shown["loss"].tolist() == ["0.123  [0.1, inf]", "–", "2  [1, …]"]


def test_a_setting_against_the_others(sweep: Sweep) -> None:
    first, second = setting_statistics(sweep.runs, sweep.swept)["setting"]
    table = compare_with_others(sweep, first)
    assert table["setting"].tolist() == [second]
    losses = sweep.runs["loss/eval"].to_numpy()
    expected = probability_of_improvement(losses[:4], losses[4:])
    assert table[f"P({first} is better)"].tolist() == [
        f"{expected.value:.3g}  [{expected.low:.3g}, {expected.high:.3g}]"
    ]


def test_a_run_of_a_sweep_is_trained_to_the_same_bits(sweep: Sweep) -> None:
    number = find_best_run(sweep)
    row = sweep.runs.set_index("run").loc[number]
    assert row["loss/eval"] == sweep.runs["loss/eval"].min()
    assert train([rebuild_run(sweep, number)])[0].history["loss/eval"][-1] == row["loss/eval"]


def test_no_run_is_best_where_none_has_ended(sweep: Sweep) -> None:
    none = sweep.runs.assign(**{"loss/eval": np.nan, "outcome": None})
    with pytest.raises(ValueError, match="no run has ended with a loss/eval"):
        find_best_run(dataclasses.replace(sweep, runs=none))
