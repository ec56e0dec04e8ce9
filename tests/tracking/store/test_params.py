from typing import Any

from bptt.tracking.store.params import flatten_config, hide_secrets


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
