"""The files of a block: what its runs left, written whole or not at all, even when the machine stops."""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bptt.tracking.folder.files import FLOW, HISTORY, ONCE, RUNS, WEIGHTS, Status, read_arrays, sync_folder

if TYPE_CHECKING:
    import pandas as pd

    from bptt.core.run import Record


class ArchiveError(Exception):
    """A folder is no sweep's, or is damaged; the message is one line for the user."""


@dataclass(frozen=True, kw_only=True)
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


def write_block(folder: Path, results: Sequence[RunResult]) -> None:
    """Write what the runs of a block left into a new folder.

    Runs of one block have parameters of the same shapes.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        _write_files(part, results)
        part.replace(folder)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)  # on a full disk it would be in the way
        raise
    sync_folder(folder.parent)


def _write_files(folder: Path, results: Sequence[RunResult]) -> None:
    folder.mkdir()
    recorded = [(result.job, result.record) for result in results if result.record is not None]
    write_table(folder / RUNS, _tabulate_runs(results))
    write_table(folder / HISTORY, _tabulate_history(recorded))
    write_table(folder / FLOW, _tabulate_flow(recorded))
    with (folder / WEIGHTS).open("wb") as file:
        np.savez(file, allow_pickle=False, **_stack_arrays(recorded))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)


def read_block(folder: Path) -> list[RunResult]:
    """What `write_block` was given. Raises ArchiveError where it can't be read."""
    try:
        arrays = read_arrays(folder / WEIGHTS)
        history, flow = (
            dict(iter(read_table(folder / name).to_pandas(use_threads=False).groupby("run", sort=False)))
            for name in (HISTORY, FLOW)
        )
        places = {int(run): place for place, run in enumerate(arrays["run"])}
        results = []
        for row in read_table(folder / RUNS).to_pylist():
            run, outcome, updates = row.pop("run"), row.pop("outcome"), row.pop("updates")
            once = {name: value for name in ONCE if (value := row.pop(name, None)) is not None}
            record = None
            if outcome is not None:
                record = _make_record(outcome, updates, once, history[run], flow[run], arrays, places[run])
            results.append(RunResult(job=run, record=record, **row))
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"{folder}: damaged ({error}); delete it, and it is trained again") from error
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
    )


def read_ended(folder: Path) -> list[RunResult]:
    """How the runs of a block ended, without what they recorded. Raises ArchiveError where it can't be read."""
    table = read_table(folder / RUNS)
    rows = table.drop([name for name in table.column_names if name in ("outcome", "updates", *ONCE)]).to_pylist()
    return [RunResult(job=row.pop("run"), record=None, **row) for row in rows]


def read_tables(folders: Sequence[Path]) -> Tables:
    """The results of several blocks, joined. Raises ArchiveError where one can't be read."""
    runs = _join_tables(folders, RUNS, _tabulate_runs([])).sort_values("run", ignore_index=True)
    history = _join_tables(folders, HISTORY, _tabulate_history([])).sort_values(["run", "update"], ignore_index=True)
    return Tables(runs, history)


def read_gradient_flow(folders: Sequence[Path], ends_only: bool) -> "pd.DataFrame":
    """The gradients' flow of several blocks, joined: run, update, lag, norm. Raises ArchiveError like `read_tables`.

    ends_only: of each run its first and its last recorded update alone.
    """
    flow = _join_tables(folders, FLOW, _tabulate_flow([]), _select_arrow_ends if ends_only else None)
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


def _join_tables(
    folders: Sequence[Path], name: str, empty: Any, of_each: Callable[[Any], Any] | None = None
) -> "pd.DataFrame":
    import pyarrow as pa

    tables = [of_each(read_table(folder / name)) if of_each else read_table(folder / name) for folder in folders]
    return pa.concat_tables([empty, *tables], promote_options="permissive").to_pandas(use_threads=False)


def write_table(path: Path, table: Any) -> None:
    """Write a parquet file that has reached the disk when this returns."""
    import pyarrow.parquet as pq

    with path.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())


def read_table(path: Path) -> Any:
    """The Arrow table of a parquet file. Raises ArchiveError where it can't be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, pre_buffer=False).read(use_threads=False)
    except (OSError, pa.ArrowException) as error:
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
