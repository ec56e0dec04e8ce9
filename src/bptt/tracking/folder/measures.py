"""measures.parquet: what was measured of runs' weights after the fact, a row for each run and update.

    run, update, digest   which run, after which of its updates, 0 being the start; and what it is
    dynamics/…            a number each, or a list of them; null where it was not measured, NaN where there is no number

It lies in a sweep's folder or a run's, and is written whole or not at all.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.files import check_content, hash_content, pack_table, parse_table, write_bytes

if TYPE_CHECKING:
    import pandas as pd

MEASURES: Final = "measures.parquet"

#: Before the name of whatever is measured after the fact.
MEASURED: Final = "dynamics/"

#: Number of a run and update → column → what was measured.
Rows = dict[tuple[int, int], dict[str, float | list[float]]]

_KEYS: Final = ("run", "update", "digest")
_VERSION: Final = b"bptt.numerical_version"
_SEAL: Final = b"bptt.sha256"  # of the rows


def write_measures(folder: Path, rows: Rows, whose: Mapping[int, str], version: str) -> None:
    """Write what was measured into a folder, even when the machine stops.

    whose    number → digest of each run
    version  the numerical version of the program that measured
    """
    write_bytes(folder / MEASURES, pack_measures(rows, whose, version))


def pack_measures(rows: Rows, whose: Mapping[int, str], version: str) -> bytes:
    """What measures.parquet holds; the same bytes for the same rows, in whichever order they came."""
    table = _tabulate(rows, whose)
    noted = {_VERSION: version.encode(), _SEAL: _seal(table).encode()}
    return pack_table(table.replace_schema_metadata(noted))


def _tabulate(rows: Rows, whose: Mapping[int, str]) -> Any:
    import pyarrow as pa

    places = sorted(rows)
    names = sorted({name for row in rows.values() for name in row})
    columns = {
        "run": pa.array([run for run, _ in places], pa.int64()),
        "update": pa.array([update for _, update in places], pa.int64()),
        "digest": pa.array([whose[run] for run, _ in places], pa.string()),
    }
    for name in names:
        values = [rows[place].get(name) for place in places]
        listed = any(isinstance(value, list) for value in values)
        columns[name] = pa.array(values, pa.list_(pa.float64()) if listed else pa.float64(), from_pandas=False)
    return pa.table(columns)


def _seal(table: Any) -> str:
    """A digest of all rows, to the bit; which NaN it is says nothing."""
    return hash_content(json.dumps(table.to_pylist(), sort_keys=True).encode())


def read_measures(folder: Path, whose: Mapping[int, str]) -> tuple[Rows, str | None]:
    """The rows that a folder has, and the numerical version of the program that measured them; none where none were.

    whose  number → digest of each run of the folder

    Raises ArchiveError where the file is damaged, or another folder's.
    """
    path = folder / MEASURES
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}, None
    except OSError as error:
        raise ArchiveError(f"{path}: can't be read: {error.strerror or error}") from error
    return parse_measures(path, content, whose)


def parse_measures(path: Path, content: bytes, whose: Mapping[int, str]) -> tuple[Rows, str | None]:
    """The same of what such a file holds; path: what it is called."""
    try:
        table = parse_table(content)
        noted = {key: value.decode() for key, value in (table.schema.metadata or {}).items()}
        if (sealed := noted.get(_SEAL)) != _seal(table):
            check_content(b"", sealed)
            raise ValueError("it has no digest of its rows")
        rows: Rows = {}
        for row in table.to_pylist():
            run, update, digest = (row.pop(key) for key in _KEYS)
            if whose.get(run) != digest:
                raise ValueError(f"its run {run} is none of this folder")
            rows[run, update] = {name: value for name, value in row.items() if value is not None}
        return rows, noted.get(_VERSION)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        says = " ".join(str(error).split())
        raise ArchiveError(f"{path}: can't be read: {says}; delete it, and `bptt measure` makes it again") from error


def tabulate_measures(rows: Rows) -> "pd.DataFrame":
    """run, update, and a column for each that was measured, lists as arrays; sorted by run and update."""
    import pandas as pd

    places = sorted(rows)
    table: dict[str, Any] = {
        "run": pd.Series([run for run, _ in places], dtype="int64"),
        "update": pd.Series([update for _, update in places], dtype="int64"),
    }
    for name in sorted({name for row in rows.values() for name in row}):
        values = [rows[place].get(name) for place in places]
        if any(isinstance(value, list) for value in values):
            table[name] = pd.Series([None if value is None else np.array(value) for value in values], dtype=object)
        else:
            table[name] = pd.Series([np.nan if value is None else value for value in values], dtype="float64")
    return pd.DataFrame(table)


def list_measured(rows: Rows) -> dict[int, dict[str, dict[int, float]]]:
    """Run → column → update → number; lists are left out, and what was not measured."""
    found: dict[int, dict[str, dict[int, float]]] = {}
    for (run, update), row in sorted(rows.items()):
        own = found.setdefault(run, {})
        for name, value in row.items():
            if not isinstance(value, list):
                own.setdefault(name, {})[update] = value
    return found


def merge_points(
    history: Mapping[str, NDArray[Any]], measured: Mapping[str, Mapping[int, float]]
) -> Iterator[tuple[str, list[int], list[float]]]:
    """Name, updates and values of what was measured, joined with what a history has of the same name, which counts."""
    for name, points in measured.items():
        own = dict(points)
        if name in history:
            own |= dict(zip(history["update"].tolist(), history[name].tolist(), strict=True))
        updates = sorted(own)
        yield name, updates, [own[update] for update in updates]
