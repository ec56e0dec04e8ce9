"""What is composed sparingly is what Hydra composes, and each gets a copy of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra._internal import defaults_list
from hydra.types import RunMode
from omegaconf import OmegaConf

from bptt.configuration.replaced import Loader
from bptt.python.composing import make_composer

ASKED: dict[str, tuple[list[str], RunMode]] = {
    "nothing": ([], RunMode.RUN),
    "a task": (["task=xor", "seed=3"], RunMode.RUN),
    "what falls away": (["experiment=zhu_adder", "model=lstm"], RunMode.RUN),
    "a key more": (["++train.nothing=3", "~clip"], RunMode.RUN),
    "a sweep": (["sweep=hidden_size"], RunMode.MULTIRUN),
}


def compose(asked: tuple[Sequence[str], RunMode], folder: Path | None = None) -> tuple[Any, list[str]]:
    """What comes of it, with what Hydra notes, and what is told of it."""
    composer = make_composer([folder])
    config = composer.compose(*asked)
    return OmegaConf.to_container(config, resolve=False), composer.take_told()


def compose_plainly(asked: tuple[Sequence[str], RunMode], folder: Path | None = None) -> tuple[Any, list[str]]:
    """The same by Hydra as it is."""
    with pytest.MonkeyPatch.context() as patch:
        load: Any = Loader.load_configuration
        make: Any = defaults_list._create_interpolation_map
        patch.setattr(Loader, "load_configuration", load.__wrapped__)
        patch.setattr(defaults_list, "_create_interpolation_map", make.__wrapped__)
        return compose(asked, folder)


@pytest.mark.parametrize("name", ASKED)
def test_what_is_composed_and_what_is_kept_are_what_hydra_composes(name: str) -> None:
    expected = compose_plainly(ASKED[name])
    for _ in range(3):
        assert compose(ASKED[name]) == expected
    assert bool(expected[1]) == (name == "what falls away")


def test_a_copy_is_the_callers_own_and_is_of_the_folder_in_which_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["task=counting", "seed=17"]
    first, second = (make_composer([None]).compose(asked) for _ in range(2))
    first.task.length, second.seed = 99, 18
    monkeypatch.chdir(tmp_path)
    third = make_composer([None]).compose(asked)
    assert third.task.length != 99
    assert (third.seed, third.hydra.runtime.cwd) == (17, str(tmp_path))


def test_what_hangs_on_more_is_composed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    asked = ["experiment=mine"], RunMode.RUN
    for seed in (5, 6):
        (folder / "mine.yaml").write_text(f"# @package _global_\nseed: {seed}\n", encoding="utf-8")
        assert compose(asked, tmp_path)[0]["seed"] == seed
    for value in ("one", "other"):
        monkeypatch.setenv("OF_THIS_TEST", value)
        copied = ["hydra.job.env_copy=[OF_THIS_TEST]"], RunMode.RUN
        loader = make_composer([None]).loader
        config = loader.load_configuration(config_name="config", overrides=copied[0], run_mode=copied[1])
        assert value == config.hydra.job.env_set.OF_THIS_TEST


def test_a_default_that_asks_for_another_choice_is_followed(tmp_path: Path) -> None:
    for group, text in {
        "experiment": "# @package _global_\ndefaults:\n  - /other: ${experiment}\n  - _self_\nseed: 4\n",
        "other": "# @package _global_\ntrain: {updates: 7}\n",
    }.items():
        (tmp_path / group).mkdir()
        (tmp_path / group / "mine.yaml").write_text(text, encoding="utf-8")
    asked = ["experiment=mine"], RunMode.RUN
    expected = compose_plainly(asked, tmp_path)
    assert compose(asked, tmp_path) == expected
    assert (expected[0]["seed"], expected[0]["train"]["updates"]) == (4, 7)
