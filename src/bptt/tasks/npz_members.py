"""What stands in an .npz file, found out from its directory and its headers before an array is read or memory taken."""

import math
import zipfile
from collections import Counter
from pathlib import Path
from typing import IO, Final

import numpy as np

from bptt.tasks.memory import machine_memory

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
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(f"the file can't be read ({_one_line(error)})") from None


def array_name(member: str) -> str:
    """The name by which NumPy knows a member of the archive."""
    return member.removesuffix(".npy")


def _check_names(names: list[str]) -> None:
    twice = [name for name, times in Counter(map(array_name, names)).items() if times > 1]
    if twice:
        raise ValueError(f"holds {', '.join(map(repr, twice))} more than once")


def _check_size(size: int) -> None:
    memory = machine_memory()
    if _COPIES * size > memory:
        raise ValueError(
            f"unpacks to {size / 2**30:,.1f} GiB, {_COPIES} times which are needed to read it;"
            f" this machine has {memory / 2**30:,.1f} GiB of memory"
        )


def _check_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    name = array_name(info.filename)
    if info.flag_bits & 1:
        raise ValueError(f"{name} is encrypted")
    try:
        with archive.open(info) as member:
            declared = _header(member)
            held = info.file_size - member.tell()
    except Exception as error:  # NumPy evaluates what stands in a header, and raises what comes of it
        raise ValueError(f"{name} can't be read ({_one_line(error)})") from None
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


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype] | None:
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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
