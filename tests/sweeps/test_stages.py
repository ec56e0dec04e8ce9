"""A sweep that tunes values, trains with them on other seeds, and confirms the best setting on fresh ones."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bptt
from bptt.analysis.chosen import tabulate_confirmation, tabulate_tuning, warn_of_edges, write_confirmation, write_tuning
from bptt.analysis.report.document import ShownTable
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.sections.repeating import find_run_command
from bptt.analysis.report.sections.results import write_choices
from bptt.cli.main import main
from bptt.configuration.errors import ConfigurationError
from bptt.core.run import TIMED
from bptt.sweeps.stages import CONFIRMING_SEED, TUNING_SEED
from bptt.tracking.folder.sweep import SweepFolder

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

SMALL = ["experiment=roelants_counting", "train.updates=40", "train.log_points=10", "hydra.launcher.workers=1"]
SWEPT = ["optimizer.eta_plus=1.1,1.3", "seed=range(3)"]
TUNE = "tune={optimizer.delta_zero:[0.0001,0.001,0.01],seeds:2}"
BARE = ["report=false", "tracking.enabled=false"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def best_value(tuning: pd.DataFrame) -> float:
    """The value with the smallest median last loss, where no run solved its task; by hand."""
    assert not tuning["solved"].any()
    medians = {value: part["loss/eval"].max() for value, part in tuning.groupby("optimizer.delta_zero")}
    return min(medians, key=lambda value: medians[value])


def equal(first: pd.DataFrame, second: pd.DataFrame, names: list[str]) -> bool:
    return all(np.array_equal(first[name], second[name], equal_nan=True) for name in names if name not in TIMED)


def test_each_setting_takes_what_did_best_on_other_seeds() -> None:
    swept = bptt.sweep([*SMALL, *SWEPT, TUNE, *BARE, "solved='loss/eval<=0'"])
    tuning = swept.stages["tuning"]
    assert swept.swept == ["optimizer.eta_plus", "seed"]
    assert swept.tuned == ["optimizer.delta_zero"]
    assert sorted(tuning.runs["seed"].unique()) == [TUNING_SEED, TUNING_SEED + 1]
    assert len(tuning.runs) == 2 * 3 * 2
    assert swept.runs["seed"].tolist() == [0, 1, 2] * 2
    for eta, runs in swept.runs.groupby("optimizer.eta_plus"):
        (taken,) = runs["optimizer.delta_zero"].unique()
        assert taken == best_value(tuning.runs[tuning.runs["optimizer.eta_plus"] == eta])
    # The result is what a sweep with these values gives.
    first = swept.runs[swept.runs["optimizer.eta_plus"] == 1.1]
    value = first["optimizer.delta_zero"].iloc[0]
    plain = bptt.sweep([*SMALL, "optimizer.eta_plus=1.1", "seed=range(3)", f"optimizer.delta_zero={value}", *BARE])
    mine = swept.history[swept.history["run"].isin(first["run"])]
    assert equal(mine, plain.history, [name for name in plain.history if name != "run"])


OPTIMIZERS = "tune={optimizer.delta_zero:[0.0001,0.001],optimizer.alpha:[1e-6,1e-5,1e-4],seeds:2}"


def test_a_key_that_some_settings_lack_is_tuned_for_the_others() -> None:
    swept = bptt.sweep([*SMALL, "optimizer=rprop,sgd", "seed=range(2)", OPTIMIZERS, *BARE, "solved='loss/eval<=0'"])
    tried = swept.stages["tuning"].runs
    assert tried.groupby("optimizer").size().to_dict() == {"rprop": 4, "sgd": 6}
    assert swept.tuned == ["optimizer.delta_zero", "optimizer.alpha"]
    taken = swept.runs.set_index("optimizer")[swept.tuned].drop_duplicates()
    assert taken.loc["rprop", "optimizer.delta_zero"] == best_value(tried[tried["optimizer"] == "rprop"])
    assert np.isnan(taken.loc["rprop", "optimizer.alpha"])
    assert np.isnan(taken.loc["sgd", "optimizer.delta_zero"])
    assert taken.loc["sgd", "optimizer.alpha"] in (1e-6, 1e-5, 1e-4)
    table = tabulate_tuning(swept)
    assert table["chosen"].sum() == 2
    assert table.groupby("setting").size().to_dict() == {"optimizer=rprop": 2, "optimizer=sgd": 3}
    assert (
        "learning rate α that was tuned for each that has one on 2 other seeds, of 3 values from"
        in write_tuning(swept)[1]
    )


def test_a_setting_with_nothing_to_tune_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    one = OPTIMIZERS.replace("optimizer.delta_zero:[0.0001,0.001],", "")
    assert main(["train", "-m", *SMALL, "optimizer=rprop,sgd", one, *BARE]) == 2
    assert "tune: optimizer=rprop has none of optimizer.alpha" in capsys.readouterr().err
    # What is wrong with a setting is told as it would be without tuning.
    assert main(["train", "-m", *SMALL, "optimizer=rprop,sgd", "schedule=warmup", OPTIMIZERS, *BARE]) == 2
    said = capsys.readouterr().err
    assert said.startswith("schedule=warmup: scales optimizer.alpha, which rprop does not have")
    assert "unknown key" not in said
    assert not Path("multirun").exists()


def test_a_tuned_sweep_that_was_broken_off_goes_on_to_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    from bptt.sweeps import stages

    command = [*SMALL, *SWEPT, TUNE, "confirm=2", *BARE]
    whole = bptt.sweep([*command, "hydra.sweep.dir=multirun/whole"])
    with monkeypatch.context() as patch:
        patch.setattr(stages, "_plan_stage", interrupt)
        with pytest.warns(UserWarning, match=r"^broken: interrupted when \d+ of \d+ runs had ended; bptt.resume"):
            bptt.sweep([*command, "hydra.sweep.dir=multirun/broken"])
    broken = bptt.load("broken")
    assert broken.status == "KILLED"
    assert set(broken.runs["seed"]) == {TUNING_SEED, TUNING_SEED + 1}
    assert main(["resume", "multirun/broken"]) == 0
    resumed = bptt.load("broken")
    assert resumed.status == "FINISHED"
    for stage in ("tuning", "confirming"):
        assert equal(resumed.stages[stage].history, whole.stages[stage].history, [*whole.history])
    assert equal(resumed.history, whole.history, [*whole.history])
    jobs = [SweepFolder.open(Path("multirun", name)).jobs() for name in ("broken", "whole")]
    assert [job.overrides for job in jobs[0]] == [job.overrides for job in jobs[1]]


def interrupt(*_arguments: Any, **_named: Any) -> Any:
    raise KeyboardInterrupt


def test_the_best_setting_is_confirmed_on_fresh_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    swept = bptt.sweep([*SMALL, *SWEPT, *BARE, "hydra.sweep.dir=multirun/mine", "solved='loss/eval<=0'"])
    medians = swept.runs.groupby("optimizer.eta_plus")["loss/eval"].median()
    assert main(["confirm", "mine", "--seeds", "3"]) == 0
    confirmed = bptt.load("mine")
    fresh = confirmed.stages["confirming"].runs
    assert confirmed.runs.equals(swept.runs)
    assert fresh["seed"].tolist() == [CONFIRMING_SEED, CONFIRMING_SEED + 1, CONFIRMING_SEED + 2]
    assert set(fresh["optimizer.eta_plus"]) == {medians.idxmin()}
    assert "Picked as the best of 2 settings, " in capsys.readouterr().out
    assert main(["confirm", "mine", "--seeds", "5"]) == 0
    more = bptt.load("mine").stages["confirming"].runs
    assert len(more) == 5
    assert equal(more.head(3), fresh, ["seed", "loss/eval"])
    assert main(["confirm", "mine", "--seeds", "2"]) == 0
    assert len(bptt.load("mine").stages["confirming"].runs) == 5


def test_a_confirmation_that_was_broken_off_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from bptt.sweeps.session import Session

    bptt.sweep([*SMALL, *SWEPT, *BARE, "hydra.sweep.dir=multirun/mine"])
    folder = SweepFolder(Path("multirun/mine"))
    folder.write_journal(replace(folder.journal, search=True))  # whose other runs no archive can ask for
    with monkeypatch.context() as patch:
        patch.setattr(Session, "advance", interrupt)
        assert main(["confirm", "mine", "--seeds", "2"]) == 130
    assert bptt.load("mine").status == "KILLED"
    assert main(["resume", "multirun/mine"]) == 0
    assert len(bptt.load("mine").stages["confirming"].runs) == 2
    assert main(["confirm", "mine", "--seeds", "3"]) == 0
    assert len(bptt.load("mine").stages["confirming"].runs) == 3


def test_a_tuned_sweep_is_told_of_in_the_store_and_the_report() -> None:
    swept = bptt.sweep([*SMALL, *SWEPT, TUNE, "confirm=2", "report=true"])
    assert swept.folder is not None
    page = (swept.folder / "report" / "report.md").read_text(encoding="utf-8")
    assert "## What was chosen" in page
    assert "### Tuned values" in page
    assert "### The best one, confirmed" in page
    tried = pd.read_csv(swept.folder / "report" / "tables" / "tuning.csv")
    assert len(tried) == 6
    assert tried["chosen"].tolist() == [True] * 2 + [False] * 4
    stored = bptt.load(str(swept.run_id), uri=f"sqlite:///{Path.cwd()}/mlflow.db")
    assert stored.stages.keys() == {"tuning", "confirming"}
    assert equal(stored.runs, swept.runs, ["run", "seed", "loss/eval"])
    assert stored.tuned == ["optimizer.delta_zero"]
    # A run's own command is that of a single run, which tunes nothing.
    command = find_run_command(swept, int(swept.runs["run"].iloc[0]))
    assert command is not None
    assert main([*command[1:], "tracking.enabled=false", "hydra.run.dir=multirun/runs/alone"]) == 0
    alone = bptt.load("multirun/runs/alone").history
    assert equal(alone, swept.history[swept.history["run"] == swept.runs["run"].iloc[0]], ["update", "loss/eval"])
    assert main(["reproduce", str(swept.folder), "--runs", "3"]) == 0


def test_a_file_that_tunes_is_no_hindrance_to_its_runs() -> None:
    Path("mine/sweep").mkdir(parents=True)
    tuned = "tune: {optimizer.delta_zero: [0.0001, 0.001], seeds: 1}\nconfirm: 1\n"
    swept = "hydra: {mode: MULTIRUN, sweeper: {params: {optimizer.eta_plus: [1.1, 1.3]}, seeds: 1}}\n"
    head = "# @package _global_\ndefaults:\n  - override /experiment: roelants_counting\ntrain: {updates: 5}\n"
    Path("mine/sweep/tuned.yaml").write_text(head + tuned + swept, encoding="utf-8")
    found = bptt.sweep(["sweep=tuned", *BARE, "hydra.launcher.workers=1"], config_dir=Path("mine"))
    command = find_run_command(found, int(found.runs["run"].iloc[0]))
    assert command is not None
    assert command[-3:] == ["hydra.mode=RUN", "tune=null", "confirm=null"]
    assert main(command[1:]) == 0


def test_what_is_said_of_what_was_chosen() -> None:
    swept = bptt.sweep([*SMALL, *SWEPT, TUNE, "confirm=2", *BARE, "solved='loss/eval<=0'"])
    table = tabulate_tuning(swept)
    assert len(table) == 6
    assert table["chosen"].sum() == 2
    chosen = table[table["chosen"]]
    edges = [value in (0.0001, 0.01) for value in chosen["optimizer.delta_zero"]]
    assert [edge != "" for edge in chosen["edge"]] == edges
    assert (warn_of_edges(swept) != "") == any(edges)
    assert write_tuning(swept) == [
        "the first step Δ₀ that was tuned for each on 2 other seeds, of 3 values from 0.0001 to 0.01"
    ]
    assert all("tuned for each on 2 other seeds" in one.question.common[-1] for one in Findings(swept).conclusions)
    (row,) = tabulate_confirmation(swept).to_dict("records")
    assert row["of"] == 2
    assert row["loss_median"] == swept.runs.groupby("optimizer.eta_plus")["loss/eval"].median().min()
    assert row["fresh_loss_median"] == swept.stages["confirming"].runs["loss/eval"].median()
    assert write_confirmation(swept).startswith(f"Picked as the best of 2 settings, {row['setting']} has a median last")


def test_of_runs_that_keep_their_best_network_its_loss_is_told() -> None:
    """Settings are picked by that loss, so it is what fresh seeds are compared with."""
    swept = bptt.sweep([*SMALL, *SWEPT, "confirm=2", *BARE, "solved='loss/eval<=0'", "train.keep=best"])
    (row,) = tabulate_confirmation(swept).to_dict("records")
    best = swept.runs.groupby("optimizer.eta_plus")["kept/loss/eval"].median().min()
    assert row["kept_loss_median"] == best
    said = write_confirmation(swept)
    assert f"{row['setting']} has a median loss of the kept network of {best:.3g}" in said
    (section,) = write_choices(Findings(swept))
    headings = [column.heading for part in section.elements if isinstance(part, ShownTable) for column in part.columns]
    assert "loss of the kept network, fresh seeds" in headings


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["tune={optimizer.eta_plus:[1.1,1.2]}"], "tune.optimizer.eta_plus: is swept too; a key is swept or tuned"),
        (["tune={seed:[1,2]}"], "tune.seed: seeds are not tuned; tune.seeds says with how many a value is tried"),
        (
            ["tune={train.updates:[1,2]}"],
            "tune.train.updates: the sweep gives it a value too; a key is given or tuned",
        ),
        ([TUNE, "seed=1000001"], "seed: 1000000 to 1000001 are the seeds that values are tuned on"),
        (["tune={optimizer.delta_zero:[1,x]}"], "optimizer.delta_zero=x: must be a number above 0"),
        (
            [TUNE, "seed=1,2", "train.truncation='${seed}'"],
            "tune: the configuration follows the seed, so values can't be tuned on others",
        ),
        (
            ["confirm=3", "optimizer.eta_plus=1.1"],
            "confirm=3: there are no two settings of which one is picked as the best",
        ),
    ],
)
def test_what_is_refused_before_anything_is_trained(overrides: list[str], line: str) -> None:
    given = {text.partition("=")[0] for text in overrides}
    swept = [text for text in SWEPT if text.partition("=")[0] not in given]
    with pytest.raises(ConfigurationError) as caught:
        bptt.sweep([*SMALL, *swept, *overrides, *BARE])
    assert caught.value.lines == (line,)
    assert not Path("multirun").exists()


def test_plan_counts_all_stages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *SMALL, *SWEPT, TUNE, "confirm=4", "tracking.enabled=false"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[:4] == [
        "runs    18",
        "12 tune optimizer.delta_zero for 2 settings",
        "6 train the settings with what they choose",
        "and 4 runs more for the best setting of each condition",
    ]


def test_bptt_tune_is_the_same_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    over = ["--over", "optimizer.delta_zero=0.0001:0.01:3", "--seeds", "2"]
    assert main(["tune", *over, *SMALL, "seed=range(2)", *BARE, "hydra.sweep.dir=multirun/one"]) == 0
    assert "4 runs" not in capsys.readouterr().out.splitlines()[0]
    one = bptt.load("one")
    assert len(one.stages["tuning"].runs) == 6
    assert sorted(one.stages["tuning"].runs["optimizer.delta_zero"].unique()) == [0.0001, 0.001, 0.01]
    assert one.runs["seed"].tolist() == [0, 1]
    assert main(["tune", *over, *SMALL, *BARE, "hydra.sweep.dir=multirun/ten", "train.updates=5"]) == 2


def call(arguments: list[str]) -> object:
    try:
        return main(arguments)
    except SystemExit as ended:
        return ended.code


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tune", "task=xor"], "bptt tune: the following arguments are required: --over"),
        (["tune", "--over", "optimizer.alpha"], "must be KEY=VALUES, as optimizer.alpha=1e-4:1:9"),
        (["tune", "--over", "optimizer.alpha=1:2:3", "tune={}"], "bptt tune: tune=…: --over says what is tuned"),
        (["confirm", "nothing"], "nothing: there is no such folder"),
        (["confirm", "nothing", "--seeds", "0"], "argument --seeds: must be at least 1, not 0"),
    ],
)
def test_commands_that_are_refused(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(arguments) == 2
    assert says in capsys.readouterr().err


def test_a_shipped_search_is_one_and_is_confirmed(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna")
    small = [
        "train.updates=30",
        "hydra.sweeper.trials=4",
        "hydra.sweeper.halving=null",
        "hydra.sweep.dir=multirun/found",
    ]
    assert main(["train", "sweep=optuna_adder", *small, *BARE, "confirm=2"]) == 0
    journal = SweepFolder.open(Path("multirun/found")).journal
    assert journal.search
    assert journal.swept == ["optimizer.alpha", "init.scale", "model.hidden_size"]
    found = bptt.load("found")
    assert len(found.runs) == 4
    (best,) = found.runs.nsmallest(1, "loss/eval")["optimizer.alpha"]
    fresh = found.stages["confirming"].runs
    assert fresh["seed"].tolist() == [CONFIRMING_SEED, CONFIRMING_SEED + 1]
    assert set(fresh["optimizer.alpha"]) == {best}
    assert "Picked as the best of 4 settings, " in capsys.readouterr().out
