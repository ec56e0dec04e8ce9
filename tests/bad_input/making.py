"""Files that are wrong, for the cases that need one."""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.bad_input.case import Place

Given = Callable[[Place], None]

X, Y = np.full((5, 4, 3), 0.5), np.full((5, 4, 2), 0.25)


class Unpickled:
    """What leaves a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self._marker,)


def text(name: str, content: str | bytes) -> Given:
    """A file with this content."""

    def write(place: Place) -> None:
        path = place.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def all_of(*parts: Given) -> Given:
    """Several things."""

    def write(place: Place) -> None:
        for part in parts:
            part(place)

    return write


def folder(name: str) -> Given:
    """An empty folder."""
    return lambda place: (place.folder / name).mkdir(parents=True)


def npz(**arrays: Any) -> Given:
    """f.npz with these arrays."""
    return lambda place: np.savez(place.folder / "f.npz", allow_pickle=True, **arrays)


def npy(array: Any) -> bytes:
    """What numpy.save writes."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def header(shape: str, kind: str = "'<f8'", data: bytes = b"") -> bytes:
    """A .npy file whose header declares what it will."""
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def members(contents: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Given:
    """f.npz with these members."""

    def write(place: Place) -> None:
        with zipfile.ZipFile(place.folder / "f.npz", "w", compression) as archive:
            for name, content in contents.items():
                archive.writestr(name, content)

    return write


def npz_bytes() -> bytes:
    """A good file."""
    buffer = io.BytesIO()
    np.savez(buffer, x=X, y=Y)
    return buffer.getvalue()


def cut(share: float) -> Given:
    """The good file, cut off behind this share of it."""
    whole = npz_bytes()
    return text("f.npz", whole[: int(len(whole) * share)])


def replaced(old: bytes, new: bytes) -> Given:
    """The good file with some of its bytes others."""
    whole = npz_bytes()
    assert old in whole
    return text("f.npz", whole.replace(old, new))


def pickled(place: Place) -> None:
    """f.npz with an object array whose unpickling would leave a file."""
    np.savez(place.folder / "f.npz", allow_pickle=True, x=np.array([Unpickled(place.folder / "marker")], object), y=Y)


def bomb(place: Place) -> None:
    """A file of a few hundred bytes whose directory says that it unpacks to 60 TiB."""
    size = 60 * 2**40
    content = header(f"({size // 8}, 1, 1)")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", content)
        archive.infolist()[0].file_size = size
    (place.folder / "f.npz").write_bytes(buffer.getvalue())
