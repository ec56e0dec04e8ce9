"""Keyword arguments as overrides: `model={"name": "gru", "hidden_size": 8}` is `model=gru model.hidden_size=8`.

What a keyword means is Python's: a text is that text, whatever signs are in it, and a list in a sweep are the values to
be swept. What is typed behind `bptt train` may stand before the keywords, as texts.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from bptt.configuration.build import SweepSettings
from bptt.configuration.errors import ConfigurationError, cut, quote
from bptt.python.choices import ObjectChoices

_NAME: Final = "name"
_KEY: Final = re.compile(r"[\w./@:+~-]+")
#: Texts that Hydra's grammar reads as themselves.
_PLAIN: Final = re.compile(r"[A-Za-z_./][\w./@-]*", re.ASCII)
_WORDS: Final = frozenset({"null", "true", "false", "nan", "inf"})
#: Keys whose lists are no values to be swept: they say how the sweep as a whole is treated.
_WHOLE: Final = frozenset({"allow", *(field.name for field in fields(SweepSettings))})
_HYDRA: Final = "hydra."


def split_texts(texts: Iterable[str | Sequence[str]]) -> list[str]:
    """The overrides of texts, each of which is parted at its blanks as a shell does; those of a list stay as they are.

    Raises ConfigurationError.
    """
    found: list[str] = []
    for text in texts:
        if isinstance(text, Path):
            raise ConfigurationError([f"{text}: a folder with choices is given by its name: config_dir={str(text)!r}"])
        if not isinstance(text, str):
            found += map(str, text)
            continue
        try:
            found += shlex.split(text)
        except ValueError as error:
            says = f"{cut(text)}: can't be parted into overrides ({str(error).lower()})"
            raise ConfigurationError([says]) from None
    return found


def write_overrides(keys: Mapping[str, Any], choices: ObjectChoices, *, swept: bool) -> list[str]:
    """Keyword arguments as overrides.

    keys     configuration keys, nested by mappings or by dots → their values
    choices  takes objects that stand for a choice, as a task
    swept    whether a list, a range or an array holds the values to be swept; a list among them is one value

    Raises ConfigurationError with a line for everything that has no place in a configuration.
    """
    found: list[str] = []
    lines: list[str] = []
    for key, value in _flatten(keys):
        try:
            several = swept and _is_list(value) and key.partition(".")[0] not in _WHOLE and not key.startswith(_HYDRA)
            values = [*value] if several else [value]
            if not values:
                raise _Unfit("has no values; give one or several")
            if not _KEY.fullmatch(key):
                raise _Unfit("is no key of a configuration")
            if several and "." not in key and any(isinstance(one, Mapping) and _NAME in one for one in values):
                raise _Unfit("of several choices give the names; values of one are swept by their own keys")
            if several and any(choices.is_choice(key, one) for one in values):
                found.append(f"{key}={','.join(choices.add(key, one) for one in values)}")
            elif choices.is_choice(key, value):
                found += choices.write(key, value, write_override_value)
            elif several and isinstance(value, range) and len(value) > 1:
                found.append(f"{key}=range({value.start},{value.stop},{value.step})")
            else:
                found.append(f"{key}={','.join(map(write_override_value, values))}")
        except _Unfit as error:
            lines.append(f"{key}={_show(value)}: {error}")
    if lines:
        raise ConfigurationError(lines)
    return found


class _Unfit(ValueError):
    """A value has no place in a configuration."""


def _flatten(keys: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for group, value in keys.items():
        if isinstance(value, Mapping) and group not in _WHOLE and not _is_hydras_own(str(group)):
            yield from _flatten_group(str(group), value)
        else:
            yield str(group), value


def _flatten_group(key: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a mapping says below a key; the choice that it names comes first."""
    if _NAME in values:
        yield key, values[_NAME]
    for name, value in values.items():
        below = f"{key}.{name}"
        if name == _NAME:
            continue
        # A mapping that names a choice, or keys of others, is a value by itself: `init.recurrent={name: identity}`.
        nested = isinstance(value, Mapping) and value and _NAME not in value and not _is_hydras_own(below)
        if nested and not any("." in str(one) for one in value):
            yield from _flatten_group(below, value)
        else:
            yield below, value


def _is_hydras_own(key: str) -> bool:
    """Whether it is a key as `hydra.sweeper.halving`: a mapping there is its value, since nothing else is below it."""
    return key.startswith(_HYDRA) and key.count(".") > 1


def _is_list(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence | Iterator) and not isinstance(value, str | bytes)


def write_override_value(value: Any) -> str:
    """A value as Hydra's grammar reads it: the same value comes out. Raises ValueError where it has none for it."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return _write_text(str(value))
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_write_key(key)}:{write_override_value(inner)}" for key, inner in value.items()) + "}"
    if _is_list(value):
        return "[" + ",".join(map(write_override_value, value)) + "]"
    raise _Unfit(f"a {type(value).__name__} has no place in a configuration")


def _write_key(key: Any) -> str:
    if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z_][\w./]*", key, re.ASCII):
        raise _Unfit(f"{key!r} is no key of a mapping in a configuration")
    return key


def _write_text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if "\n" in text:
        raise _Unfit("has several lines")
    # Within quotes a backslash stands for itself, unless it comes before a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"


def _show(value: Any) -> str:
    return quote(value) if value is None or isinstance(value, str | int | float) else cut(repr(value))
