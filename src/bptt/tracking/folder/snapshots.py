"""Snapshots of weights among the arrays of a run, or of a block: `snapshots/update`, and `snapshots/NAME` of each."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bptt.core.run import Record

_PREFIX: Final = "snapshots/"
_UPDATE: Final = "snapshots/update"
_NONE: Final = -1  # in place of an update, where a run of a block has fewer than others

Arrays = Mapping[str, NDArray[Any]]


def list_snapshots(record: "Record") -> dict[str, NDArray[Any]]:
    """(points,) and (points, …) of a record; nothing where it has no snapshots."""
    kept = record.snapshots
    if not kept:
        return {}
    named = {f"{_PREFIX}{name}": np.stack([own[name] for own in kept.values()]) for name in record.parameters}
    return {_UPDATE: np.array(list(kept), np.int64), **named}


def stack_snapshots(records: Sequence["Record"]) -> dict[str, NDArray[Any]]:
    """(runs, points) and (runs, points, …) of the records of a block; nothing where none has snapshots."""
    listed = [list_snapshots(record) for record in records]
    names = {name: None for own in listed for name in own}
    most = max((len(own[_UPDATE]) for own in listed if own), default=0)
    stacked = {}
    for name in names:
        like = next(own[name] for own in listed if own)
        array = np.full((len(listed), most, *like.shape[1:]), _NONE if name == _UPDATE else np.nan, like.dtype)
        for row, own in zip(array, listed, strict=True):
            if own:
                row[: len(own[name])] = own[name]
        stacked[name] = array
    return stacked


def take_snapshots(arrays: Arrays, place: int | None = None) -> dict[int, dict[str, NDArray[Any]]]:
    """`Record.snapshots` among arrays; place: of a block's runs, None: they are a run's own.

    Raises KeyError, IndexError or ValueError where they are not as they were written.
    """
    own = {name: array if place is None else array[place] for name, array in arrays.items() if name.startswith(_PREFIX)}
    if not own:
        return {}
    updates = own.pop(_UPDATE).tolist()
    if any(len(array) != len(updates) for array in own.values()):
        raise ValueError("its snapshots are not of the same updates")
    return {
        int(update): {name.removeprefix(_PREFIX): array[point] for name, array in own.items()}
        for point, update in enumerate(updates)
        if update != _NONE
    }


def drop_snapshots(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays that are none of the snapshots'."""
    return {name: array for name, array in arrays.items() if not name.startswith(_PREFIX)}
