"""Fuzzes the npz readers, of `task=arrays` and of `init=file`: files that are nearly right, with right checksums."""

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from bptt.configuration.components import build_component
from bptt.configuration.errors import ConfigurationError
from bptt.core.annotations import InvalidValue
from bptt.core.inits.initialisation import Init
from bptt.core.sequences import Sequences
from bptt.tasks.own_data.array_parts import KEYS
from bptt.tasks.own_data.arrays import Arrays
from tests.fuzzing.campaign import Refused, Target

_TYPES: Final = ("f8", "f4", "f2", "i8", "i1", "u2", "?", ">f8", "c16", "U3", "S2", "M8[s]", "V4", "f8,i4", "O")
_LONG: Final = "'" + "<f8" * 900 + "'"
_DESCRIPTIONS: Final = (*(f"'{kind}'" for kind in _TYPES), "'|O'", "None", "[('a', '<f8')]", _LONG, "3")
_SHAPES: Final = (
    *("(5, 4, 3)", "(60,)", "()", "(-1,)", "(-5, -4, 3)", "(2305843009213693952, 8)", "(5, 4, 3.0)", "[60]", "None"),
    *("(99999999999999999999,)", "(True, 60)", "(5L, 4L, 3L)", "(" * 300, "(0, 9223372036854775807)"),
)
_COMPRESSIONS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def target(folder: Path) -> Target:
    """The target; its files are written into the folder, one after the other."""
    return Target("npz", _make, lambda content: _feed(folder, content))


def _make(rng: random.Random) -> bytes:
    members = _members(rng)
    made: list[Callable[[], bytes]] = [
        lambda: _zipped(rng, members),
        lambda: _mutated(rng, _zipped(rng, members)),
        lambda: _spliced(rng, _zipped(rng, members), _zipped(rng, _members(rng))),
        lambda: _zipped(rng, [(name, _mutated(rng, content)) for name, content in members]),
        lambda: _zipped(rng, [(name, rng.choice([content, _crafted(rng)])) for name, content in members]),
        lambda: rng.randbytes(rng.randrange(200)),
    ]
    return rng.choice(made)()


def _members(rng: random.Random) -> list[tuple[str, bytes]]:
    """A file that is right, or nearly: names and .npy contents."""
    draw = np.random.Generator(np.random.PCG64(rng.randrange(2**32)))
    arrays: dict[str, Any] = {"x": draw.random((5, 4, 3)), "y": draw.random(rng.choice([(5, 4, 2), (5, 2)]))}
    if rng.random() < 0.5:
        arrays["lengths"] = draw.integers(1, 5, 5)
    if rng.random() < 0.3:
        arrays |= {"eval_x": draw.random((2, 4, 3)), "eval_y": draw.random(arrays["y"].shape)[:2]}
    if rng.random() < 0.6:
        arrays[rng.choice([*KEYS, "cell.0.input", "z"])] = _array(rng, draw)
    contents = [(f"{name}.npy", _npy(array)) for name, array in arrays.items()]
    if rng.random() < 0.2:
        contents.append((rng.choice(["x.npy", "../x.npy", "/x.npy", "x", ".npy", "é.npy", "y.txt"]), _npy(arrays["x"])))
    return contents


def _array(rng: random.Random, draw: np.random.Generator) -> Any:
    shape = tuple(rng.choice([0, 1, 2, 3, 5]) for _ in range(rng.randrange(5)))
    array = (draw.standard_normal(shape) * 10.0 ** rng.choice([0, 0, 300])).astype("f8")
    if array.size and rng.random() < 0.3:
        array.flat[rng.randrange(array.size)] = rng.choice([np.nan, np.inf, -1.0, 1e308])
    kind = rng.choice(_TYPES)
    with np.errstate(all="ignore"):
        try:
            found = array.astype(kind)
        except (TypeError, ValueError):
            found = np.zeros(shape, kind)
    return np.asfortranarray(found) if rng.random() < 0.3 else found


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _crafted(rng: random.Random) -> bytes:
    """An array whose header says anything."""
    shape, kind = rng.choice(_SHAPES), rng.choice(_DESCRIPTIONS)
    order = rng.choice(["False", "True", "0", "'x'"])
    whole = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}"
    header = rng.choice([whole, whole, f"{{'shape': {shape}}}", "1", "{}", "{[]: 1}"]).encode()
    wide = rng.random() < 0.3
    length = rng.choice([len(header), len(header), 0, 65535]).to_bytes(4 if wide else 2, "little")
    version = bytes([rng.choice([1, 2, 2, 3, 9]), 0]) if wide else b"\x01\x00"
    return b"\x93NUMPY" + version + length + header + rng.randbytes(rng.choice([0, 8, 480, 481]))


def _zipped(rng: random.Random, members: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice(_COMPRESSIONS)) as archive:
        for number, (name, content) in enumerate(members):
            # A name that stands there already is written under another one first: zipfile warns of it.
            taken = name in archive.namelist()
            written = zipfile.ZipInfo(f"\x7f{number}"[: len(name)].ljust(len(name), "~") if taken else name)  # of 1980
            written.compress_type = archive.compression
            archive.writestr(written, content)
    content = buffer.getvalue()
    for number, (name, _) in enumerate(members):
        content = content.replace(f"\x7f{number}"[: len(name)].ljust(len(name), "~").encode(), name.encode())
    return content


def _mutated(rng: random.Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        place = rng.randrange(len(data) + 1)
        what = rng.choice(["flip", "cut", "insert", "extreme"])
        if what == "cut":
            del data[place : place + rng.choice([1, 10, len(data)])]
        elif what == "insert":
            data[place:place] = rng.randbytes(rng.choice([1, 4, 50]))
        elif what == "extreme":
            data[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\1\0\0\0"])
        elif place < len(data):
            data[place] ^= 1 << rng.randrange(8)
    return bytes(data)


def _spliced(rng: random.Random, first: bytes, second: bytes) -> bytes:
    return first[: rng.randrange(len(first))] + second[rng.randrange(len(second)) :]


def _feed(folder: Path, content: bytes) -> None:
    path = folder / "given.npz"
    # A name of its own each time: what was read is kept by name, size and time.
    path = path.with_stem(f"given-{hash(content) & 0xFFFFFFFF:08x}")
    path.write_bytes(content)
    try:
        problems: list[str] = []
        node = {"_target_": "bptt.core.inits.file.File", "path": str(path)}
        build_component("init", node, "bptt.core.inits", Init, (), problems)
        try:
            ready = Arrays(path=str(path)).ready
            for sequences in (ready.training, ready.evaluation):
                _assert_right(sequences)
        except InvalidValue as error:
            raise _refused(error.allowed, *_told(problems, path)) from None
        if problems:
            raise _refused(*_told(problems, path))
    finally:
        path.unlink()


def _refused(*lines: str) -> Refused:
    return Refused(ConfigurationError(lines).lines)  # which is how a user sees them


def _told(problems: list[str], path: Path) -> tuple[str, ...]:
    return tuple(f"init=file: {line.partition('.npz: ')[2] or line}" for line in problems)


def _assert_right(sequences: Sequences) -> None:
    """What was accepted can be trained on."""
    count, timesteps = sequences.x.shape[:2]
    assert sequences.x.ndim == 3
    assert sequences.x.size > 0
    assert sequences.y.shape[0] == count
    assert np.isfinite(sequences.x).all()
    assert np.isfinite(sequences.y).all()
    assert ((sequences.full_lengths >= 1) & (sequences.full_lengths <= timesteps)).all()
