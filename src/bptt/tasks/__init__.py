"""Where sequences come from: one task per file, each a frozen dataclass as `bptt.core.run.Task` describes it.

Data of one's own in memory are `bptt.tasks.Arrays(x, y)` and `bptt.tasks.Table(frame, target="y")`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bptt.tasks.arrays import Arrays
    from bptt.tasks.preparation import Preparation
    from bptt.tasks.table import Table

__all__ = ["Arrays", "Preparation", "Table"]


def __getattr__(name: str) -> Any:
    # Imported when they are asked for: who trains on another task needs none of them.
    if name in __all__:
        return getattr(import_module(f"{__name__}.{name.lower()}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
