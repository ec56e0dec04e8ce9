"""A parquet file of many rows, written and read portion by portion, with a digest of all; and texts of JSON columns.

Neither holds more than a portion of the rows as Python's objects.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bptt.tracking.folder.files import replacing

_ROWS: Final = 4096  # of a portion
_MOST_KNOWN: Final = 4096  # parts of values that are remembered
_DIGEST: Final = "bptt.sha256"  # of the rows, in the file's metadata


class _RowDigest:
    """The SHA-256 of the JSON text of a list of rows, of which one after the other comes."""

    def __init__(self) -> None:
        self._hash, self._joined = sha256(b"["), False

    def add(self, row: Mapping[str, object]) -> None:
        self._hash.update(f"{', ' if self._joined else ''}{json.dumps(row)}".encode())
        self._joined = True

    def finish(self) -> str:
        self._hash.update(b"]")
        return self._hash.hexdigest()


def write_portions(path: Path, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a parquet file, whole or not at all, even when the machine stops.

    columns  name → kind, of Arrow's: int64, string
    rows     each with a value for each column, in their order
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, digest, coming = pa.schema([(name, kind) for name, kind in columns.items()]), _RowDigest(), iter(rows)
    with (
        replacing(path, durable=True) as file,
        pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        empty = True
        while (portion := list(islice(coming, _ROWS))) or empty:
            for row in portion:
                digest.add(row)
            writer.write_table(pa.table({name: [row[name] for row in portion] for name in columns}, schema))
            empty = False
        writer.add_key_value_metadata({_DIGEST: digest.finish()})


def read_portions(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, one after the other. Raises ValueError, after the last at the latest, where it is damaged,
    and OSError where it can't be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    digest, content = _RowDigest(), path.read_bytes()
    try:
        file = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False, page_checksum_verification=True)
        noted = (file.metadata.metadata or {}).get(_DIGEST.encode())
        for portion in file.iter_batches(_ROWS, use_threads=False):
            for row in portion.to_pylist():
                digest.add(row)
                yield row
    except (OSError, LookupError, MemoryError, pa.ArrowException) as error:
        raise ValueError(" ".join(str(error).split()) or "cut off or damaged") from error
    if noted is not None and noted.decode() != digest.finish():
        raise ValueError("not as it was written: a bit was flipped, or it was edited")


class MappingTexts:
    """Writes mappings as JSON and reads them back; parts that are equal in several of them are one object when read.

    Of those that are written, parts that are the same object are made a text once.
    """

    def __init__(self) -> None:
        self._texts: dict[int, tuple[object, str]] = {}  # with the object, so that its id stays its own
        self._parts: dict[str, tuple[str, str, Any]] = {}
        self._last: list[tuple[str, str, Any]] = []
        self._decoder = json.JSONDecoder()

    def write(self, mapping: Mapping[str, Any]) -> str:
        """As `json.dumps` does."""
        return "{" + ", ".join(f"{json.dumps(key)}: {self._write(value)}" for key, value in mapping.items()) + "}"

    def _write(self, value: object) -> str:
        if not isinstance(value, Mapping):
            return json.dumps(value)
        known = self._texts.get(id(value))
        if known is None:
            if len(self._texts) >= _MOST_KNOWN:
                self._texts.clear()
            known = self._texts[id(value)] = value, json.dumps(value)
        return known[1]

    def read(self, text: str) -> dict[str, Any]:
        """What a text that `write` made holds; of another one, what `json.loads` makes of it. Raises ValueError."""
        try:
            return self._read(text)
        except (ValueError, IndexError, StopIteration):
            found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("holds no mapping")
        return found

    def _read(self, text: str) -> dict[str, Any]:
        """A part is a key, a value and what follows it; those of the text before are looked for first."""
        if text[0] != "{" or text == "{}":
            raise ValueError(text)
        place, parts = 1, list[tuple[str, str, Any]]()
        while place < len(text):
            part = self._last[len(parts)] if len(parts) < len(self._last) else None
            if part is None or not text.startswith(part[0], place):
                part = self._parse(text, place)
            parts.append(part)
            place += len(part[0])
        found = {key: value for _, key, value in parts}
        if not parts[-1][0].endswith("}") or len(found) < len(parts):
            raise ValueError(text)
        self._last = parts
        return found

    def _parse(self, text: str, place: int) -> tuple[str, str, Any]:
        if text[place] != '"':
            raise ValueError(text)
        key, at = self._decoder.raw_decode(text, place)
        if text[at : at + 2] != ": ":
            raise ValueError(text)
        value, at = self._decoder.raw_decode(text, at + 2)
        end = at + (1 if at == len(text) - 1 else 2)
        if text[at:end] not in ("}", ", "):
            raise ValueError(text)
        part = text[place:end]
        if not isinstance(value, dict | list):
            return part, key, value
        if part not in self._parts and len(self._parts) >= _MOST_KNOWN:
            self._parts.clear()
        return self._parts.setdefault(part, (part, key, value))
