"""Where sequences come from: a folder for each kind of task, and a file for each one.

A task is a frozen dataclass as `bptt.core.run.Task` describes it.

Data of one's own in memory are `bptt.tasks.Arrays(x, y)` and `bptt.tasks.Table(frame, target="y")`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bptt.tasks.own_data.arrays import Arrays
    from bptt.tasks.own_data.preparation import Preparation
    from bptt.tasks.own_data.table import Table

__all__ = ["Arrays", "Preparation", "Table"]


def __getattr__(name: str) -> Any:
    # Imported when they are asked for: who trains on another task needs none of them.
    if name in __all__:
        return getattr(import_module(f"{__name__}.own_data.{name.lower()}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
