"""Fuzzes the command line's grammar: overrides that are nearly right, composed and checked, or expanded to a sweep."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from bptt.configuration.build import check_configuration, list_keys
from bptt.configuration.compose import compose, parse_overrides
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.vocabulary import find_conf_folder, list_choices
from bptt.sweeps.jobs.grammar import expand
from tests.fuzzing.campaign import Refused, Target

_GROUPS: Final = (
    *("task", "model", "loss", "optimizer", "schedule", "regularizer", "clip", "init"),
    *("train", "tracking", "experiment"),
)
_CHOICES: Final = {group: list(list_choices(group, [find_conf_folder()])) for group in _GROUPS}
_KEYS: Final = sorted(list_keys(check_configuration(compose()).resolved))
_HYDRA: Final = tuple(f"hydra.{key}" for key in ("run.dir", "mode", "verbose", "searchpath", "sweeper.seeds", "zzz"))
_WORDS: Final = (
    *("null", "true", "nan", "-inf", "x", "tanh", "???", "_", "a b"),
    *("é", "日本", "\u202e", "\x00", "\x1b[31m"),
)
_NUMBERS: Final = (
    *("0", "-1", "3", "0.5", "1e-3", "1e400", "-0", "1_0", "0x10", ".5", "1."),
    *("9" * digits for digits in (19, 40, 5000)),
)
_FUNCTIONS: Final = ("range", "interval", "choice", "glob", "int", "str", "tag", "sort", "shuffle", "f")
_TARGETS: Final = (
    "os.system",
    "builtins.eval",
    "bptt.core.models.gru.Gru",
    "bptt.tasks.languages.xor.Xor",
    "",
    "a..b",
    "3",
)
_NOISE: Final = "[](){}=,:'\"\\$~+@/.&#*? \t\n;%|<>é\x00a0-"


@dataclass(frozen=True)
class Given:
    """An input: what is done with it, its overrides, and for a sweep the settings that a file would hold."""

    how: Literal["parse", "compose", "expand"]
    overrides: tuple[str, ...]
    sweeper: Any = None


def target() -> Target:
    """The target."""
    return Target("overrides", _make, _feed)


def _make(rng: random.Random) -> Given:
    how: Literal["parse", "compose", "expand"] = rng.choice(["parse", "parse", "compose", "expand"])
    overrides = tuple(_override(rng) for _ in range(rng.choice([1, 1, 2, 3])))
    return Given(how, overrides, _sweeper(rng) if how == "expand" else None)


def _override(rng: random.Random) -> str:
    text = f"{rng.choice(['', '', '', '+', '++', '~'])}{_key(rng)}={_value(rng)}"
    return _noisy(rng, text) if rng.random() < 0.4 else text


def _key(rng: random.Random) -> str:
    group = rng.choice(_GROUPS)
    made: list[Callable[[], str]] = [
        lambda: rng.choice(_KEYS),
        lambda: group,
        lambda: rng.choice(_HYDRA),
        lambda: f"{rng.choice(_KEYS)}.{rng.choice(_WORDS)}",
        lambda: f"{group}@{rng.choice(_WORDS)}",
        lambda: f"{group}._target_",
        lambda: _noisy(rng, rng.choice(_KEYS)),
    ]
    return rng.choice(made)()


def _value(rng: random.Random, depth: int = 0) -> str:
    simple: list[Callable[[], str]] = [
        lambda: rng.choice(_WORDS),
        lambda: rng.choice(_NUMBERS),
        lambda: rng.choice(_CHOICES[rng.choice(_GROUPS)]),
        lambda: rng.choice(_TARGETS),
        lambda: f"'{rng.choice(_WORDS)}'",
        lambda: "${" + rng.choice([*_KEYS, *_WORDS, "oc.env:HOME", "now:%Y", "..seed", "hydra:job.num"]) + "}",
    ]
    if depth > 3:
        return rng.choice(simple)()
    inner = [_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    nested: list[Callable[[], str]] = [
        lambda: f"[{','.join(inner)}]",
        lambda: "{" + ",".join(f"{rng.choice(['name', 'scale', 'a', *_WORDS])}:{item}" for item in inner) + "}",
        lambda: ",".join(inner),
        lambda: f"{rng.choice(_FUNCTIONS)}({','.join(inner)})",
        lambda: "[" * rng.choice([2, 60, 400]),
    ]
    return rng.choice([*simple, *simple, *nested])()


def _sweeper(rng: random.Random) -> dict[str, Any]:
    """The node hydra.sweeper as a file might have it."""

    def column() -> Any:
        several = [_value(rng) for _ in range(rng.randrange(3))]
        return rng.choice([_value(rng), several, 3, -1.5, None, True, {"a": [1]}])

    def columns() -> Any:
        return rng.choice([{_key(rng): column() for _ in range(rng.randrange(3))}, [], "x", 3])

    parts: dict[str, Callable[[], Any]] = {
        "params": columns,
        "zip": lambda: rng.choice([[columns() for _ in range(rng.randrange(3))], {}, 1]),
        "seeds": lambda: rng.choice([None, 2, 0, -1, 10**30, 2.5, "x", True, [1]]),
        "exclude": lambda: rng.choice([[columns() for _ in range(rng.randrange(3))], "x"]),
        "blocks": lambda: [{"params": columns()} for _ in range(rng.randrange(3))],
        "zzz": lambda: 1,
    }
    return {name: parts[name]() for name in rng.sample(list(parts), rng.randrange(1, 5))}


def _noisy(rng: random.Random, text: str) -> str:
    """The text with a few characters put in, left out or doubled."""
    characters = list(text)
    for _ in range(rng.choice([1, 1, 2, 5])):
        place = rng.randrange(len(characters) + 1)
        what = rng.choice(["in", "out", "double"])
        if what == "in" or place == len(characters):
            characters.insert(place, rng.choice(_NOISE))
        elif what == "out":
            del characters[place]
        else:
            characters.insert(place, characters[place])
    return "".join(characters)


def _feed(given: Given) -> None:
    try:
        if given.how == "expand":
            expand(given.sweeper, given.overrides)
        elif given.how == "compose":
            check_configuration(compose(given.overrides))
        else:
            _raise(parse_overrides(given.overrides)[1])
    except ConfigurationError as error:
        raise Refused(error.lines) from None


def _raise(lines: Sequence[str]) -> None:
    if lines:
        raise ConfigurationError(lines)
