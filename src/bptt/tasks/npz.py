"""Sequences in a NumPy .npz file: read, and checked completely."""

import lzma
import zipfile
import zlib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bptt.core.annotations import InvalidValue
from bptt.core.sequences import Floats, Sequences
from bptt.tasks.npz_members import check_members
from bptt.tasks.paths import existing

KEYS = ("x", "y", "lengths", "eval_x", "eval_y", "eval_lengths")


def load(path: str | None) -> tuple[Sequences, Sequences]:
    """The training's and the evaluation's sequences (the same where the file has no eval_x).

    InvalidValue("path", …) for all that `bptt.tasks.arrays.Arrays` doesn't allow.
    """
    if path is None:
        raise InvalidValue("path", None, "the path of an .npz file with the arrays x and y, as in task.path=data.npz")
    file = existing(path)
    stat = file.stat()
    try:
        return _load(file, stat.st_mtime_ns, stat.st_size)
    except ValueError as error:
        raise InvalidValue("path", path, str(error)) from None


@lru_cache(maxsize=4)  # a sweep builds the same task for every run; the time and size tell when the file has changed
def _load(file: Path, mtime_ns: int, size: int) -> tuple[Sequences, Sequences]:  # noqa: ARG001
    arrays = _read(file)
    training = _sequences(arrays, "")
    if "eval_x" not in arrays:
        for key in ("eval_y", "eval_lengths"):
            if key in arrays:
                raise ValueError(f"{key} without eval_x")
        return training, training
    evaluation = _sequences(arrays, "eval_")
    for name in ("x", "y"):
        ours, theirs = getattr(training, name), getattr(evaluation, name)
        if ours.ndim != theirs.ndim or ours.shape[-1] != theirs.shape[-1]:
            raise ValueError(
                f"eval_{name} of shape {theirs.shape} doesn't go with {name} of shape {ours.shape}: "
                f"{'the last size' if ours.ndim == theirs.ndim else 'the number of axes'} differs"
            )
    return training, evaluation


def _read(file: Path) -> dict[str, NDArray[Any]]:
    check_members(file)
    try:
        with np.load(file, allow_pickle=False) as archive:
            for key in archive.files:
                if key not in KEYS:
                    near = get_close_matches(key, KEYS, 1)
                    raise ValueError(
                        f"unknown array {key!r}"
                        + (f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(KEYS)}")
                    )
            return {key: _array(archive, key) for key in archive.files}
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"the file can't be read ({error})") from None


def _array(archive: Mapping[str, Any], key: str) -> NDArray[Any]:
    try:
        array = archive[key]
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, ValueError) as error:
        raise ValueError(f"{key} can't be read ({error})") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        raise ValueError(f"{key} holds {getattr(array, 'dtype', 'no array')}; only real numbers are read")
    return array


def _sequences(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Sequences:
    """The sequences in x, y and lengths, or in eval_x, eval_y and eval_lengths."""
    names = [prefix + name for name in ("x", "y", "lengths")]
    for name in names[:2]:
        if name not in arrays:
            raise ValueError(f"no array {name}; there are: {', '.join(arrays) or 'none'}")
    x, y = (_numbers(arrays[name]) for name in names[:2])
    if x.ndim != 3:
        raise ValueError(f"{names[0]} has shape {x.shape}, not (N, T, inputs)")
    if y.ndim not in (2, 3):
        raise ValueError(f"{names[1]} has shape {y.shape}, neither (N, T, outputs) nor (N, outputs)")
    for name, array in zip(names, (x, y), strict=False):
        if 0 in array.shape:
            raise ValueError(f"{name} of shape {array.shape} is empty")
    if y.shape[: y.ndim - 1] != x.shape[: y.ndim - 1]:
        raise ValueError(
            f"{names[1]} of shape {y.shape} doesn't go with {names[0]} of shape {x.shape}: "
            f"{'N or T' if y.ndim == 3 else 'N'} differs"
        )
    lengths = _lengths(arrays[names[2]], names[2], x) if names[2] in arrays else None
    return _checked(Sequences(x, y, lengths), names)


def _numbers(array: NDArray[Any]) -> Floats:
    with np.errstate(over="ignore"):  # what float64 can't hold becomes infinite, and is refused as such
        return np.asarray(array, np.float64, order="C")


def _lengths(lengths: NDArray[Any], name: str, x: Floats) -> NDArray[np.int64]:
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


def _checked(sequences: Sequences, names: list[str]) -> Sequences:
    """The same with zeros behind the sequences' ends; ValueError for a number inside that isn't finite."""
    inside = np.arange(sequences.timesteps) < sequences.full_lengths[:, None]
    cleared = []
    for name, array in zip(names, (sequences.x, sequences.y), strict=False):
        kept = np.where(inside[..., None], array, 0.0) if array.ndim == 3 else array
        wrong = np.argwhere(~np.isfinite(kept))
        if len(wrong):
            place = tuple(map(int, wrong[0]))
            raise ValueError(f"{name}[{', '.join(map(str, place))}] is {kept[place]}; every number must be finite")
        cleared.append(kept)
    return Sequences(cleared[0], cleared[1], sequences.lengths)
