"""Whether the tables of a block are those that its runs left, of which nothing was cut off, copied or put elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

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


def are_sorted(table: Any) -> bool:
    """Whether each row of an Arrow table comes after the one before it, by the columns in their order."""
    last = table.slice(0, 0)
    for batch in table.to_batches():
        columns = [
            np.concatenate([ends.to_numpy(), column.to_numpy()])
            for ends, column in zip(last.columns, batch.columns, strict=True)
        ]
        later = np.zeros(max(len(columns[0]) - 1, 0), np.bool_)
        alike = ~later
        for column in columns:
            steps = np.diff(column)
            later |= alike & (steps > 0)
            alike &= steps == 0
        if not later.all():
            return False
        last = batch.slice(max(len(batch) - 1, 0)) if len(batch) else last
    return True
