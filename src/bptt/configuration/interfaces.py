"""What a class must have to stand in a group, so that one of the user's own is refused before anything is trained."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from bptt.core.kernel import BACKWARD, CLIP, FORWARD, LOSS, OPTIMIZER, Kernel, Kind
from bptt.core.models.cell import Cell

_NAMES = {
    "bptt.tasks": ("inputs", "outputs", "timesteps", "training", "evaluation", "accuracy"),
    "bptt.core.models": ("hidden_size", "layers", "activation", "bias", "readout", "cell"),
    "bptt.core.losses": ("weight", "fused", "kernel"),
    "bptt.core.optimizers": ("slots", "kernel"),
    "bptt.core.clips": ("kernel",),
    "bptt.core.inits": ("values",),
}
_KERNELS = {"bptt.core.losses": LOSS, "bptt.core.optimizers": OPTIMIZER, "bptt.core.clips": CLIP}


def lacking(kind: Any, folder: str) -> str | None:
    """What keeps a class from standing among those of a folder (`bptt.core.models`), in words; None: nothing does."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return "is no dataclass"
    if not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return "must be a frozen dataclass: equal ones stand for equal runs"
    return next(_lacks(kind, folder), None)


def _lacks(kind: Any, folder: str) -> Iterator[str]:
    fields = {field.name for field in dataclasses.fields(kind)}
    missing = [name for name in _NAMES[folder] if name not in fields and not hasattr(kind, name)]
    if missing:
        yield f"lacks {', '.join(missing)}"
    elif folder in _KERNELS:
        yield from _unfit("kernel", kind.kernel, _KERNELS[folder])
    elif folder == "bptt.core.models" and not isinstance(kind.cell, Cell):
        yield "cell must be a bptt.core.models.cell.Cell"
    elif folder == "bptt.core.models":
        yield from _unfit("cell.forward", kind.cell.forward, FORWARD)
        yield from _unfit("cell.backward", kind.cell.backward, BACKWARD)


def _unfit(name: str, kernel: Any, wanted: Kind) -> Iterator[str]:
    # A driver calls it by its address: a kernel of another kind would read what is not there.
    if not (isinstance(kernel, Kernel) and kernel.signatures is wanted.signatures):
        yield f"{name} must be a function made with @{wanted.name.upper()}"
