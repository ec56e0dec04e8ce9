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
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.printable import OneLineError
from bptt.tracking.folder.checks import are_sorted, check_rows, check_runs, check_updates
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
    list_once,
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


_AT_ONCE: Final = 64  # tables of blocks that are put together
_USUAL: Final = ONCE[:3]  # columns that are there for any run; the others where some run has the number


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
    given_up  why halving stopped it; None: it did not
    """

    job: int
    status: Status
    record: "Record | None"
    error: str | None
    began: float
    ended: float
    reused: str | None = None
    given_up: str | None = None


@dataclass(frozen=True)
class Tables:
    """The results of a sweep, one table each; `run` is a job's number.

    runs     run, status, outcome, updates, error, began, ended, reused, what there is of `Record.once`, given_up if any
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
    runs = np.concatenate([np.empty(0, np.int64), *(block.runs["run"].to_numpy() for block in blocks)])
    owners = np.repeat(np.arange(len(blocks)), [block.runs.num_rows for block in blocks])
    order = np.argsort(runs, kind="stable")
    twice = np.flatnonzero(np.diff(runs[order]) == 0)
    if len(twice):
        first, second = (blocks[owners[order[place]]].folder for place in (twice[0], twice[0] + 1))
        raise ArchiveError(f"{second}: run {runs[order[twice[0]]]} is in {first} too; delete the one that is a copy")


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
        history, flow = map(_part_runs, tables)
        places = {int(run): place for place, run in enumerate(arrays["run"])}
        results = []
        for row in block.runs.to_pylist():
            run, outcome, updates = row.pop("run"), row.pop("outcome"), row.pop("updates")
            once = {name: value for name in list_once(row) if (value := row.pop(name)) is not None}
            record = None
            if outcome is not None:
                record = _make_record(outcome, updates, once, history[run], flow[run], arrays, places[run])
            results.append(RunResult(job=run, record=record, **row))
    return results


def _part_runs(table: Any) -> dict[int, dict[str, NDArray[Any]]]:
    """Run → its part of each column; the rows of a run stand one after the other."""
    frame = table.to_pandas(use_threads=False)
    columns = {str(name): frame[name].to_numpy() for name in frame}
    runs = columns.pop("run")
    begins = np.flatnonzero(np.diff(runs, prepend=-1))
    ends = [*begins[1:].tolist(), len(runs)][: len(begins)]
    return {
        int(runs[begin]): {name: values[begin:end] for name, values in columns.items()}
        for begin, end in zip(begins.tolist(), ends, strict=True)
    }


def _make_record(
    outcome: Any,
    updates: int,
    once: dict[str, float],
    history: dict[str, NDArray[Any]],
    flow: dict[str, NDArray[Any]],
    arrays: dict[str, NDArray[Any]],
    place: int,
) -> Any:
    from bptt.core.run import Record

    prefix = "weights/"
    return Record(
        outcome=outcome,
        updates=updates,
        history=history,
        flow=flow["norm"].reshape(len(history["update"]), -1),
        parameters={
            name.removeprefix(prefix): array[place] for name, array in arrays.items() if name.startswith(prefix)
        },
        state=arrays["state"][place],
        once=once,
        snapshots=take_snapshots(arrays, place),
    )


def list_ended(block: Block) -> list[RunResult]:
    """How the runs of a block ended, without what they recorded."""
    names = block.runs.column_names
    known = [*(name for name in names if name in ("outcome", "updates")), *list_once(names)]
    return [RunResult(job=row.pop("run"), record=None, **row) for row in block.runs.drop(known).to_pylist()]


def read_tables(blocks: Sequence[Block]) -> Tables:
    """The results of several blocks, joined. Raises ArchiveError where one can't be read."""
    return Tables(_to_pandas(join_runs(blocks)), _to_pandas(join_history(blocks)))


def join_runs(blocks: Iterable[Block]) -> Any:
    """The Arrow table of how the runs of blocks ended, by number."""
    return _sort_rows(_join_tables((block.runs for block in blocks), _tabulate_runs([])))


def join_history(blocks: Iterable[Block]) -> Any:
    """The Arrow table of what the runs of blocks recorded, by number and update. Raises ArchiveError."""
    return _sort_rows(_join_tables((block.table(HISTORY) for block in blocks), _tabulate_history([])))


def join_flow(blocks: Iterable[Block], ends_only: bool) -> Any:
    """The Arrow table of how gradients flowed, see `read_gradient_flow`, by number, update and lag."""
    tables = (block.table(FLOW) for block in blocks)
    ends = map(_select_arrow_ends, tables) if ends_only else tables
    return _sort_rows(_join_tables(ends, _tabulate_flow([])))


def read_gradient_flow(blocks: Iterable[Block], ends_only: bool) -> "pd.DataFrame":
    """The gradients' flow of several blocks, joined: run, update, lag, norm. Raises ArchiveError like `read_tables`.

    ends_only: of each run its first and its last recorded update alone.
    """
    return _to_pandas(join_flow(blocks, ends_only))


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


def _join_tables(tables: Iterable[Any], empty: Any) -> Any:
    """All rows, in memory that is hardly more than they take: small tables are put together as they come."""
    import pyarrow as pa

    def join(some: Sequence[Any]) -> Any:
        return pa.concat_tables(some, promote_options="permissive")

    coming, portions = iter(tables), [empty]
    while waiting := list(islice(coming, _AT_ONCE)):
        portions.append(join(waiting).combine_chunks())
    return join(portions)


def _sort_rows(table: Any) -> Any:
    """The table by run, update and lag, as far as it has them."""
    keys = [name for name in ("run", "update", "lag") if name in table.column_names]
    return table if are_sorted(table.select(keys)) else table.sort_by([(name, "ascending") for name in keys])


def _to_pandas(table: Any) -> "pd.DataFrame":
    """The table, which is no more when this returns: of many rows there is no memory for twice as many."""
    import pyarrow as pa

    apart = all(column.num_chunks > 2 for column in table.itercolumns())  # of one chunk a column would not be its own
    found: pd.DataFrame = table.to_pandas(use_threads=False, split_blocks=apart, self_destruct=apart)
    del table
    pa.default_memory_pool().release_unused()
    return found


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

    records, why = [result.record for result in results], [result.given_up for result in results]
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
            **({"given_up": pa.array(why, pa.string())} if any(why) else {}),
            # Null where there is none: a number may be NaN, or infinite.
            **{
                name: pa.array([record and record.once.get(name) for record in records], pa.float64())
                for name in list_once([*_USUAL, *(name for record in records if record for name in record.once)])
            },
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
