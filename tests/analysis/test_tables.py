from typing import Any

import numpy as np
import pandas as pd
import pytest

from bptt.analysis.tables import (
    list_kept,
    show_value,
    stack_parameters,
    tabulate_runs,
    tabulate_settings,
    take_final,
    take_kept_loss,
    write_lines,
    write_parts,
)
from bptt.core.run import Record
from bptt.tracking.history.base import Member, MemberColumns


def job(number: int, **swept: str) -> Member:
    keys = {key.replace("__", "."): text for key, text in swept.items()}
    return Member(number=number, name=f"run {number}", digest="", swept=keys, updates=None)


def ended(run: int, status: str = "FINISHED", outcome: str | None = "completed") -> dict[str, Any]:
    return {"run": run, "status": status, "outcome": outcome, "updates": 9.0, "error": None, "began": 0.0, "ended": 1.0}


def point(run: int, update: int, loss: float, accuracy: float = np.nan) -> dict[str, Any]:
    return {"run": run, "update": update, "loss/eval": loss, "accuracy/eval": accuracy}


def results(*rows: tuple[str, str | None, float, float], **keys: list[Any]) -> pd.DataFrame:
    """A table of runs: status, outcome, last loss and last accuracy of each, and the swept keys."""
    table = pd.DataFrame(list(rows), columns=["status", "outcome", "loss/eval", "accuracy/eval"])
    swept = {key.replace("__", "."): values for key, values in keys.items()}
    return pd.DataFrame({"run": range(len(rows))} | swept | table.to_dict("list"))


def test_a_condition_and_a_setting_are_named_by_what_tells_them_apart() -> None:
    table = pd.DataFrame(
        {
            "task": ["a", "a", "b", "b"],
            "model": ["elman", "gru", "elman", "gru"],
            "train.updates": [9, 5, 9, 5],
            "init.scale": [1, 2, 1, 2],
            "seed": [0, 0, 0, 0],
        }
    )
    swept = list(table)
    conditions, settings = write_parts(table, swept, ["task", "model", "train.updates"])
    assert conditions == ["task=a model=elman", "task=a model=gru", "task=b model=elman", "task=b model=gru"]
    assert settings == ["scale=1", "scale=2", "scale=1", "scale=2"]
    assert write_parts(table, swept, [])[0] == [""] * 4
    assert write_parts(table, ["task", "seed"], ["task"])[1] == [""] * 4


OK, FAILED = ("FINISHED", "completed"), ("FAILED", None)


def test_a_run_has_what_was_swept_and_what_it_recorded_last() -> None:
    jobs = [job(0, model="elman", seed="0", optimizer__alpha="1e-3"), job(1, model="lstm", seed="1")]
    history = pd.DataFrame([point(1, 1, 3.0), point(1, 9, 0.5, 0.25), point(0, 1, 2.0), point(0, 5, np.nan)])
    table = tabulate_runs(MemberColumns.of(jobs), pd.DataFrame([ended(1), ended(0, outcome="diverged")]), history)
    assert list(table) == [
        *("run", "name", "status", "outcome", "updates"),
        *("model", "optimizer.alpha", "seed"),
        *("loss/eval", "accuracy/eval"),
    ]
    assert table["run"].tolist() == [0, 1]
    assert table["outcome"].tolist() == ["diverged", "completed"]
    assert table["model"].tolist() == ["elman", "lstm"]
    assert table["seed"].dtype == np.int64
    assert table["optimizer.alpha"][0] == 0.001
    assert np.isnan(table["optimizer.alpha"][1])
    # What was recorded at the last update, although it is nan.
    assert np.isnan(table["loss/eval"][0])
    assert table["loss/eval"][1] == 0.5


def test_jobs_that_have_not_ended_are_there_too() -> None:
    nothing = pd.DataFrame(columns=["run", "update", "loss/eval"]).astype({"run": int, "update": int})
    table = tabulate_runs(MemberColumns.of([job(0), job(1), job(2)]), pd.DataFrame([ended(1, "FAILED", None)]), nothing)
    assert table["name"].tolist() == ["run 0", "run 1", "run 2"]
    assert table["status"].isna().tolist() == [True, False, True]
    assert tabulate_settings(table, [])[["runs", "failed", "unfinished"]].to_numpy().tolist() == [[3, 1, 2]]


def test_what_a_failed_run_recorded_on_its_way_is_no_outcome() -> None:
    members = MemberColumns.of([job(0)])
    table = tabulate_runs(members, pd.DataFrame([ended(0, "FAILED", "completed")]), pd.DataFrame([point(0, 1, 0.5)]))
    assert table["outcome"].isna().tolist() == [True]
    assert table["loss/eval"].tolist() == [0.5]


def test_what_diverged_is_the_worst_and_what_did_not_end_is_nothing() -> None:
    runs = results((*OK, 0.5, 1.0), ("FINISHED", "diverged", np.nan, np.nan), (*FAILED, np.nan, np.nan))
    assert take_final(runs, "loss/eval").tolist()[:2] == [0.5, np.inf]
    assert take_final(runs, "accuracy/eval").tolist()[:2] == [1.0, 0.0]
    assert take_final(runs, "loss/eval").isna().tolist() == [False, False, True]
    assert take_final(runs, "accuracy/eval").isna().tolist() == [False, False, True]


def test_a_task_without_accuracy_has_none() -> None:
    runs = results((*OK, 0.5, np.nan), ("FINISHED", "diverged", np.nan, np.nan))
    assert take_final(runs, "accuracy/eval").isna().all()
    assert "right" not in tabulate_settings(runs, [])
    assert "right" not in tabulate_settings(runs.drop(columns="accuracy/eval"), [])


def test_a_row_for_each_setting_over_its_seeds() -> None:
    runs = results(
        (*OK, 0.5, 0.75),
        (*OK, 0.25, 1.0),
        (*OK, 0.1, 1.0),
        ("FINISHED", "diverged", np.nan, np.nan),
        (*FAILED, np.nan, np.nan),
        ("KILLED", None, np.nan, np.nan),
        model__hidden_size=[2, 3, 2, 2, 3, 3],
        seed=[0, 0, 1, 2, 1, 2],
    )
    table = tabulate_settings(runs, ["model.hidden_size", "seed"])
    assert list(table) == [
        *("setting", "model.hidden_size", "runs", "diverged", "failed", "unfinished"),
        *("loss/eval", "from", "to", "right", "right_low", "right_high"),
    ]
    third = [pytest.approx(number, abs=1e-4) for number in (1 / 3, 0.0084, 0.9057)]  # Clopper and Pearson's, of 1 of 3
    assert table.to_numpy().tolist() == [
        ["hidden_size=2", 2, 3, 1, 0, 0, 0.5, 0.1, 0.5, *third],
        ["hidden_size=3", 3, 3, 0, 1, 1, 0.25, 0.25, 0.25, 1.0, pytest.approx(0.025), 1.0],
    ]


def test_where_no_run_is_all_right_the_accuracy_stands_for_it() -> None:
    runs = results((*OK, 0.5, 0.75), (*OK, 0.4, 0.25), ("FINISHED", "diverged", np.nan, np.nan))
    table = tabulate_settings(runs, [])
    assert "right" not in table
    assert table["accuracy"].tolist() == [0.25]
    assert write_lines(table)[0].split() == ["setting", "runs", "diverged", "loss/eval", "from", "to", "accuracy"]
    assert write_lines(table)[1].endswith("25.0%")


def test_how_well_networks_fit_leads_where_nothing_is_right_or_wrong() -> None:
    runs = results(*[("FINISHED", "completed", loss, np.nan) for loss in (1.0, 2.0, 3.0)], seed=[0, 1, 2])
    runs = runs.assign(**{"rmse/eval": [5.0, 4.0, 9.0], "r2/eval": [0.1, np.nan, 0.3], "mae/eval": 1.0})
    runs.loc[1, "outcome"] = "diverged"
    table = tabulate_settings(runs, ["seed"])
    assert table.loc[0, ["rmse/eval", "r2/eval"]].tolist() == [5.0, 0.1]  # of R² the second is as bad as can be
    assert "mae/eval" not in table
    heading, line = write_lines(table)
    assert heading.split() == ["setting", "runs", "diverged", "rmse/eval", "r2/eval", "loss/eval", "from", "to"]
    assert line.split()[3:6] == ["5", "0.100", "2"]


def test_a_run_that_keeps_its_best_network_is_ranked_by_that() -> None:
    runs = results(("FINISHED", "completed", 1.0, np.nan), ("FINISHED", "diverged", np.nan, np.nan), (*OK, 3.0, np.nan))
    assert take_kept_loss(runs).tolist() == [1.0, np.inf, 3.0]
    assert take_kept_loss(runs.assign(**{"kept/loss/eval": [0.5, 0.25, np.nan]})).tolist() == [0.5, 0.25, 3.0]


def test_where_most_runs_diverge_the_median_is_infinite() -> None:
    runs = results((*OK, 0.5, 0.0), *[("FINISHED", "diverged", np.nan, np.nan)] * 2)
    assert tabulate_settings(runs, ["seed"])[["setting", "loss/eval", "from", "to"]].to_numpy().tolist() == [
        ["all", np.inf, 0.5, 0.5]
    ]


def test_a_setting_names_only_the_keys_that_it_has() -> None:
    runs = results(
        *[(*OK, 0.5, 1.0)] * 4,
        clip=["none", "norm", "norm", "none"],
        clip__threshold=[np.nan, 0.1, 1.0, np.nan],
    )
    table = tabulate_settings(runs, ["clip", "clip.threshold"])
    assert table["setting"].tolist() == ["clip=none", "clip=norm threshold=0.1", "clip=norm threshold=1"]
    assert table["runs"].tolist() == [2, 1, 1]


def test_values_that_look_alike_are_settings_of_their_own() -> None:
    runs = results(*[(*OK, 0.5, 1.0)] * 2, optimizer__alpha=[0.10000001, 0.10000002])
    assert tabulate_settings(runs, ["optimizer.alpha"])["setting"].tolist() == [
        "alpha=0.10000001",
        "alpha=0.10000002",
    ]
    thirds = results(*[(*OK, 0.5, 1.0)] * 2, optimizer__alpha=[1 / 3, 0.5])
    assert tabulate_settings(thirds, ["optimizer.alpha"])["setting"].tolist() == ["alpha=0.333333", "alpha=0.5"]


def test_the_printed_table() -> None:
    runs = results(
        (*OK, 0.5, 0.75),
        (*OK, 0.1, 1.0),
        ("FINISHED", "diverged", np.nan, np.nan),
        (*OK, 0.25, 1.0),
        model__hidden_size=[16, 16, 16, 3],
    )
    assert write_lines(tabulate_settings(runs, ["model.hidden_size", "seed"])) == [
        "setting         runs  diverged loss/eval from   to    100 % right",
        "hidden_size=16     3         1       0.5  0.1  0.5   33 % [1, 91]",
        "hidden_size=3      1         0      0.25 0.25 0.25 100 % [3, 100]",
    ]


def test_the_printed_table_tells_of_failures_where_there_are_any() -> None:
    runs = results((*OK, 0.5, np.nan), (*FAILED, np.nan, np.nan), (None, None, np.nan, np.nan))  # type: ignore[arg-type]
    assert write_lines(tabulate_settings(runs, [])) == [
        "setting  runs  diverged  failed  unfinished loss/eval from  to",
        "all         3         0       1           1       0.5  0.5 0.5",
    ]


def test_a_setting_of_which_nothing_is_known_has_no_line() -> None:
    known = ("FINISHED", "diverged", np.nan, np.nan)
    runs = results((*OK, 0.5, 0.75), known, (*FAILED, np.nan, np.nan), (None, None, np.nan, np.nan), a__x=[1, 2, 3, 4])  # type: ignore[arg-type]
    assert write_lines(tabulate_settings(runs, ["a.x"])) == [
        "setting  runs  diverged  failed  unfinished loss/eval from  to accuracy",
        "x=1         1         0       0           0       0.5  0.5 0.5    75.0%",
        "x=2         1         1       0           0       inf    –   –     0.0%",
        "and 2 settings of which no run has ended",
    ]
    assert write_lines(tabulate_settings(runs[2:], ["a.x"])) == []


def test_of_many_settings_the_best_are_printed() -> None:
    losses = [0.4, np.nan, 0.1, 0.3]
    outcomes = ["diverged" if np.isnan(loss) else "completed" for loss in losses]
    rows = [("FINISHED", outcome, loss, np.nan) for outcome, loss in zip(outcomes, losses, strict=True)]
    printed = write_lines(tabulate_settings(results(*rows, a__x=[1, 2, 3, 4]), ["a.x"]), most=2)
    assert [line.split()[0] for line in printed] == ["setting", "x=3", "x=4", "and"]
    assert printed[-1] == "and 2 more settings, none with a smaller loss"


def test_one_run_alone_is_no_table() -> None:
    assert write_lines(tabulate_settings(results((*OK, 0.5, 1.0)), [])) == []


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (0.1, "0.1"), (1e-5, "1e-05"), ("elman", "elman"), (np.nan, ""), (None, "")]
)
def test_values_as_text(value: object, text: str) -> None:
    assert show_value(value) == text


def test_weights_of_several_shapes_are_told_in_a_line() -> None:
    def left(size: int) -> Any:
        return Record("completed", 1, {}, np.zeros((1, 1)), {"cell.0.recurrent": np.eye(size)}, np.zeros((1, 1)))

    with pytest.raises(ValueError, match=r"^mine: the weights of b have other shapes than those of a; load runs of"):
        stack_parameters("mine", ["a", "b"], [left(2), left(3)])
    with pytest.raises(ValueError, match=r"^mine: no run left no weights"):
        stack_parameters("mine", [], [])
    assert stack_parameters("mine", ["a", "b"], [left(2), left(2)])["cell.0.recurrent"].shape == (2, 2, 2)


def test_weights_of_an_update_are_those_that_every_run_kept() -> None:
    def left(updates: int, *kept: int) -> Any:
        snapshots = {update: {"w": np.array([float(update)])} for update in kept}
        return Record(
            "completed", updates, {}, np.zeros((1, 1)), {"w": np.array([-1.0])}, np.zeros((1, 1)), {}, snapshots
        )

    records = [left(9, 0, 1, 5, 9), left(5, 0, 1)]
    assert list_kept(records) == [0, 1, 5]
    assert list_kept([*records, None]) == []
    np.testing.assert_array_equal(stack_parameters("mine", ["a", "b"], records, 1)["w"], [[1.0], [1.0]])
    np.testing.assert_array_equal(stack_parameters("mine", ["a", "b"], records, 5)["w"], [[5.0], [-1.0]])
    np.testing.assert_array_equal(stack_parameters("mine", ["a", "b"], records)["w"], [[-1.0], [-1.0]])
    with pytest.raises(
        ValueError, match=r"^mine: b has no weights after update 9; it has those after 0, 1, 5, and with"
    ):
        stack_parameters("mine", ["a", "b"], records, 9)


@pytest.mark.parametrize("seed", [2**63, 10**23])
def test_a_seed_that_no_column_of_numbers_holds_stays_text(seed: int) -> None:
    jobs = [job(0, seed="1"), job(1, seed=str(seed))]
    history = pd.DataFrame([point(0, 1, 0.5), point(1, 1, 0.25)])
    runs = tabulate_runs(MemberColumns.of(jobs), pd.DataFrame([ended(0), ended(1)]), history)
    assert runs["seed"].tolist() == ["1", str(seed)]
