"""Every key of every choice refuses what is wrong for it: a command with all keys wrong has a line for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.vocabulary import find_conf_folder, list_choices
from tests.bad_input.case import outcome, unchanged
from tests.bad_input.keys import GROUPS, WRONG, combinations, keys_of, outside, whole_numbers

COMBINATIONS = combinations()

#: What may be as large as one likes: the seed, and of what there is at most so many.
UNBOUNDED = {"seed", "task=charlm task.eval_size", "task=random_labels task.draw", "tracking.checkpoint_seconds"}


def check(chosen: tuple[str, ...], values: dict[str, str], beginnings: dict[str, str]) -> None:
    """A command with these values says of each key one thing, which begins as given; nothing else is said or begun."""
    found = outcome(["train", *chosen, *(f"{key}={text}" for key, text in values.items())])
    assert (found.code, found.output) == (2, "")
    # Files that some choices need are told of too.
    files = tuple(f"{key}{end}" for key in {"init.path", "task.path"} - values.keys() for end in ":=")
    lines = [line for line in found.lines if not line.startswith(files)]
    assert len(lines) == len(values), lines
    told = {key: [line for line in lines if line.startswith(begins)] for key, begins in beginnings.items()}
    assert [key for key, lines in told.items() if len(lines) != 1] == [], lines


def tried(chosen: tuple[str, ...]) -> list[str]:
    """The keys that are tried in this combination: those of no choice are in the first alone."""
    return [key for key in keys_of(chosen) if chosen == COMBINATIONS[0] or key.partition(".")[0] in GROUPS]


def tried_once(chosen: tuple[str, ...]) -> list[str]:
    """Of these the keys of choices that stand in no combination before: they would be tried in the same way again."""
    before = {choice for other in COMBINATIONS[: COMBINATIONS.index(chosen)] for choice in other}
    known = {choice.partition("=")[0] for choice in before.intersection(chosen)}
    # Gates are those of the model, whatever the init.
    return [
        key
        for key in tried(chosen)
        if key.partition(".")[0] not in known and not (before and key.startswith("init.gate_bias."))
    ]


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder, which stays so."""
    monkeypatch.chdir(tmp_path)
    with unchanged(tmp_path):
        yield


def test_every_choice_is_among_the_combinations() -> None:
    made = {choice for chosen in combinations() for choice in chosen}
    every = {f"{group}={name}" for group in GROUPS for name in list_choices(group, [find_conf_folder()])}
    assert made == every - {"loss=auto"}


def check_wrong(chosen: tuple[str, ...], kinds: dict[str, str]) -> None:
    """What is wrong in these ways, by key, is told of, by key."""
    told = {key: f"{key}={WRONG[kind][1]}: must be " for key, kind in kinds.items()}
    # Those that hold one.
    mappings = {"tune": "must be ", "measure": "no such measure", "published": "no such key"}
    told |= {key: f"{key}.wrong=1: {says}" for key, says in mappings.items() if kinds.get(key) == "a mapping"}
    check(chosen, {key: WRONG[kind][0] for key, kind in kinds.items()}, told)


@pytest.mark.parametrize("number", range(len(COMBINATIONS)), ids=[*map(" ".join, COMBINATIONS)])
def test_wrong_whatever_the_key(number: int) -> None:
    """Each key in one way, a key that several combinations have in another one in each; the slow tests have all."""
    ways = [*WRONG]
    keys = tried(COMBINATIONS[number])
    check_wrong(COMBINATIONS[number], {key: ways[(number + place) % len(ways)] for place, key in enumerate(keys)})


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("chosen", COMBINATIONS, ids=" ".join)
def test_wrong_in_every_way(chosen: tuple[str, ...], kind: str) -> None:
    check_wrong(chosen, dict.fromkeys(tried(chosen), kind))


@pytest.mark.parametrize("chosen", COMBINATIONS, ids=" ".join)
def test_just_outside_the_range(chosen: tuple[str, ...]) -> None:
    keys = tried_once(chosen)
    for values in outside(chosen):
        values = {key: text for key, text in values.items() if key in keys}
        if not values:
            continue
        # What 1 is outside of may hold a fraction, so that it is shown as one.
        check(chosen, values, {key: f"{key}={text}" for key, text in values.items()})


@pytest.mark.parametrize("chosen", COMBINATIONS, ids=" ".join)
def test_misspelt(chosen: tuple[str, ...]) -> None:
    keys = [key for key in tried_once(chosen) if key != "init.path"]
    said = {key: f"{key}x=1: unknown key; did you mean {key}?" for key in keys}
    check(tuple(c for c in chosen if c != "init=file"), {f"{key}x": "1" for key in keys}, said)


@pytest.mark.parametrize(
    "task", [name for name in list_choices("task", [find_conf_folder()]) if name not in ("arrays", "table")]
)
def test_huge(task: str) -> None:
    """A whole number of 31 digits is refused by the key that holds it, or harmless."""
    for key in whole_numbers((f"task={task}",)):
        if key.startswith("task.") or task == "adder":  # the others are the same with every task
            config = compose([f"task={task}"])
            OmegaConf.update(config, key, 1e30)  # as Hydra reads key=1e30, in a tenth of its time
            try:
                check_configuration(config)
            except ConfigurationError as error:
                (line,) = error.lines
                assert line.startswith((f"{key}=1", f"{key.partition('.')[0]}=")), line
                assert not UNBOUNDED & {key, f"task={task} {key}"}
            else:
                assert UNBOUNDED & {key, f"task={task} {key}"}, key
