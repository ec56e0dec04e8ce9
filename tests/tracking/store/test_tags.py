from typing import Any

from bptt.tracking.store.tags import flatten_config, hide_secrets, list_swept, name_run, name_swept


def test_every_value_gets_a_key_and_reads_as_on_the_command_line() -> None:
    config = {
        "seed": 0,
        "allow": [],
        "model": {"_target_": "bptt.core.models.elman.Elman", "hidden_size": 3, "carry": True, "extra": {}},
        "init": {"bias": None, "scale": 1e-30},
        "numbers": [1, 2.5],
    }
    assert flatten_config(config) == {
        "seed": "0",
        "allow": "[]",
        "model._target_": "bptt.core.models.elman.Elman",
        "model.hidden_size": "3",
        "model.carry": "true",
        "model.extra": "{}",
        "init.bias": "null",
        "init.scale": "1e-30",
        "numbers": "[1, 2.5]",
    }


def test_forbidden_characters_are_replaced_and_no_key_is_lost() -> None:
    assert flatten_config({"eta+": 1, "eta_": 2, "η": 3, "a b/c:d-e.f": 4}) == {
        "eta_": "1",
        "eta__2": "2",
        "_": "3",
        "a b/c:d-e.f": "4",
    }


def test_long_values_are_cut_with_a_note() -> None:
    exact = "x" * 6000
    assert flatten_config({"text": exact})["text"] == exact
    cut = flatten_config({"text": exact + "y"})["text"]
    assert len(cut) == 6000
    assert cut.endswith(" ... (cut: 6001 characters; config.yaml has them all)")


def test_long_keys_are_cut_and_stay_apart() -> None:
    keys = list(flatten_config({"k" * 300 + "a": 1, "k" * 300 + "b": 2}))
    assert len(keys) == 2
    assert max(map(len, keys)) <= 250


def test_a_password_in_the_stores_address_is_blotted_out() -> None:
    resolved: dict[str, Any] = {"seed": 0, "tracking": {"uri": "http://me:secret@host", "experiment": "bptt"}}
    assert hide_secrets(resolved) == {"seed": 0, "tracking": {"uri": "http://me:***@host", "experiment": "bptt"}}
    assert resolved["tracking"]["uri"] == "http://me:secret@host"
    assert hide_secrets({"tracking": {"uri": None}}) == {"tracking": {"uri": None}}


def test_what_differs_was_swept_and_the_seed_is_last() -> None:
    params = [{"seed": str(seed), "optimizer.alpha": alpha, "train.updates": "9"} for seed in (0, 1) for alpha in "12"]
    values = list_swept(params)
    assert values[1] == {"optimizer.alpha": "2", "seed": "0"}
    assert list(values[0]) == ["optimizer.alpha", "seed"]


def test_what_follows_from_a_choice_was_not_swept() -> None:
    elman = {"model": "elman", "model._target_": "…Elman", "model.hidden_size": "8", "seed": "0"}
    lstm = {"model": "lstm", "model._target_": "…LSTM", "model.hidden_size": "8", "model.reset": "after", "seed": "0"}
    assert list_swept([elman, lstm]) == [{"model": "elman"}, {"model": "lstm"}]
    larger = {**lstm, "model.hidden_size": "9"}
    assert list_swept([elman, lstm, larger])[2] == {"model": "lstm", "model.hidden_size": "9"}


def test_an_experiment_is_a_choice_of_many_values() -> None:
    one = {"experiment": "a", "task._target_": "A", "optimizer.alpha": "1", "seed": "0"}
    other = {"experiment": "b", "task._target_": "B", "optimizer.alpha": "2", "seed": "1"}
    assert list_swept([one, other]) == [{"experiment": "a", "seed": "0"}, {"experiment": "b", "seed": "1"}]


def test_where_runs_are_kept_is_no_difference() -> None:
    assert list_swept([{"tracking.uri": "a"}, {"tracking.uri": "b"}]) == [{}, {}]


def test_one_run_varies_in_nothing() -> None:
    assert list_swept([{"seed": "3"}]) == [{}]
    assert list_swept([]) == []


def test_a_run_is_called_by_its_choices() -> None:
    resolved = {
        "task": {"_target_": "bptt.tasks.memory.temporal_order.TemporalOrder"},
        "model": {"_target_": "bptt.core.models.elman.Elman"},
        "seed": 3,
    }
    assert name_run(resolved) == "temporal_order elman seed=3"


def test_a_run_of_a_sweep_is_called_by_what_was_swept_alone() -> None:
    swept = {"seed": "3", "optimizer.alpha": "0.1", "model": "lstm"}
    assert (
        name_swept(swept, {"seed": "seed", "optimizer.alpha": "alpha", "model": "model"})
        == "alpha=0.1 model=lstm seed=3"
    )
