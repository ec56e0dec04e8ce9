"""Data that a task reads from files, checked completely: NumPy's .npz and .npy files, and texts.

What stands in an .npz file is found out from its directory and its headers, before an array is read or memory taken.
"""

import lzma
import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.core.annotations import InvalidValue
from bptt.core.sequences import measure_memory

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
    _check_declared(name, *declared, held)


def _check_declared(name: str, shape: tuple[int, ...], dtype: np.dtype, held: int) -> None:
    """Raise ValueError where an array is of objects, or its header says another size than there is."""
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


def read_npz(file: Path, known: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file: real numbers and texts. ValueError, with one line, where it has others."""
    check_members(file)
    try:
        with np.load(file, allow_pickle=False) as archive:
            for key in archive.files:
                if key not in known:
                    near = get_close_matches(key, known, 1)
                    meant = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
                    raise ValueError(f"unknown array {key!r}{meant}")
            return {key: _read_array(archive, key) for key in archive.files}
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"the file can't be read ({error})") from None


def read_npy(file: Path) -> NDArray[Any]:
    """The array of an .npy file, which is not unpickled. ValueError, with one line, where it can't be read."""
    try:
        with file.open("rb") as opened:
            declared = _read_header(opened)
            held = file.stat().st_size - opened.tell()
        if declared is None:
            raise ValueError("not an .npy file (numpy.save writes them)")
        _check_declared(file.name, *declared, held)
        _check_size(held)
        array: NDArray[Any] = np.load(file, allow_pickle=False)
    except (OSError, EOFError) as error:
        raise ValueError(f"the file can't be read ({error})") from None
    except ValueError:
        raise
    except Exception as error:  # NumPy evaluates what stands in a header, and raises what comes of it
        raise ValueError(f"the file can't be read ({_join_lines(error)})") from None
    return array


def _read_array(archive: Mapping[str, Any], key: str) -> NDArray[Any]:
    try:
        array = archive[key]
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, ValueError) as error:
        raise ValueError(f"{key} can't be read ({error})") from None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{key} holds no array; only real numbers are read")
    return array


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
