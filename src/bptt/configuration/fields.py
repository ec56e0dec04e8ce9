"""A dataclass from a mapping, each value checked against its field's type hint.

Hints may be bool, int, float, str, Path, Literal, tuple[X, ...], other dataclasses, unions of these, and Annotated with
`bptt.core.annotations.Range`. Nothing is guessed: true is no number, '3' is text. The one liberty is that 1e3 is a
whole number, and 1 a number.
"""

import dataclasses
import functools
import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from bptt.configuration.errors import suggest, write_problem
from bptt.configuration.vocabulary import suggest_values, write_unknown_key
from bptt.core.annotations import InvalidValue, Range

_UNFIT: Final = object()


def construct(
    key: str,
    values: Mapping[str, Any],
    kind: type,
    problems: list[str],
    hidden: Iterable[str] = (),
    folders: Sequence[Path] = (),
) -> Any:
    """An object of the dataclass `kind`, or None and what is wrong in `problems`.

    key     where the values stand in the configuration, "" for its top: the problems name it
    hidden  names that are allowed beside the fields, and were read by the caller
    folders  where choices lie, for the line about a key that another choice has
    """
    hints = _read_type_hints(kind)
    given = [field for field in dataclasses.fields(kind) if field.init]
    given.sort(key=lambda field: field.default is not dataclasses.MISSING)  # a class's own before what it derives
    fields = {find_key(field): field for field in given}
    before = len(problems)
    for name, value in values.items():
        if name not in fields:
            problems.append(write_unknown_key(_join_key(key, name), value, [*fields, *hidden], folders=folders))
    arguments = {}
    for name, field in fields.items():
        if name in values:
            arguments[name] = _read(_join_key(key, name), values[name], hints[field.name], problems)
        elif field.default is field.default_factory is dataclasses.MISSING:
            problems.append(f"{_join_key(key, name)}: missing; must be {describe_type(hints[field.name])}")
    if len(problems) > before:
        return None
    try:
        return kind(**arguments)
    except InvalidValue as error:
        problems.append(write_problem(_join_key(key, error.field), error.value, error.allowed))
        return None
    except Exception as error:  # the check of a user's own class, or of a file, can raise anything
        problems.append(f"{key}: can't be built ({type(error).__name__}: {' '.join(str(error).split())})")
        return None


def find_key(field: "dataclasses.Field[Any]") -> str:
    """By which name a field is configured, and given to its class: its own, or another one in its metadata."""
    return str(field.metadata.get("key", field.name))


def make_plain(component: Any) -> dict[str, Any]:
    """What `construct` was given, defaults filled in: the fields as plain values that YAML and JSON can hold."""
    return {
        find_key(field): _flatten_value(getattr(component, field.name))
        for field in dataclasses.fields(component)
        if field.init
    }


@functools.cache
def _read_type_hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _flatten_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return make_plain(value)
    if isinstance(value, tuple | list):
        return [_flatten_value(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def is_number(value: Any) -> bool:
    """Whether a value is a finite number: true is none, nor is a whole number that no float can hold."""
    return _fit_float(value) is not _UNFIT


def _join_key(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _read(key: str, value: Any, hint: Any, problems: list[str]) -> Any:
    nested = [part for part in _list_alternatives(hint) if dataclasses.is_dataclass(part)]
    if nested and isinstance(value, Mapping):
        return construct(key, value, nested[0], problems)  # type: ignore[arg-type]
    fitted = _fit(value, hint)
    if fitted is _UNFIT:
        says = f"must be {describe_type(hint)}"
        if isinstance(value, str):
            says += suggest(value, _list_literals(hint))
        elif isinstance(value, list) and (known := _list_item_literals(hint)):
            says += next((suggest(item, known) for item in value if isinstance(item, str) and item not in known), "")
        if says == f"must be {describe_type(hint)}":
            fits = isinstance(value, list) and all(_fit(item, hint) is not _UNFIT for item in value)
            says += suggest_values(key, value, fits)
        problems.append(write_problem(key, value, says))
    return fitted


def _fit(value: Any, hint: Any) -> Any:
    """The value as the hint's type, or _UNFIT."""
    hint, limits = _unwrap(hint)
    alternatives = _list_alternatives(hint)
    if len(alternatives) > 1:
        return next((fit for part in alternatives if (fit := _fit(value, part)) is not _UNFIT), _UNFIT)
    if get_origin(hint) is Literal:
        return value if any(value == option and type(value) is type(option) for option in get_args(hint)) else _UNFIT
    if get_origin(hint) is tuple:
        return _fit_items(value, get_args(hint)[0])
    fitted = _PLAIN[hint](value) if hint in _PLAIN else _UNFIT
    return fitted if fitted is _UNFIT or all(_is_within(fitted, limit) for limit in limits) else _UNFIT


def _fit_items(value: Any, hint: Any) -> Any:
    if not isinstance(value, list | tuple):
        return _UNFIT
    items = tuple(_fit(item, hint) for item in value)
    return _UNFIT if any(item is _UNFIT for item in items) else items


def _fit_int(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) is int else _UNFIT


def _fit_float(value: Any) -> Any:
    if type(value) not in (int, float):
        return _UNFIT
    try:
        number = float(value)
    except OverflowError:
        return _UNFIT
    return number if math.isfinite(number) else _UNFIT


_PLAIN: Final[dict[Any, Callable[[Any], Any]]] = {
    bool: lambda value: value if isinstance(value, bool) else _UNFIT,
    int: _fit_int,
    float: _fit_float,
    str: lambda value: value if isinstance(value, str) else _UNFIT,
    Path: lambda value: Path(value) if isinstance(value, str) and value else _UNFIT,
    types.NoneType: lambda value: value if value is None else _UNFIT,
}


def _is_within(value: Any, limits: Range) -> bool:
    return (
        (limits.above is None or value > limits.above)
        and (limits.at_least is None or value >= limits.at_least)
        and (limits.below is None or value < limits.below)
        and (limits.at_most is None or value <= limits.at_most)
    )


_NOUNS: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a file's path",
    types.NoneType: "null",
}


def describe_type(hint: Any) -> str:
    """What a field of this type may hold, to follow the words "must be"."""
    hint, limits = _unwrap(hint)
    alternatives = _list_alternatives(hint)
    if len(alternatives) > 1:
        return ", or ".join(describe_type(part) for part in alternatives)
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if get_origin(hint) is tuple:
        return f"a list, each item {describe_type(get_args(hint)[0])}"
    if dataclasses.is_dataclass(hint):
        names = ", ".join(field.name for field in dataclasses.fields(hint))
        return f"a group of values ({names})"
    bounds = [
        f"{name} {end:.15g}"
        for limit in limits
        for name, end in (
            ("above", limit.above),
            ("at least", limit.at_least),
            ("below", limit.below),
            ("at most", limit.at_most),
        )
        if end is not None
    ]
    return " ".join([_NOUNS.get(hint, str(hint)), " and ".join(bounds)]).strip()


def _unwrap(hint: Any) -> tuple[Any, tuple[Range, ...]]:
    """The type inside Annotated, and the ranges that it was annotated with."""
    if get_origin(hint) is Annotated:
        inner, *notes = get_args(hint)
        return inner, tuple(note for note in notes if isinstance(note, Range))
    return hint, ()


def _list_alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _list_literals(hint: Any) -> list[str]:
    parts = (_unwrap(part)[0] for part in _list_alternatives(_unwrap(hint)[0]))
    return [str(option) for part in parts if get_origin(part) is Literal for option in get_args(part)]


def _list_item_literals(hint: Any) -> list[str]:
    """What an item of a list may be, where the hint has one of such words."""
    parts = [_unwrap(part)[0] for part in _list_alternatives(_unwrap(hint)[0])]
    return [word for part in parts if get_origin(part) is tuple for word in _list_literals(get_args(part)[0])]
