"""The files of a folder: what they are called, how they are written whole or not at all, and what reads them back.

Nothing here knows MLflow.
"""

import io
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bptt.tracking.folder.snapshots import drop_snapshots, list_snapshots, take_snapshots

if TYPE_CHECKING:
    import pandas as pd

    from bptt.core.run import Record


# In the folder of a run, or of a sweep; beside the first three in a block's.
HISTORY: Final = "history.parquet"
FLOW: Final = "gradient_flow.parquet"
WEIGHTS: Final = "weights.npz"
RUNS: Final = "runs.parquet"
DIGESTS: Final = "digests.json"
JOBS: Final = "jobs.parquet"
CONFIG: Final = "config.yaml"
JOURNAL: Final = "run.json"
SWEEP: Final = "sweep.json"
CHECKPOINT: Final = "checkpoint.npz"
TRACEBACK: Final = "traceback.txt"
PREPARATION: Final = "preparation.json"
PROVENANCE: Final = "provenance.json"
PATCH: Final = "dirty.patch"
PREDICTIONS: Final = "predictions.parquet"
STUDY: Final = "study.db"
REPORT: Final = "report"
PAGE: Final = "report.html"
LOCK: Final = ".lock"
PROGRESS: Final = "progress.json"

#: Folders among the artifacts of a run on its own, and of a sweep's own run: those of its files that are in none.
OWN_FOLDERS: Final = ("figures", "archive", REPORT)

# Among the artifacts of a sweep's own run alone.
FLOW_ENDS: Final = "flow_ends.parquet"
REUSED: Final = "reused.json"

#: What a run has one number of, `Record.once`: columns of runs.parquet, and beside those of a run's history.parquet.
ONCE: Final = (
    *("loss/test", "accuracy/test", "baseline"),
    *("kept/update", "kept/loss/eval", "kept/accuracy/eval", "kept/accuracy/all_right"),
    *(f"{name}/{part}" for name in ("rmse", "mae", "r2", "balanced_accuracy", "log_loss") for part in ("eval", "test")),
)

_AT_LENGTH: Final = re.compile(r"(?:loss|accuracy|rmse|mae|r2|balanced_accuracy|log_loss)/eval_([1-9][0-9]{0,17})")
_ONCE_KEY: Final = b"bptt.once"

#: Where sweeps are, each in a folder of its own, and within it single runs.
MULTIRUN: Final = "multirun"
SINGLE_RUNS: Final = "runs"


def list_once(names: Iterable[str]) -> list[str]:
    """Those of these names that a run has one number of: ONCE, then on sequences of other lengths, `loss/eval_200`."""
    given = dict.fromkeys(names)
    lengths = sorted((int(found[1]), name) for name in given if (found := _AT_LENGTH.fullmatch(name)))
    return [*(name for name in ONCE if name in given), *(name for _, name in lengths)]


def list_history_columns(record: "Record") -> dict[str, NDArray[Any]]:
    """One row per recorded update: `update`, then the metrics in the record's order."""
    columns = {"update": np.asarray(record.history["update"], np.int64)}
    return columns | {name: np.asarray(values) for name, values in record.history.items() if name != "update"}


def list_flow_columns(record: "Record") -> dict[str, NDArray[Any]]:
    """One row per recorded update and lag: `update`, `lag` (timesteps before the end, from 0), `norm`."""
    points, timesteps = record.flow.shape
    return {
        "update": np.repeat(np.asarray(record.history["update"], np.int64), timesteps),
        "lag": np.tile(np.arange(timesteps), points),
        "norm": record.flow.reshape(-1),
    }


def pack_record(record: "Record") -> dict[str, bytes]:
    """history.parquet, gradient_flow.parquet and weights.npz: what they hold, by name."""
    return {
        HISTORY: _write_parquet(list_history_columns(record), record.once),
        FLOW: _write_parquet(list_flow_columns(record)),
        WEIGHTS: pack_arrays({**record.parameters, **list_snapshots(record)}),
    }


def write_record(folder: Path, record: "Record") -> list[Path]:
    """Write the files of a record, each whole or not at all."""
    files = {folder / name: content for name, content in pack_record(record).items()}
    try:
        for path, content in files.items():
            clear_part(path).write_bytes(content)
        for path in files:
            clear_part(path).replace(path)
    except OSError:
        for path in files:
            clear_part(path).unlink(missing_ok=True)
        raise
    return list(files)


def write_text(path: Path, text: str, durable: bool = False) -> Path:
    """Write a text file, whole or not at all; durable: even when the machine stops."""
    with replacing(path, durable) as file:
        file.write(text.encode())
    return path


def dump_config(resolved: Mapping[str, Any]) -> str:
    """What config.yaml holds: the whole resolved configuration."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times as fast, where PyYAML was built with it
    return str(yaml.dump(dict(resolved), Dumper=dumper, sort_keys=False, allow_unicode=True))


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an npz file, whole or not at all, even when the machine stops."""
    write_bytes(path, pack_arrays(arrays))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, even when the machine stops."""
    with replacing(path, durable=True) as file:
        file.write(content)


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """What the npz file of these arrays holds."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def sync_folder(folder: Path) -> None:
    """Let what a folder's files are called reach the disk, where the system can do that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_arrays(path: Path, digest: str | None = None) -> dict[str, NDArray[Any]]:
    """Read an npz file of plain arrays. Raises ValueError where it is cut off, damaged or of another kind.

    digest  of the whole file, where it is known
    """
    try:
        content = path.read_bytes()
        check_content(content, digest)
        return parse_arrays(content)
    except Exception as error:  # whatever else a damaged zip file leads to
        raise ValueError(f"{path}: cut off or damaged ({' '.join(str(error).split())})") from error


def parse_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of what an npz file holds. Raises whatever a damaged one leads to."""
    with zipfile.ZipFile(io.BytesIO(content)) as members:
        return {name.removesuffix(".npy"): _parse_array(members.read(name)) for name in members.namelist()}


def _parse_array(content: bytes) -> NDArray[Any]:
    """An array of an npz file. Taken from its whole content: what is read in part is held against no checksum."""
    buffer = io.BytesIO(content)
    array: NDArray[Any] = np.lib.format.read_array(buffer, allow_pickle=False)
    if buffer.read(1):
        raise ValueError("an array is shorter than its content")
    return array


def _write_parquet(columns: Mapping[str, NDArray[Any]], once: Mapping[str, float] | None = None) -> bytes:
    """once: kept beside the columns, in the file's metadata."""
    import pyarrow as pa

    # Given arrays themselves, Arrow imports pandas, half a second, to see whether they are its.
    table = pa.table({name: _make_arrow_array(values) for name, values in columns.items()})
    if once:
        table = table.replace_schema_metadata({_ONCE_KEY: json.dumps(dict(once))})
    return pack_table(table, "snappy")


def _make_arrow_array(values: NDArray[Any]) -> Any:
    import pyarrow as pa

    values = np.ascontiguousarray(values)
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def pack_table(table: Any, compression: Literal["zstd", "snappy"] = "zstd") -> bytes:
    """The content of a parquet file with this Arrow table, in which each page has a checksum."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression=compression, write_page_checksum=True)
    return buffer.getvalue()


def parse_table(content: bytes, digest: str | None = None) -> Any:
    """The Arrow table of a parquet file's content. Raises ValueError where it is damaged.

    digest  of the content, where it is known
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_content(content, digest)
    try:
        table = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False, page_checksum_verification=True).read(
            use_threads=False
        )
        read_once(table)
        return table
    except (OSError, ValueError, LookupError, MemoryError, pa.ArrowException) as error:
        raise ValueError(" ".join(str(error).split()) or "cut off or damaged") from error


def read_once(table: Any) -> dict[str, float]:
    """`Record.once` of the run whose history this Arrow table is, as it was read from its file."""
    found = json.loads((table.schema.metadata or {}).get(_ONCE_KEY, b"{}"))
    return {name: float(found[name]) for name in list_once(found)}


@contextmanager
def replacing(path: Path, durable: bool) -> Iterator[IO[bytes]]:
    """A file that gets its name when it is whole; on a full disk nothing of it stays."""
    part = clear_part(path)
    try:
        with part.open("wb") as file:
            yield file
            if durable:  # it must reach the disk before it gets its name
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def clear_part(path: Path) -> Path:
    """The file that is written before it gets its name. A link in its place, which may lead anywhere, is taken away."""
    part = path.with_name(f".{path.name}.part")
    if part.is_symlink():
        part.unlink()
    return part


def make_place(folder: Path, name: str) -> Path:
    """The path of a file that is to be written in a folder, whose own folders are made where missing.

    A link in the place of one of these, which may lead anywhere, is taken away.
    """
    path = folder / name
    for parent in reversed(path.relative_to(folder).parents[:-1]):
        if (folder / parent).is_symlink():
            (folder / parent).unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files (path in the folder → content), each whole or not at all; older ones are replaced."""
    for name, content in files.items():
        with replacing(make_place(folder, name), durable=False) as file:
            file.write(content)


def load_record(outcome: Any, folder: Path, digests: Mapping[str, str] | None = None) -> "Record | None":
    """The record whose files a folder holds, without its `state`; None where it is not whole.

    digests  file → its digest, of those of which it is known

    Raises what a damaged file, or one that is missing, leads to.
    """
    from bptt.core.run import Record

    known = digests or {}
    recorded, flow_table = (parse_table((folder / name).read_bytes(), known.get(name)) for name in (HISTORY, FLOW))
    history, flow = _list_columns(recorded), _list_columns(flow_table)
    arrays = read_arrays(folder / WEIGHTS, known.get(WEIGHTS))
    updates = history["update"]
    timesteps = len(flow["update"]) // len(updates)
    whole = (
        outcome in get_args(Record.__annotations__["outcome"])
        and np.array_equal(flow["update"], np.repeat(updates, timesteps))
        and np.array_equal(flow["lag"], np.tile(np.arange(timesteps), len(updates)))
    )
    if not whole:
        return None
    return Record(
        outcome=outcome,
        updates=int(updates[-1]),
        history=history,
        flow=flow["norm"].reshape(len(updates), timesteps),
        parameters=drop_snapshots(arrays),
        state=np.empty((0, 0)),
        once=read_once(recorded),
        snapshots=take_snapshots(arrays),
    )


def _list_columns(table: Any) -> dict[str, NDArray[Any]]:
    return {name: table[name].to_numpy() for name in table.column_names}


Status = Literal["FINISHED", "FAILED", "KILLED"]

#: What a store gets of each run of a sweep: all; params, tags and what was recorded last; nothing.
Detail = Literal["full", "last", "sweep"]


def make_key(*parts: str) -> str:
    """The key, 32 hexadecimal digits, of what these parts tell from everything else."""
    return sha256(" ".join(parts).encode()).hexdigest()[:32]


_KEY: Final = "sha256"

_ALTERED: Final = "not as it was written: a bit was flipped, or it was edited"


def hash_content(content: bytes) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    return sha256(content).hexdigest()


def check_content(content: bytes, digest: str | None) -> None:
    """Raise ValueError where a content is not the one with this digest; None: it is not known, any is taken."""
    if digest is not None and hash_content(content) != digest:
        raise ValueError(_ALTERED)


def dump_sealed(noted: Mapping[str, Any]) -> str:
    """The JSON text of what is noted, with a digest of it beside the other keys."""
    return json.dumps({**noted, _KEY: _seal(noted)}, indent=1) + "\n"


def load_sealed(text: str) -> dict[str, Any]:
    """What `dump_sealed` was given. A text without a digest, as earlier versions wrote it, is taken as it is.

    Raises ValueError where it is no mapping, or not as it was written.
    """
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("holds no mapping")
    seal = found.pop(_KEY, None)
    # Where its key itself was damaged, the digest stands under another one.
    like_it = [key for key, value in found.items() if seal is None and re.fullmatch("[0-9a-f]{64}", str(value))]
    renamed = any(_seal({k: v for k, v in found.items() if k != key}) == found[key] for key in like_it)
    if renamed or (seal is not None and seal != _seal(found)):
        raise ValueError(f"{_ALTERED}; if by you, take out its line {_KEY}")
    return found


def _seal(noted: Mapping[str, Any]) -> str:
    return hash_content(json.dumps(noted, sort_keys=True).encode())


def select_ends(flow: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of each run's first and last recorded update."""
    updates = flow.groupby("run")["update"]
    chosen = flow["update"].eq(updates.transform("min")) | flow["update"].eq(updates.transform("max"))
    return flow[chosen].reset_index(drop=True)


def make_empty_history() -> "pd.DataFrame":
    """A history in which nothing was recorded."""
    import pandas as pd

    return pd.DataFrame({"run": pd.Series(dtype="int64"), "update": pd.Series(dtype="int64")})


def make_empty_flow() -> "pd.DataFrame":
    """Gradients' flow where nothing was recorded."""
    import pandas as pd

    kinds = {"run": "int64", "update": "int64", "lag": "int64", "norm": "float64"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
