"""Reads what a sweep varies: its settings, whose meaning stands in `bptt.sweeps.grammar`, and the command line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader

from bptt.configuration.composing import parse_overrides
from bptt.configuration.problems import problem, unknown_key
from bptt.sweeps.exclusion import Exclusion
from bptt.sweeps.values import MOST, given, key_of, listed

#: Keys that advance together: at each place the overrides that give them their values.
Axis = list[tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """What the command line, a block or all blocks have: axes, of which every combination is meant, and exclusions."""

    axes: tuple[Axis, ...] = ()
    seeds: tuple[Axis, ...] = ()
    exclude: tuple[Exclusion, ...] = ()

    @property
    def keys(self) -> set[str]:
        return {key_of(text) for axis in (*self.axes, *self.seeds) for text in axis[0]}


class Reader:
    """Reads what a sweep varies; `problems` holds a line for everything that is wrong."""

    def __init__(self, loader: ConfigLoader | None) -> None:
        self._loader = loader
        self.problems: list[str] = []

    def command(self, overrides: Sequence[str]) -> Part:
        """What the command line says, without Hydra's own overrides."""
        parsed, unread = parse_overrides(overrides, self._loader)
        self.problems += unread
        axes = [_axis(given(override, self.problems)) for override in parsed]
        for axis in axes:
            if len(axis) > 1 and key_of(axis[0][0]) == "sweep":
                self.problems.append(f"sweep={','.join(text.partition('=')[2] for (text,) in axis)}: one at a time")
        return Part(axes=tuple(axis for axis in axes if axis))

    def part(self, where: str, node: Any, settings: Sequence[str]) -> Part:
        """What a node says, in which these settings may stand; problems name it by `where` it is."""
        values = self._mapping(where, node)
        for name in values:
            if name not in settings and name != "_target_":
                self.problems.append(unknown_key(f"{where}.{name}", values[name], settings))
        axes = [_axis(texts) for texts in self._columns(f"{where}.params", values.get("params") or {}).values()]
        for number, group in enumerate(self.items(f"{where}.zip", values.get("zip"))):
            axes += self._zipped(f"{where}.zip[{number}]", group)
        part = Part(
            axes=tuple(axis for axis in axes if axis),
            seeds=self._seeds(f"{where}.seeds", values.get("seeds")),
            exclude=tuple(
                Exclusion(f"{where}.exclude[{number}]", self._columns(f"{where}.exclude[{number}]", entry))
                for number, entry in enumerate(self.items(f"{where}.exclude", values.get("exclude")))
            ),
        )
        often = Counter(key_of(text) for axis in (*part.axes, *part.seeds) for text in axis[0])
        self.problems += [f"{where}: {key} is swept twice" for key, times in often.items() if times > 1]
        return part

    def items(self, where: str, node: Any) -> list[Any]:
        """The items of a list that may be absent."""
        if node is None or isinstance(node, list):
            return node or []
        self.problems.append(problem(where, node, "must be a list"))
        return []

    def _mapping(self, where: str, node: Any) -> dict[str, Any]:
        if isinstance(node, Mapping):
            return {str(key): value for key, value in node.items()}
        self.problems.append(problem(where, node, "must be a mapping"))
        return {}

    def _columns(self, where: str, node: Any) -> dict[str, list[str]]:
        columns = {}
        for key, values in self._mapping(where, node).items():
            if key.startswith(("hydra.", "hydra/")) or key == "sweep":
                self.problems.append(f"{where}: {key} can't be swept")
            else:
                columns[key_of(key)] = listed(key, values, self._loader, self.problems)
        return columns

    def _zipped(self, where: str, group: Any) -> list[Axis]:
        columns = self._columns(where, group)
        if len({len(texts) for texts in columns.values()}) > 1:
            counts = ", ".join(f"{key} {len(texts)}" for key, texts in columns.items())
            self.problems.append(f"{where}: the keys advance together, but have different numbers of values: {counts}")
            return []
        return [list(zip(*columns.values(), strict=True))]

    def _seeds(self, where: str, count: Any) -> tuple[Axis, ...]:
        if count is None:
            return ()
        if type(count) is not int or not 1 <= count <= MOST:
            self.problems.append(problem(where, count, f"must be a whole number at least 1 and at most {MOST:,}"))
            return ()
        return (_axis([f"seed={seed}" for seed in range(count)]),)


def _axis(overrides: Sequence[str]) -> Axis:
    return [(text,) for text in overrides]
