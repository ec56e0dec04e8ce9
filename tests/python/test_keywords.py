"""Keyword arguments are overrides: each value comes out of Hydra's grammar as it went in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt.configuration.compose import parse_overrides
from bptt.configuration.errors import ConfigurationError
from bptt.core.optimizers.adam import Adam
from bptt.python.choices import ObjectChoices
from bptt.python.keywords import split_texts, write_override_value, write_overrides
from bptt.tasks.languages.xor import Xor

VALUES: list[Any] = [None, True, False, 0, -3, 1e-5, 0.1, float("inf"), "gru", "3", "null", "True", "1e-3", "", "a b"]
VALUES += [
    "it's",
    "back\\",
    "b\\'c",
    "x,y=z",
    "[1]",
    "{a}",
    "a:b",
    "~",
    "data/é.npz",
    "\t",
    "é",
    ["a b", 1],
    {"a": [1]},
]


def no_data() -> Path:
    raise AssertionError("nothing is in memory")


def write(keys: Mapping[str, Any], *, swept: bool = False) -> list[str]:
    with ObjectChoices(no_data) as choices:
        return write_overrides(keys, choices, swept=swept)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_out_as_it_went_in(value: Any) -> None:
    (override,), lines = parse_overrides([f"key={write_override_value(value)}"])
    read = override.value()
    assert lines == []
    assert getattr(read, "text", read) == value
    assert isinstance(value, str) or type(read) is type(value)


def test_numpy_and_paths_are_plain_values() -> None:
    values = [np.float64(0.5), np.int64(4), np.bool_(True), np.arange(2), Path("a b"), range(3), (1, None)]
    assert [*map(write_override_value, values)] == ["0.5", "4", "true", "[0,1]", "'a b'", "[0,1,2]", "[1,null]"]


def test_keys_are_nested_or_in_full() -> None:
    keys = {
        "model": {"hidden_size": 8, "name": "gru"},
        "train": {"updates": 500, "early_stop": {"metric": "loss/eval", "threshold": 0.1}},
        "init": {"recurrent": {"name": "identity", "scale": 0.5}, "gate_bias": {"forget": 1}},
        "optimizer.alpha": 0.01,
        "tune": {"optimizer.alpha": {"log": [1e-4, 1, 3]}, "seeds": 2},
        "only": ["readout"],
        "hydra.sweeper.halving": {"eta": 3, "min_updates": 10},
        "hydra": {"launcher": {"workers": 2}, "sweeper": {"objectives": {"loss/eval": "minimize"}}},
    }
    assert write(keys) == [
        "model=gru",
        "model.hidden_size=8",
        "train.updates=500",
        "train.early_stop.metric=loss/eval",
        "train.early_stop.threshold=0.1",
        "init.recurrent={name:identity,scale:0.5}",
        "init.gate_bias.forget=1",
        "optimizer.alpha=0.01",
        "tune={optimizer.alpha:{log:[0.0001,1,3]},seeds:2}",
        "only=[readout]",
        "hydra.sweeper.halving={eta:3,min_updates:10}",
        "hydra.launcher.workers=2",
        "hydra.sweeper.objectives={loss/eval:minimize}",
    ]


def test_in_a_sweep_lists_are_swept_but_for_what_is_of_the_whole() -> None:
    keys = {
        "seed": range(10),
        "model": ["gru", "it's"],
        "train": {"only": [["readout"], None]},
        "optimizer.alpha": np.array([0.1, 0.3]),
        "conditions": ["task.length"],
        "hydra": {"launcher": {"workers": 2}},
    }
    assert write(keys, swept=True) == [
        "seed=range(0,10,1)",
        "model=gru,'it\\'s'",
        "train.only=[readout],null",
        "optimizer.alpha=0.1,0.3",
        "conditions=[task.length]",
        "hydra.launcher.workers=2",
    ]


def test_what_has_no_place_is_refused_with_its_key() -> None:
    with pytest.raises(ConfigurationError) as caught:
        write({"model": {"hidden_size": object}, "seed": [], "a b": 1, "clip": {1: 2}, "x": "a\nb"}, swept=True)
    lines = caught.value.lines
    assert lines[0].startswith("model.hidden_size=<class 'object'>: a type has no place in a configuration")
    assert lines[1:] == (
        "seed=[]: has no values; give one or several",
        "a b=1: is no key of a configuration",
        "x=a b: has several lines",
    )


def test_several_choices_have_no_values_of_their_own() -> None:
    with pytest.raises(ConfigurationError) as caught:
        write({"model": ["elman", {"name": "gru", "hidden_size": 3}]}, swept=True)
    says = "of several choices give the names; values of one are swept by their own keys"
    assert str(caught.value) == f"model=['elman', {{'name': 'gru', 'hidden_size': 3}}]: {says}"
    assert write({"init": {"recurrent": [{"name": "identity"}]}}, swept=True) == ["init.recurrent={name:identity}"]


def test_an_object_is_the_choice_that_makes_it() -> None:
    adam = Adam(alpha=0.5, beta1=0.9, beta2=0.999, small_constant=1e-8, noise=0.0, noise_decay=0.55)
    assert write({"optimizer": adam}) == ["optimizer=adam", "optimizer.alpha=0.5"]


def test_texts_are_parted_as_by_a_shell() -> None:
    assert split_texts(["a=1 'b=x y'", ["c=d e"]]) == ["a=1", "b=x y", "c=d e"]
    with pytest.raises(
        ConfigurationError, match=r"^mine: a folder with choices is given by its name: config_dir='mine'$"
    ):
        split_texts(["a=1", Path("mine")])  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match=r"^a='x: can't be parted into overrides \(no closing quotation\)$"):
        split_texts(["a='x"])


def test_objects_that_are_swept_are_files_of_choices() -> None:
    with ObjectChoices(no_data) as choices:
        found = write_overrides({"task": ["adder", Xor(**xor())]}, choices, swept=True)
        assert found == ["task=adder,xor_0"]
        assert choices.own is not None
        assert "_target_: bptt.tasks.languages.xor.Xor" in (choices.own / "task" / "xor_0.yaml").read_text()
        kept = choices.own
    assert not kept.exists()


def xor() -> dict[str, Any]:
    from dataclasses import fields

    from omegaconf import OmegaConf

    from bptt.configuration.vocabulary import find_conf_folder

    node = OmegaConf.to_container(OmegaConf.load(find_conf_folder() / "task" / "xor.yaml"))
    assert isinstance(node, dict)
    return {field.name: node[field.name] for field in fields(Xor)}
