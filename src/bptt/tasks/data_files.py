"""Data that a task reads from files, checked completely: sequences in a NumPy .npz file, and texts.

What stands in an .npz file is found out from its directory and its headers, before an array is read or memory taken.
"""

import lzma
import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.core.annotations import InvalidValue
from bptt.core.sequences import Floats, Sequences, measure_memory

_COPIES: Final = 3  # what is read is checked and cleared, each time into a new array


def check_members(file: Path) -> None:
    """ValueError, with one line, where the file is no archive of plain arrays that this machine can hold.

    No array is read and nothing unpickled: what an array's header declares has to be what the archive has of it, so
    that neither a false header nor a file that unpacks to a thousand times its size takes the memory.
    """
    if not zipfile.is_zipfile(file):
        raise ValueError("not an .npz file (numpy.savez writes them)")
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            _check_names([info.filename for info in infos])
            _check_size(sum(info.file_size for info in infos))
            for info in infos:
                _check_array(archive, info)
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:  # the last of formats that zipfile does not know
        raise ValueError(f"the file can't be read ({_join_lines(error)})") from None


def name_array(member: str) -> str:
    """The name by which NumPy knows a member of the archive."""
    return member.removesuffix(".npy")


def _check_names(names: list[str]) -> None:
    twice = [name for name, times in Counter(map(name_array, names)).items() if times > 1]
    if twice:
        raise ValueError(f"holds {', '.join(map(repr, twice))} more than once")


def _check_size(size: int) -> None:
    memory = measure_memory()
    if _COPIES * size > memory:
        raise ValueError(
            f"unpacks to {size / 2**30:,.1f} GiB, {_COPIES} times which are needed to read it;"
            f" this machine has {memory / 2**30:,.1f} GiB of memory"
        )


def _check_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    name = name_array(info.filename)
    if info.flag_bits & 1:
        raise ValueError(f"{name} is encrypted")
    try:
        with archive.open(info) as member:
            declared = _read_header(member)
            held = info.file_size - member.tell()
    except Exception as error:  # NumPy evaluates what stands in a header, and raises what comes of it
        raise ValueError(f"{name} can't be read ({_join_lines(error)})") from None
    if declared is None:
        raise ValueError(f"{name} holds no array; only real numbers are read")
    shape, dtype = declared
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects; only numbers are read")
    size = math.prod(shape) * dtype.itemsize
    if size != held:
        raise ValueError(
            f"{name} can't be read (its header says {dtype} of shape {shape}, {size:,} bytes; it has {held:,})"
        )


def _read_header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype] | None:
    """The shape and the type that an array's header declares; None: there is no array."""
    if member.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
        return None
    version = tuple(member.read(2))
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError("no version of NumPy's format that holds numbers")
    shape, _, dtype = readers[version](member)
    if any(size < 0 for size in shape):
        raise ValueError(f"its header says a shape of {shape}")
    return shape, dtype


def _join_lines(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def find_file(path: str) -> Path:
    """The file at `path`, absolute, `~` followed. InvalidValue("path", …) where there is no such file."""
    try:
        file = Path(path).expanduser().absolute()
        found = file.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long, the home of nobody
        says = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidValue("path", path, f"no such file ({says})") from None
    if not found:
        raise InvalidValue("path", path, "is a folder" if file.is_dir() else "no such file")
    return file


KEYS = ("x", "y", "lengths", "eval_x", "eval_y", "eval_lengths")


def load_sequences(path: str | None) -> tuple[Sequences, Sequences]:
    """The training's and the evaluation's sequences (the same where the file has no eval_x).

    InvalidValue("path", …) for all that `bptt.tasks.arrays.Arrays` doesn't allow.
    """
    if path is None:
        raise InvalidValue("path", None, "the path of an .npz file with the arrays x and y, as in task.path=data.npz")
    file = find_file(path)
    stat = file.stat()
    try:
        return _load(file, stat.st_mtime_ns, stat.st_size)
    except ValueError as error:
        raise InvalidValue("path", path, str(error)) from None


@lru_cache(maxsize=4)  # a sweep builds the same task for every run; the time and size tell when the file has changed
def _load(file: Path, mtime_ns: int, size: int) -> tuple[Sequences, Sequences]:  # noqa: ARG001
    arrays = _read(file)
    training = _read_sequences(arrays, "")
    if "eval_x" not in arrays:
        for key in ("eval_y", "eval_lengths"):
            if key in arrays:
                raise ValueError(f"{key} without eval_x")
        return training, training
    evaluation = _read_sequences(arrays, "eval_")
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
            return {key: _read_array(archive, key) for key in archive.files}
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"the file can't be read ({error})") from None


def _read_array(archive: Mapping[str, Any], key: str) -> NDArray[Any]:
    try:
        array = archive[key]
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, ValueError) as error:
        raise ValueError(f"{key} can't be read ({error})") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        raise ValueError(f"{key} holds {getattr(array, 'dtype', 'no array')}; only real numbers are read")
    return array


def _read_sequences(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Sequences:
    """The sequences in x, y and lengths, or in eval_x, eval_y and eval_lengths."""
    names = [prefix + name for name in ("x", "y", "lengths")]
    for name in names[:2]:
        if name not in arrays:
            raise ValueError(f"no array {name}; there are: {', '.join(arrays) or 'none'}")
    x, y = (_read_numbers(arrays[name]) for name in names[:2])
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
    lengths = _read_lengths(arrays[names[2]], names[2], x) if names[2] in arrays else None
    return _check_sequences(Sequences(x, y, lengths), names)


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


def _check_sequences(sequences: Sequences, names: list[str]) -> Sequences:
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


def read_text(path: str | None, shipped: str) -> str:
    """The text of the UTF-8 file at `path`, or of the package's own file `shipped` where path is None.

    InvalidValue("path", …) where there is no such file, or one that isn't UTF-8 (with the line where it stops being
    so).
    """
    if path is None:
        return resources.files("bptt.tasks").joinpath("data", shipped).read_text(encoding="utf-8")
    try:
        data = find_file(path).read_bytes()
    except OSError as error:
        raise InvalidValue("path", path, f"the file can't be read ({error.strerror})") from None
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidValue("path", path, f"line {line}: not UTF-8 (byte 0x{data[error.start]:02x})") from None
