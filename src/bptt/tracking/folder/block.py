"""The files of a block: what its runs left, written whole or not at all, even when the machine stops.

digests.json, which is written last, has the digest of each file, and tells which runs they are of. All is held against
it when it is read; blocks of before there were digests are read without.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.printable import OneLineError
from bptt.tracking.folder.files import (
    DIGESTS,
    FLOW,
    HISTORY,
    ONCE,
    RUNS,
    WEIGHTS,
    Status,
    clear_part,
    dump_sealed,
    hash_content,
    load_sealed,
    pack_table,
    parse_table,
    read_arrays,
    sync_folder,
)
from bptt.tracking.folder.snapshots import stack_snapshots, take_snapshots

if TYPE_CHECKING:
    import pandas as pd

    from bptt.core.run import Record


class ArchiveError(OneLineError):
    """A folder is no sweep's, or is damaged; the message is one line for the user."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """How a run of a sweep ended.

    job     the number of its job
    record  what it recorded; None where it is nothing
    error   the traceback of a run that FAILED
    began, ended  seconds since 1970; of the whole block
    reused  the id, in the store, of the earlier run that this result was taken from
    """

    job: int
    status: Status
    record: "Record | None"
    error: str | None
    began: float
    ended: float
    reused: str | None = None


@dataclass(frozen=True)
class Tables:
    """The results of a sweep, one table each; `run` is a job's number.

    runs     run, status, outcome, updates, error, began, ended, reused, and of each of ONCE what there is
    history  run, update, metrics
    """

    runs: "pd.DataFrame"
    history: "pd.DataFrame"


@dataclass(frozen=True)
class Block:
    """A block that was written, whose files are held against their digests when they are read.

    digests  file → its digest; None: it was written before there were any
    runs     the Arrow table of runs.parquet
    """

    folder: Path
    digests: Mapping[str, str] | None
    runs: Any

    @property
    def numbers(self) -> list[int]:
        """Of its runs."""
        found: list[int] = self.runs["run"].to_pylist()
        return found

    @property
    def recorded(self) -> list[int]:
        """The numbers of its runs that recorded something."""
        return [run for run, outcome in zip(self.numbers, self.runs["outcome"].to_pylist(), strict=True) if outcome]

    def table(self, name: str) -> Any:
        """The Arrow table of history.parquet or gradient_flow.parquet. Raises ArchiveError where it is damaged."""
        with _refused(self.folder / name):
            table = parse_table((self.folder / name).read_bytes(), _find_digest(self.digests, name))
            check_rows(table, self.recorded, lags=name == FLOW)
            return table

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What weights.npz holds. Raises ArchiveError where it is damaged."""
        with _refused(self.folder / WEIGHTS, told=True):
            arrays = read_arrays(self.folder / WEIGHTS, _find_digest(self.digests, WEIGHTS))
            if "run" not in arrays or arrays["run"].tolist() != self.recorded:
                raise ValueError(f"{self.folder / WEIGHTS}: its arrays are not those of the block's runs")
            return arrays


def open_block(folder: Path, whose: Mapping[int, str] | None = None, sealed: bool = False) -> Block:
    """A block, whose table of runs is read. Raises ArchiveError where it is damaged.

    whose   number → digest of each run that its sweep has; None: any are taken
    sealed  whether it was written when there were digests
    """
    with _refused(folder / DIGESTS):
        noted = None
        if sealed or (folder / DIGESTS).exists():
            noted = load_sealed((folder / DIGESTS).read_text(encoding="utf-8"))
            if noted["block"] != folder.name:
                raise ValueError(f"is a copy of block {noted['block']}")
            for number, digest in noted["runs"].items():
                if whose is not None and whose.get(int(number)) != digest:
                    raise ValueError(f"its run {number} is none of this sweep")
    digests = None if noted is None else noted["files"]
    with _refused(folder / RUNS):
        runs = parse_table((folder / RUNS).read_bytes(), _find_digest(digests, RUNS))
        check_runs(runs, whose)
    return Block(folder, digests, runs)


def refuse_repeated(blocks: Sequence[Block]) -> None:
    """Raise ArchiveError where a run is in two blocks."""
    found: dict[int, Path] = {}
    for block in blocks:
        for run in block.numbers:
            if run in found:
                raise ArchiveError(f"{block.folder}: run {run} is in {found[run]} too; delete the one that is a copy")
            found[run] = block.folder


@contextmanager
def _refused(path: Path, told: bool = False) -> Iterator[None]:
    """What is wrong with a file of a block, in one line with what to do; told: the path is in it already."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        says = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
        says = says if told else f"{path}: can't be read: {says}"
        raise ArchiveError(f"{says}; delete {path.parent}, and `bptt resume` trains its runs again") from error


def _find_digest(digests: Mapping[str, str] | None, name: str) -> str | None:
    return None if digests is None else digests[name]


def write_block(folder: Path, results: Sequence[RunResult], whose: Mapping[int, str] | None = None) -> None:
    """Write what the runs of a block left into a new folder.

    Runs of one block have parameters of the same shapes. whose: number → digest of each run that the sweep has.
    """
    part = folder.with_name(f".{folder.name}.part")
    clear_part(folder)
    shutil.rmtree(part, ignore_errors=True)
    try:
        _write_files(part, folder.name, results, whose or {})
        part.replace(folder)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)  # on a full disk it would be in the way
        raise
    sync_folder(folder.parent)


def _write_files(folder: Path, name: str, results: Sequence[RunResult], whose: Mapping[int, str]) -> None:
    folder.mkdir()
    recorded = [(result.job, result.record) for result in results if result.record is not None]
    weights = BytesIO()
    np.savez(weights, allow_pickle=False, **_stack_arrays(recorded))
    files = {
        RUNS: pack_table(_tabulate_runs(results)),
        HISTORY: pack_table(_tabulate_history(recorded)),
        FLOW: pack_table(_tabulate_flow(recorded)),
        WEIGHTS: weights.getvalue(),
    }
    noted = {
        "block": name,
        "runs": {str(result.job): whose[result.job] for result in results if result.job in whose},
        "files": {name: hash_content(content) for name, content in files.items()},
    }
    for path, content in {**files, DIGESTS: dump_sealed(noted).encode()}.items():
        _write_content(folder / path, content)
    sync_folder(folder)


def read_block(block: Block) -> list[RunResult]:
    """What `write_block` was given. Raises ArchiveError where it can't be read."""
    arrays, tables = block.arrays(), [block.table(name) for name in (HISTORY, FLOW)]
    with _refused(block.folder / FLOW):
        check_updates(*tables)
        history, flow = (dict(iter(table.to_pandas(use_threads=False).groupby("run", sort=False))) for table in tables)
        places = {int(run): place for place, run in enumerate(arrays["run"])}
        results = []
        for row in block.runs.to_pylist():
            run, outcome, updates = row.pop("run"), row.pop("outcome"), row.pop("updates")
            once = {name: value for name in ONCE if (value := row.pop(name, None)) is not None}
            record = None
            if outcome is not None:
                record = _make_record(outcome, updates, once, history[run], flow[run], arrays, places[run])
            results.append(RunResult(job=run, record=record, **row))
    return results


def _make_record(
    outcome: Any,
    updates: int,
    once: dict[str, float],
    history: Any,
    flow: Any,
    arrays: dict[str, NDArray[Any]],
    place: int,
) -> Any:
    from bptt.core.run import Record

    prefix = "weights/"
    return Record(
        outcome=outcome,
        updates=updates,
        history={str(name): history[name].to_numpy() for name in history if name != "run"},
        flow=flow["norm"].to_numpy().reshape(len(history), -1),
        parameters={
            name.removeprefix(prefix): array[place] for name, array in arrays.items() if name.startswith(prefix)
        },
        state=arrays["state"][place],
        once=once,
        snapshots=take_snapshots(arrays, place),
    )


def list_ended(block: Block) -> list[RunResult]:
    """How the runs of a block ended, without what they recorded."""
    known = [name for name in block.runs.column_names if name in ("outcome", "updates", *ONCE)]
    return [RunResult(job=row.pop("run"), record=None, **row) for row in block.runs.drop(known).to_pylist()]


def read_tables(blocks: Sequence[Block]) -> Tables:
    """The results of several blocks, joined. Raises ArchiveError where one can't be read."""
    runs = _join_tables([block.runs for block in blocks], _tabulate_runs([]))
    history = _join_tables([block.table(HISTORY) for block in blocks], _tabulate_history([]))
    return Tables(runs.sort_values("run", ignore_index=True), history.sort_values(["run", "update"], ignore_index=True))


def read_gradient_flow(blocks: Sequence[Block], ends_only: bool) -> "pd.DataFrame":
    """The gradients' flow of several blocks, joined: run, update, lag, norm. Raises ArchiveError like `read_tables`.

    ends_only: of each run its first and its last recorded update alone.
    """
    tables = (block.table(FLOW) for block in blocks)
    flow = _join_tables([_select_arrow_ends(table) if ends_only else table for table in tables], _tabulate_flow([]))
    return flow.sort_values("run", kind="stable", ignore_index=True)


def _select_arrow_ends(flow: Any) -> Any:
    """The rows of each run's first and last update."""
    import pyarrow.compute as pc

    ends = flow.group_by("run", use_threads=False).aggregate([("update", "min"), ("update", "max")])
    joined = flow.join(ends, "run", use_threads=False)
    return (
        joined.filter(
            pc.or_(pc.equal(joined["update"], joined["update_min"]), pc.equal(joined["update"], joined["update_max"]))
        )
        .select(flow.column_names)
        .sort_by([("run", "ascending"), ("update", "ascending"), ("lag", "ascending")])
    )


def _join_tables(tables: Sequence[Any], empty: Any) -> "pd.DataFrame":
    import pyarrow as pa

    return pa.concat_tables([empty, *tables], promote_options="permissive").to_pandas(use_threads=False)


def write_table(path: Path, table: Any) -> None:
    """Write a parquet file that has reached the disk when this returns."""
    _write_content(path, pack_table(table))


def _write_content(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_table(path: Path, digest: str | None = None, columns: Sequence[str] | None = None) -> Any:
    """The Arrow table of a parquet file. Raises ArchiveError where it can't be read.

    digest   of the file, where it is known
    columns  those that are wanted; None: all
    """
    try:
        table = parse_table(path.read_bytes(), digest)
        return table if columns is None else table.select([*columns])
    except OSError as error:
        raise ArchiveError(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, KeyError) as error:
        raise ArchiveError(f"{path}: can't be read: {error}") from error


def _tabulate_runs(results: Sequence[RunResult]) -> Any:
    import pyarrow as pa

    records = [result.record for result in results]
    return pa.table(
        {
            "run": pa.array([result.job for result in results], pa.int64()),
            "status": pa.array([result.status for result in results], pa.string()),
            "outcome": pa.array([record and record.outcome for record in records], pa.string()),
            "updates": pa.array([record and record.updates for record in records], pa.int64()),
            "error": pa.array([result.error for result in results], pa.string()),
            "began": pa.array([result.began for result in results], pa.float64()),
            "ended": pa.array([result.ended for result in results], pa.float64()),
            "reused": pa.array([result.reused for result in results], pa.string()),
            # Null where there is none: a number may be NaN, or infinite.
            **{name: pa.array([record and record.once.get(name) for record in records], pa.float64()) for name in ONCE},
        }
    )


def _tabulate_history(recorded: Sequence[tuple[int, "Record"]]) -> Any:
    import pyarrow as pa

    columns = {"run": _repeat_runs(recorded, 1), "update": _join([r.history["update"] for _, r in recorded], np.int64)}
    names = [name for name in recorded[0][1].history if name != "update"] if recorded else []
    return pa.table(columns | {name: _join([r.history[name] for _, r in recorded], np.float64) for name in names})


def _tabulate_flow(recorded: Sequence[tuple[int, "Record"]]) -> Any:
    import pyarrow as pa

    timesteps = recorded[0][1].flow.shape[1] if recorded else 0
    updates = _join([r.history["update"] for _, r in recorded], np.int64)
    return pa.table(
        {
            "run": _repeat_runs(recorded, timesteps),
            "update": np.repeat(updates, timesteps),
            "lag": np.tile(np.arange(timesteps), len(updates)),
            "norm": _join([r.flow.reshape(-1) for _, r in recorded], np.float64),
        }
    )


def _stack_arrays(recorded: Sequence[tuple[int, "Record"]]) -> dict[str, NDArray[Any]]:
    arrays = {"run": np.array([run for run, _ in recorded], np.int64)}
    if recorded:
        arrays["state"] = np.stack([record.state for _, record in recorded])
        for name in recorded[0][1].parameters:
            arrays[f"weights/{name}"] = np.stack([record.parameters[name] for _, record in recorded])
        arrays |= stack_snapshots([record for _, record in recorded])
    return arrays


def _repeat_runs(recorded: Iterable[tuple[int, "Record"]], times: int) -> NDArray[np.int64]:
    return _join([np.full(len(record.history["update"]) * times, run) for run, record in recorded], np.int64)


def _join(parts: Sequence[NDArray[Any]], kind: Any) -> NDArray[Any]:
    return np.concatenate([np.empty(0, kind), *(np.asarray(part, kind) for part in parts)])


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


_COLUMNS: Final = ("run", "status", "outcome", "updates", "error", "began", "ended")


def check_runs(runs: Any, whose: Mapping[int, str] | None) -> None:
    """Raise ValueError where an Arrow table is not that of a block's runs.

    whose  the runs that the sweep has, by number; None: any are taken
    """
    if missing := [name for name in _COLUMNS if name not in runs.column_names]:
        raise ValueError(f"it has no column {missing[0]}")
    numbers = runs["run"].to_pylist()
    if len({*numbers}) < len(numbers):
        raise ValueError("a run stands in it twice")
    if whose is not None and (foreign := [run for run in numbers if run not in whose]):
        raise ValueError(f"its run {foreign[0]} is none of this sweep")


def check_rows(table: Any, recorded: Sequence[int], lags: bool) -> None:
    """Raise ValueError where a history, or with `lags` a gradients' flow, has not the rows that these runs left."""
    run, update = (table[name].to_numpy() for name in ("run", "update"))
    if lags and len(run):
        lag = table["lag"].to_numpy()
        timesteps = int(lag.max()) + 1
        if len(lag) % timesteps or not (lag.reshape(-1, timesteps) == np.arange(timesteps)).all():
            raise ValueError("rows are missing, or stand twice")
        groups = [values.reshape(-1, timesteps) for values in (run, update)]
        if not all((values == values[:, :1]).all() for values in groups):
            raise ValueError("rows are missing, or stand twice")
        run, update = run[::timesteps], update[::timesteps]
    begins = np.flatnonzero(np.diff(run, prepend=-1))
    if run[begins].tolist() != [*recorded]:
        raise ValueError("its rows are not those of the block's runs")
    steps = np.diff(update, prepend=0)
    steps[begins] = 1
    if not (steps > 0).all():
        raise ValueError("rows stand twice, or in another order")


def check_updates(history: Any, flow: Any) -> None:
    """Raise ValueError where a gradients' flow is not of the updates that a history has."""
    points = len(history)
    timesteps = len(flow) // points if points else 0
    for name in ("run", "update"):
        if not np.array_equal(flow[name].to_numpy(), np.repeat(history[name].to_numpy(), timesteps)):
            raise ValueError("its updates are not those of the history")
