"""Where tasks stood when earlier runs were recorded, which are read back and trained again as ever."""

from typing import Final

_WINGS: Final = {
    "memory": ("adding", "copying", "temporal_order"),
    "languages": ("adder", "charlm", "counting", "leftbit", "sentiment", "xor"),
    "series": ("sine",),
    "own_data": ("arrays",),
}
_MOVED: Final = {f"bptt.tasks.{name}": f"bptt.tasks.{wing}.{name}" for wing, names in _WINGS.items() for name in names}


def update_target(target: str) -> str:
    """A class's name in full as it is today."""
    module, _, name = target.rpartition(".")
    return f"{_MOVED.get(module, module)}.{name}"
