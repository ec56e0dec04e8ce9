"""The values that a key takes in a sweep, as the overrides that give them: `["seed=0", "seed=1"]`.

They are written in Hydra's own grammar, `0.1,0.2`, `range(5)`, `glob(*)`, or stand in YAML as a list.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException

from bptt.configuration.composing import parse_overrides

MOST: Final = 1_000_000  # values of a key, and runs of a sweep

_PLAIN_TEXT = re.compile(r"[A-Za-z_][\w./-]*")
_OTHER_TYPES = {"null", "true", "false", "nan", "inf"}


def key_of(override: str) -> str:
    """The key that an override is about, without the + or ~ before it."""
    return override.partition("=")[0].lstrip("+~")


def given(override: Override, problems: list[str]) -> list[str]:
    """The overrides, of one value each, that an override stands for; `problems` says why there is none."""
    if override.is_delete():
        return [str(override.input_line)]
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [f"{key}={_text(override.value(), override.get_value_element_as_str())}"]
    line, swept = override.input_line, override.value()
    if isinstance(swept, ChoiceSweep | RangeSweep) and swept.shuffle:
        problems.append(f"{line}: shuffle gives another order each time; the order of runs has no meaning here")
        return []
    if not override.is_discrete_sweep():
        problems.append(f"{line}: neither a list of values nor a range")
        return []
    try:
        found = list(islice(override.sweep_iterator(transformer=_element), MOST + 1))
    except (ValueError, HydraException) as error:
        problems.append(f"{line}: {error}")
        return []
    if not found or len(found) > MOST:
        problems.append(f"{line}: holds no value" if not found else f"{line}: holds more than {MOST:,} values")
        return []
    return [f"{key}={value}" for value in found]


def listed(key: str, values: Any, loader: ConfigLoader | None, problems: list[str]) -> list[str]:
    """The overrides for a key of a file: its values are a list, a text in Hydra's grammar, or a single value."""
    if isinstance(values, str):
        texts = [values]
    else:
        texts = [_written(value) for value in (values if isinstance(values, list) else [values])]
    if not texts:
        problems.append(f"{key}=[]: holds no value")
    parsed, unread = parse_overrides([f"{key}={text}" for text in texts], loader)
    problems += unread
    return [text for override in parsed for text in given(override, problems)]


def comparable(overrides: Iterable[str]) -> dict[str, object]:
    """The value that each override gives: equal for `1e-3` and `0.001`, not for `1` and `true`.

    Of one that can't be read, which is told of where the jobs are composed, its text.
    """
    texts = list(overrides)
    parsed, _ = parse_overrides(texts)
    return dict(zip(texts, texts, strict=True)) | {str(o.input_line): _comparable(o) for o in parsed}


def _comparable(override: Override) -> object:
    value = override.value()
    return float(value) if type(value) in (int, float) else repr(value)  # type: ignore[arg-type]


def _element(value: Any) -> str:
    return _text(value, Override._get_value_element_as_str(value))


def _text(value: Any, as_hydra_has_it: str) -> str:
    return str(value).lower() if isinstance(value, bool) else as_hydra_has_it


def _written(value: Any) -> str:
    """A value of a YAML file in Hydra's grammar, such that it is read as the same value."""
    if isinstance(value, str):
        plain = _PLAIN_TEXT.fullmatch(value) and value.lower() not in _OTHER_TYPES
        return value if plain else QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_written(str(key))}:{_written(item)}" for key, item in value.items()) + "}"
    return _element(value)
