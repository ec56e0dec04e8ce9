from typing import Any

import numpy as np
import pandas as pd
import pytest

from bptt.analysis.factors import (
    _KEYS,
    Factor,
    build_factor,
    combine_factors,
    combine_texts,
    drop_decided_factors,
    explain_key,
    find_factors,
    name_key,
    split_runs,
)


def found(**keys: list[Any]) -> list[Factor]:
    runs = pd.DataFrame({key.replace("__", "."): values for key, values in keys.items()})
    return find_factors(runs, list(runs))


def test_numbers_ascend_and_text_stays_in_its_order() -> None:
    size, model = found(model__hidden_size=[4, 2, 4], model=["lstm", "elman", "elman"], seed=[0, 1, 2])
    assert (size.label, size.levels, size.codes.tolist()) == ("hidden_size", (2, 4), [1, 0, 1])
    assert (model.label, model.levels, model.codes.tolist()) == ("model", ("lstm", "elman"), [0, 1, 1])
    assert model.scale == "ordinal"


def test_a_key_with_one_value_and_the_seed_are_no_factors() -> None:
    assert found(optimizer__alpha=[0.1, 0.1], seed=[0, 1]) == []


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.003, 0.01, 0.03, 0.1, 0.3, 1, 3], "log"),
        ([2, 3, 4, 6, 8, 12, 16, 24, 32], "log"),
        ([1, 2, 3, 4, 6, 8], "linear"),
        ([10, 20, 40, 60, 80], "linear"),
        ([0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2], "linear"),
        ([1.01, 1.05, 1.1, 1.2, 1.3, 1.5, 2], "ordinal"),
        ([0, 0.3, 0.6, 0.9, 0.95, 0.99], "ordinal"),
        ([0, 0.01, 0.1, 1, 10], "ordinal"),
        ([-1, 1], "linear"),
        (np.geomspace(1e-4, 1, 100).tolist(), "log"),
        (np.sort(np.random.default_rng(0).random(100)).tolist(), "linear"),
    ],
)
def test_the_scale_is_that_of_the_values(values: list[float], scale: str) -> None:
    (factor,) = found(a=values)
    assert factor.scale == scale


def test_places_on_an_axis() -> None:
    assert found(a=[0.01, 0.1, 1.0])[0].places == pytest.approx([-2, -1, 0])
    assert found(a=[10, 20, 40])[0].places.tolist() == [10, 20, 40]
    assert found(a=["x", "y", "x"])[0].places.tolist() == [0, 1]


def test_without_a_threshold_there_is_the_choice_instead() -> None:
    (threshold,) = found(clip=["none", "norm", "norm"], clip__threshold=[np.nan, 1.0, 0.1])
    assert (threshold.label, threshold.levels, threshold.codes.tolist()) == ("threshold", ("none", 0.1, 1.0), [0, 2, 1])
    assert threshold.scale == "ordinal"


def test_a_choice_that_the_value_does_not_tell_stays() -> None:
    clip, threshold = found(clip=["none", "norm", "value"], clip__threshold=[np.nan, 1.0, 1.0])
    assert clip.levels == ("none", "norm", "value")
    assert threshold.levels == ("none", 1.0)


def test_what_one_cell_alone_was_given_is_no_factor() -> None:
    (model,) = found(model=["elman", "lstm", "gru"], init__bias=[np.nan, 1.0, np.nan])
    assert model.levels == ("elman", "lstm", "gru")


def test_a_value_that_some_runs_of_its_choice_lack_leaves_the_choice_a_factor() -> None:
    optimizer, decay = found(
        optimizer=["sgd", "sgd", "adam", "rprop"], optimizer__weight_decay=[None, 0.01, None, None], seed=[0] * 4
    )
    assert optimizer.levels == ("sgd", "adam", "rprop")
    assert (set(decay.levels), decay.texts[decay.codes[1]]) == ({"default", 0.01}, "0.01")
    assert len({int(decay.codes[run]) for run in (0, 2, 3)}) == 1


def test_a_value_that_some_runs_lack_is_called_default() -> None:
    alpha, bias = found(optimizer__alpha=[0.1, 0.2, 0.1], init__bias=[np.nan, np.nan, 1.0])
    assert alpha.levels == (0.1, 0.2)
    assert bias.levels == ("default", 1.0)


def test_all_combinations_as_one_factor() -> None:
    both = combine_factors(found(a=[1, 1, 2], b=["x", "y", "x"]), 3)
    assert both.levels == ("a=1 b=x", "a=1 b=y", "a=2 b=x")
    assert combine_factors([], 2).codes.tolist() == [0, 0]


def test_few_settings_have_a_line_each() -> None:
    told = split_runs(found(a=[1, 1, 2, 2], b=[1, 2, 1, 2]), 4)
    assert told.titles == [""]
    assert [told.of(run) for run in range(4)] == [(0, 0), (0, 1), (0, 2), (0, 3)]


def test_more_settings_have_lines_and_panels() -> None:
    a, b = np.divmod(np.arange(12), 4)
    told = split_runs(found(a=a.tolist(), b=b.tolist()), 12)
    assert told.titles == ["b 0", "b 1", "b 2", "b 3"]
    assert told.of(6) == (2, 1)


def test_very_many_settings_are_not_told_apart() -> None:
    told = split_runs(found(a=np.arange(50).tolist()), 50)
    assert (told.hue, told.facet) == (None, None)


def test_one_key_by_itself() -> None:
    runs = pd.DataFrame({"init.scale": [0.1, 1.0], "init.recurrent.scale": [2, 2], "model.hidden_size": [4, 8]})
    assert (build_factor(runs, "init.scale").label, build_factor(runs, "model.hidden_size").label) == (
        "init.scale",
        "hidden_size",
    )
    constant = build_factor(runs, "init.recurrent.scale")
    assert (constant.levels, constant.codes.tolist(), constant.scale) == ((2,), [0, 0], "linear")


def test_one_key_that_only_some_runs_have() -> None:
    runs = pd.DataFrame({"clip": ["none", "norm", "norm"], "clip.threshold": [np.nan, 0.1, 1.0]})
    assert build_factor(runs, "clip.threshold").levels == ("none", 0.1, 1.0)


def test_what_goes_with_one_level_alone_stands_beside_it() -> None:
    runs = pd.DataFrame(
        {
            "init": ["glorot", "identity", "glorot", "identity"],
            "model.activation": [None, "relu", None, "relu"],
            "model": ["elman", "elman", "lstm", "elman"],
        }
    )
    start, cell = find_factors(runs, ["init", "model.activation", "model"])
    assert (start.key, start.levels) == ("init", ("glorot", "identity"))
    assert start.beside == {"identity": "activation=relu"}
    assert (cell.key, cell.levels) == ("model", ("elman", "lstm"))
    assert cell.beside == {}


def test_known_keys_have_names_and_others_are_called_as_they_are() -> None:
    assert name_key("model.hidden_size", "hidden_size") == "hidden units"
    assert name_key("optimizer.alpha", "alpha") == "learning rate α"
    assert name_key("task.own", "own") == "own"
    assert explain_key("init.scale") == "how large weights start"
    assert explain_key("model.hidden_size") == "hidden units"
    assert explain_key("task.own") == ""


def test_no_name_is_given_twice() -> None:
    names = [name for name, _ in _KEYS.values()]
    assert len(set(names)) == len(names)


def test_what_others_decide_tells_no_runs_apart() -> None:
    task, model, updates = found(task=["a", "a", "b", "b"], model=["x", "y", "x", "y"], updates=[9, 5, 9, 5])
    assert drop_decided_factors([task, model, updates]) == [task, model]
    assert drop_decided_factors([task]) == [task]
    assert drop_decided_factors([]) == []


def test_texts_with_the_same_keys_are_levels_by_their_values() -> None:
    factor = combine_texts(["task=a length=2", "task=b length=2", "task=a length=2"])
    assert (factor.name, factor.levels, factor.codes.tolist()) == ("task, length", ("a 2", "b 2"), [0, 1, 0])
    other = combine_texts(["task=a", "task=b length=2"])
    assert (other.name, other.levels) == ("", ("task=a", "task=b length=2"))
    assert combine_texts([""]).levels == ("",)
