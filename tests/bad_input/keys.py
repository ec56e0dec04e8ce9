"""Wrong values for every key of the configuration, made from the files in conf: a new key is covered without a list.

What is wrong with a key follows from its kind: a mapping is wrong for each, as no key holds one; so is a list of lists,
so are NaN and infinity. A number just outside its range is wrong where the key's class gives one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf

from bptt.configuration.build import Tracking
from bptt.configuration.compose import compose
from bptt.configuration.vocabulary import find_conf_folder, list_choices
from bptt.core.annotations import Range
from bptt.core.run import Settings

#: The groups whose choice is a class, with fields of its own.
GROUPS: Final = ("task", "model", "loss", "optimizer", "schedule", "regularizer", "clip", "init")

#: What is wrong for whatever key: as it is typed, and as it is shown.
WRONG: Final = {
    "a mapping": ("{wrong: 1}", "{wrong: 1}"),
    "a list": ("[[1], 2]", "[[1], 2]"),
    "not a number": ("nan", "nan"),
    "infinite": ("-1e999", "-inf"),
}
_SHIFT: Final = {"schedule": 1}  # beside optimizers that have a learning rate
_NEEDED: Final = {"init=file": "init.path=nowhere.npz"}


def combinations() -> list[tuple[str, ...]]:
    """Choices, as overrides, among which every choice of every group stands at least once.

    But `loss=auto`, which has no values, and goes with few tasks.
    """
    names = {group: [*list_choices(group, [find_conf_folder()])] for group in GROUPS}
    names["loss"].remove("auto")
    return [
        tuple(f"{group}={found[(place + _SHIFT.get(group, 0)) % len(found)]}" for group, found in names.items())
        for place in range(max(map(len, names.values())))
    ]


def keys_of(chosen: tuple[str, ...]) -> list[str]:
    """The keys of a configuration with these choices, but for those that name classes."""
    return [key for key in _leaves(_configuration(chosen)) if not key.endswith("_target_")]


def outside(chosen: tuple[str, ...]) -> tuple[dict[str, str], dict[str, str]]:
    """Values just outside their range for the keys of a configuration that have one: too low ones, too high ones."""
    config = _configuration(chosen)
    kinds: dict[str, Any] = {"train": Settings, "tracking": Tracking}
    for group in GROUPS:
        module, _, name = config[group]["_target_"].rpartition(".")
        kinds[group] = getattr(import_module(module), name)
    limits = {f"{group}{key}": limit for group, kind in kinds.items() for key, limit in _limits(kind)}
    low = {key: limit.above if limit.at_least is None else limit.at_least - 1 for key, limit in limits.items()}
    high = {key: limit.below if limit.at_most is None else limit.at_most + 1 for key, limit in limits.items()}
    texts = [{key: f"{end:.15g}" for key, end in ends.items() if end is not None} for ends in (low, high)]
    return {"seed": "-1"} | texts[0], texts[1]


def whole_numbers(chosen: tuple[str, ...]) -> list[str]:
    """The keys of a configuration with these choices that hold a whole number."""
    values = OmegaConf.create(_configuration(chosen))
    return [key for key in keys_of(chosen) if type(OmegaConf.select(values, key)) is int]


@cache
def _configuration(chosen: tuple[str, ...]) -> dict[str, Any]:
    needed = [_NEEDED[choice] for choice in chosen if choice in _NEEDED]
    config = OmegaConf.to_container(compose([*chosen, *needed]), resolve=False)
    assert isinstance(config, dict)
    return {str(name): value for name, value in config.items() if name != "hydra"}


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _limits(kind: Any, prefix: str = ".") -> Iterator[tuple[str, Range]]:
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        hint = hints[field.name]
        if is_dataclass(hint):
            yield from _limits(hint, f"{prefix}{field.name}.")
        yield from ((prefix + field.name, limit) for limit in _ranges(hint))


def _ranges(hint: Any) -> list[Range]:
    own = [note for note in get_args(hint)[1:] if isinstance(note, Range)] if get_origin(hint) is Annotated else []
    return own + [limit for part in get_args(hint) if get_origin(part) is Annotated for limit in _ranges(part)]
