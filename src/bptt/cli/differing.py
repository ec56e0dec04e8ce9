"""What tells the configurations of two sweeps or runs apart, as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from bptt.analysis.comparison import Difference, differences
from bptt.cli.columns import NOTHING, table_lines

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep

_MOST_VALUES: Final = 6  # of a key, on a side
_TARGET: Final = "._target_"


def configuration_differences(a: "Sweep", b: "Sweep") -> tuple[list[Difference], list[Difference]]:
    """Of all but where runs are recorded."""
    from bptt.tracking.parameters import flattened

    def flat(side: "Sweep") -> list[dict[str, str]]:
        return [
            flattened({key: value for key, value in config.items() if key != "tracking"})
            for config in side.configs.values()
        ]

    return differences(flat(a), flat(b))


def differing_lines(found: Sequence[Difference], alike: Sequence[Difference]) -> list[str]:
    """The keys that differ, with their values on each side, and those that vary on both alike."""
    rows = [["differ", "A", "B"], *([f"  {_key(one.key)}", _values(one.a), _values(one.b)] for one in found)]
    told = table_lines(rows) if found else ["nothing differs in the configurations"]
    if alike:
        told.append(f"both vary  {'; '.join(f'{_key(one.key)} {_values(one.a)}' for one in alike)}")
    return told


def _key(key: str) -> str:
    return key.removesuffix(_TARGET)


def _values(values: frozenset[str | None]) -> str:
    """The values of a key, numbers ascending; a class by its name."""
    shown = sorted((NOTHING if value is None else _text(value) for value in values), key=_ascending)
    if len(shown) <= _MOST_VALUES:
        return ", ".join(shown)
    return f"{shown[0]} … {shown[-1]} ({len(shown):,} values)"


def _text(value: str) -> str:
    return value.rpartition(".")[2] if value.startswith("bptt.") else value


def _ascending(text: str) -> tuple[bool, float, str]:
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text
