"""What a sweep left, in the archive and in the store: everything but its name, its times and where it lies."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bptt.core.run import TIMED
from bptt.tracking.folder.sweep import SweepFolder

# They tell of the command, of the store and of the work tree rather than of the run.
_OTHER_TAGS = (
    "mlflow.source.name", "mlflow.source.git.commit", "bptt.git.dirty", "mlflow.parentRunId", "bptt.sweep", "bptt.key",
    "bptt.setting.",
)  # fmt: skip

_OTHER_FILES = ("provenance.json", "dirty.patch")


@dataclass(frozen=True)
class Stored:
    """A run as the store has it; below: whether it is one of a sweep's."""

    name: str
    below: bool
    status: str
    params: dict[str, str]
    tags: dict[str, str]
    metrics: list[tuple[Any, ...]]
    latest: list[tuple[Any, ...]]
    files: dict[str, Any]


@dataclass(frozen=True)
class Contents:
    """A sweep: its folder, and the runs that the store has below it, by name; and a run that was trained alone.

    starting  how many seconds it takes until the sweep has its folder
    ending    how many it takes to end once all is stored
    """

    archive: SweepFolder
    runs: dict[str, Stored]
    alone: Stored
    starting: float
    ending: float


def stored(database: Path, artifacts: Path) -> list[Stored]:
    """All runs of a database that were not deleted; artifacts: the folder of a server that keeps them itself."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:

        def rows(columns: str, table: str, run_id: str) -> list[tuple[Any, ...]]:
            last = columns.rpartition(" ")[2]
            ordered = f"SELECT {columns} FROM {table} WHERE run_uuid = ? ORDER BY key, {last}"
            return [row for row in connection.execute(ordered, (run_id,)).fetchall() if row[0] not in TIMED]

        def contents(run_id: str, name: str, status: str, uri: str) -> Stored:
            tags = dict(rows("key, value", "tags", run_id))
            return Stored(
                name=name,
                below="mlflow.parentRunId" in tags,
                status=status,
                params=dict(rows("key, value", "params", run_id)),
                tags={name: value for name, value in tags.items() if not name.startswith(_OTHER_TAGS)},
                metrics=rows("key, value, is_nan, step", "metrics", run_id),
                latest=rows("key, value, is_nan, step", "latest_metrics", run_id),
                files=_files(_place(uri, artifacts, database.parent)),
            )

        return [
            contents(*row)
            for row in connection.execute(
                "SELECT run_uuid, name, status, artifact_uri FROM runs WHERE lifecycle_stage = 'active'"
            ).fetchall()
        ]


def _place(uri: str, artifacts: Path, beside: Path) -> Path:
    if ":" not in uri:
        return beside / uri
    return Path(uri.removeprefix("file://")) if uri.startswith("file:") else artifacts / uri.partition(":/")[2]


def _files(folder: Path) -> dict[str, Any]:
    """Path → content; of an npz, which notes the time, its arrays, and of a history all but the time that it took."""
    read = {".npz": _arrays, ".parquet": _table}
    return {
        path.relative_to(folder).as_posix(): read.get(path.suffix, Path.read_bytes)(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in _OTHER_FILES
    }


def _table(path: Path) -> str:
    """Numbers in as many digits as tell them apart."""
    table = pd.read_parquet(path)
    return str(table.drop(columns=TIMED & {*table.columns}).to_csv(index=False))


def _arrays(path: Path) -> dict[str, tuple[tuple[int, ...], bytes]]:
    with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
        return {name: (arrays[name].shape, arrays[name].tobytes()) for name in arrays.files}
