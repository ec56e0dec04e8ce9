"""Sequences in named arrays, checked: what is wrong is a ValueError with one line that says what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.core.annotations import InvalidValue
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.data_files import find_file, read_npy, read_npz

PARTS: Final = ("", "eval_", "test_")
_NAMES: Final = ("x", "y", "lengths")
KEYS: Final = tuple(part + name for part in PARTS for name in _NAMES)


@dataclass(frozen=True, eq=False)
class LabelledSequences:
    """x and lengths as in `Sequences`, and targets as they were given: numbers or labels, (N,), (N, …) or (N, T, …)."""

    x: Floats
    y: NDArray[Any]
    lengths: NDArray[np.int64] | None


@dataclass(frozen=True, eq=False)
class ArrayParts:
    """What the arrays hold; evaluation, test  None: there is none; content  SHA-256 of it."""

    training: LabelledSequences
    evaluation: LabelledSequences | None
    test: LabelledSequences | None
    content: str


def load_arrays(path: str | None, y_path: str | None = None) -> ArrayParts:
    """The parts in an .npz file, or of x and y in an .npy file each.

    InvalidValue("path", …) for all that `bptt.tasks.own_data.arrays.Arrays` doesn't allow.
    """
    if path is None:
        raise InvalidValue("path", None, "the path of an .npz file with the arrays x and y, as in task.path=data.npz")
    file = find_file(path)
    other = None if y_path is None else _find_beside(y_path)
    stats = [one.stat() for one in (file, other) if one is not None]
    try:
        return _load(file, other, tuple((stat.st_mtime_ns, stat.st_size) for stat in stats))
    except ValueError as error:
        raise InvalidValue("path", path, str(error)) from None


def _find_beside(y_path: str) -> Path:
    try:
        return find_file(y_path)
    except InvalidValue as error:
        raise InvalidValue("y_path", y_path, error.allowed) from None


@lru_cache(maxsize=4)  # a sweep builds the same task for every run; the time and size tell when the file has changed
def _load(file: Path, other: Path | None, stats: tuple[tuple[int, int], ...]) -> ArrayParts:  # noqa: ARG001
    if file.suffix.lower() == ".npy":
        if other is None:
            raise ValueError(
                "holds one array; give the targets as task.y_path=y.npy, or both as"
                " numpy.savez('data.npz', x=x, y=y) and task.path=data.npz"
            )
        return check_arrays({"x": read_npy(file), "y": read_npy(other)})
    if other is not None:
        raise ValueError("task.y_path goes with an .npy file; an .npz file has x and y")
    return check_arrays(read_npz(file, KEYS))


def check_arrays(arrays: Mapping[str, NDArray[Any]]) -> ArrayParts:
    """The parts that arrays, by the names of `KEYS`, hold. Raises ValueError."""
    parts = [_check_part(arrays, prefix) for prefix in PARTS]
    training = parts[0]
    assert training is not None
    for prefix, part in zip(PARTS[1:], parts[1:], strict=True):
        for name in ("x", "y") if part is not None else ():
            ours, theirs = getattr(training, name), getattr(part, name)
            if ours.ndim != theirs.ndim or ours.shape[2:] != theirs.shape[2:]:
                raise _find_unfit(prefix, name, ours, theirs)
            if (
                name == "y"
                and ours.ndim == 2
                and ours.shape[1] != theirs.shape[1]
                and ours.shape[1] != training.x.shape[1]
            ):
                raise _find_unfit(prefix, name, ours, theirs)
    return ArrayParts(training, parts[1], parts[2], _hash(arrays))


def _find_unfit(prefix: str, name: str, ours: NDArray[Any], theirs: NDArray[Any]) -> ValueError:
    differs = "the last size" if ours.ndim == theirs.ndim else "the number of axes"
    return ValueError(
        f"{prefix}{name} of shape {theirs.shape} doesn't go with {name} of shape {ours.shape}: {differs} differs"
    )


def pad_sequences(sequences: Sequence[Any], name: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Arrays (length, …) that differ in length, side by side: (N, T, …), zeros behind their ends; and their lengths."""
    arrays = [np.asarray(one) for one in sequences]
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) != 1 or any(array.ndim == 0 for array in arrays):
        raise ValueError(
            f"{name} holds arrays of shapes {sorted({array.shape for array in arrays})[:4]}; all but the"
            " first size must agree"
        )
    lengths = np.array([len(array) for array in arrays], np.int64)
    longest = max(map(len, arrays))
    kind = np.concatenate([array[:0] for array in arrays]).dtype
    found = np.zeros((len(arrays), longest, *shapes.pop()), kind)
    for row, array in zip(found, arrays, strict=True):
        row[: len(array)] = array
    return found, lengths


def to_sequences(part: LabelledSequences, y: NDArray[Any], prefix: str = "") -> Sequences:
    """Sequences with targets as numbers, zeros behind their ends; ValueError for a number inside that isn't finite."""
    x, y = part.x, _read_numbers(y)
    timesteps = x.shape[1]
    lengths = np.full(len(x), timesteps) if part.lengths is None else part.lengths
    inside = np.arange(timesteps) < lengths[:, None]
    cleared = []
    for name, array in ((f"{prefix}x", x), (f"{prefix}y", y)):
        kept = np.where(inside[..., None], array, 0.0) if array.ndim == 3 else array
        wrong = np.argwhere(~np.isfinite(kept))
        if len(wrong):
            place = tuple(map(int, wrong[0]))
            says = "every number must be finite" + (
                "; fill it in, or drop the sequence" if kept[place] != kept[place] else ""
            )
            raise ValueError(f"{name}[{', '.join(map(str, place))}] is {kept[place]}; {says}")
        cleared.append(kept)
    return Sequences(cleared[0], cleared[1], part.lengths)


def _check_part(arrays: Mapping[str, NDArray[Any]], prefix: str) -> LabelledSequences | None:
    """The sequences in x, y and lengths, or in those with a prefix; None: there are none, of a part with a prefix."""
    names = [prefix + name for name in _NAMES]
    if prefix and names[0] not in arrays:
        for key in names[1:]:
            if key in arrays:
                raise ValueError(f"{key} without {names[0]}")
        return None
    for name in names[:2]:
        if name not in arrays:
            raise ValueError(f"no array {name}; there are: {', '.join(arrays) or 'none'}")
    x, y = arrays[names[0]], arrays[names[1]]
    if x.dtype.kind not in "buif":
        raise ValueError(f"{names[0]} holds {x.dtype}; only real numbers are read")
    if y.dtype.kind not in "buifUS":
        raise ValueError(f"{names[1]} holds {y.dtype}; only real numbers and texts are read")
    x = _read_numbers(x)
    if x.ndim != 3:
        raise ValueError(f"{names[0]} has shape {x.shape}, not (N, T, inputs){_advise_on_inputs(names[0], x)}")
    if y.ndim not in (1, 2, 3):
        raise ValueError(
            f"{names[1]} has shape {y.shape}, neither (N,) nor (N, outputs) nor (N, T, outputs)"
            + ("" if y.ndim == 0 else f": {names[1]}.reshape(len({names[1]}), -1) puts a sequence's outputs in a row")
        )
    for name, array in zip(names, (x, y), strict=False):
        if 0 in array.shape:
            raise ValueError(f"{name} of shape {array.shape} is empty")
    if y.shape[: max(1, y.ndim - 1)] != x.shape[: max(1, y.ndim - 1)]:
        turned = y.shape[0] == x.shape[1] and y.shape[0] != x.shape[0]
        raise ValueError(
            f"{names[1]} of shape {y.shape} doesn't go with {names[0]} of shape {x.shape}: "
            f"{'N or T' if y.ndim == 3 else 'N'} differs"
            + (f"; {names[0]}.transpose(1, 0, 2) puts sequences first, if timesteps are now" if turned else "")
        )
    return LabelledSequences(x, y, _read_lengths(arrays[names[2]], names[2], x) if names[2] in arrays else None)


def _advise_on_inputs(name: str, x: Floats) -> str:
    if x.ndim == 2:
        return f": one input per timestep is {name}[:, :, None]; one sequence of {x.shape[0]} timesteps is {name}[None]"
    if x.ndim == 1:
        return ": a single series is cut into windows by task=table task.path=series.csv task.window=20"
    return f": {name}.reshape(*{name}.shape[:2], -1) puts a timestep's numbers in a row" if x.ndim > 3 else ""


def _read_numbers(array: NDArray[Any]) -> Floats:
    with np.errstate(over="ignore"):  # what float64 can't hold becomes infinite, and is refused as such
        return np.asarray(array, np.float64, order="C")


def _read_lengths(lengths: NDArray[Any], name: str, x: Floats) -> NDArray[np.int64]:
    count, timesteps = x.shape[:2]
    if lengths.dtype.kind not in "iu":
        raise ValueError(f"{name} holds {lengths.dtype}, not whole numbers")
    if lengths.shape != (count,):
        raise ValueError(f"{name} has shape {lengths.shape}, not ({count},), one for each sequence")
    outside = (lengths < 1) | (lengths > timesteps)
    if outside.any():
        i = int(outside.argmax())
        raise ValueError(f"{name}[{i}] is {lengths[i]}, not between 1 and T = {timesteps}")
    return lengths.astype(np.int64)


def _hash(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of what arrays hold: their names, types, shapes and numbers, whatever file they came from."""
    found = sha256()
    for name, array in sorted(arrays.items()):
        kept = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        found.update(f"{name} {kept.dtype.str} {kept.shape}\n".encode())
        found.update(kept.tobytes())
    return found.hexdigest()
