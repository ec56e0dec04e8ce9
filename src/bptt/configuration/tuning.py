"""What a sweep tunes: keys and the values that each setting chooses from, on seeds of their own."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bptt.configuration.errors import suggest, write_problem
from bptt.configuration.fields import is_number

SEEDS: Final = 5
_SEEDS_KEY: Final = "seeds"
_LOG: Final = "log"
_DIGITS: Final = 3
_MOST: Final = 1_000  # values of a key


@dataclass(frozen=True)
class Tuning:
    """What a sweep tunes.

    values  key → the values that are tried, in order; each combination is
    seeds   with how many seeds each is
    """

    values: tuple[tuple[str, tuple[Any, ...]], ...]
    seeds: int = SEEDS

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys."""
        return tuple(key for key, _ in self.values)


def read_tuning(node: Any, problems: list[str]) -> Tuning | None:
    """What the root key `tune` says: `{optimizer.alpha: {log: [1e-4, 1, 9]}, seeds: 5}`; None: nothing is tuned.

    Values are a list, or `log: [low, high, count]`, evenly spaced on a logarithmic scale, to three digits.
    `problems` gets a line for everything that is wrong.
    """
    if node is None:
        return None
    if not isinstance(node, Mapping):
        problems.append(write_problem("tune", node, "must be a mapping, as {optimizer.alpha: {log: [1e-4, 1, 9]}}"))
        return None
    before = len(problems)
    seeds = node.get(_SEEDS_KEY, SEEDS)
    if type(seeds) is not int or not 1 <= seeds <= _MOST:
        problems.append(
            write_problem(f"tune.{_SEEDS_KEY}", seeds, f"must be a whole number at least 1 and at most {_MOST:,}")
        )
    keys = [str(key) for key in node if key != _SEEDS_KEY]
    if not keys:
        problems.append(write_problem("tune", dict(node), "names no key; give one, as optimizer.alpha"))
    values = tuple((key, _read_values(f"tune.{key}", node[key], problems)) for key in keys)
    return None if len(problems) > before else Tuning(values, seeds)


def write_log_values(low: float, high: float, count: int) -> list[float]:
    """So many values from low to high, evenly spaced on a logarithmic scale, to three digits."""
    return [float(f"{value:.{_DIGITS}g}") for value in np.geomspace(low, high, count)]


def _read_values(where: str, node: Any, problems: list[str]) -> tuple[Any, ...]:
    if isinstance(node, Mapping):
        return _read_log(where, node, problems)
    if not isinstance(node, list) or not all(_is_scalar(value) for value in node):
        problems.append(write_problem(where, node, "must be a list of values, or log: [low, high, count]"))
        return ()
    if len({repr(value) for value in node}) < len(node) or len(node) < 2:
        problems.append(write_problem(where, node, "must hold two different values or more, each once"))
    return tuple(node)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool | str) or is_number(value)


def _read_log(where: str, node: Mapping[Any, Any], problems: list[str]) -> tuple[Any, ...]:
    if list(node) != [_LOG]:
        unknown = [str(name) for name in node if name != _LOG]
        meant = suggest(unknown[0], [_LOG], f"{where}.") if unknown else ""
        problems.append(write_problem(where, dict(node), f"must be log: [low, high, count]{meant}"))
        return ()
    ends = node[_LOG]
    if not (isinstance(ends, list) and len(ends) == 3 and all(is_number(end) for end in ends)):
        problems.append(write_problem(f"{where}.{_LOG}", ends, "must be three numbers: low, high, count"))
        return ()
    low, high, count = ends
    if not 0 < low < high or not 2 <= count <= _MOST or not math.isclose(count, int(count)):
        says = f"must be 0 < low < high, and a whole count from 2 to {_MOST:,}"
        problems.append(write_problem(f"{where}.{_LOG}", ends, says))
        return ()
    values = write_log_values(low, high, int(count))
    if len({*values}) < len(values):
        problems.append(write_problem(f"{where}.{_LOG}", ends, f"holds values that are equal to {_DIGITS} digits"))
    return tuple(values)
